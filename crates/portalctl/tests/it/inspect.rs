//! `portalctl db inspect`.

use std::{collections::BTreeMap, path::PathBuf};

use portal_test_harness::{ServiceRole, TestDb};
use serde_json::Value;

use crate::{portalctl, stderr, stdout};

pub(crate) const READABLE: &str =
    "GRANT SELECT ON ALL TABLES IN SCHEMA public TO agent_portal_owner";

pub(crate) const UUID_KEYS: &str = include_str!("fixtures/uuid_keys.sql");

pub(crate) fn legacy() -> TestDb {
    let db = TestDb::unmigrated();
    db.execute(include_str!("fixtures/legacy_whatsapp_genesys.sql"));
    db
}

/// Inspects as the owner; gives the exit code and the answer.
fn inspect(db: &TestDb, more: &[&str]) -> (Option<i32>, Value) {
    let arguments = [&["db", "inspect", "--json"], more].concat();
    let output = portalctl(&db.url(ServiceRole::Owner), &arguments);
    let answer = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| stderr(&output).into());
    (output.status.code(), answer)
}

fn findings(answer: &Value) -> BTreeMap<&str, i64> {
    answer["survey"]["findings"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"))
        .iter()
        .map(|found| {
            (
                found["code"].as_str().unwrap(),
                found["count"].as_i64().unwrap(),
            )
        })
        .collect()
}

pub(crate) fn new_file(name: &str) -> PathBuf {
    let file = std::env::temp_dir().join(format!("portalctl-{name}-{}", std::process::id()));
    drop(std::fs::remove_file(&file));
    file
}

/// Every row of every table.
fn content(db: &TestDb) -> Vec<String> {
    let tables = "SELECT relname FROM pg_class WHERE relkind = 'r' \
         AND relnamespace = 'public'::regnamespace ORDER BY relname";
    db.query(tables)
        .iter()
        .flat_map(|table| db.query(&format!("SELECT x::text FROM {table} x ORDER BY 1")))
        .collect()
}

#[test]
fn both_shapes_of_a_legacy_installation_are_found_with_what_is_wrong_in_them() {
    let db = legacy();
    db.execute(READABLE);
    let before = content(&db);
    let (code, answer) = inspect(&db, &[]);
    assert_eq!(code, Some(0), "{answer}");
    assert_eq!(answer["shape"]["kind"], "legacy");
    assert_eq!(answer["shape"]["tenant_key"], "character varying(50)");
    assert_eq!(answer["shape"]["organizations_known"], false);
    let expected = BTreeMap::from([
        ("agents_without_tenant", 1),
        ("tenants_with_several_wabas", 1),
        ("assignments_without_tenant", 1),
        ("conversations_with_several_active", 1),
        ("assignments_with_unknown_status", 1),
    ]);
    assert_eq!(findings(&answer), expected);
    assert_eq!(content(&db), before);
    assert!(!answer.to_string().contains("EAAlegacyToken"));

    db.execute(UUID_KEYS);
    let (code, answer) = inspect(&db, &[]);
    assert_eq!(code, Some(0), "{answer}");
    assert_eq!(answer["shape"]["tenant_key"], "uuid");
    assert_eq!(answer["shape"]["organizations_known"], true);
    assert_eq!(answer["mapping"]["tables"]["agents"]["tenant"], "tenant_id");
    let mut expected = expected;
    expected.insert("tenants_without_organization", 4);
    assert_eq!(findings(&answer), expected);
}

#[test]
fn a_mapping_is_written_once_put_right_and_confirmed() {
    let db = legacy();
    db.execute(READABLE);
    // No name says which of the two it is.
    db.execute(
        "ALTER TABLE agents RENAME email TO primary_email; ALTER TABLE agents ADD backup_email text",
    );
    let file = new_file("mapping");
    let path = file.to_str().unwrap();
    let (code, answer) = inspect(&db, &["--write-mapping", path]);
    assert_eq!(code, Some(3), "{answer}");
    assert!(
        answer["undecided"][0]
            .as_str()
            .unwrap()
            .starts_with("tables.agents.email: empty")
    );
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(
        written.contains("decide: primary_email, backup_email"),
        "{written}"
    );
    let (code, answer) = inspect(&db, &["--write-mapping", path]);
    assert_eq!(code, Some(1), "{answer}");
    assert!(answer.as_str().unwrap().contains("a new file"));

    std::fs::write(&file, written.replace("email = \"\"", "email = \"mail\"")).unwrap();
    let (code, answer) = inspect(&db, &["--mapping", path]);
    assert_eq!(code, Some(5), "{answer}");
    let told = answer.as_str().unwrap();
    assert!(
        told.contains("tables.agents.email: there is no column \"mail\""),
        "{told}"
    );
    std::fs::write(
        &file,
        written.replace("email = \"\"", "email = \"primary_email\""),
    )
    .unwrap();
    let (code, answer) = inspect(&db, &["--mapping", path]);
    assert_eq!(code, Some(0), "{answer}");
    std::fs::write(&file, written.replace("[tables.agents]", "[tables.agent]")).unwrap();
    let (code, answer) = inspect(&db, &["--mapping", path]);
    assert_eq!(code, Some(5), "{answer}");
    assert!(
        answer
            .as_str()
            .unwrap()
            .contains("tables.agent: not one of")
    );
    std::fs::write(&file, "version = one").unwrap();
    let (code, answer) = inspect(&db, &["--mapping", path]);
    assert_eq!(code, Some(5), "{answer}");
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn other_databases_are_told_apart() {
    let empty = TestDb::unmigrated();
    let (code, answer) = inspect(&empty, &[]);
    assert_eq!((code, &answer["shape"]["kind"]), (Some(0), &"empty".into()));
    let (code, answer) = inspect(&TestDb::new(), &[]);
    assert_eq!((code, &answer["shape"]["kind"]), (Some(0), &"ours".into()));

    let half = legacy();
    half.execute("CREATE TABLE genesys_users (user_id uuid PRIMARY KEY)");
    half.execute(READABLE);
    let (code, answer) = inspect(&half, &[]);
    assert_eq!(code, Some(3), "{answer}");
    assert_eq!(answer["shape"]["kind"], "partly_migrated");
    assert_eq!(answer["shape"]["new"], serde_json::json!(["genesys_users"]));
    half.execute(
        "DROP TABLE agent_conversation_assignments, agent_sessions, agent_whatsapp_accounts, agents",
    );
    let (code, answer) = inspect(&half, &[]);
    assert_eq!(
        (code, &answer["shape"]["kind"]),
        (Some(3), &"dropped_by_script".into())
    );
    empty.execute("CREATE TABLE something (id int)");
    let (code, answer) = inspect(&empty, &[]);
    assert_eq!(
        (code, &answer["shape"]["kind"]),
        (Some(3), &"foreign".into())
    );
}

#[test]
fn a_table_that_may_not_be_read_is_named_with_the_grant_that_mends_it() {
    let db = legacy();
    let refused = portalctl(&db.url(ServiceRole::Owner), &["db", "inspect"]);
    assert_eq!(refused.status.code(), Some(4), "{}", stdout(&refused));
    let told = stderr(&refused);
    assert!(
        told.contains("GRANT SELECT ON \"public\".\"tenants\", \"public\".\"agents\""),
        "{told}"
    );
    assert!(told.contains("TO agent_portal_owner;"), "{told}");
}
