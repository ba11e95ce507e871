//! The second lock: queries whose `WHERE tenant_id` was forgotten. Every table of tenants is read,
//! changed and emptied without a filter by every service that may, and nothing foreign is touched.

use diesel::{Connection as _, PgConnection, RunQueryDsl as _, connection::SimpleConnection as _};
use portal_test_harness::{ServiceRole, TestDb};

const SERVICES: [(ServiceRole, &str); 3] = [
    (ServiceRole::Tenant, "tenant_service"),
    (ServiceRole::AgentPortal, "agent_portal_service"),
    (ServiceRole::Outbound, "outbound_message_service"),
];

/// One row of a tenant in each table; `$t` is the tenant, `$n` a digit of its own. A row of the
/// outbox and the audit log for each service, which see their own alone.
const SEED: &str = "
INSERT INTO tenants (tenant_id, name, genesys_org_id) VALUES ('$t', '$t', 'org-$t');
INSERT INTO tenant_whatsapp_config
    (config_id, tenant_id, waba_id, access_token, access_token_last4, access_token_fingerprint)
    VALUES ('00000000-0000-7000-8000-00000000001$n', '$t', 'waba-$t', '\\x00', '', '');
INSERT INTO tenant_whatsapp_numbers (tenant_id, phone_number_id, config_id, display_phone_number, is_default)
    VALUES ('$t', 'number-$t', '00000000-0000-7000-8000-00000000001$n', '+1', true);
INSERT INTO tenant_credentials (credential_id, tenant_id, kind, region, client_id)
    VALUES (gen_random_uuid(), '$t', 'genesys', 'r', 'c');
INSERT INTO tenant_api_keys (key_id, tenant_id, name, prefix, key_hash, created_by)
    VALUES (gen_random_uuid(), '$t', 'k', 'sk_', '\\x0$n', 'a');
INSERT INTO tenant_role_mappings (mapping_id, tenant_id, genesys_role, portal_role)
    VALUES (gen_random_uuid(), '$t', 'r', 'agent');
INSERT INTO whatsapp_signups (signup_id, tenant_id, waba_id, created_by)
    VALUES (gen_random_uuid(), '$t', 'w', 'a');
INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, name, role_changed_at)
    VALUES ('00000000-0000-7000-8000-00000000002$n', '$t', 'o', 'u-$t', 'n', now());
INSERT INTO genesys_user_sessions
    (session_id, tenant_id, user_id, refresh_token_hash, genesys_region, idle_expires_at, expires_at)
    VALUES (gen_random_uuid(), '$t', '00000000-0000-7000-8000-00000000002$n', '\\x00', 'r', now(), now());
INSERT INTO user_sync_runs (run_id, tenant_id, cause) VALUES (gen_random_uuid(), '$t', 'admin');
INSERT INTO live_events (tenant_id, type, data) VALUES ('$t', 't', '{}');
INSERT INTO live_feeds (tenant_id) VALUES ('$t');
INSERT INTO contact_identities (tenant_id, identity, contact) VALUES ('$t', '+2', '+2'), ('$t', 'US.1', '+2');
INSERT INTO contact_links (tenant_id, identity_a, identity_b, cause, linked_at)
    VALUES ('$t', '+2', 'US.1', 'seen_together', now());
INSERT INTO conversations (conversation_id, tenant_id, phone_number_id, wa_id, contact)
    VALUES ('00000000-0000-7000-8000-00000000003$n', '$t', 'p', 'w', '+2');
INSERT INTO conversation_threads (tenant_id, thread_id, phone_number_id, identity, conversation_id)
    VALUES ('$t', '00000000-0000-7000-8000-00000000003$n', 'p', '+2', '00000000-0000-7000-8000-00000000003$n');
INSERT INTO conversation_words (tenant_id, word, thread_id, part)
    VALUES ('$t', 'w', '00000000-0000-7000-8000-00000000003$n', 'text');
INSERT INTO conversation_messages (tenant_id, entry_id, direction, status) VALUES ('$t', gen_random_uuid(), 'outbound', 'sent');
INSERT INTO conversation_actions (action_id, tenant_id, conversation_id, action, episode, at)
    VALUES (gen_random_uuid(), '$t', '00000000-0000-7000-8000-00000000003$n', 'opened', 1, now());
INSERT INTO conversation_settings (tenant_id) VALUES ('$t');
INSERT INTO erasures (tenant_id, erasure_id, subject_hash, hash_key, identities, requested_by, requested_at)
    VALUES ('$t', gen_random_uuid(), '\\x00', 'k', '{}', '00000000-0000-7000-8000-00000000002$n', now());
INSERT INTO erased_messages (tenant_id, entry_id) VALUES ('$t', gen_random_uuid());
INSERT INTO user_presence (tenant_id, user_id) VALUES ('$t', '00000000-0000-7000-8000-00000000002$n');
INSERT INTO conversation_assignments (assignment_id, tenant_id, conversation_id, user_id)
    VALUES (gen_random_uuid(), '$t', '00000000-0000-7000-8000-00000000003$n', '00000000-0000-7000-8000-00000000002$n');
INSERT INTO messages (message_id, tenant_id, conversation_id, phone_number_id, from_number, recipient, type, content,
    status, sent_by_kind, sent_by, expires_at)
    VALUES ('00000000-0000-7000-8000-00000000004$n', '$t', '00000000-0000-7000-8000-00000000003$n', 'p', '+1', '+2',
    'text', '{}', 'sent', 'user', 'u', now());
INSERT INTO message_attempts (attempt_id, tenant_id, message_id, number)
    VALUES (gen_random_uuid(), '$t', '00000000-0000-7000-8000-00000000004$n', 1);
INSERT INTO message_status_events (status_event_id, tenant_id, message_id, status, source, changed_status, occurred_at)
    VALUES (gen_random_uuid(), '$t', '00000000-0000-7000-8000-00000000004$n', 'sent', 'graph', true, now());
INSERT INTO idempotency_keys (tenant_id, key, fingerprint, status_code, response, expires_at)
    VALUES ('$t', 'k', '\\x00', 202, '{}', now());
INSERT INTO sending_holds (tenant_id, phone_number_id, reason, next_probe_at) VALUES ('$t', 'p', 'tenant', now());
INSERT INTO sending_policies (tenant_id) VALUES ('$t');
INSERT INTO sending_numbers (tenant_id, phone_number_id) VALUES ('$t', 'p');
INSERT INTO contact_windows (tenant_id, phone_number_id, contact, last_inbound_at, expires_at)
    VALUES ('$t', 'p', '+2', now(), now());
INSERT INTO inbound_messages (inbound_id, tenant_id, phone_number_id, wamid, conversation_id, contact, type, payload,
    sent_at, received_at) VALUES (gen_random_uuid(), '$t', 'p', 'w', gen_random_uuid(), '+2', 'text', '{}', now(), now());
INSERT INTO contact_aliases (tenant_id, user_id, contact, source, seen_at) VALUES ('$t', 'US.1', '+2', 'message', now());
INSERT INTO contact_preferences (tenant_id, contact, category, value, changed_at) VALUES ('$t', '+2', 'c', 'stop', now());
INSERT INTO account_notices (notice_id, tenant_id, waba_id, field, digest, payload, received_at)
    VALUES (gen_random_uuid(), '$t', 'w', 'f', '\\x00', '{}', now());
INSERT INTO webhook_secrets (secret_id, tenant_id, kind, secret, fingerprint, created_by)
    VALUES (gen_random_uuid(), '$t', 'app_secret', '\\x00', 'f', 'a');
INSERT INTO message_templates (tenant_id, waba_id, name, language, template_id, status, category)
    VALUES ('$t', 'w', 'n', 'en', 'i', 'APPROVED', 'UTILITY');
INSERT INTO template_syncs (tenant_id, waba_id) VALUES ('$t', 'w');
INSERT INTO token_checks (tenant_id, waba_id) VALUES ('$t', 'w');
INSERT INTO media (tenant_id, media_id, size_bytes) VALUES ('$t', '00000000-0000-7000-8000-00000000005$n', 1);
INSERT INTO media_chunks (tenant_id, media_id, ordinal, bytes)
    VALUES ('$t', '00000000-0000-7000-8000-00000000005$n', 0, '\\x00');
INSERT INTO media_uploads (tenant_id, media_id, phone_number_id)
    VALUES ('$t', '00000000-0000-7000-8000-00000000005$n', 'p');
INSERT INTO media_links (tenant_id, link_sha256, media_id)
    VALUES ('$t', sha256('$t'::bytea), '00000000-0000-7000-8000-00000000005$n');
INSERT INTO dead_letters (dead_letter_id, tenant_id, queue, routing_key, body, headers, error)
    VALUES (gen_random_uuid(), '$t', 'q', 'r', '\\x00', '{}', 'e');
INSERT INTO outbox_events (event_id, service, tenant_id, exchange, routing_key, subject, payload)
    SELECT gen_random_uuid(), s, '$t', 'e', 'r', 's', '{}' FROM unnest(ARRAY['tenant_service', 'agent_portal_service',
    'outbound_message_service']) s;
INSERT INTO audit_log (audit_id, service, tenant_id, actor_kind, action, outcome)
    SELECT gen_random_uuid(), s, '$t', 'operator', 'a', 'succeeded' FROM unnest(ARRAY['tenant_service',
    'agent_portal_service', 'outbound_message_service']) s;
";

fn two_tenants() -> (TestDb, Vec<String>) {
    let db = TestDb::new();
    for (tenant, digit) in [("acme_corp", "1"), ("globex_inc", "2")] {
        db.execute(&SEED.replace("$t", tenant).replace("$n", digit));
    }
    let tables = db.query(
        "SELECT DISTINCT table_name FROM information_schema.columns \
         WHERE table_schema = 'public' AND column_name = 'tenant_id' ORDER BY 1",
    );
    for table in &tables {
        let tenants = db.query(&format!(
            "SELECT DISTINCT tenant_id FROM {table} ORDER BY 1"
        ));
        assert_eq!(
            tenants,
            ["acme_corp", "globex_inc"],
            "{table} has no rows of both tenants: add it to SEED"
        );
    }
    (db, tables)
}

/// Columns of `table` that `role` may use so.
fn columns(db: &TestDb, role: &str, table: &str, privilege: &str) -> Vec<String> {
    db.query(&format!(
        "SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 \
         AND NOT attisdropped AND attidentity = '' AND has_column_privilege('{role}', attrelid, attnum, '{privilege}') \
         ORDER BY attnum"
    ))
}

/// Rows that a statement touches, logged in as `role` for acme; rolled back.
fn touched(db: &TestDb, role: ServiceRole, sql: &str) -> Result<usize, diesel::result::Error> {
    let mut conn = PgConnection::establish(&db.url(role)).unwrap();
    conn.batch_execute("BEGIN; SET LOCAL app.tenant_id = 'acme_corp'")?;
    let rows = diesel::sql_query(sql).execute(&mut conn);
    conn.batch_execute("ROLLBACK")?;
    rows
}

#[test]
fn a_query_without_its_filter_shows_nothing_foreign() {
    let (db, tables) = two_tenants();
    let mut readable = 0;
    for (role, name) in SERVICES {
        for table in &tables {
            let columns = columns(&db, name, table, "SELECT");
            if !columns.contains(&"tenant_id".to_owned()) {
                assert_eq!(columns, [""; 0], "{name} reads {table} without its tenant");
                continue;
            }
            readable += 1;
            let seen = db
                .query_as(
                    role,
                    Some("acme_corp"),
                    &format!("SELECT DISTINCT tenant_id FROM {table}"),
                )
                .unwrap();
            assert_eq!(seen, ["acme_corp"], "{name} {table}");
            let nobodys = db
                .query_as(role, None, &format!("SELECT tenant_id FROM {table}"))
                .unwrap();
            assert_eq!(nobodys, [""; 0], "{name} {table} without a tenant");
            // Nor by guessing: a filter for the other tenant finds nothing.
            let guessed = format!("SELECT 1 FROM {table} WHERE tenant_id = 'globex_inc'");
            let found = db.query_as(role, Some("acme_corp"), &guessed).unwrap();
            assert_eq!(found, [""; 0], "{name} {table}");
        }
    }
    assert!(readable >= tables.len(), "every table has a reader");
}

#[test]
fn a_change_without_its_filter_changes_nothing_foreign() {
    let (db, tables) = two_tenants();
    let (mut updates, mut deletes) = (0, 0);
    for (role, name) in SERVICES {
        for table in &tables {
            let own = db
                .query_as(
                    role,
                    Some("acme_corp"),
                    &format!("SELECT count(*) FROM {table}"),
                )
                .map_or(1, |count| count[0].parse().unwrap());
            if let Some(column) = columns(&db, name, table, "UPDATE").last() {
                updates += 1;
                let sql = format!("UPDATE {table} SET {column} = {column}");
                assert_eq!(touched(&db, role, &sql).unwrap(), own, "{name}: {sql}");
                // Rows cannot be given away, either.
                let sql = format!("UPDATE {table} SET tenant_id = 'globex_inc'");
                assert!(touched(&db, role, &sql).is_err(), "{name}: {sql}");
            }
            let may_delete = db.query(&format!(
                "SELECT has_table_privilege('{name}', '{table}', 'DELETE')"
            ));
            if may_delete == ["true"] {
                deletes += 1;
                let sql = format!("DELETE FROM {table}");
                // Other rows may need this one: then nothing is deleted at all.
                let rows = touched(&db, role, &sql).unwrap_or(own);
                assert_eq!(rows, own, "{name}: {sql}");
            }
        }
    }
    assert!(updates > 10 && deletes > 5, "{updates} {deletes}");
}
