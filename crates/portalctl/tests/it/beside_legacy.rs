//! The model in a schema of its own, beside a legacy installation's tables.

use portal_test_harness::{ServiceRole, TestDb};

use crate::{portalctl, stderr, stdout};

#[test]
fn the_schema_is_found_without_being_named_and_is_as_the_migrations_make_it() {
    let db = TestDb::beside_legacy();
    let url = db.plain_url(ServiceRole::Owner);
    let status = portalctl(&url, &["db", "status"]);
    assert_eq!(status.status.code(), Some(0), "{}", stdout(&status));
    let tables = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace \
         AND relkind = 'r' ORDER BY 1";
    let before = db.query(tables);
    let again = portalctl(&url, &["db", "migrate"]);
    assert!(
        stdout(&again).contains("nothing to do"),
        "{}",
        stderr(&again)
    );
    assert_eq!(
        db.query("SELECT count(*) FROM agent_portal.__portal_migration_checksums"),
        db.query("SELECT count(*) FROM agent_portal.__diesel_schema_migrations")
    );
    let mut after = db.query(tables);
    after.retain(|table| table != "__portal_operations");
    assert_eq!(after, before);

    // A login that may create databases; with and without the schema in the URL.
    let superuser = db.superuser_url();
    let (plain, _) = superuser.split_once('?').unwrap();
    for url in [&superuser, plain] {
        let clean = portalctl(url, &["db", "drift"]);
        let told = format!("{}{}", stdout(&clean), stderr(&clean));
        assert_eq!(clean.status.code(), Some(0), "{told}");
    }
    db.execute("ALTER FUNCTION audit_chain_entry() SET search_path = pg_catalog, public, pg_temp");
    let drift = portalctl(plain, &["db", "drift", "--json"]);
    assert_eq!(drift.status.code(), Some(3), "{}", stdout(&drift));
    let told = stdout(&drift);
    assert!(
        told.contains("search_path=pg_catalog, public, pg_temp"),
        "{told}"
    );
    assert!(
        told.contains("search_path=pg_catalog, <schema>, pg_temp"),
        "{told}"
    );
}

#[test]
fn the_legacy_tables_are_still_what_is_inspected() {
    let db = TestDb::beside_legacy();
    db.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO agent_portal_owner");
    let url = db.plain_url(ServiceRole::Owner);
    let kind = |more: &[&str]| {
        let arguments = [&["db", "inspect", "--json"], more].concat();
        let found = portalctl(&url, &arguments);
        let answer: serde_json::Value =
            serde_json::from_slice(&found.stdout).unwrap_or_else(|_| panic!("{}", stderr(&found)));
        assert_eq!(found.status.code(), Some(0), "{answer}");
        answer["shape"]["kind"].as_str().unwrap().to_owned()
    };
    assert_eq!(kind(&[]), "legacy");
    assert_eq!(kind(&["--schema", "agent_portal"]), "ours");
    assert!(portalctl(&url, &["db", "migrate"]).status.success());
    drop_all_but(&db, "");
    assert_eq!(kind(&[]), "empty", "the log of operations is the tool's");
}

#[test]
fn commands_about_tenants_work_there_too_and_their_audit_chain_holds() {
    let db = TestDb::beside_legacy();
    db.execute("INSERT INTO tenants (tenant_id, name) VALUES ('acme_corp', 'Acme')");
    let url = db.plain_url(ServiceRole::Owner);
    let done = portalctl(&url, &["tenant", "suspend", "--tenant", "acme_corp"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let found = db.query("SELECT status FROM agent_portal.tenants");
    assert_eq!(found, ["suspended"]);
    let chains = db.query("SELECT chain || ' ' || seq FROM agent_portal.audit_chains");
    assert_eq!(chains, ["acme_corp 1"]);
    let verified = portalctl(&url, &["audit", "verify"]);
    assert!(verified.status.success(), "{}", stderr(&verified));
}

#[test]
fn everybody_keeps_what_they_may_until_the_other_services_tables_are_gone() {
    let db = TestDb::beside_legacy();
    let everybody = "SELECT has_schema_privilege('public', 'public', 'USAGE') \
         || ' ' || has_database_privilege('public', current_database(), 'CONNECT')";
    // Databases that are made of a template keep its schemas' rights, and begin with everybody's anew.
    assert_eq!(db.query(everybody), ["true true"]);
    db.apply_roles();
    assert_eq!(db.query(everybody), ["true true"]);
    drop_all_but(&db, "message_tracking");
    db.apply_roles();
    assert_eq!(db.query(everybody), ["true true"]);
    drop_all_but(&db, "");
    db.apply_roles();
    assert_eq!(db.query(everybody), ["false false"]);
    let service = db.query_as(ServiceRole::Tenant, None, "SELECT count(*) FROM tenants");
    service.unwrap();
}

fn drop_all_but(db: &TestDb, kept: &str) {
    db.execute(&format!(
        "DO $$ DECLARE name text; BEGIN FOR name IN SELECT relname FROM pg_class \
             WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' \
                 AND relname NOT IN ('{kept}', '__portal_operations') LOOP \
             EXECUTE format('DROP TABLE public.%I CASCADE', name); END LOOP; END $$"
    ));
}
