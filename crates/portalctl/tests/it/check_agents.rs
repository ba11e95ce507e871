//! `portalctl db check-agents`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use portal_test_harness::{ServiceRole, TestDb};
use serde_json::{Value, json};

use crate::{portalctl, stderr, stdout};

const READABLE: &str = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO agent_portal_owner";
const HEADER: &str = "old_agent_id,genesys_user_id,tenant_id,name,email\n";

struct World {
    db: TestDb,
    mapping: PathBuf,
}

impl World {
    fn new(name: &str, more: &str) -> Self {
        let db = TestDb::unmigrated();
        db.execute(include_str!("fixtures/legacy_whatsapp_genesys.sql"));
        db.execute(&format!("{more}; {READABLE}"));
        let mapping = file(&format!("{name}.toml"), "");
        fs::remove_file(&mapping).unwrap();
        let path = mapping.to_str().unwrap();
        let arguments = ["db", "inspect", "--write-mapping", path];
        let output = portalctl(&db.url(ServiceRole::Owner), &arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        Self { db, mapping }
    }

    /// Checks a list; gives the exit code and the answer.
    fn check(&self, list: &Path, more: &[&str]) -> (Option<i32>, Value) {
        let mapping = self.mapping.to_str().unwrap();
        let list = list.to_str().unwrap();
        let arguments = ["db", "check-agents", list, "--mapping", mapping, "--json"];
        let arguments = [&arguments[..], more].concat();
        let output = portalctl(&self.db.url(ServiceRole::Owner), &arguments);
        let answer =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| stderr(&output).into());
        (output.status.code(), answer)
    }

    /// Line, column and verdict of what is rejected in these rows.
    fn rejected(&self, rows: &str) -> Vec<(i64, String, String)> {
        let list = file(
            &format!("{}.csv", uuid::Uuid::now_v7()),
            HEADER.to_owned() + rows,
        );
        let (_, answer) = self.check(&list, &[]);
        answer["rows"]
            .as_array()
            .unwrap_or_else(|| panic!("{answer}"))
            .iter()
            .map(|row| {
                let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
                (
                    row["line"].as_i64().unwrap(),
                    text("column_name"),
                    text("verdict"),
                )
            })
            .collect()
    }
}

fn file(name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from("tests/it/fixtures").join(name)
}

#[test]
fn a_good_list_is_mapped_and_the_database_stays_as_it_is() {
    let world = World::new("good-list", READABLE);
    let tables = "SELECT count(*) FROM pg_class WHERE relname LIKE 'agent%'";
    let before = world.db.query(tables);
    let (code, answer) = world.check(&fixture("agent_mapping.csv"), &[]);
    assert_eq!(code, Some(0), "{answer}");
    assert_eq!(
        answer,
        json!({"total": 7, "verdicts": {"mapped": 7}, "rejected": 0, "rows": []})
    );
    assert_eq!(world.db.query(tables), before);
    // An agent without a tenant gets one by its row.
    let orphan = "00000000-0000-4000-8000-000000000006,7f1a0001-1111-4111-8111-000000000006,acme_corp,O,o@example.com";
    assert_eq!(world.rejected(orphan), []);
}

#[test]
fn each_bad_row_is_told_with_its_line_and_column() {
    let world = World::new("bad-list", READABLE);
    let rejects = file("rejected.csv", "");
    let rejects_path = rejects.to_str().unwrap();
    let list = fixture("agent_mapping_bad.csv");
    let (code, answer) = world.check(&list, &["--rejects", rejects_path]);
    assert_eq!(code, Some(5), "{answer}");
    let shared = "the Genesys user is in lines 2, 3: an agent is one user, and a user one agent";
    let row = |line: i64, place: i64, column: &str, verdict: &str, reason: &str| json!({"line": line, "place": place, "column_name": column, "verdict": verdict, "reason": reason});
    assert_eq!(
        answer["rows"],
        json!([
            row(2, 2, "genesys_user_id", "duplicate", shared),
            row(3, 2, "genesys_user_id", "duplicate", shared),
            row(4, 1, "old_agent_id", "invalid", "this is not a UUID"),
            row(
                5,
                1,
                "old_agent_id",
                "unknown_agent",
                "there is no such agent"
            ),
            row(
                6,
                3,
                "tenant_id",
                "unknown_tenant",
                "there is no such tenant"
            ),
            row(7, 2, "genesys_user_id", "invalid", "this is empty"),
            row(
                8,
                3,
                "tenant_id",
                "conflict",
                "the agent is of tenant umbrella"
            ),
        ])
    );
    let (code, answer) = world.check(&list, &["--partial"]);
    assert_eq!(code, Some(5), "no row is good: {answer}");

    // Put right, the rejected rows are a list.
    let written = fs::read_to_string(&rejects).unwrap();
    assert_eq!(written.lines().count(), 8, "{written}");
    assert!(
        written.contains("not-a-uuid,7f1a0001-1111-4111-8111-000000000033,acme_corp,Somebody,some@example.com,invalid,\"line 4, column 1 (old_agent_id): this is not a UUID\""),
        "{written}"
    );
    let (_, again) = world.check(&rejects, &[]);
    assert_eq!(
        again["rows"], answer["rows"],
        "the two columns more are not looked at"
    );
    let righted = written
        .replace(
            "0-000000000002,7f1a0001-1111-4111-8111-000000000001",
            "0-000000000002,7f1a0001-1111-4111-8111-000000000002",
        )
        .replace("not-a-uuid", "00000000-0000-4000-8000-000000000005")
        .replace("000000000033,acme_corp", "000000000033,globex_inc")
        .replace("0000000000ff", "000000000006")
        .replace("no_such_tenant", "globex_inc")
        .replace(
            "000000000003,,",
            "000000000003,7f1a0001-1111-4111-8111-000000000003,",
        )
        .replace("000000000008,acme_corp", "000000000008,umbrella");
    let (code, answer) = world.check(&file("righted.csv", righted), &[]);
    assert_eq!(
        (code, &answer["verdicts"]),
        (Some(0), &json!({"mapped": 7}))
    );
}

#[test]
fn with_partial_the_good_rows_are_enough() {
    let world = World::new("partial", READABLE);
    let good = "00000000-0000-4000-8000-000000000001,7f1a0001-1111-4111-8111-000000000001,acme_corp,John,john@example.com\n";
    let list = file("partial.csv", format!("{HEADER}{good}x,y,z,=1+1,\n"));
    assert_eq!(world.check(&list, &[]).0, Some(5));
    let rejects = file("partial-rejected.csv", "");
    let (code, answer) = world.check(
        &list,
        &["--partial", "--rejects", rejects.to_str().unwrap()],
    );
    assert_eq!(code, Some(0), "{answer}");
    assert_eq!(answer["verdicts"], json!({"mapped": 1, "invalid": 1}));
    let written = fs::read_to_string(&rejects).unwrap();
    assert!(written.contains("x,y,z,'=1+1,,invalid"), "{written}");
}

#[test]
fn keys_are_of_the_type_that_the_database_has() {
    let world = World::new(
        "number-keys",
        "ALTER TABLE agents DROP CONSTRAINT agents_pkey CASCADE, ADD COLUMN id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
             DROP COLUMN agent_id; \
         ALTER TABLE agent_whatsapp_accounts ALTER agent_id TYPE integer USING 1; \
         ALTER TABLE agent_sessions ALTER agent_id TYPE integer USING 1; \
         ALTER TABLE agent_conversation_assignments ALTER agent_id TYPE integer USING 1",
    );
    let row = |agent: &str, user: u32| {
        format!("{agent},7f1a0001-1111-4111-8111-{user:012},acme_corp,N,n@example.com\n")
    };
    let rows = [
        row("1", 1),
        row("002", 2),
        row("2", 3),
        row("x", 4),
        row("99", 5),
    ]
    .concat();
    let told = |line: i64, verdict: &str| (line, "old_agent_id".to_owned(), verdict.to_owned());
    assert_eq!(
        world.rejected(&rows),
        [
            told(3, "duplicate"),
            told(4, "duplicate"),
            told(5, "invalid"),
            told(6, "unknown_agent")
        ]
    );
}

#[test]
fn what_an_earlier_file_said_is_held_against_the_rows() {
    let world = World::new(
        "earlier",
        "CREATE SCHEMA agent_portal; GRANT USAGE ON SCHEMA agent_portal TO agent_portal_owner; \
         CREATE TABLE agent_portal.__legacy_agents (agent_key text PRIMARY KEY, genesys_user_id text, \
             tenant_id text, name text, email text); \
         GRANT SELECT ON agent_portal.__legacy_agents TO agent_portal_owner; \
         INSERT INTO agent_portal.__legacy_agents VALUES ('00000000-0000-4000-8000-000000000001', \
             '7f1a0001-1111-4111-8111-000000000001', 'acme_corp', 'John Doe', 'john@example.com')",
    );
    let (_, answer) = world.check(&fixture("agent_mapping.csv"), &[]);
    assert_eq!(answer["verdicts"], json!({"mapped": 6, "unchanged": 1}));
    let other = "00000000-0000-4000-8000-000000000002,7f1a0001-1111-4111-8111-000000000001,acme_corp,N,n@example.com";
    let taken = (2, "genesys_user_id".to_owned(), "conflict".to_owned());
    assert_eq!(world.rejected(other), [taken]);
}

#[test]
fn what_is_no_list_is_refused_with_what_to_do() {
    let world = World::new("no-list", READABLE);
    for (name, bytes, told) in [
        (
            "lacks",
            &b"old_agent_id,genesys_user_id,tenant_id,name\na,b,c,d\n"[..],
            "must have a column email",
        ),
        (
            "latin",
            b"old_agent_id,genesys_user_id,tenant_id,name,email\na,b,c,Zo\xeb,e\n",
            "line 2 is neither",
        ),
        ("header", HEADER.as_bytes(), "at least one row"),
        (
            "other",
            b"x,y\n1,2\n",
            "must begin with the line old_agent_id,",
        ),
    ] {
        let (code, answer) = world.check(&file(&format!("no-list-{name}.csv"), bytes), &[]);
        assert_eq!(code, Some(5), "{answer}");
        assert!(answer.as_str().unwrap().contains(told), "{answer}");
    }
    let missing = PathBuf::from("no-such-list.csv");
    assert_eq!(world.check(&missing, &[]).0, Some(5));
    let list = fixture("agent_mapping.csv");
    let (code, answer) = world.check(&list, &["--rejects", list.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{answer}");

    world
        .db
        .execute("REVOKE SELECT ON agents FROM agent_portal_owner");
    let (code, answer) = world.check(&list, &[]);
    assert_eq!(code, Some(4), "{answer}");
    assert!(
        answer.as_str().unwrap().contains("GRANT SELECT ON"),
        "{answer}"
    );
    let text = portalctl(
        &world.db.url(ServiceRole::Owner),
        &["db", "check-agents", "--help"],
    );
    assert!(stdout(&text).contains("--partial"));
}
