//! `portalctl db backup` and `db backup verify`, with PostgreSQL's own programs.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use portal_test_harness::TestDb;
use serde_json::Value;

use crate::{fingerprint::legacy_with_more, portalctl, stderr, stdout};

/// What `db migrate` leaves beside the legacy tables.
pub(crate) const BESIDE: &str = "
    CREATE SCHEMA agent_portal;
    CREATE TABLE agent_portal.genesys_users (user_id uuid);
    CREATE FUNCTION agent_portal.__capture() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
    CREATE TRIGGER __capture AFTER INSERT ON agents FOR EACH ROW EXECUTE FUNCTION agent_portal.__capture();
    CREATE TABLE __of_a_tool (id serial);
    CREATE SCHEMA more; CREATE TABLE more.things (id int); INSERT INTO more.things VALUES (7);";

/// A directory of one's own, gone with the value.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        let name = format!("portalctl-backup-{}", uuid::Uuid::now_v7().simple());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn join(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

pub(crate) fn ok(output: Output) -> Output {
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}{}",
        stderr(&output),
        stdout(&output)
    );
    output
}

#[track_caller]
pub(crate) fn refused(output: &Output, code: i32, why: &str) {
    let told = format!("{}{}", stderr(output), stdout(output));
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert!(told.contains(why), "{told}");
}

pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(output)))
}

pub(crate) fn backup(db: &TestDb, out: &str) -> Output {
    portalctl(
        &db.superuser_url(),
        &["db", "backup", "--json", "--out", out],
    )
}

pub(crate) fn verify(db: &TestDb, out: &str) -> Output {
    portalctl(
        &db.superuser_url(),
        &["db", "backup", "verify", out, "--json"],
    )
}

pub(crate) fn entries(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub(crate) fn drop_database(db: &TestDb) {
    let name = db.query("SELECT current_database()").remove(0);
    TestDb::unmigrated().execute(&format!("DROP DATABASE {name} WITH (FORCE)"));
}

#[test]
fn a_backup_beside_a_writer_is_proven_by_a_restored_copy() {
    use diesel::{Connection as _, RunQueryDsl as _};

    let db = legacy_with_more();
    db.execute(BESIDE);
    let here = Directory::new();
    let out = here.join("today");
    let (written, is_over) = (AtomicU32::new(0), AtomicBool::new(false));
    let answer = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut conn = diesel::PgConnection::establish(&db.superuser_url()).unwrap();
            while !is_over.load(Ordering::Relaxed) {
                diesel::sql_query(
                    "INSERT INTO message_tracking (conversation_id, direction) VALUES ('c', 'IN')",
                )
                .execute(&mut conn)
                .unwrap();
                diesel::sql_query("UPDATE tenants SET rate_limit = rate_limit + 1")
                    .execute(&mut conn)
                    .unwrap();
                written.fetch_add(1, Ordering::Relaxed);
            }
        });
        while written.load(Ordering::Relaxed) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let before = written.load(Ordering::Relaxed);
        let answer = backup(&db, &out);
        let after = written.load(Ordering::Relaxed);
        is_over.store(true, Ordering::Relaxed);
        assert!(after > before, "nothing was written meanwhile");
        answer
    });
    let told = stderr(&ok(answer.clone()));
    assert!(told.contains("tokens in clear"), "{told}");
    assert!(told.contains("dumping public.agents"), "{told}");
    assert!(!told.contains("genesys_users"), "{told}");
    let answer = json(&answer);
    assert_eq!(answer["schema"], "public");
    let tables = answer["data"]["tables"].as_array().unwrap();
    let agents = tables.iter().find(|it| it["table"] == "agents").unwrap();
    assert_eq!(agents["rows"], 9);
    assert!(!answer.to_string().contains("__"), "{answer}");
    for name in ["database.dump", "manifest.json"] {
        let mode = std::fs::metadata(here.0.join("today").join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }

    let proven = ok(verify(&db, &out));
    assert_eq!(json(&proven)["holds"], true);
    assert_eq!(json(&proven)["fingerprint"], answer["fingerprint"]);
    assert_eq!(json(&proven)["data_hash"], answer["data"]["overall"]);
    assert_eq!(
        entries(&here.0.join("today")),
        ["database.dump", "manifest.json", "proof.json"]
    );
    let own = "SELECT count(*) FROM pg_database WHERE datname LIKE 'portal_verify_' || \
        (SELECT oid FROM pg_database WHERE datname = current_database()) || '_%'";
    assert_eq!(db.query(own), ["0"]);
    let history = stdout(&portalctl(
        &db.superuser_url(),
        &["db", "history", "--json"],
    ));
    assert!(
        history.contains("\"db backup\"") && history.contains("\"db backup verify\""),
        "{history}"
    );

    // The second one, of another moment, goes elsewhere.
    refused(&backup(&db, &out), 1, "is not empty");
}

#[test]
fn what_was_damaged_or_changed_is_no_backup() {
    let db = legacy_with_more();
    let here = Directory::new();
    let out = here.join("today");
    ok(backup(&db, &out));
    let (dump, manifest) = (
        here.join("today/database.dump"),
        here.join("today/manifest.json"),
    );
    let (bytes, said) = (
        std::fs::read(&dump).unwrap(),
        std::fs::read_to_string(&manifest).unwrap(),
    );

    let mut flipped = bytes.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    std::fs::write(&dump, flipped).unwrap();
    refused(&verify(&db, &out), 3, "changed or damaged");
    std::fs::write(&dump, &bytes[..middle]).unwrap();
    refused(&verify(&db, &out), 3, "bytes, and ");
    std::fs::remove_file(&dump).unwrap();
    refused(&verify(&db, &out), 3, "it is gone");
    std::fs::write(&dump, &bytes).unwrap();

    std::fs::write(&manifest, said.replace("\"rows\": 9", "\"rows\": 8")).unwrap();
    refused(&verify(&db, &out), 3, "was changed since it was written");
    std::fs::write(&manifest, said.replace("\"format\": 1", "\"format\": 9")).unwrap();
    refused(&verify(&db, &out), 3, "use the release that made it");
    std::fs::write(&manifest, "{").unwrap();
    refused(&verify(&db, &out), 3, "cannot be read");
    std::fs::remove_file(&manifest).unwrap();
    refused(&verify(&db, &out), 3, "no whole backup");
    refused(
        &portalctl(&db.superuser_url(), &["db", "restore", &out]),
        3,
        "no whole backup",
    );

    std::fs::write(&manifest, &said).unwrap();
    ok(verify(&db, &out));
}

#[test]
fn a_copy_that_comes_out_otherwise_is_told_table_by_table() {
    let db = legacy_with_more();
    // It says that it is immutable, and is not: what it gave is not in the dump.
    db.execute(
        "CREATE FUNCTION place(int) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT current_database()::text$$;
         CREATE TABLE places (id int, place text GENERATED ALWAYS AS (place(id)) STORED);
         INSERT INTO places VALUES (1), (2)",
    );
    let here = Directory::new();
    let out = here.join("today");
    ok(backup(&db, &out));
    let found = verify(&db, &out);
    refused(
        &found,
        3,
        "table public.places has as many rows, 2, and other ones",
    );
    assert_eq!(json(&found)["holds"], false);
    let proof = std::fs::read_to_string(here.join("today/proof.json")).unwrap();
    assert!(proof.contains("public.places"), "{proof}");
    drop_database(&db);
    let restored = portalctl(&db.superuser_url(), &["db", "restore", &out]);
    // The same name: here it gives what it gave.
    assert!(
        stderr(&restored).contains("found not to hold"),
        "{}",
        stderr(&restored)
    );
    ok(restored);
}

#[test]
fn programs_that_are_missing_or_too_old_are_named_with_their_package() {
    let db = legacy_with_more();
    let here = Directory::new();
    let out = here.join("today");
    let with_programs = || {
        portalctl(
            &db.superuser_url(),
            &[
                "db",
                "backup",
                "--out",
                &out,
                "--pg-bin",
                here.0.to_str().unwrap(),
            ],
        )
    };
    refused(&with_programs(), 1, "postgresql-client-");
    script(&here.join("pg_dump"), "echo 'pg_dump (PostgreSQL) 9.6.24'");
    refused(&with_programs(), 1, "is version 9.6.24, and the server is ");
    assert_eq!(entries(&here.0), ["pg_dump"]);
}

#[test]
fn the_password_is_in_no_argument_and_in_no_log() {
    let db = legacy_with_more();
    let here = Directory::new();
    let out = here.join("today");
    let seen = here.join("seen");
    script(
        &here.join("pg_dump"),
        &format!(
            "if [ \"$1\" != --version ]; then echo \"$@\" > {seen}; env >> {seen}.env; fi; exec pg_dump \"$@\""
        ),
    );
    let url = db
        .superuser_url()
        .replacen("://postgres@", "://postgres:s%2Fecret@", 1);
    assert!(url.contains("s%2Fecret"), "{url}");
    let bin = here.0.to_str().unwrap().to_owned();
    let done = ok(portalctl(
        &url,
        &["db", "backup", "--out", &out, "--pg-bin", &bin],
    ));
    let arguments = std::fs::read_to_string(&seen).unwrap();
    assert!(
        arguments.contains("--dbname=postgres://postgres@"),
        "{arguments}"
    );
    let told = format!("{arguments}{}{}", stderr(&done), stdout(&done));
    let history = stdout(&portalctl(&url, &["db", "history", "--json"]));
    let manifest = std::fs::read_to_string(here.join("today/manifest.json")).unwrap();
    for text in [told, history, manifest] {
        assert!(
            !text.contains("ecret") && !text.contains("EAAlegacy"),
            "{text}"
        );
    }
    let environment = std::fs::read_to_string(format!("{seen}.env")).unwrap();
    assert!(environment.contains("PGPASSWORD=s/ecret\n"));
    assert!(!environment.contains("\nDATABASE_URL="));
}

#[test]
fn a_full_disk_leaves_nothing_that_looks_like_a_backup() {
    let db = legacy_with_more();
    // It does not shrink.
    db.execute(
        "CREATE TABLE large AS SELECT sha256(n::text::bytea) FROM generate_series(1, 50000) n",
    );
    let here = Directory::new();
    let out = here.join("today");
    let limited = Command::new("sh")
        .args(["-c", "ulimit -f 64; exec \"$0\" db backup --out \"$1\""])
        .args([env!("CARGO_BIN_EXE_portalctl"), &out])
        .env("DATABASE_URL", db.superuser_url())
        .output()
        .unwrap();
    refused(&limited, 1, "pg_dump failed");
    assert_eq!(entries(&here.0), [""; 0]);
    let history = stdout(&portalctl(&db.superuser_url(), &["db", "history"]));
    assert!(history.contains("failed"), "{history}");
    std::fs::create_dir(&out).unwrap();
    ok(backup(&db, &out));
}

#[test]
fn a_connection_that_is_cut_leaves_nothing() {
    let db = legacy_with_more();
    let here = Directory::new();
    let out = here.join("today");
    script(
        &here.join("pg_dump"),
        "for argument; do case $argument in --dbname=*) psql -q \"${argument#--dbname=}\" -c \
             \"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name LIKE 'portalctl db backup%'\" >&2;; esac; done; exec pg_dump \"$@\"",
    );
    let bin = here.0.to_str().unwrap();
    let arguments = ["db", "backup", "--out", &out, "--pg-bin", bin];
    refused(&portalctl(&db.superuser_url(), &arguments), 1, "terminat");
    assert_eq!(entries(&here.0), ["pg_dump"]);
    ok(backup(&db, &out));
}

#[test]
fn what_a_killed_backup_leaves_is_not_taken_for_one() {
    let db = legacy_with_more();
    let here = Directory::new();
    let out = here.join("today");
    script(
        &here.join("pg_dump"),
        "if [ \"$1\" = --version ]; then exec pg_dump --version; fi; echo PGDMP; kill -9 $PPID",
    );
    let bin = here.0.to_str().unwrap();
    let killed = portalctl(
        &db.superuser_url(),
        &["db", "backup", "--out", &out, "--pg-bin", bin],
    );
    assert_eq!(killed.status.code(), None);
    assert_eq!(entries(&here.0.join("today")), ["database.dump.part"]);
    refused(&verify(&db, &out), 3, "no whole backup");
    refused(&backup(&db, &out), 1, "is not empty");
    ok(backup(&db, &here.join("tomorrow")));
    let history = stdout(&portalctl(&db.superuser_url(), &["db", "history"]));
    assert!(history.contains("interrupted"), "{history}");
}

#[test]
fn what_is_no_legacy_installation_is_not_backed_up_as_one() {
    let here = Directory::new();
    let out = here.join("today");
    refused(&backup(&TestDb::new(), &out), 3, "this system's own model");
    let db = legacy_with_more();
    let elsewhere = ["db", "backup", "--out", &out, "--schema", "nowhere"];
    refused(
        &portalctl(&db.superuser_url(), &elsewhere),
        1,
        "there is no schema nowhere",
    );
    refused(
        &portalctl(&db.superuser_url(), &["db", "backup"]),
        2,
        "--out",
    );
    let both = ["db", "backup", "--out", &out, "verify", &out];
    assert_eq!(portalctl(&db.superuser_url(), &both).status.code(), Some(2));
    assert_eq!(entries(&here.0), [""; 0]);
}

fn script(path: &str, body: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
}
