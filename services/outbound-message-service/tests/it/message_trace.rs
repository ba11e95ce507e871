//! The way of a message, as its answer tells it.

use portal_sandbox::magic_recipient;
use portal_test_harness::eventually;
use serde_json::{Value, json};

use crate::world::World;

fn of<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    let items = list.as_array().unwrap().iter();
    items.map(|item| item[field].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_tells_its_way_from_the_request_to_the_last_report() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    // Refused once for a passing reason, then taken.
    let to = magic_recipient("721", 0);
    let answer = world
        .http
        .post(format!("{}/api/messages/send", world.url))
        .header("X-Request-ID", "request-of-the-test")
        .bearer_auth(&token)
        .json(&json!({"to": to, "text": "canary-text"}))
        .send()
        .await
        .unwrap();
    let accepted: Value = answer.json().await.unwrap();
    let id = accepted["message_id"].as_str().unwrap();
    world
        .db
        .execute("UPDATE messages SET next_attempt_at = now() WHERE status = 'retry_wait'");
    let message = eventually("the whole way", async || {
        world
            .db
            .execute("UPDATE messages SET next_attempt_at = now() WHERE status = 'retry_wait'");
        let (_, message) = world.get(&token, id).await;
        let published = message["trace"]["published"].as_array().unwrap();
        let is_told = |kind: &str| {
            let mut rows = published.iter().filter(|row| row["type"] == kind);
            rows.any(|row| row["published_at"].is_string())
        };
        (message["status"] == "read" && is_told("message.accepted") && is_told("message.read"))
            .then_some(message)
    })
    .await;
    let trace = &message["trace"];
    assert_eq!(trace["request"]["request_id"], "request-of-the-test");
    assert_eq!(trace["request"]["trace_id"], message["trace_id"]);
    assert_eq!(trace["published_is_partial"], false);
    assert_eq!(message["hold"], Value::Null);
    let sources = of(&trace["reports"], "source");
    assert!(
        sources.contains(&"graph") && sources.contains(&"webhook"),
        "{trace}"
    );
    let attempts = message["attempts"].as_array().unwrap();
    assert_eq!(
        of(&message["attempts"], "outcome"),
        ["not_accepted", "accepted"]
    );
    assert!(attempts[0]["fbtrace_id"].is_string(), "{message}");
    assert!(attempts[1]["duration_ms"].is_number(), "{message}");
    assert_eq!(attempts[1]["wamid"], message["wamid"]);
    assert!(attempts[1]["trace_id"].is_string(), "{message}");
    assert!(!trace.to_string().contains("canary-text"));

    // What was published long ago is no longer kept, and that is told.
    world.db.execute(
        "DELETE FROM outbox_events; UPDATE messages SET accepted_at = now() - interval '8 days'",
    );
    let (_, message) = world.get(&token, id).await;
    assert_eq!(message["trace"]["published"], json!([]));
    assert_eq!(message["trace"]["published_is_partial"], true);
}
