//! `POST /api/messages` and `POST /api/messages/send/template`: what callers ask for is what Meta gets.

use portal_test_harness::eventually;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::World;

/// A body of each type that needs nothing of Meta's but the number.
fn bodies() -> Vec<(&'static str, Value)> {
    vec![
        ("text", json!({"body": "Hello", "preview_url": false})),
        (
            "location",
            json!({"latitude": 37.758_056, "longitude": -122.425_332, "name": "Park"}),
        ),
        (
            "contacts",
            json!([{"name": {"formatted_name": "Ada", "first_name": "Ada"},
                "phones": [{"phone": "+16505551234", "type": "WORK"}]}]),
        ),
        (
            "interactive",
            json!({"type": "button", "body": {"text": "Well?"}, "action": {"buttons": [
                {"type": "reply", "reply": {"id": "yes", "title": "Yes"}}]}}),
        ),
        (
            "template",
            json!({"name": "order_update", "language": {"code": "en_US"}, "components": [
                {"type": "body", "parameters": [
                    {"type": "text", "text": "4711"}, {"type": "text", "text": "May 5"}]}]}),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_reaches_meta_as_it_was_asked_for() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    let mut sent = Vec::new();
    for (kind, content) in bodies() {
        let body = json!({"to": "+1234567890", "type": kind, kind: content});
        let (status, answer) = world.post_to("/api/messages", &token, &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{kind}: {answer}");
        let id = answer["message_id"].as_str().unwrap().to_owned();
        sent.push((id, kind, content));
    }
    for (id, kind, content) in &sent {
        let message = world.reaches(&token, id, "read").await;
        assert_eq!(message["type"], *kind);
        assert_eq!(message["payload"], json!({ *kind: content }));
    }
    let calls = world.sandbox.journal().graph_messages();
    assert_eq!(calls.len(), sent.len());
    // One recipient, one lane: in the order of acceptance.
    for (call, (_, kind, content)) in calls.iter().zip(&sent) {
        assert_eq!(call.body["type"], *kind);
        assert_eq!(call.body[*kind], *content);
        assert_eq!(call.to(), Some("+1234567890"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn short_values_of_a_template_and_user_ids_as_recipients_are_understood() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    let user = "US.13491208655302741918";
    let body = json!({"to": user, "template_name": "order_update", "language": "en_US",
        "parameters": ["4711", "May 5"]});
    let (status, answer) = world
        .post_to("/api/messages/send/template", &token, &body)
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    assert_eq!(answer["to"], user);
    let id = answer["message_id"].as_str().unwrap();
    let message = world.reaches(&token, id, "read").await;
    assert_eq!(message["type"], "template");
    let call = &world.sandbox.journal().graph_messages()[0];
    assert_eq!(call.body["recipient"], user);
    assert_eq!(call.body.get("to"), None);
    assert_eq!(
        call.body["template"]["components"][0]["parameters"],
        json!([{"type": "text", "text": "4711"}, {"type": "text", "text": "May 5"}])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_is_refused_field_by_field_and_nothing_is_stored() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    let cases = [
        (
            "/api/messages",
            json!({"to": "12", "type": "interactive", "interactive": {"type": "button", "action": {
                "buttons": [{"type": "reply", "reply": {"id": "a", "title": "t".repeat(21)}}]}}}),
            vec![
                "to",
                "interactive.body",
                "interactive.action.buttons[0].reply.title",
            ],
        ),
        (
            "/api/messages",
            json!({"to": "+1234567890", "type": "hologram", "hologram": {}}),
            vec!["type"],
        ),
        (
            "/api/messages/send/template",
            json!({"to": "+1234567890", "template_name": "Order", "language": "en-US"}),
            vec!["template_name", "language"],
        ),
    ];
    for (path, body, expected) in cases {
        let (status, answer) = world.post_to(path, &token, &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        let details = answer["error"]["details"].as_array().unwrap();
        let fields: Vec<&str> = details
            .iter()
            .map(|bad| bad["field"].as_str().unwrap())
            .collect();
        assert_eq!(fields, expected, "{body}");
    }
    let raw = json!({"to": "+1234567890", "type": "hologram", "hologram": {}, "raw": true});
    let (status, answer) = world.post_to("/api/messages", &token, &raw).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(answer["error"]["code"], "RAW_TYPE_NOT_ALLOWED");
    assert_eq!(world.db.query("SELECT count(*) FROM messages"), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_can_allow_what_is_not_known_here() {
    let world = World::start().await;
    world
        .db
        .execute("INSERT INTO sending_policies (tenant_id, allow_raw) VALUES ('acme', true)");
    let content = json!({"type": "order_details", "body": {"text": "Pay"},
        "action": {"name": "review_and_pay", "parameters": {"reference_id": "1"}}});
    let body = json!({"to": "+1234567890", "type": "interactive", "raw": true,
        "interactive": content});
    let (status, answer) = world
        .post_to("/api/messages", &world.sisters.token("acme"), &body)
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    let call = eventually("Meta to be asked", async || {
        world.sandbox.journal().graph_messages().pop()
    })
    .await;
    assert_eq!(call.body["interactive"], content);
    // Another organization did not.
    let (status, _) = world
        .post_to("/api/messages", &world.sisters.token("globex"), &body)
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}
