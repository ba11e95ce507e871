//! `portalctl doctor`.

use diesel::{Connection as _, PgConnection, RunQueryDsl as _, connection::SimpleConnection as _};
use portal_test_harness::{ServiceRole, TestDb};
use serde_json::{Value, json};

use crate::{portalctl, stderr, stdout};

fn examine(db: &TestDb) -> (Option<i32>, Value) {
    examine_with(db, &[])
}

fn examine_with(db: &TestDb, more: &[&str]) -> (Option<i32>, Value) {
    let arguments = [&["doctor", "--json"], more].concat();
    let output = portalctl(&db.url(ServiceRole::Owner), &arguments);
    let found = serde_json::from_slice(&output.stdout);
    (
        output.status.code(),
        found.unwrap_or_else(|_| panic!("{}", stderr(&output))),
    )
}

fn fixes(found: &Value) -> Vec<(String, String, String)> {
    let findings = found["findings"].as_array().unwrap().iter();
    findings
        .map(|one| {
            let word = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
            (word("tenant_id"), word("code"), word("fix"))
        })
        .collect()
}

const WHATSAPP: &str = "INSERT INTO tenant_whatsapp_config (config_id, tenant_id, waba_id, access_token, \
    access_token_last4, access_token_fingerprint) \
    SELECT gen_random_uuid(), tenant_id, 'waba of ' || tenant_id, '\\x00', '0000', 'f' FROM tenants \
    WHERE tenant_id <> 'initech'";

#[test]
fn what_is_to_be_mended_is_told_with_the_command_that_does_it() {
    let db = TestDb::new();
    db.execute(
        "INSERT INTO tenants (tenant_id, name, genesys_org_id, status) VALUES \
             ('acme_corp', 'n', 'org-acme', 'active'), ('globex_inc', 'n', 'org-globex', 'active'), \
             ('initech', 'n', NULL, 'active'), ('asleep', 'n', NULL, 'suspended'); \
         INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, name, role, is_active, \
                 is_placeholder) VALUES \
             (gen_random_uuid(), 'acme_corp', 'org-acme', 'g-right', 'n', 'agent', true, false), \
             (gen_random_uuid(), 'acme_corp', 'org-globex', 'g-moved', 'n', 'agent', true, false), \
             (gen_random_uuid(), 'acme_corp', 'org-lost', 'g-lost', 'n', 'agent', true, false), \
             (gen_random_uuid(), 'acme_corp', 'org-globex', 'g-gone', 'n', 'agent', false, false), \
             (gen_random_uuid(), 'acme_corp', '', 'legacy:1', 'n', 'agent', true, true), \
             (gen_random_uuid(), 'initech', 'org-initech', 'g-bill', 'n', 'agent', true, false)",
    );
    db.execute(WHATSAPP);
    let (code, found) = examine(&db);
    assert_eq!((code, &found["tenants"]), (Some(3), &json!(3)));
    let told =
        |tenant: &str, code: &str, fix: &str| (tenant.to_owned(), code.to_owned(), fix.to_owned());
    assert_eq!(
        fixes(&found),
        [
            told(
                "acme_corp",
                "user_of_another_organization",
                "no active tenant has the organization org-lost: give it one with `portalctl tenant set-org`, \
                 then move the person with `portalctl user move`"
            ),
            told(
                "acme_corp",
                "user_of_another_organization",
                "portalctl user move --genesys-user-id g-moved --from acme_corp --to globex_inc --dry-run"
            ),
            told(
                "acme_corp",
                "placeholders_unclaimed",
                "they sign in with the e-mail address that they had, or name them in the list of agents and run \
                 `portalctl db migrate` with it; who they are: portalctl user list --tenant acme_corp"
            ),
            told(
                "initech",
                "tenant_without_organization",
                "portalctl tenant set-org --tenant initech --genesys-org-id org-initech --region …"
            ),
            told(
                "initech",
                "tenant_without_whatsapp",
                "configure its account on the admin dashboard, or let an administrator of it sign up"
            ),
        ]
    );
}

#[test]
fn the_commands_that_it_tells_mend_it() {
    let db = TestDb::new();
    let url = db.url(ServiceRole::Owner);
    db.execute(
        "INSERT INTO tenants (tenant_id, name, genesys_org_id) VALUES \
             ('acme_corp', 'n', 'org-acme'), ('globex_inc', 'n', NULL); \
         INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, name, role) VALUES \
             (gen_random_uuid(), 'globex_inc', 'org-globex', 'g-1', 'n', 'agent'), \
             (gen_random_uuid(), 'acme_corp', 'org-globex', 'g-2', 'n', 'agent')",
    );
    db.execute(WHATSAPP);
    for round in 0..2 {
        let (code, found) = examine(&db);
        assert_eq!(code, Some(3), "{round} {found}");
        for (_, _, fix) in fixes(&found) {
            let Some(command) = fix.strip_prefix("portalctl ") else {
                continue;
            };
            let command = command.replace(" --region …", "").replace(" --dry-run", "");
            let output = portalctl(&url, &command.split(' ').collect::<Vec<_>>());
            assert!(output.status.success(), "{command}: {}", stderr(&output));
        }
    }
    let output = portalctl(&url, &["doctor"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).contains("nothing is to be mended"));
}

/// Codes and fixes, without what the server's other sessions are.
fn told(found: &Value) -> Vec<(String, String)> {
    let all = fixes(found).into_iter();
    all.filter(|(_, code, _)| code != "sessions_unseen")
        .map(|(_, code, fix)| (code, fix))
        .collect()
}

#[test]
fn accounts_that_cannot_send_are_told_and_what_only_has_to_be_known_needs_no_hand() {
    let db = TestDb::new();
    db.execute(
        "INSERT INTO tenants (tenant_id, name, genesys_org_id) VALUES ('acme_corp', 'n', 'org-acme'), \
             ('globex_inc', 'n', 'org-globex'), ('hooli', 'n', 'org-hooli'); \
         INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, name, role, is_active, \
             is_placeholder) VALUES (gen_random_uuid(), 'hooli', '', 'legacy:1', 'n', 'agent', true, true)",
    );
    db.execute(WHATSAPP);
    let (code, found) = examine(&db);
    assert_eq!(code, Some(0), "{found}");
    let codes: Vec<_> = told(&found).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, ["placeholders_unclaimed"]);

    db.execute(
        "UPDATE tenant_whatsapp_config SET token_status = 'invalid' WHERE tenant_id = 'acme_corp'; \
         UPDATE tenant_whatsapp_config SET token_expires_at = now() + interval '3 days' WHERE tenant_id = 'globex_inc'; \
         UPDATE tenant_whatsapp_config SET token_expires_at = now() + interval '30 days' WHERE tenant_id = 'hooli'",
    );
    let (code, found) = examine(&db);
    assert_eq!(code, Some(3), "{found}");
    let codes: Vec<_> = told(&found).into_iter().map(|(code, _)| code).collect();
    assert_eq!(
        codes,
        ["token_invalid", "token_expires", "placeholders_unclaimed"]
    );
}

#[test]
fn what_is_wrong_with_the_database_is_told_with_its_statement() {
    let db = TestDb::new();
    let (code, found) = examine(&db);
    assert_eq!((code, told(&found)), (Some(0), vec![]), "{found}");

    db.execute(
        "CREATE COLLATION aged (provider = icu, locale = 'de'); \
         CREATE INDEX idx_by_name ON tenants (name COLLATE aged); \
         UPDATE pg_collation SET collversion = '1' WHERE collname = 'aged'; \
         CREATE INDEX idx_broken ON tenants (created_at); \
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_broken'::regclass; \
         REVOKE USAGE ON SCHEMA public FROM PUBLIC, tenant_service; \
         GRANT USAGE ON SCHEMA public TO agent_portal_owner, agent_portal_service, outbound_message_service",
    );
    let mut other = PgConnection::establish(&db.url(ServiceRole::Owner)).unwrap();
    other.batch_execute("BEGIN; SELECT 1").unwrap();
    let database = &db.query("SELECT quote_ident(current_database())")[0];
    let process: String = pid(&mut other);
    let (code, found) = examine_with(&db, &["--transaction-minutes", "0"]);
    assert_eq!(code, Some(3), "{found}");
    let is_own =
        |(code, fix): &(String, String)| code != "transaction_long" || fix.contains(&process);
    let found: Vec<_> = told(&found).into_iter().filter(is_own).collect();
    let expected = [
        (
            "privilege_missing",
            "as the schema's owner: GRANT USAGE ON SCHEMA public TO tenant_service;".to_owned(),
        ),
        (
            "transaction_long",
            format!("SELECT pg_terminate_backend({process});"),
        ),
        (
            "index_invalid",
            "REINDEX INDEX CONCURRENTLY idx_broken;".to_owned(),
        ),
        (
            "collation_changed",
            format!(
                "REINDEX DATABASE CONCURRENTLY {database}; ALTER COLLATION aged REFRESH VERSION;"
            ),
        ),
    ];
    assert_eq!(found, expected.map(|(code, fix)| (code.to_owned(), fix)));
    drop(other);

    // The statements mend it.
    db.execute("REINDEX INDEX idx_broken");
    db.execute("ALTER COLLATION aged REFRESH VERSION");
    db.execute("GRANT USAGE ON SCHEMA public TO tenant_service");
    let (code, found) = examine(&db);
    assert_eq!((code, told(&found)), (Some(0), vec![]), "{found}");
}

fn pid(conn: &mut PgConnection) -> String {
    diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>(
        "pg_backend_pid()::text",
    ))
    .get_result(conn)
    .unwrap()
}

#[test]
fn a_schema_that_is_not_current_is_told_before_tenants_are_looked_at() {
    let db = TestDb::new();
    db.execute("INSERT INTO tenants (tenant_id, name) VALUES ('acme_corp', 'n')");
    db.execute(
        "DELETE FROM __diesel_schema_migrations WHERE version = (SELECT max(version) FROM __diesel_schema_migrations)",
    );
    let (code, found) = examine(&db);
    assert_eq!((code, &found["tenants"]), (Some(3), &Value::Null));
    let told = told(&found);
    assert_eq!(
        told,
        [(
            "migrations_pending".to_owned(),
            "portalctl db migrate".to_owned()
        )]
    );
}
