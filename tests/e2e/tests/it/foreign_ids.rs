//! Two tenants at every door that takes an id: another tenant's id is answered as if there were no
//! such thing. A door whose kind of id is not known here fails.

use std::collections::BTreeMap;

use portal_e2e::installation::Installation;
use portal_sandbox::seed;
use portal_test_harness::eventually;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::doors::{DOORS, Door, Home, Who};

/// Bodies that are good, for doors that look at them before they look for the id.
fn body(door: &Door) -> Option<Value> {
    Some(match (door.1, door.2) {
        ("patch", "/api/organization/users/{user_id}") => json!({"active": false}),
        ("put", "/api/organization/users/{user_id}/capacity") => json!({"capacity": 1}),
        (
            "post",
            "/api/tenants/{tenant_id}/api-keys/{key_id}/rotate"
            | "/api/messages/{message_id}/read"
            | "/api/messages/{message_id}/retry",
        ) => json!({}),
        ("patch", "/api/messages/{message_id}") => json!({"text": "new"}),
        ("post", "/api/conversations/{conversation_id}/transfer") => {
            json!({"to_user_id": "01990000-0000-7000-8000-000000000000"})
        }
        _ => return None,
    })
}

/// An id of globex for a path parameter, as a superuser sees it.
fn foreign_id(world: &Installation, parameter: &str) -> String {
    let (column, table) = match parameter {
        "conversation_id" => ("conversation_id", "conversations"),
        "erasure_id" => ("erasure_id", "erasures"),
        "session_id" => ("session_id", "genesys_user_sessions"),
        "user_id" => ("user_id", "genesys_users"),
        "run_id" => ("run_id", "user_sync_runs"),
        "message_id" => ("message_id", "messages"),
        "dead_letter_id" => ("dead_letter_id", "dead_letters"),
        "secret_id" => ("secret_id", "webhook_secrets"),
        "inbound_id" => ("inbound_id", "inbound_messages"),
        "template_name" => (
            "name",
            "(SELECT * FROM message_templates WHERE name = 'of_globex_alone') t",
        ),
        "key_id" => ("key_id", "tenant_api_keys"),
        "media_id" => ("media_id", "media"),
        other => panic!("whose id is {{{other}}}? Say it here"),
    };
    let sql = format!("SELECT {column} FROM {table} WHERE tenant_id = 'globex_inc'");
    world.db.query(&sql).remove(0)
}

async fn globex_has_one_of_each(world: &Installation) {
    let token = world.token(seed::GLOBEX_AGENT).await;
    assert_eq!(
        world.send(&token, "+1234567890").await.0,
        StatusCode::ACCEPTED
    );
    eventually("the message's conversation", async || {
        let sql = "SELECT conversation_id FROM conversations WHERE tenant_id = 'globex_inc'";
        world.db.query(sql).pop()
    })
    .await;
    world.api_key("globex_inc").await;
    world.db.execute(
        "INSERT INTO inbound_messages (inbound_id, tenant_id, phone_number_id, wamid, conversation_id, \
             contact, type, payload, sent_at, received_at) \
         VALUES (gen_random_uuid(), 'globex_inc', '1', 'wamid.x', gen_random_uuid(), '+1234567890', \
             'text', '{}', now(), now())",
    );
    world.db.execute(
        "INSERT INTO media (tenant_id, media_id, state, kind, mime_type, size_bytes, sha256) \
         VALUES ('globex_inc', gen_random_uuid(), 'ready', 'document', 'text/plain', 1, sha256('x'))",
    );
    world.db.execute(
        "INSERT INTO message_templates (tenant_id, waba_id, name, language, template_id, status, category, \
             components) \
         SELECT tenant_id, waba_id, 'of_globex_alone', 'en_US', '1', 'APPROVED', 'UTILITY', '[]' \
         FROM tenant_whatsapp_config WHERE tenant_id = 'globex_inc'",
    );
    world.db.execute(
        "INSERT INTO erasures (tenant_id, erasure_id, subject_hash, hash_key, identities, requested_by, requested_at) \
         SELECT tenant_id, gen_random_uuid(), '', 'k', '{+10000000000}', user_id, now() \
         FROM genesys_users WHERE tenant_id = 'globex_inc' LIMIT 1",
    );
    world.db.execute(
        "INSERT INTO dead_letters (dead_letter_id, tenant_id, queue, routing_key, body, headers, error) \
         VALUES (gen_random_uuid(), 'globex_inc', 'q', 'k', '{}', '{}', 'unreadable')",
    );
    world.db.execute(
        "INSERT INTO webhook_secrets (secret_id, tenant_id, kind, secret, fingerprint, created_by) \
         VALUES (gen_random_uuid(), 'globex_inc', 'app_secret', '', '', '')",
    );
    world.db.execute(
        "INSERT INTO user_sync_runs (run_id, tenant_id, status, cause, finished_at) \
         VALUES (gen_random_uuid(), 'globex_inc', 'completed', 'admin', now())",
    );
}

/// Each door with the ids filled in: acme's tenant, globex's everything else.
fn doors_with_ids(world: &Installation) -> Vec<(&'static Door, String)> {
    let mut known = BTreeMap::new();
    let takes_foreign_id = |door: &&Door| match door.0 {
        // Administrators of the platform look after all tenants; what is below one is its own.
        Home::Tenants => {
            door.2.starts_with("/api/tenants/{tenant_id}/") && door.2.matches('{').count() > 1
        }
        Home::Portal | Home::Messages => door.2.contains('{'),
    };
    DOORS
        .iter()
        .filter(takes_foreign_id)
        .map(|door| {
            let parts = door.2.split('/').map(|part| {
                let Some(name) = part
                    .strip_prefix('{')
                    .map(|name| name.trim_end_matches('}'))
                else {
                    return part.to_owned();
                };
                if name == "tenant_id" {
                    return "acme_corp".to_owned();
                }
                known
                    .entry(name)
                    .or_insert_with(|| foreign_id(world, name))
                    .clone()
            });
            (door, parts.collect::<Vec<_>>().join("/"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_id_is_not_found_at_any_door() {
    let world = Installation::start().await;
    globex_has_one_of_each(&world).await;
    let people = [
        (Who::Agent, world.token(seed::ACME_AGENT).await),
        (Who::Supervisor, world.token(seed::ACME_SUPERVISOR).await),
        (Who::Admin, world.token(seed::ACME_ADMIN).await),
        (Who::ApiKey, world.api_key("acme_corp").await),
        (Who::PlatformAdmin, world.sign_in_admin().await),
    ];
    let before = world.fingerprint("globex_inc");
    let doors = doors_with_ids(&world);
    assert!(doors.len() >= 2, "{doors:?}");
    for (door, path) in doors {
        let method = Method::from_bytes(door.1.to_uppercase().as_bytes()).unwrap();
        for (_, token) in people.iter().filter(|(who, _)| door.3.contains(who)) {
            let url = format!("{}{path}", door.0.url(&world));
            let mut request = world.http.request(method.clone(), url).bearer_auth(token);
            if let Some(body) = body(door) {
                request = request.json(&body);
            }
            let answer = request.send().await.unwrap();
            let status = answer.status();
            let text = answer.text().await.unwrap();
            assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}: {text}");
            assert!(!text.contains("globex"), "{method} {path}: {text}");
        }
    }
    assert_eq!(
        world.fingerprint("globex_inc"),
        before,
        "nothing was changed"
    );
}
