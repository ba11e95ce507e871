//! `portalctl db migrate` among sessions that hold what it wants.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
};

use diesel::{Connection as _, PgConnection, connection::SimpleConnection as _};
use portal_test_harness::{ServiceRole, TestDb};

use crate::{portalctl, stderr, stdout};

const QUERY: &str = "LOCK TABLE __diesel_schema_migrations IN SHARE MODE";

/// A session that every migration has to wait for, though the list of what was applied can be read.
fn holder(db: &TestDb, url: &str) -> PgConnection {
    db.execute(
        "CREATE TABLE IF NOT EXISTS __diesel_schema_migrations (version varchar(50) PRIMARY KEY, \
             run_on timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP); \
         ALTER TABLE __diesel_schema_migrations OWNER TO agent_portal_owner",
    );
    let mut conn = PgConnection::establish(url).unwrap();
    conn.batch_execute(&format!(
        "SET application_name = 'billing report'; BEGIN; {QUERY}"
    ))
    .unwrap();
    conn
}

fn start(url: &str, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_portalctl"))
        .args(arguments)
        .env("DATABASE_URL", url)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn applied(db: &TestDb) -> Vec<String> {
    db.query("SELECT version FROM __diesel_schema_migrations")
}

#[test]
fn a_lock_that_is_held_is_waited_for_and_its_holder_named() {
    let db = TestDb::unmigrated();
    let mut holder = holder(&db, &db.superuser_url());
    let url = db.url(ServiceRole::Owner);
    let mut run = start(&url, &["db", "migrate", "--lock-timeout-ms", "1000"]);
    let mut lines = BufReader::new(run.stderr.take().unwrap());
    let mut told = String::new();
    while !told.contains("a lock is held by") {
        assert_ne!(lines.read_line(&mut told).unwrap(), 0, "{told}");
    }
    assert!(
        told.contains("billing report, user postgres, (pid"),
        "{told}"
    );
    assert!(!told.contains(QUERY), "{told}");
    holder.batch_execute("COMMIT").unwrap();
    // What nobody reads would stop it.
    lines.read_to_string(&mut told).unwrap();
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert_eq!(portalctl(&url, &["db", "status"]).status.code(), Some(0));
}

#[test]
fn a_lock_that_is_held_for_too_long_is_busy_and_nothing_is_changed() {
    let db = TestDb::unmigrated();
    let url = db.url(ServiceRole::Owner);
    let _holder = holder(&db, &url);
    let arguments = [
        "db",
        "migrate",
        "--lock-timeout-ms",
        "2000",
        "--lock-retry-seconds",
        "0",
    ];
    let output = portalctl(&url, &arguments);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(6), "{told}");
    assert!(
        told.contains("by billing report, user agent_portal_owner, in a transaction since 20"),
        "{told}"
    );
    assert!(told.contains("left nothing behind"), "{told}");
    assert!(!told.contains(QUERY), "{told}");
    assert_eq!(applied(&db), Vec::<String>::new());
}

#[test]
fn a_connection_that_is_cut_in_the_middle_leaves_nothing_and_the_next_run_goes_on() {
    let db = TestDb::unmigrated();
    let mut holder = holder(&db, &db.superuser_url());
    let url = db.url(ServiceRole::Owner);
    let run = start(&url, &["db", "migrate", "--lock-timeout-ms", "600000"]);
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock' \
           AND application_name LIKE 'portalctl db migrate%'";
    while db.query(end).is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let output = run.wait_with_output().unwrap();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("create_organization_model failed and left nothing behind; run `portalctl db migrate` again"),
        "{told}"
    );
    assert_eq!(applied(&db), Vec::<String>::new());
    assert_eq!(db.query("SELECT to_regclass('tenants')"), [""]);

    holder.batch_execute("ROLLBACK").unwrap();
    let again = portalctl(&url, &["db", "migrate"]);
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    let history = portalctl(&url, &["db", "history"]);
    assert!(
        stdout(&history).contains("interrupted"),
        "{}",
        stdout(&history)
    );
}

#[test]
fn who_is_the_victim_of_a_deadlock_tries_again() {
    let db = TestDb::unmigrated();
    // The migration's session looks for deadlocks first.
    let name = db.query("SELECT current_database()").remove(0);
    db.execute(&format!(
        "ALTER DATABASE {name} SET deadlock_timeout = '3s'"
    ));
    let mut holder = holder(&db, &db.superuser_url());
    holder
        .batch_execute("SET LOCAL deadlock_timeout = '10min'")
        .unwrap();
    let url = db.url(ServiceRole::Owner);
    let run = start(&url, &["db", "migrate", "--lock-timeout-ms", "600000"]);
    let waits = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
         AND wait_event_type = 'Lock' AND application_name LIKE 'portalctl db migrate%'";
    while db.query(waits).is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // The name is taken by the migration that waits for this session.
    holder.batch_execute("CREATE TABLE tenants ()").unwrap();
    holder.batch_execute("ROLLBACK").unwrap();
    let output = run.wait_with_output().unwrap();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("a lock is held by billing report"), "{told}");
}

#[test]
fn a_statement_that_takes_too_long_is_ended() {
    let db = TestDb::unmigrated();
    let url = db.url(ServiceRole::Owner);
    let _holder = holder(&db, &url);
    let arguments = [
        "db",
        "migrate",
        "--lock-timeout-ms",
        "600000",
        "--statement-timeout-seconds",
        "1",
    ];
    let output = portalctl(&url, &arguments);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("statement timeout"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_rehearsal_applies_everything_and_keeps_nothing() {
    let db = TestDb::unmigrated();
    let url = db.url(ServiceRole::Owner);
    let output = portalctl(&url, &["db", "migrate", "--dry-run", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let found: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let would_apply = found["would_apply"].as_array().unwrap();
    let tables = "SELECT relname FROM pg_class WHERE relkind = 'r' \
         AND relnamespace = 'public'::regnamespace";
    assert_eq!(db.query(tables), ["__portal_operations"]);

    let run = portalctl(&url, &["db", "migrate", "--json"]);
    let done: serde_json::Value = serde_json::from_str(&stdout(&run)).unwrap();
    assert_eq!(done["applied"].as_array(), Some(would_apply));
    let none = portalctl(&url, &["db", "migrate", "--dry-run"]);
    assert!(
        stdout(&none).contains("nothing would be applied"),
        "{}",
        stdout(&none)
    );

    db.execute(
        "DELETE FROM __diesel_schema_migrations \
         WHERE version = (SELECT min(version) FROM __diesel_schema_migrations)",
    );
    let fails = portalctl(&url, &["db", "migrate", "--dry-run"]);
    assert_eq!(fails.status.code(), Some(1));
    assert!(
        stderr(&fails).contains("would fail; nothing was changed"),
        "{}",
        stderr(&fails)
    );
}
