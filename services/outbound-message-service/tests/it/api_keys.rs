//! Other systems of a tenant, with API keys.

use portal_test_harness::eventually;
use reqwest::StatusCode;
use serde_json::json;

use crate::world::World;

const BOTH: [&str; 2] = ["messages:send", "messages:read"];

#[tokio::test(flavor = "multi_thread")]
async fn a_key_sends_and_reads_for_its_tenant_and_is_named_as_the_sender() {
    let world = World::start().await;
    let (id, key) = world.sisters.api_key("acme", &BOTH);
    let events = world.listen("message.accepted").await;
    let message = world.send(&key, "+1234567890").await;
    let event = events.next().await;
    assert_eq!(
        event.envelope["data"]["sent_by"],
        json!({"kind": "api_key", "id": id})
    );
    let shown = world.reaches(&key, &message, "read").await;
    assert_eq!(shown["sent_by"], json!({"kind": "api_key", "id": id}));
    // The tenant's people see it, too, and another tenant's keys do not.
    let (status, _) = world.get(&world.sisters.token("acme"), &message).await;
    assert_eq!(status, StatusCode::OK);
    let (_, foreign) = world.sisters.api_key("globex", &BOTH);
    let (status, answer) = world.get(&foreign, &message).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{answer}");
    assert_eq!(answer["error"]["code"], "MESSAGE_NOT_FOUND");
    // Nor does a row, a log of events or an answer hold the key itself.
    let held = "SELECT count(*) FROM messages t, outbox_events e \
                WHERE t::text LIKE '%sk_%' OR e::text LIKE '%sk_%'";
    assert_eq!(world.db.query(held), ["0"]);
    assert!(!shown.to_string().contains(&key));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_door_asks_for_its_scope() {
    let world = World::start().await;
    let body = json!({"to": "+1234567890", "text": "x"});
    let (_, sender) = world.sisters.api_key("acme", &["messages:send"]);
    let (_, reader) = world.sisters.api_key("acme", &["messages:read"]);
    let (_, other) = world
        .sisters
        .api_key("acme", &["templates:read", "of-tomorrow"]);
    let message = world.send(&sender, "+1234567890").await;
    let (status, _) = world.get(&reader, &message).await;
    assert_eq!(status, StatusCode::OK);
    let bad = json!({"no_such_field": true});
    for (answer, scope) in [
        (world.post(&reader, &body).await, "messages:send"),
        // Whoever may not enter learns nothing of what a good body is.
        (world.post(&reader, &bad).await, "messages:send"),
        (world.post(&other, &body).await, "messages:send"),
        (world.get(&sender, &message).await, "messages:read"),
        (world.get(&other, &message).await, "messages:read"),
    ] {
        let (status, answer) = answer;
        assert_eq!(status, StatusCode::FORBIDDEN, "{answer}");
        assert_eq!(answer["error"]["code"], "SCOPE_MISSING");
        let text = answer["error"]["message"].as_str().unwrap();
        assert!(text.contains(scope), "{text}");
    }
    assert_eq!(world.db.query("SELECT count(*) FROM messages"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_unknown_or_was_revoked_opens_nothing() {
    let world = World::start().await;
    let body = json!({"to": "+1234567890", "text": "x"});
    let guess = format!("sk_{}", "A".repeat(43));
    for bad in [guess.as_str(), "sk_", "sk_short"] {
        let (status, answer) = world.post(bad, &body).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{bad}: {answer}");
        assert_eq!(answer["error"]["code"], "TOKEN_INVALID", "{bad}");
    }

    let (id, key) = world.sisters.api_key("acme", &BOTH);
    world.send(&key, "+1234567890").await;
    // At once by the list, although the key is still remembered here.
    world.revocations().revoke_api_key(id).await.unwrap();
    let (status, answer) = world.post(&key, &body).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer["error"]["code"], "TOKEN_REVOKED");

    // And without the list by the event.
    let (_, key) = world.sisters.api_key("acme", &BOTH);
    world.send(&key, "+1234567890").await;
    world.sisters.forget_api_keys();
    let changed = json!({
        "tenant_id": "acme", "name": "name", "status": "active", "changed": ["api_keys"],
    });
    world.publish("tenant.updated", "acme", changed).await;
    eventually("the key to be forgotten", async || {
        let (status, _) = world.post(&key, &body).await;
        (status == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
}
