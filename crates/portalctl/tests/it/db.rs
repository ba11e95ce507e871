//! `portalctl db`.

use portal_test_harness::{ServiceRole, TestDb};

use crate::{portalctl, stderr, stdout};

#[test]
fn migrate_makes_the_schema_current_and_may_be_repeated() {
    let db = TestDb::unmigrated();
    let url = db.url(ServiceRole::Owner);
    let before = portalctl(&url, &["db", "status"]);
    assert_eq!(before.status.code(), Some(3), "{}", stderr(&before));
    assert!(
        stdout(&before).contains("Run `portalctl db migrate`"),
        "{}",
        stdout(&before)
    );

    let first = portalctl(&url, &["db", "migrate", "--json"]);
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    assert!(stdout(&first).contains("create_organization_model"));
    let second = portalctl(&url, &["db", "migrate"]);
    assert_eq!(second.status.code(), Some(0));
    assert!(stdout(&second).contains("nothing to do"));
    assert_eq!(portalctl(&url, &["db", "status"]).status.code(), Some(0));
}

#[test]
fn two_migrations_at_once_do_the_work_once() {
    let db = TestDb::unmigrated();
    let url = db.url(ServiceRole::Owner);
    let runs: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| portalctl(&url, &["db", "migrate"])))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    for run in &runs {
        assert_eq!(run.status.code(), Some(0), "{}", stderr(run));
    }
    let did_work = runs
        .iter()
        .filter(|run| stdout(run).contains("Applied"))
        .count();
    assert_eq!(did_work, 1);
}

#[test]
fn who_holds_the_lock_is_named_and_its_end_frees_it() {
    use diesel::connection::SimpleConnection as _;

    let db = TestDb::unmigrated();
    let url = db.url(ServiceRole::Owner);
    let mut holder = <diesel::PgConnection as diesel::Connection>::establish(&url).unwrap();
    holder
        .batch_execute(
            "SET application_name = 'portalctl db migrate by ana@ops-1'; \
             SELECT pg_advisory_lock(x'6167656e747001'::bigint)",
        )
        .unwrap();
    let busy = portalctl(&url, &["db", "migrate", "--wait-seconds", "0"]);
    assert_eq!(busy.status.code(), Some(6), "{}", stderr(&busy));
    assert!(
        stderr(&busy).contains("db migrate by ana@ops-1"),
        "{}",
        stderr(&busy)
    );
    let none = portalctl(&url, &["db", "history"]);
    assert!(stdout(&none).contains("No operation"), "{}", stdout(&none));
    drop(holder);
    let done = portalctl(&url, &["db", "migrate"]);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
}

#[test]
fn operations_are_logged_with_their_outcome() {
    let db = TestDb::unmigrated();
    let url = db.url(ServiceRole::Owner);
    assert_eq!(portalctl(&url, &["db", "migrate"]).status.code(), Some(0));
    // What a killed process leaves behind: its row, and no lock.
    db.execute(
        "INSERT INTO __portal_operations (operation_id, command, arguments, operator, host) \
         VALUES (gen_random_uuid(), 'db backup', '{}', 'ana', 'ops-1')",
    );
    db.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231000000')");
    assert_eq!(portalctl(&url, &["db", "migrate"]).status.code(), Some(3));

    let history = portalctl(&url, &["db", "history", "--json"]);
    let history: serde_json::Value = serde_json::from_str(&stdout(&history)).unwrap();
    let operations = history["operations"].as_array().unwrap();
    let of = |command: &str, outcome: &str| {
        operations
            .iter()
            .find(|entry| entry["command"] == command && entry["outcome"] == outcome)
            .unwrap_or_else(|| panic!("no {command} {outcome} in {history}"))
    };
    assert_eq!(operations.len(), 3, "{history}");
    assert!(of("db migrate", "succeeded")["details"]["applied"].is_array());
    assert!(of("db migrate", "succeeded")["ended_at"].is_string());
    let why = of("db migrate", "failed")["details"]["error"].to_string();
    assert!(why.contains("later release"), "{why}");
    assert!(of("db backup", "interrupted")["ended_at"].is_null());
    assert!(!history.to_string().contains("postgres://"));
}

#[test]
fn a_schema_of_a_later_release_is_left_alone() {
    let db = TestDb::new();
    db.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('29991231000000')");
    let url = db.url(ServiceRole::Owner);
    let refused = portalctl(&url, &["db", "migrate"]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(
        stderr(&refused).contains("later release"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(portalctl(&url, &["db", "status"]).status.code(), Some(3));
}

#[test]
fn a_database_that_cannot_be_reached_is_named_without_its_password() {
    let refused = portalctl("postgres://owner:s3cret@127.0.0.1:1/db", &["db", "migrate"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("cannot connect to the database"),
        "{}",
        stderr(&refused)
    );
    assert!(!stderr(&refused).contains("s3cret"));
    let none = std::process::Command::new(env!("CARGO_BIN_EXE_portalctl"))
        .args(["db", "migrate"])
        .env_remove("DATABASE_URL")
        .output()
        .unwrap();
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("DATABASE_URL"));
}

#[test]
fn the_url_may_come_from_a_file_and_is_asked_for_when_there_is_none() {
    let db = TestDb::unmigrated();
    let file = std::env::temp_dir().join(format!("portalctl-url-{}", std::process::id()));
    std::fs::write(&file, format!("{}\n", db.url(ServiceRole::Owner))).unwrap();
    let status = |file: Option<&std::path::Path>| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portalctl"));
        command.args(["db", "status"]).env_remove("DATABASE_URL");
        if let Some(file) = file {
            command.env("DATABASE_URL_FILE", file);
        }
        command.output().unwrap()
    };
    let found = status(Some(&file));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(found.status.code(), Some(3), "{}", stderr(&found));
    assert!(stderr(&status(Some(&file))).contains("cannot read"));
    assert!(stderr(&status(None)).contains("DATABASE_URL_FILE"));
}

#[test]
fn a_migration_that_was_edited_after_it_was_applied_is_named_and_nothing_is_done() {
    let db = TestDb::unmigrated();
    let url = db.url(ServiceRole::Owner);
    assert!(portalctl(&url, &["db", "migrate"]).status.success());
    // As if the last was missing, and an older file had been another one then.
    let newest = "(SELECT max(version) FROM __diesel_schema_migrations)";
    let kept = db.query("SELECT count(*) FROM __diesel_schema_migrations");
    assert_eq!(
        db.query("SELECT count(*) FROM __portal_migration_checksums"),
        kept
    );
    db.execute(
        "UPDATE __portal_migration_checksums SET checksum = 'another' \
         WHERE version = (SELECT min(version) FROM __diesel_schema_migrations)",
    );
    let edited = db.query("SELECT min(version) FROM __diesel_schema_migrations");
    db.execute(&format!(
        "DELETE FROM __diesel_schema_migrations WHERE version = {newest}"
    ));
    let status = portalctl(&url, &["db", "status"]);
    assert_eq!(status.status.code(), Some(3));
    assert!(stdout(&status).contains(&edited[0]), "{}", stdout(&status));
    let refused = portalctl(&url, &["db", "migrate"]);
    assert_eq!(refused.status.code(), Some(1));
    let told = stderr(&refused);
    assert!(
        told.contains("edited after they were applied") && told.contains(&edited[0]),
        "{told}"
    );
    assert!(!told.contains("applying"), "{told}");
}

#[test]
fn checksums_are_kept_of_what_was_applied_before_there_were_any() {
    let db = TestDb::new();
    let url = db.url(ServiceRole::Owner);
    assert_eq!(portalctl(&url, &["db", "status"]).status.code(), Some(0));
    let run = portalctl(&url, &["db", "migrate"]);
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    assert_eq!(
        db.query("SELECT count(*) FROM __portal_migration_checksums"),
        db.query("SELECT count(*) FROM __diesel_schema_migrations")
    );
}

#[test]
fn what_no_migration_made_is_drift() {
    let db = TestDb::new();
    // A login that may create databases.
    let url = db.superuser_url();
    let clean = portalctl(&url, &["db", "drift"]);
    assert_eq!(
        clean.status.code(),
        Some(0),
        "{}{}",
        stdout(&clean),
        stderr(&clean)
    );
    db.execute(
        "ALTER TABLE tenants ADD COLUMN nickname text; DROP INDEX idx_messages_lane; \
         GRANT SELECT ON tenants TO outbound_message_service; \
         ALTER TABLE messages NO FORCE ROW LEVEL SECURITY",
    );
    let drift = portalctl(&url, &["db", "drift", "--json"]);
    assert_eq!(drift.status.code(), Some(3), "{}", stderr(&drift));
    let found: serde_json::Value = serde_json::from_str(&stdout(&drift)).unwrap();
    let lines = |side: &str| {
        let lines = found[side].as_array().unwrap().iter();
        let lines = lines.map(|line| line.as_str().unwrap());
        let words = lines.map(|line| line.split(' ').take(4).collect::<Vec<_>>().join(" "));
        words.collect::<Vec<_>>()
    };
    assert_eq!(
        lines("added"),
        [
            "column tenants.nickname: text",
            "grant of SELECT on",
            "table messages: row security"
        ]
        .map(str::to_owned)
    );
    assert_eq!(
        lines("missing"),
        [
            "index CREATE INDEX idx_messages_lane",
            "table messages: row security"
        ]
    );
    let left = db.query(
        "SELECT count(*) FROM pg_database WHERE datname LIKE 'portal_drift_' || \
         (SELECT oid FROM pg_database WHERE datname = current_database()) || '_%'",
    );
    assert_eq!(left, ["0"]);
    let refused = portalctl(&db.url(ServiceRole::Owner), &["db", "drift"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("CREATEDB"),
        "{}",
        stderr(&refused)
    );
}
