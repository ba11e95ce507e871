//! `POST /api/messages/{message_id}/read`: blue ticks, and that an answer is being written.

use portal_sandbox::{Inbound, seed};
use portal_test_harness::eventually;
use reqwest::StatusCode;
use serde_json::json;

use crate::world::World;

/// The wamid of a message that acme received, and our id of it.
async fn received(world: &World) -> (String, String) {
    let received = world.sandbox.receive(Inbound::default()).unwrap();
    let id = eventually("the message to be kept", async || {
        let query = format!(
            "SELECT inbound_id FROM inbound_messages WHERE wamid = '{}'",
            received.id
        );
        world.db.query(&query).pop()
    })
    .await;
    (received.id, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_received_message_is_marked_by_either_id() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    let (wamid, id) = received(&world).await;
    for (id, body) in [(&wamid, json!({})), (&id, json!({"typing": true}))] {
        let path = format!("/api/messages/{}/read", urlencoded(id));
        let (status, answer) = world.post_to(&path, &token, &body).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");
    }
    let calls = world.sandbox.journal().graph_messages();
    let read = json!({"messaging_product": "whatsapp", "status": "read", "message_id": wamid});
    let mut typing = read.clone();
    typing["typing_indicator"] = json!({"type": "text"});
    let bodies: Vec<_> = calls.iter().map(|call| call.body.clone()).collect();
    assert_eq!(bodies, [read, typing]);
    assert_eq!(calls[0].phone_number_id, seed::ACME_PHONE_NUMBER_ID);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_own_received_message_of_these_days_is_marked() {
    let world = World::start().await;
    let (acme, globex) = (world.sisters.token("acme"), world.sisters.token("globex"));
    let (wamid, id) = received(&world).await;
    let sent = world.send(&acme, "+1234567890").await;
    for (token, id) in [(&globex, &id), (&globex, &wamid), (&acme, &sent)] {
        let path = format!("/api/messages/{}/read", urlencoded(id));
        let (status, answer) = world.post_to(&path, token, &json!({})).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{answer}");
    }
    let path = format!("/api/messages/{id}/read");
    let (status, _) = world.post_to(&path, &acme, &json!({"read": true})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    world
        .db
        .execute("UPDATE inbound_messages SET sent_at = now() - interval '31 days'");
    let (status, answer) = world.post_to(&path, &acme, &json!({})).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(answer["error"]["code"], "MESSAGE_TOO_OLD");
    let calls = world.sandbox.journal().graph_messages();
    assert!(calls.iter().all(|call| call.body["status"] != "read"));
}

fn urlencoded(id: &str) -> String {
    url::form_urlencoded::byte_serialize(id.as_bytes()).collect()
}
