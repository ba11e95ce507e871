//! `portalctl db restore`, and what it and `db backup` ask of roles.

use portal_test_harness::{ServiceRole, TestDb};

use crate::{
    backup::{BESIDE, Directory, backup, drop_database, entries, json, ok, refused, verify},
    fingerprint::{hashes, legacy_with_more},
    portalctl, stderr, stdout,
};

#[test]
fn a_dropped_database_comes_back_as_it_was_and_no_other_is_written_over() {
    let db = legacy_with_more();
    db.execute(BESIDE);
    let url = db.superuser_url();
    let here = Directory::new();
    let out = here.join("today");
    let restore = |more: &[&str]| portalctl(&url, &[&["db", "restore", &out], more].concat());
    let before = hashes(&url);
    ok(backup(&db, &out));
    refused(&restore(&[]), 3, "is not empty (it has ");
    drop_database(&db);

    refused(&restore(&["--dry-run"]), 0, "would be made and filled");
    refused(&portalctl(&url, &["db", "status"]), 1, "does not exist");
    let restored = ok(restore(&["--json"]));
    assert!(
        stderr(&restored).contains("Not proven"),
        "{}",
        stderr(&restored)
    );
    assert_eq!(json(&restored)["holds"], true);
    assert_eq!(hashes(&url), before);
    assert_eq!(db.query("SELECT id FROM more.things"), ["7"]);
    assert_eq!(db.query("SELECT to_regnamespace('agent_portal')"), [""]);
    // Numbers go on where they were.
    db.execute("INSERT INTO message_tracking (conversation_id, direction) VALUES ('c', 'IN')");
    let history = stdout(&portalctl(&url, &["db", "history"]));
    assert!(history.contains("db restore"), "{history}");

    // Into one that is empty, and after it was proven.
    ok(verify(&db, &out));
    let empty = TestDb::unmigrated();
    let restored = ok(portalctl(&empty.superuser_url(), &["db", "restore", &out]));
    assert!(
        stderr(&restored).contains("was proven at"),
        "{}",
        stderr(&restored)
    );
    assert_eq!(hashes(&empty.superuser_url()), before);
}

#[test]
fn what_a_role_may_not_do_is_told_and_nothing_is_left() {
    let db = legacy_with_more();
    let owner = db.url(ServiceRole::Owner);
    let here = Directory::new();
    let out = here.join("today");
    let try_backup = || portalctl(&owner, &["db", "backup", "--out", &out]);
    db.execute(
        "REVOKE SELECT ON agents FROM agent_portal_owner;
         ALTER TABLE conversation_mappings DISABLE ROW LEVEL SECURITY",
    );
    refused(
        &try_backup(),
        4,
        "GRANT SELECT ON SEQUENCE public.conversation_mappings_id_seq, public.message_tracking_id_seq",
    );
    assert_eq!(entries(&here.0), [""; 0]);
    db.execute("GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO agent_portal_owner");
    refused(&try_backup(), 4, "GRANT SELECT ON \"public\".\"agents\"");
    assert_eq!(entries(&here.0), [""; 0]);
    db.execute("GRANT SELECT ON agents TO agent_portal_owner");
    ok(try_backup());
    let verified = portalctl(&owner, &["db", "backup", "verify", &out]);
    refused(&verified, 4, "CREATEDB");
    drop_database(&db);
    let restored = portalctl(&owner, &["db", "restore", &out]);
    refused(&restored, 4, "cannot be made");
    ok(portalctl(&db.superuser_url(), &["db", "restore", &out]));
}

#[test]
fn a_server_without_a_role_of_the_backup_is_told_which() {
    let db = legacy_with_more();
    let role = format!("role_{}", uuid::Uuid::now_v7().simple());
    db.execute(&format!(
        "CREATE ROLE {role}; ALTER TABLE x OWNER TO {role}"
    ));
    let here = Directory::new();
    let out = here.join("today");
    ok(backup(&db, &out));
    drop_database(&db);
    TestDb::unmigrated().execute(&format!("DROP ROLE {role}"));
    let restored = portalctl(&db.superuser_url(), &["db", "restore", &out]);
    refused(&restored, 3, &format!("CREATE ROLE \"{role}\";"));
    refused(
        &portalctl(&db.superuser_url(), &["db", "status"]),
        1,
        "does not exist",
    );
}
