//! `portalctl db decisions`.

use std::{collections::BTreeMap, path::Path};

use portal_test_harness::{ServiceRole, TestDb};
use serde_json::Value;

use crate::{
    inspect::{READABLE, UUID_KEYS, legacy, new_file},
    portalctl, stderr,
};

fn decisions(db: &TestDb, mapping: &Path, more: &[&str]) -> (Option<i32>, Value) {
    let mapping = mapping.to_str().unwrap();
    let arguments = [&["db", "decisions", "--json", "--mapping", mapping], more].concat();
    let output = portalctl(&db.url(ServiceRole::Owner), &arguments);
    let answer: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| stderr(&output).into());
    assert!(!answer.to_string().contains("EAAlegacyToken"), "{answer}");
    (output.status.code(), answer)
}

/// A mapping file of the database, as inspect writes it.
fn mapped(db: &TestDb, name: &str) -> std::path::PathBuf {
    let file = new_file(name);
    let arguments = ["db", "inspect", "--write-mapping", file.to_str().unwrap()];
    let output = portalctl(&db.url(ServiceRole::Owner), &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    file
}

/// Verdicts of the rows, by the subject and the numbers of the rows' agents or by the tenant.
fn verdicts(db: &TestDb, answer: &Value) -> BTreeMap<String, String> {
    let rows = answer["accounts"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"))
        .iter();
    rows.map(|row| {
        let key = row["key"].as_str().unwrap();
        let whose = if row["subject"] == "accounts" {
            db.query(&format!(
                "SELECT right(agent_id::text, 1) FROM agent_whatsapp_accounts WHERE account_id = '{key}'"
            ))
        } else {
            vec!["organization".to_owned()]
        };
        (whose[0].clone(), row["verdict"].as_str().unwrap().to_owned())
    })
    .collect()
}

fn expected(rows: &[(&str, &str)]) -> BTreeMap<String, String> {
    let rows = rows.iter();
    rows.map(|(key, verdict)| ((*key).to_owned(), (*verdict).to_owned()))
        .collect()
}

/// What holds in a database whose tenants have these keys.
fn decide(db: &TestDb, name: &str, [acme, globex, umbrella]: [&str; 3]) {
    let mapping = mapped(db, &format!("{name}-mapping"));
    let file = new_file(&format!("{name}-decisions"));
    let path = file.to_str().unwrap();
    let (code, answer) = decisions(db, &mapping, &["--write", path]);
    assert_eq!(code, Some(3), "{answer}");
    let lifted: BTreeMap<_, _> = answer["lifted"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["tenant_key"].as_str().unwrap(), one))
        .collect();
    assert_eq!(lifted.keys().copied().collect::<Vec<_>>(), {
        let mut keys = vec![globex, umbrella];
        keys.sort_unstable();
        keys
    });
    assert_eq!(lifted[globex]["waba_id"], "200000000000001");
    assert_eq!(lifted[globex]["subject"], "organization_accounts");
    assert_eq!(lifted[umbrella]["waba_id"], "300000000000001");
    assert_eq!(
        lifted[umbrella]["numbers"],
        serde_json::json!([
            { "phone_number_id": "310000000000001", "display_phone_number": "+1 555 010 0301" }
        ])
    );
    assert_eq!(answer["undecided"].as_array().unwrap().len(), 1, "{answer}");
    assert_eq!(answer["undecided"][0]["tenant_key"], acme);
    assert_eq!(
        verdicts(db, &answer),
        expected(&[
            ("1", "skipped"),
            ("2", "skipped"),
            ("4", "skipped"),
            ("8", "merged"),
            ("9", "migrated"),
            ("organization", "migrated"),
        ])
    );

    let written = std::fs::read_to_string(&file).unwrap();
    for told in [
        "# Acme Corporation\n# 100000000000002: numbers 110000000000002 (+1 555 010 0102); 1 agent; newest made 20",
        "last login 2026-01-10 09:00:00; 2 conversations\n",
    ] {
        assert!(written.contains(told), "{written}");
    }
    assert!(!written.contains("EAAlegacyToken"), "{written}");
    let (code, answer) = decisions(db, &mapping, &["--write", path]);
    assert_eq!(code, Some(1), "{answer}");

    let (code, answer) = decisions(db, &mapping, &["--decisions", path]);
    assert_eq!(code, Some(5), "{answer}");
    let told = answer.as_str().unwrap();
    assert!(
        told.contains(acme) && told.contains("still empty"),
        "{told}"
    );
    std::fs::write(&file, written.replace("\"\"\n", "\"100000000000001\"\n")).unwrap();
    let (code, answer) = decisions(db, &mapping, &["--decisions", path]);
    assert_eq!(code, Some(0), "{answer}");
    let found = verdicts(db, &answer);
    assert_eq!(
        (found["1"].as_str(), found["2"].as_str()),
        ("migrated", "skipped")
    );
    std::fs::write(&file, written.replace("\"\"\n", "\"200000000000009\"\n")).unwrap();
    let (code, answer) = decisions(db, &mapping, &["--decisions", path]);
    assert_eq!(code, Some(5), "{answer}");
    std::fs::remove_file(&file).unwrap();
    std::fs::remove_file(&mapping).unwrap();
}

#[test]
fn whose_an_account_becomes_is_decided_by_rule_or_by_a_person_in_both_shapes() {
    let db = legacy();
    db.execute(READABLE);
    decide(&db, "text-keys", ["acme_corp", "globex_inc", "umbrella"]);

    db.execute(UUID_KEYS);
    let keys = db.query(
        "SELECT id FROM tenants WHERE subdomain IN ('acme', 'globex', 'umbrella') ORDER BY subdomain",
    );
    decide(&db, "uuid-keys", [&keys[0], &keys[1], &keys[2]]);
}

#[test]
fn what_cannot_be_anybodys_account_is_rejected_with_a_reason() {
    let db = legacy();
    db.execute(READABLE);
    // One of an agent without a tenant, one without a token, and columns that are not there.
    db.execute(
        "INSERT INTO agent_whatsapp_accounts (agent_id, waba_id, phone_number_id, access_token) VALUES \
         ('00000000-0000-4000-8000-000000000006', '600000000000001', '610000000000001', 'EAAlegacyTokenX'), \
         ('00000000-0000-4000-8000-000000000003', '100000000000003', '110000000000003', ' '); \
         ALTER TABLE agent_whatsapp_accounts DROP COLUMN created_at; \
         ALTER TABLE agents DROP COLUMN last_login_at",
    );
    let mapping = mapped(&db, "rejected-mapping");
    let (code, answer) = decisions(&db, &mapping, &[]);
    let agents = new_file("rejected-agents");
    std::fs::write(
        &agents,
        "old_agent_id,genesys_user_id,tenant_id,name,email\n\
         00000000-0000-4000-8000-000000000006,7f1a0001-1111-4111-8111-000000000006,initech,Late,late@initech.example\n",
    )
    .unwrap();
    let (_, by_list) = decisions(&db, &mapping, &["--agents", agents.to_str().unwrap()]);
    std::fs::remove_file(&agents).unwrap();
    std::fs::remove_file(&mapping).unwrap();
    let lifted = by_list["lifted"]
        .as_array()
        .unwrap_or_else(|| panic!("{by_list}"));
    assert!(
        lifted
            .iter()
            .any(|one| one["tenant_key"] == "initech" && one["waba_id"] == "600000000000001"),
        "the list says whose the agent is: {by_list}"
    );
    assert_eq!(code, Some(3), "{answer}");
    let reasons: Vec<_> = answer["accounts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["verdict"] == "rejected")
        .map(|one| one["reason"].as_str().unwrap())
        .collect();
    assert_eq!(
        reasons,
        ["its agent has no tenant", "access_token is empty"]
    );
    assert_eq!(
        answer["undecided"][0]["candidates"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}
