//! The legacy tables go, when everything is proven, and come back from the backup alone.

use super::Installation;
use crate::{stderr, stdout};

fn superuser(legacy: &Installation, arguments: &[&str]) -> std::process::Output {
    legacy
        .command(arguments)
        .env("DATABASE_URL", legacy.db.superuser_url())
        .output()
        .unwrap()
}

#[test]
fn what_is_proven_is_retired_and_the_model_goes_on_without_it() {
    let legacy = Installation::new("");
    let before = legacy.state();
    legacy.migrated(&[]);
    let backup = legacy.path("backup");
    let name = legacy.db.query("SELECT current_database()").remove(0);
    let retire = ["db", "retire", "--backup", &backup, "--confirm", &name];
    let refused = |arguments: &[&str], says: &str| {
        let output = superuser(&legacy, arguments);
        assert_eq!(output.status.code(), Some(3), "{}", stdout(&output));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
        assert_eq!(legacy.state(), before, "{arguments:?}");
    };
    let done = |arguments: &[&str]| {
        let output = superuser(&legacy, arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    };
    let made = superuser(&legacy, &["db", "backup", "--out", &backup]);
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    refused(&retire, "backup verify");
    done(&["db", "backup", "verify", &backup]);
    refused(
        &["db", "retire", "--backup", &backup, "--confirm", "another"],
        "the database's name",
    );
    refused(&retire, "2 rows were rejected");
    let accepted = [&retire[..], &["--accept-rejected", "2"]].concat();
    legacy
        .db
        .execute("UPDATE agents SET name = name || '!' WHERE email = 'bill@initech.example'");
    let output = superuser(&legacy, &accepted);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("\"public\".\"agents\""),
        "{}",
        stderr(&output)
    );
    legacy
        .db
        .execute("UPDATE agents SET name = left(name, -1) WHERE email = 'bill@initech.example'");
    refused(&accepted, "changes_drained");
    legacy.migrated(&[]);
    legacy.db.execute(
        "CREATE TABLE others (agent_id uuid REFERENCES agents (agent_id)); GRANT SELECT ON others TO PUBLIC",
    );
    let output = superuser(&legacy, &accepted);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    legacy.db.execute("DROP TABLE others");

    assert!(done(&[&accepted[..], &["--dry-run"]].concat()).contains("Would drop"));
    assert_eq!(legacy.state(), before);
    done(&accepted);
    let left = legacy.db.query(
        "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace \
         AND relname !~ '^__' ORDER BY 1",
    );
    assert_eq!(left, ["conversation_mappings", "message_tracking"]);
    let rows = legacy
        .db
        .query("SELECT count(*) FROM agent_portal.conversation_assignments");
    assert_eq!(rows, ["9"]);
    for (arguments, code) in [
        (&["db", "rollback"][..], 3),
        (&["db", "verify"], 3),
        (&["db", "ledger"], 0),
        (&["db", "status"], 0),
    ] {
        let output = superuser(&legacy, arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?} {}",
            stderr(&output)
        );
    }
    let rows = legacy
        .db
        .query("SELECT count(*) FROM agent_portal.conversation_assignments");
    assert_eq!(rows, ["9"]);
}

#[test]
fn a_rehearsal_does_all_of_it_on_a_copy_and_leaves_nothing_behind() {
    let legacy = Installation::new("");
    let before = legacy.state();
    let backup = legacy.path("backup");
    let (mapping, decisions) = (legacy.path("mapping.toml"), legacy.path("decisions.toml"));
    let rehearse = [
        "db",
        "rehearse",
        "--json",
        "--backup",
        &backup,
        "--mapping",
        &mapping,
        "--decisions",
        &decisions,
    ];
    for arguments in [
        &["db", "backup", "--out", &backup][..],
        &["db", "backup", "verify", &backup],
    ] {
        let output = superuser(&legacy, arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    let output = superuser(&legacy, &rehearse);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let steps: Vec<_> = answer["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["step"].as_str().unwrap())
        .collect();
    assert_eq!(
        steps,
        [
            "read the backup",
            "restore",
            "migrate",
            "verify",
            "rollback",
            "migrate again",
            "retire"
        ]
    );
    assert_eq!(answer["locks"].as_array().unwrap().len(), 6, "{answer}");
    assert_eq!(legacy.state(), before);
    let left = legacy.db.query(
        "SELECT datname::text FROM pg_database WHERE datname LIKE \
         'portal_rehearse_' || (SELECT oid FROM pg_database WHERE datname = current_database()) || '%'",
    );
    assert_eq!(left, [""; 0]);
}
