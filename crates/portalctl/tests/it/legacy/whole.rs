//! What becomes of the fixture, in both shapes.

use serde_json::json;

use super::{Installation, totals};
use crate::{inspect::UUID_KEYS, stderr};

const TOTALS: [&str; 10] = [
    "accounts merged 1",
    "accounts migrated 2",
    "accounts skipped 2",
    "agents migrated 8",
    "agents rejected 1",
    "assignments migrated 9",
    "assignments rejected 1",
    "organization_accounts migrated 1",
    "sessions skipped 2",
    "tenants migrated 4",
];

#[test]
fn the_fixture_is_migrated_whole_and_every_row_has_a_verdict() {
    let legacy = Installation::new("");
    let before = legacy.state();
    let answer = legacy.migrated(&[]);
    assert_eq!(totals(&answer), TOTALS);
    assert_eq!(legacy.wrong(), [""; 0]);
    assert_eq!(legacy.state(), before, "the legacy tables are as they were");

    let held = legacy.db.query(
        "SELECT genesys_conversation_id || ' ' || status || ' ' || coalesce(right(assigned_to::text, 1), '-') \
         || ' ' || phone_number_id FROM agent_portal.conversations ORDER BY 1",
    );
    assert_eq!(
        held,
        [
            "conv-0001 open 1 110000000000002",
            "conv-0002 open 1 110000000000002",
            "conv-0003 open 3 110000000000002",
            "conv-0004 open 4 210000000000001",
            "conv-0006 open 9 310000000000001",
            "conv-0007 open - ",
        ]
    );
    let assignments = legacy.db.query(
        "SELECT c.genesys_conversation_id || ' ' || right(a.user_id::text, 1) || ' ' || a.status || \
         coalesce(' ' || a.end_reason, '') FROM agent_portal.conversation_assignments a \
         JOIN agent_portal.conversations c USING (conversation_id) ORDER BY 1",
    );
    assert_eq!(
        assignments,
        [
            "conv-0001 1 active",
            "conv-0002 1 active",
            "conv-0002 1 closed migrated",
            "conv-0003 2 transferred migrated",
            "conv-0003 3 active",
            "conv-0004 4 active",
            "conv-0006 8 released superseded",
            "conv-0006 9 active",
            "conv-0007 7 released migrated",
        ]
    );
    let accounts = legacy.db.query(
        "SELECT tenant_id || ' ' || waba_id || ' ' || access_token_last4 \
         FROM agent_portal.tenant_whatsapp_config ORDER BY 1",
    );
    assert_eq!(
        accounts,
        [
            "acme_corp 100000000000002 Jane",
            "globex_inc 200000000000001 0001",
            "umbrella 300000000000001 aNew",
        ]
    );
    let people = legacy.db.query(
        "SELECT count(*) || ' ' || bool_and(is_placeholder) || ' ' || count(*) FILTER (WHERE NOT is_active) \
         FROM agent_portal.genesys_users",
    );
    assert_eq!(people, ["8 true 1"]);
    let contacts = legacy.db.query(
        "SELECT genesys_conversation_id || ' ' || contact || ' ' || wa_id || ' ' || coalesce(contact_name, '-') \
         FROM agent_portal.conversations WHERE contact IS NOT NULL ORDER BY 1",
    );
    assert_eq!(
        contacts,
        [
            "conv-0001 +15550109001 15550109001 Ada",
            "conv-0002 +15550109002 15550109002 Grace",
            "conv-0003 +15550109003 15550109003 -",
        ]
    );
    let others = legacy.db.query(
        "SELECT (SELECT count(*) FROM conversation_mappings) || ' ' || (SELECT count(*) FROM message_tracking)",
    );
    assert_eq!(others, ["3 2"]);
}

#[test]
fn a_second_run_changes_nothing() {
    let legacy = Installation::new("");
    let rows = |legacy: &Installation| {
        [
            "conversations",
            "conversation_assignments",
            "genesys_users",
            "tenant_whatsapp_config",
            "tenants",
        ]
        .map(|table| {
            legacy.db.query(&format!(
                "SELECT x::text FROM agent_portal.{table} x ORDER BY 1"
            ))
        })
    };
    let first = legacy.migrated(&[]);
    let before = rows(&legacy);
    let second = legacy.migrated(&[]);
    assert_eq!(rows(&legacy), before);
    assert_eq!(
        (totals(&second), &second["changes"]),
        (totals(&first), &json!(0))
    );
}

#[test]
fn the_shape_with_uuids_is_migrated_as_well() {
    let legacy = Installation::new(UUID_KEYS);
    let acme = legacy
        .db
        .query("SELECT id::text FROM public.tenants WHERE name = 'Acme Corporation'");
    legacy.write(
        "decisions.toml",
        &format!("version = 1\n[tenants.{:?}]\nwaba_id = \"none\"\n", acme[0]),
    );
    let answer = legacy.migrated(&[]);
    assert_eq!(legacy.wrong(), [""; 0]);
    assert_eq!(
        totals(&answer),
        [
            "accounts merged 1",
            "accounts migrated 1",
            "accounts skipped 3",
            "agents migrated 8",
            "agents rejected 1",
            "assignments migrated 9",
            "assignments rejected 1",
            "organization_accounts migrated 1",
            "sessions skipped 2",
            "tenants migrated 4",
        ]
    );
    let tenants = legacy.db.query(
        "SELECT t.name || ' ' || t.status FROM agent_portal.tenants t JOIN public.tenants l \
         ON l.id::text = t.tenant_id ORDER BY 1",
    );
    assert_eq!(
        tenants,
        [
            "Acme Corporation active",
            "Globex, Inc. active",
            "Initech suspended",
            "Umbrella Großhandel 株式会社 active",
        ]
    );
}

#[test]
fn rollback_leaves_nothing_behind_and_the_way_is_open_again() {
    let legacy = Installation::new("");
    let before = legacy.state();
    legacy.migrated(&[]);
    let rolled_back = legacy.run(&["db", "rollback", "--json"]);
    assert_eq!(
        rolled_back.status.code(),
        Some(0),
        "{}",
        stderr(&rolled_back)
    );
    assert_eq!(legacy.state(), before);
    let left = legacy.db.query(
        "SELECT nspname::text FROM pg_namespace WHERE nspname = 'agent_portal' \
         UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
    );
    assert_eq!(left, [""; 0]);
    assert_eq!(totals(&legacy.migrated(&[])), TOTALS);
}

#[test]
fn no_token_is_written_in_clear_and_verify_would_find_one() {
    let legacy = Installation::new("");
    legacy.migrated(&[]);
    let tables = legacy.db.query(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'agent_portal'::regnamespace AND relkind = 'r'",
    );
    for table in tables {
        let found = legacy.db.query(&format!(
            "SELECT count(*) FROM agent_portal.{table} x WHERE x::text ~ 'EAAlegacy|legacy-session'"
        ));
        assert_eq!(found, ["0"], "{table}");
    }
    legacy
        .db
        .execute("UPDATE agent_portal.conversations SET contact_name = 'EAAlegacyTokenHank' WHERE tenant_id = 'globex_inc'");
    assert_eq!(legacy.wrong(), ["no_token_in_clear: 1"]);
    legacy
        .db
        .execute("UPDATE agent_portal.conversations SET contact_name = NULL");
    legacy.db.execute(
        "UPDATE agent_portal.tenant_whatsapp_config SET access_token = \
         (SELECT access_token FROM agent_portal.tenant_whatsapp_config WHERE tenant_id = 'umbrella') \
         WHERE tenant_id = 'globex_inc'",
    );
    assert_eq!(legacy.wrong(), ["tokens_open: 1"]);
}

#[test]
fn verify_finds_what_is_missing_or_wrong() {
    let legacy = Installation::new("");
    legacy.migrated(&[]);
    for (change, wrong) in [
        (
            "DELETE FROM agent_portal.__legacy_ledger WHERE subject = 'sessions'",
            "sessions_in_ledger: 2",
        ),
        (
            "DELETE FROM agent_portal.conversation_assignments WHERE end_reason = 'superseded'",
            "assignments_placed: 1",
        ),
    ] {
        legacy.db.execute(change);
        assert!(legacy.wrong().contains(&wrong.to_owned()), "{change}");
    }
    legacy
        .db
        .execute("UPDATE agent_portal.conversations SET assigned_to = NULL WHERE genesys_conversation_id = 'conv-0001'");
    assert!(
        legacy
            .wrong()
            .contains(&"active_stays_active: 1".to_owned())
    );
}
