//! Which agent is which Genesys user.

use super::{Installation, totals};
use crate::{inspect::UUID_KEYS, stderr};

const GOOD: &str = include_str!("../fixtures/agent_mapping.csv");
const BAD: &str = include_str!("../fixtures/agent_mapping_bad.csv");

/// `agent genesys-user placeholder`, by the last digits.
fn people(legacy: &Installation) -> Vec<String> {
    legacy.db.query(
        "SELECT right(user_id::text, 1) || ' ' || right(genesys_user_id, 4) || ' ' || is_placeholder \
         || ' ' || genesys_email FROM agent_portal.genesys_users ORDER BY 1",
    )
}

#[test]
fn agents_of_the_list_are_users_and_the_others_placeholders() {
    let legacy = Installation::new("");
    let list = legacy.write("agents.csv", GOOD);
    let answer = legacy.migrated(&["--agents", &list]);
    assert_eq!(legacy.wrong(), [""; 0]);
    assert_eq!(
        people(&legacy),
        [
            "1 0001 false john@example.com",
            "2 0002 false jane@example.com",
            "3 0003 false li.wei@example.com",
            "4 0004 false hank@globex.example",
            "5 0005 true gone@globex.example",
            "7 0007 false bill@initech.example",
            "8 0008 false a@umbrella.example",
            "9 0009 false b@umbrella.example",
        ]
    );
    assert!(totals(&answer).contains(&"agents rejected 1".to_owned()));

    // The one without a tenant gets one by a later list, and his conversation with him.
    let list = legacy.write(
        "more.csv",
        "old_agent_id,genesys_user_id,tenant_id,name,email\n\
         00000000-0000-4000-8000-000000000006,7f1a0001-1111-4111-8111-000000000006,initech,Late,late@initech.example\n",
    );
    let answer = legacy.migrated(&["--agents", &list]);
    assert_eq!(legacy.wrong(), [""; 0]);
    assert!(people(&legacy).contains(&"6 0006 false late@initech.example".to_owned()));
    assert!(
        !totals(&answer)
            .iter()
            .any(|total| total.contains("rejected")),
        "{answer}"
    );
    let held = legacy.db.query(
        "SELECT tenant_id || ' ' || right(assigned_to::text, 1) FROM agent_portal.conversations \
         WHERE genesys_conversation_id = 'conv-0005'",
    );
    assert_eq!(held, ["initech 6"]);
}

#[test]
fn a_list_with_bad_rows_changes_nothing_unless_the_good_ones_are_enough() {
    let legacy = Installation::new("");
    let before = legacy.state();
    let list = legacy.write("agents.csv", BAD);
    let rejects = legacy.path("rejects.csv");
    let refused = legacy.migrate(&["--agents", &list, "--rejects", &rejects]);
    assert_eq!(refused.status.code(), Some(5), "{}", stderr(&refused));
    let schemas = legacy
        .db
        .query("SELECT count(*) FROM pg_namespace WHERE nspname = 'agent_portal'");
    assert_eq!(schemas, ["0"]);
    assert_eq!(legacy.state(), before);
    let written = std::fs::read_to_string(&rejects).unwrap();
    assert!(
        written.contains("no_such_tenant") && written.contains("unknown_tenant"),
        "{written}"
    );
    let only_bad = legacy.migrate(&["--agents", &rejects, "--partial"]);
    assert_eq!(only_bad.status.code(), Some(5), "{}", stderr(&only_bad));

    let good = "00000000-0000-4000-8000-000000000007,7f1a0003-1111-4111-8111-000000000007,initech,Bill,bill@initech.example\n";
    let list = legacy.write("agents.csv", &format!("{BAD}{good}"));
    legacy.migrated(&["--agents", &list, "--partial"]);
    assert!(people(&legacy).contains(&"7 0007 false bill@initech.example".to_owned()));
    assert_eq!(legacy.wrong(), [""; 0]);
}

#[test]
fn tenants_with_uuids_are_named_by_them() {
    let legacy = Installation::new(UUID_KEYS);
    let mut list = GOOD.to_owned();
    let tenants = [
        ("acme_corp", "Acme Corporation"),
        ("globex_inc", "Globex, Inc."),
        ("initech", "Initech"),
        ("umbrella", "Umbrella Großhandel 株式会社"),
    ];
    for (key, name) in tenants {
        let id = legacy
            .db
            .query(&format!(
                "SELECT id::text FROM public.tenants WHERE name = '{name}'"
            ))
            .remove(0);
        if key == "acme_corp" {
            legacy.write(
                "decisions.toml",
                &format!("version = 1\n[tenants.{id:?}]\nwaba_id = \"none\"\n"),
            );
        }
        list = list.replace(&format!(",{key},"), &format!(",{id},"));
    }
    let list = legacy.write("agents.csv", &list);
    legacy.migrated(&["--agents", &list]);
    assert_eq!(legacy.wrong(), [""; 0]);
    assert_eq!(people(&legacy).len(), 8);
    assert_eq!(people(&legacy)[0], "1 0001 false john@example.com");
}

#[test]
fn who_signed_in_meanwhile_stays_who_he_is() {
    let legacy = Installation::new("");
    legacy.migrated(&[]);
    // One claimed the placeholder, another came by Genesys' list without it.
    legacy.db.execute(
        "UPDATE agent_portal.genesys_users SET is_placeholder = false, genesys_version = 7, name = 'J. Doe', \
             genesys_user_id = '7f1a0001-1111-4111-8111-000000000001' \
         WHERE user_id = '00000000-0000-4000-8000-000000000001';
         INSERT INTO agent_portal.genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, name, \
             genesys_version) VALUES ('00000000-0000-4000-8000-0000000000aa', 'umbrella', 'o', \
             '7f1a0004-1111-4111-8111-000000000009', 'B', 1);
         UPDATE agents SET name = 'Somebody Else' WHERE email = 'john@example.com'",
    );
    let list = legacy.write("agents.csv", GOOD);
    let answer = legacy.migrated(&["--agents", &list]);
    assert_eq!(legacy.wrong(), [""; 0]);
    assert!(
        totals(&answer).contains(&"agents merged 1".to_owned()),
        "{answer}"
    );
    let seen = legacy.db.query(
        "SELECT right(user_id::text, 2) || ' ' || name FROM agent_portal.genesys_users \
         WHERE genesys_version IS NOT NULL OR user_id = '00000000-0000-4000-8000-000000000009' ORDER BY 1",
    );
    assert_eq!(seen, ["01 J. Doe", "aa B"]);
    let held = legacy.db.query(
        "SELECT right(assigned_to::text, 2) FROM agent_portal.conversations \
         WHERE genesys_conversation_id = 'conv-0006'",
    );
    assert_eq!(held, ["aa"]);
}
