//! What a migration refuses: each with what to do and an exit code, and with nothing changed.

use std::process::Output;

use portal_test_harness::TestDb;

use super::{FIXTURE, Installation, TABLES};
use crate::{stderr, stdout};

/// The catalog of everything that is there.
fn everything(db: &TestDb) -> Vec<String> {
    db.query(
        "SELECT n.nspname || '.' || c.relname || ' ' || c.reltuples FROM pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname !~ '^pg_' \
             AND n.nspname <> 'information_schema' AND c.relname !~ '^__portal_operations' \
         UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE NOT tgisinternal \
         UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1",
    )
}

fn refused(legacy: &Installation, arguments: &[&str], code: i32, says: &str) {
    let before = everything(&legacy.db);
    let output = legacy.run(arguments);
    assert_refused(&output, code, says);
    assert_eq!(everything(&legacy.db), before, "{arguments:?}");
}

fn assert_refused(output: &Output, code: i32, says: &str) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "{} {}",
        stdout(output),
        stderr(output)
    );
    assert!(stderr(output).contains(says), "{}", stderr(output));
}

#[test]
fn without_a_mapping_a_legacy_installation_is_left_alone() {
    let legacy = Installation::new("");
    refused(&legacy, &["db", "migrate"], 3, "--write-mapping");
    refused(&legacy, &["db", "verify"], 3, "db migrate --mapping FILE");
    refused(&legacy, &["db", "ledger"], 3, "nothing was migrated");
    refused(&legacy, &["db", "rollback"], 3, "nothing was migrated");
}

#[test]
fn files_that_do_not_fit_are_refused_with_the_place() {
    let legacy = Installation::new("");
    let mapping = legacy.path("mapping.toml");
    let text = std::fs::read_to_string(&mapping).unwrap();
    let wrong = legacy.write(
        "wrong.toml",
        &text.replace("email = \"email\"", "email = \"mail\""),
    );
    refused(
        &legacy,
        &["db", "migrate", "--mapping", &wrong],
        5,
        "tables.agents.email: there is no column \"mail\"",
    );
    refused(
        &legacy,
        &["db", "migrate", "--mapping", &legacy.path("none.toml")],
        1,
        "cannot read",
    );
    refused(
        &legacy,
        &["db", "migrate", "--mapping", &mapping],
        5,
        "acme_corp",
    );
    let decisions = legacy.write(
        "other.toml",
        "version = 1\n[tenants.acme_corp]\nwaba_id = \"1\"\n",
    );
    refused(
        &legacy,
        &[
            "db",
            "migrate",
            "--mapping",
            &mapping,
            "--decisions",
            &decisions,
        ],
        5,
        "acme_corp",
    );
    refused(
        &legacy,
        &[
            "db",
            "migrate",
            "--mapping",
            &mapping,
            "--decisions",
            &legacy.path("decisions.toml"),
            "--plan",
            "0123",
        ],
        3,
        "the plan has the hash",
    );
}

#[test]
fn a_plan_is_held_to() {
    let legacy = Installation::new("");
    let (mapping, decisions) = (legacy.path("mapping.toml"), legacy.path("decisions.toml"));
    let before = everything(&legacy.db);
    let plan = legacy.run(&[
        "db",
        "plan",
        "--json",
        "--mapping",
        &mapping,
        "--decisions",
        &decisions,
    ]);
    assert_eq!(plan.status.code(), Some(0), "{}", stderr(&plan));
    let plan: serde_json::Value = serde_json::from_str(&stdout(&plan)).unwrap();
    let hash = plan["hash"].as_str().unwrap();
    let steps: Vec<_> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["step"].as_str().unwrap())
        .collect();
    assert_eq!(
        (steps[0], steps[1], steps.last()),
        ("expand", "capture tenants", Some(&"follow"))
    );
    let tried = legacy.migrate(&["--plan", hash, "--dry-run"]);
    assert_eq!(tried.status.code(), Some(0), "{}", stderr(&tried));
    assert_eq!(everything(&legacy.db), before);
    legacy.db.execute("ALTER TABLE agents ADD shoe_size int");
    assert_refused(&legacy.migrate(&["--plan", hash]), 3, "plan again");
    legacy.db.execute("ALTER TABLE agents DROP shoe_size");
    let done = legacy.migrate(&["--plan", hash]);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
}

#[test]
fn a_login_that_may_not_is_told_what_to_grant() {
    let legacy = Installation::new("");
    legacy.db.execute(&format!(
        "REVOKE TRIGGER ON {TABLES} FROM agent_portal_owner"
    ));
    let mapping = legacy.path("mapping.toml");
    refused(
        &legacy,
        &["db", "migrate", "--mapping", &mapping],
        4,
        "GRANT SELECT, TRIGGER ON",
    );

    let legacy = Installation::new("");
    legacy.db.execute(
        "DO $$ BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM agent_portal_owner', current_database()); \
         END $$",
    );
    let mapping = legacy.path("mapping.toml");
    let decisions = legacy.path("decisions.toml");
    refused(
        &legacy,
        &[
            "db",
            "migrate",
            "--mapping",
            &mapping,
            "--decisions",
            &decisions,
        ],
        4,
        "GRANT CREATE ON DATABASE",
    );
}

#[test]
fn another_mapping_and_other_databases_are_refused() {
    let legacy = Installation::new("");
    legacy.migrated(&[]);
    let text = std::fs::read_to_string(legacy.path("mapping.toml")).unwrap();
    legacy.write(
        "mapping.toml",
        &text.replace("time_zone = \"UTC\"", "time_zone = \"Europe/Berlin\""),
    );
    assert_refused(&legacy.migrate(&[]), 3, "db rollback");

    // A half-migrated one, and one that was never a legacy installation.
    let half = Installation::new("");
    half.db
        .execute("CREATE TABLE genesys_users (user_id uuid PRIMARY KEY)");
    let mapping = half.path("mapping.toml");
    refused(
        &half,
        &["db", "migrate", "--mapping", &mapping],
        3,
        "Partly migrated",
    );
    let empty = Installation::new("");
    empty.db.execute(&format!(
        "DROP TABLE {TABLES}, conversation_mappings, message_tracking"
    ));
    let mapping = empty.path("mapping.toml");
    refused(
        &empty,
        &["db", "migrate", "--mapping", &mapping],
        3,
        "empty",
    );
    assert!(FIXTURE.contains("agent_conversation_assignments"));
}

#[test]
fn a_later_release_s_schema_is_left_to_it() {
    let legacy = Installation::new("");
    legacy.migrated(&[]);
    legacy.db.execute(
        "INSERT INTO agent_portal.__diesel_schema_migrations (version) VALUES ('29991231000000')",
    );
    assert_refused(&legacy.migrate(&[]), 3, "later release");
}

#[test]
fn a_schema_of_somebody_else_is_left_alone() {
    let legacy =
        Installation::new("CREATE SCHEMA agent_portal; CREATE TABLE agent_portal.theirs (id int)");
    assert_refused(&legacy.migrate(&[]), 3, "rename or drop it");
    assert_refused(&legacy.run(&["db", "rollback"]), 3, "left alone");
    assert_eq!(
        legacy.db.query("SELECT count(*) FROM agent_portal.theirs"),
        ["0"]
    );
}

#[test]
fn what_people_made_since_is_not_rolled_back_unasked() {
    let legacy = Installation::new("");
    legacy.migrated(&[]);
    legacy.db.execute(
        "INSERT INTO agent_portal.genesys_user_sessions (session_id, tenant_id, user_id, refresh_token_hash, \
             rotated_at, genesys_region, last_used_at, idle_expires_at, expires_at) \
         SELECT user_id, tenant_id, user_id, '\\x00', now(), 'sandbox', now(), now(), now() \
         FROM agent_portal.genesys_users LIMIT 1",
    );
    assert_refused(
        &legacy.run(&["db", "rollback"]),
        3,
        "1 genesys_user_sessions",
    );
    assert_eq!(legacy.wrong(), [""; 0]);
    let done = legacy.run(&["db", "rollback", "--discard"]);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
}
