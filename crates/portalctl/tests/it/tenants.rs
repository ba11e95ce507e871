//! `portalctl tenant` and `portalctl user`.

use portal_test_harness::{ServiceRole, TestDb};
use serde_json::Value;
use uuid::Uuid;

use crate::{portalctl, stderr, stdout};

/// Two tenants: one with an organization, a person with a session and a conversation, and one without.
fn world() -> (TestDb, String) {
    let db = TestDb::new();
    db.execute(
        "INSERT INTO tenants (tenant_id, name, genesys_org_id, genesys_region) VALUES \
             ('acme_corp', 'Acme', 'org-acme', 'mypurecloud.de'), ('globex_inc', 'Globex', NULL, NULL); \
         INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, genesys_email, name, role) \
             VALUES ('0198c0de-0000-7000-8000-000000000001', 'acme_corp', 'org-acme', 'g-1', 'a@b.example', 'Alice', 'admin'); \
         INSERT INTO genesys_user_sessions (session_id, tenant_id, user_id, refresh_token_hash, genesys_region, \
                 genesys_access_token, idle_expires_at, expires_at) \
             VALUES (gen_random_uuid(), 'acme_corp', '0198c0de-0000-7000-8000-000000000001', '\\x00', 'sandbox', \
                 '\\x00', now() + interval '1 h', now() + interval '1 h'); \
         INSERT INTO conversations (conversation_id, tenant_id, phone_number_id, wa_id) \
             VALUES ('0198c0de-0000-7000-8000-000000000002', 'acme_corp', '1', '2'); \
         INSERT INTO conversation_assignments (assignment_id, tenant_id, conversation_id, user_id) \
             VALUES (gen_random_uuid(), 'acme_corp', '0198c0de-0000-7000-8000-000000000002', \
                 '0198c0de-0000-7000-8000-000000000001')",
    );
    let url = db.url(ServiceRole::Owner);
    (db, url)
}

fn done(url: &str, arguments: &[&str]) -> Value {
    let mut all = arguments.to_vec();
    all.push("--json");
    let output = portalctl(url, &all);
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

fn refused(url: &str, arguments: &[&str]) -> String {
    let output = portalctl(url, arguments);
    assert!(!output.status.success(), "{}", stdout(&output));
    stderr(&output)
}

fn events(db: &TestDb) -> Vec<String> {
    db.query(
        "SELECT concat_ws(' ', service, tenant_id, routing_key, payload->'data'->>'reason') \
         FROM outbox_events ORDER BY seq",
    )
}

#[test]
fn tenants_are_listed_and_shown() {
    let (_db, url) = world();
    let listed = done(&url, &["tenant", "list"]);
    assert_eq!(listed["tenants"].as_array().unwrap().len(), 2);
    let shown = done(&url, &["tenant", "show", "--tenant", "acme_corp"]);
    assert_eq!(shown["genesys_org_id"], "org-acme");
    let unknown = refused(&url, &["tenant", "show", "--tenant", "nobody"]);
    assert!(
        unknown.contains("there is no tenant nobody; see `portalctl tenant list`"),
        "{unknown}"
    );
    let senseless = refused(&url, &["tenant", "show", "--tenant", "no such"]);
    assert!(senseless.contains("no tenant id"), "{senseless}");
}

#[test]
fn an_organization_is_mapped_once_told_and_audited() {
    let (db, url) = world();
    let map = |org, more: &[&str]| {
        let mut arguments = vec![
            "tenant",
            "map-org",
            "--tenant",
            "globex_inc",
            "--genesys-org-id",
            org,
            "--region",
            "mypurecloud.ie",
            "--operator",
            "ada",
        ];
        arguments.extend(more);
        arguments.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let call = |arguments: Vec<String>| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        done(&url, &arguments)
    };
    let dry = call(map("org-globex", &["--dry-run"]));
    assert_eq!(dry["tenant"]["genesys_org_id"], "org-globex");
    assert_eq!(
        db.query("SELECT count(*) FROM tenants WHERE genesys_org_id = 'org-globex'"),
        ["0"]
    );
    assert_eq!(events(&db), Vec::<String>::new());

    assert_eq!(call(map("org-globex", &[]))["changed"], true);
    assert_eq!(
        db.query("SELECT concat_ws(' ', genesys_org_id, genesys_region, version) FROM tenants WHERE tenant_id = 'globex_inc'"),
        ["org-globex mypurecloud.ie 2"]
    );
    assert_eq!(
        events(&db),
        ["tenant_service globex_inc tenant.genesys_org.mapped"]
    );
    assert_eq!(
        db.query("SELECT concat_ws(' ', service, tenant_id, actor_kind, actor_id, action, outcome) FROM audit_log"),
        ["portalctl globex_inc operator ada tenant.map_genesys_org succeeded"]
    );
    // Again: nothing happens.
    assert_eq!(call(map("org-globex", &[]))["changed"], false);
    assert_eq!(events(&db).len(), 1);

    let arguments = map("org-acme", &[]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let taken = refused(&url, &arguments);
    assert!(
        taken.contains("another tenant has the Genesys organization org-acme"),
        "{taken}"
    );
}

#[test]
fn a_tenant_is_suspended_resumed_and_moved_to_its_region() {
    let (db, url) = world();
    let tenant = ["--tenant", "acme_corp"];
    let call = |command: &[&str]| {
        let mut arguments = vec!["tenant"];
        arguments.extend(command);
        arguments.extend(tenant);
        done(&url, &arguments)["changed"].clone()
    };
    assert_eq!(call(&["suspend"]), true);
    assert_eq!(call(&["suspend"]), false);
    assert_eq!(call(&["resume"]), true);
    assert_eq!(call(&["set-region", "--region", "mypurecloud.ie"]), true);
    assert_eq!(
        events(&db),
        [
            "tenant_service acme_corp tenant.suspended",
            "tenant_service acme_corp tenant.resumed",
            "tenant_service acme_corp tenant.updated",
        ]
    );
    assert_eq!(
        db.query("SELECT concat_ws(' ', status, genesys_region) FROM tenants WHERE tenant_id = 'acme_corp'"),
        ["active mypurecloud.ie"]
    );
    db.execute(
        "UPDATE tenants SET status = 'deleted', deleted_at = now() WHERE tenant_id = 'acme_corp'",
    );
    let deleted = refused(&url, &["tenant", "resume", "--tenant", "acme_corp"]);
    assert!(deleted.contains("is deleted"), "{deleted}");
}

#[test]
fn a_person_is_activated_again() {
    let (db, url) = world();
    let activate = |genesys_id| {
        [
            "user",
            "activate",
            "--tenant",
            "acme_corp",
            "--genesys-user-id",
            genesys_id,
        ]
    };
    assert_eq!(done(&url, &activate("g-1"))["changed"], false);
    db.execute("UPDATE genesys_users SET is_active = false, deactivated_at = now(), deactivated_by = 'admin'");
    let listed = portalctl(&url, &["user", "list", "--tenant", "acme_corp"]);
    let listed = stdout(&listed);
    assert!(
        listed.contains("g-1  admin  deactivated by admin"),
        "{listed}"
    );
    assert!(!listed.contains("Alice") && !listed.contains('@'));
    assert_eq!(done(&url, &activate("g-1"))["changed"], true);
    assert_eq!(
        db.query("SELECT concat_ws(' ', is_active, deactivated_by IS NULL) FROM genesys_users"),
        ["t t"]
    );
    assert_eq!(events(&db), ["agent_portal_service acme_corp user.updated"]);
    assert_eq!(
        db.query("SELECT concat_ws(' ', actor_kind, action) FROM audit_log"),
        ["operator user.activate"]
    );
    let unknown = refused(&url, &activate("g-2"));
    assert!(
        unknown.contains("has nobody with Genesys' id g-2"),
        "{unknown}"
    );
}

#[test]
fn somebody_who_never_signed_in_is_activated_by_the_id_here() {
    let (db, url) = world();
    let id = Uuid::now_v7();
    db.execute(&format!(
        "INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, name, is_placeholder, \
             is_active, deactivated_by) \
         VALUES ('{id}', 'acme_corp', '', 'legacy:7', 'Bob', true, false, 'operator')"
    ));
    let id = id.to_string();
    let command = [
        "user",
        "activate",
        "--tenant",
        "acme_corp",
        "--user-id",
        &id,
    ];
    assert_eq!(done(&url, &command)["changed"], true);
    let listed = portalctl(&url, &["user", "list", "--tenant", "acme_corp"]);
    let listed = stdout(&listed);
    assert!(
        listed.contains("legacy:7  agent  waits for the first sign-in"),
        "{listed}"
    );
    let other = Uuid::now_v7().to_string();
    let unknown = [
        "user",
        "activate",
        "--tenant",
        "acme_corp",
        "--user-id",
        &other,
    ];
    assert!(refused(&url, &unknown).contains(&format!("has nobody with the id {other}")));
    let nobody = portalctl(&url, &["user", "activate", "--tenant", "acme_corp"]);
    assert_eq!(nobody.status.code(), Some(2), "{}", stdout(&nobody));
}

const MOVE: [&str; 8] = [
    "user",
    "move",
    "--genesys-user-id",
    "g-1",
    "--from",
    "acme_corp",
    "--to",
    "globex_inc",
];

#[test]
fn a_person_is_moved_whole_or_not_at_all() {
    let (db, url) = world();
    let dump = "SELECT concat_ws('|', tenant_id, genesys_user_id, is_active, deactivated_by, role) \
                FROM genesys_users ORDER BY 1";
    let mut dry = MOVE.to_vec();
    dry.push("--dry-run");
    assert_eq!(done(&url, &dry)["sessions"], 1);
    assert_eq!(db.query(dump), ["acme_corp|g-1|t|admin"]);

    let moved = done(&url, &MOVE);
    assert_eq!(
        (&moved["sessions"], &moved["conversations"]),
        (&1.into(), &1.into())
    );
    assert_eq!(
        db.query(dump),
        [
            "acme_corp|moved:0198c0de-0000-7000-8000-000000000001|f|operator|admin",
            "globex_inc|g-1|t|agent",
        ]
    );
    assert_eq!(
        db.query("SELECT concat_ws('|', revoke_reason, genesys_access_token IS NULL) FROM genesys_user_sessions"),
        ["user_moved|t"]
    );
    assert_eq!(
        db.query("SELECT concat_ws('|', status, end_reason, ended_at IS NOT NULL) FROM conversation_assignments"),
        ["released|user_moved|t"]
    );
    assert_eq!(
        events(&db),
        [
            "agent_portal_service acme_corp session.revoked user_moved",
            "agent_portal_service acme_corp conversation.released user_moved",
            "agent_portal_service acme_corp user.updated",
            "agent_portal_service globex_inc user.provisioned",
        ]
    );
    // In both tenants' logs.
    assert_eq!(
        db.query("SELECT concat_ws(' ', tenant_id, action) FROM audit_log ORDER BY 1"),
        ["acme_corp user.move", "globex_inc user.move"]
    );
    let again = refused(&url, &MOVE);
    assert!(again.contains("the tenant acme_corp has nobody"), "{again}");
}

#[test]
fn a_move_to_where_the_person_is_known_changes_nothing() {
    let (db, url) = world();
    db.execute(
        "INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, name) \
         VALUES (gen_random_uuid(), 'globex_inc', 'org', 'g-1', 'Alice')",
    );
    let known = refused(&url, &MOVE);
    assert!(known.contains("knows the person already"), "{known}");
    let mut nowhere = MOVE;
    nowhere[7] = "nobody";
    let unknown = refused(&url, &nowhere);
    assert!(unknown.contains("there is no tenant nobody"), "{unknown}");
    nowhere[7] = "acme_corp";
    let same = refused(&url, &nowhere);
    assert!(same.contains("the same tenant"), "{same}");
    assert_eq!(
        db.query("SELECT count(*) FROM genesys_user_sessions WHERE revoked_at IS NULL"),
        ["1"]
    );
    assert_eq!(db.query("SELECT count(*) FROM audit_log"), ["0"]);
    assert_eq!(events(&db), Vec::<String>::new());
}
