//! Legacy writers go on while their tables are migrated.

use serde_json::json;

use super::Installation;

const WRITES: &str = "
    UPDATE agent_conversation_assignments SET status = 'closed' WHERE conversation_id = 'conv-0001';
    INSERT INTO agent_conversation_assignments (conversation_id, agent_id, assigned_at) VALUES
        ('conv-0003', '00000000-0000-4000-8000-000000000001', now()),
        ('conv-0099', '00000000-0000-4000-8000-000000000004', now());
    DELETE FROM agents WHERE agent_id = '00000000-0000-4000-8000-000000000008';
    UPDATE agents SET tenant_id = 'umbrella' WHERE agent_id = '00000000-0000-4000-8000-000000000003';
    UPDATE agents SET name = 'Hank S.', is_active = false WHERE agent_id = '00000000-0000-4000-8000-000000000004';
    INSERT INTO tenants (tenant_id, name) VALUES ('newco', 'New');
    INSERT INTO agents (tenant_id, email, name) VALUES ('newco', 'new@newco.example', 'New Person');
    DELETE FROM agent_conversation_assignments WHERE conversation_id = 'conv-0004';
    UPDATE agents SET tenant_id = 'globex_inc' WHERE tenant_id IS NULL;
    UPDATE tenant_whatsapp_config SET access_token = 'EAAlegacyTokenGlobexOrg0002';
    UPDATE tenants SET status = 'active' WHERE tenant_id = 'initech'";

#[test]
fn what_legacy_writers_change_afterwards_is_followed() {
    let legacy = Installation::new("");
    legacy.migrated(&[]);
    legacy.db.execute(WRITES);
    assert!(!legacy.wrong().is_empty());
    let answer = legacy.migrated(&[]);
    assert!(answer["changes"].as_i64().unwrap() >= 11, "{answer}");
    assert_eq!(legacy.wrong(), [""; 0]);
    let held = legacy.db.query(
        "SELECT tenant_id || ' ' || genesys_conversation_id || ' ' || status || ' ' \
         || coalesce(right(assigned_to::text, 1), '-') FROM agent_portal.conversations ORDER BY 1",
    );
    assert_eq!(
        held,
        [
            "acme_corp conv-0001 closed -",
            "acme_corp conv-0002 open 1",
            "acme_corp conv-0003 open 1",
            "globex_inc conv-0005 open 6",
            "globex_inc conv-0099 open 4",
            "initech conv-0007 open -",
            "umbrella conv-0003 open 3",
            "umbrella conv-0006 open 9",
        ]
    );
    let people = legacy.db.query(
        "SELECT tenant_id || ' ' || name || ' ' || is_active FROM agent_portal.genesys_users \
         WHERE name IN ('Hank S.', 'New Person', '李伟', 'No Tenant') ORDER BY 1",
    );
    assert_eq!(
        people,
        [
            "globex_inc Hank S. false",
            "globex_inc No Tenant true",
            "newco New Person true",
            "umbrella 李伟 true",
        ]
    );
    let token = legacy.db.query(
        "SELECT access_token_last4 || ' ' || version FROM agent_portal.tenant_whatsapp_config \
         WHERE tenant_id = 'globex_inc'",
    );
    assert_eq!(token, ["0002 2"]);
    assert_eq!(legacy.migrated(&[])["changes"], json!(0));
}

#[test]
fn what_people_did_in_the_new_model_stays_when_legacy_writers_change_the_same() {
    let legacy = Installation::new("");
    legacy.migrated(&[]);
    // Somebody closed it there.
    legacy.db.execute(
        "UPDATE agent_portal.conversation_assignments SET status = 'closed', ended_at = now() \
         WHERE conversation_id = (SELECT conversation_id FROM agent_portal.conversations \
             WHERE genesys_conversation_id = 'conv-0001');
         UPDATE agent_portal.conversations SET status = 'closed', assigned_to = NULL, version = 2 \
         WHERE genesys_conversation_id = 'conv-0001'",
    );
    legacy.db.execute(
        "INSERT INTO agent_conversation_assignments (conversation_id, agent_id, assigned_at) VALUES \
             ('conv-0001', '00000000-0000-4000-8000-000000000003', now())",
    );
    legacy.migrated(&[]);
    let seen = legacy.db.query(
        "SELECT c.status || ' ' || a.status FROM agent_portal.conversations c \
         JOIN agent_portal.conversation_assignments a USING (conversation_id) \
         WHERE c.genesys_conversation_id = 'conv-0001' ORDER BY 1",
    );
    assert_eq!(seen, ["closed closed", "closed released"]);
    assert_eq!(legacy.wrong(), [""; 0]);
}

#[test]
fn a_table_that_is_emptied_and_a_key_that_is_changed_are_followed() {
    let legacy = Installation::new("");
    legacy.migrated(&[]);
    legacy.db.execute(
        "TRUNCATE agent_sessions;
         UPDATE agent_conversation_assignments SET assignment_id = '00000000-0000-4000-8000-0000000000aa' \
         WHERE conversation_id = 'conv-0007'",
    );
    legacy.migrated(&[]);
    assert_eq!(legacy.wrong(), [""; 0]);
    let left = legacy
        .db
        .query("SELECT count(*) FROM agent_portal.__legacy_ledger WHERE subject = 'sessions'");
    assert_eq!(left, ["0"]);
}

/// Renames an agent and changes an assignment, hundreds of times a second, until there is a row in
/// `elsewhere.stop`.
const RESTLESS: &str = "
    DO $writer$ BEGIN FOR i IN 1..20000 LOOP
        UPDATE agents SET name = 'John ' || clock_timestamp() WHERE email = 'john@example.com';
        UPDATE agent_conversation_assignments SET last_activity_at = now() WHERE conversation_id = 'conv-0001';
        COMMIT;
        PERFORM pg_sleep(0.002);
        EXIT WHEN EXISTS (SELECT FROM elsewhere.stop);
    END LOOP; END $writer$";

#[test]
fn it_comes_to_an_end_though_writers_never_rest() {
    let legacy = Installation::new("");
    legacy
        .db
        .execute("CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.stop (told boolean)");
    let first = std::thread::scope(|scope| {
        scope.spawn(|| legacy.db.execute(RESTLESS));
        let first = legacy.migrate(&[]);
        legacy
            .db
            .execute("INSERT INTO elsewhere.stop VALUES (true)");
        first
    });
    assert_eq!(first.status.code(), Some(0), "{}", crate::stderr(&first));
    legacy.migrated(&[]);
    assert_eq!(legacy.wrong(), [""; 0]);
    let people = "SELECT name FROM public.agents INTERSECT SELECT name FROM agent_portal.genesys_users \
         WHERE name LIKE 'John 2%'";
    assert_eq!(legacy.db.query(people).len(), 1);
}
