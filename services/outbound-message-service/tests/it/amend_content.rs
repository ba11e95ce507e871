//! The content of a scheduled message is changed by the rules of the doors, whatever its type.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{accept::fields, amend::call, templates::world_with_templates, world::World};

async fn later(world: &World, kind: &str, content: Value) -> String {
    let token = world.sisters.token("acme");
    let body = json!({"to": "+1234567890", "type": kind, kind: content,
        "send_at": chrono::Utc::now() + chrono::Duration::hours(1)});
    let (status, answer) = world.post_to("/api/messages", &token, &body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    answer["message_id"].as_str().unwrap().to_owned()
}

async fn change(world: &World, id: &str, body: Value) -> (StatusCode, Value) {
    let token = world.sisters.token("acme");
    call(world, &token, Method::PATCH, id, Some(body)).await
}

fn order(values: &[&str]) -> Value {
    let values: Vec<_> = values
        .iter()
        .map(|text| json!({"type": "text", "text": text}))
        .collect();
    json!({"name": "order_update", "language": {"code": "en_US"},
           "components": [{"type": "body", "parameters": values}]})
}

fn coupon() -> Value {
    json!({"name": "coupon", "language": {"code": "en_US"}, "components": [
        {"type": "body", "parameters": [{"type": "text", "text": "25%"}]},
        {"type": "button", "sub_type": "copy_code", "index": "0",
         "parameters": [{"type": "coupon_code", "coupon_code": "SAVE25"}]}]})
}

fn place(latitude: f64) -> Value {
    json!({"latitude": latitude, "longitude": 2.0})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_that_a_door_would_refuse_is_refused_and_the_type_stays() {
    let world = world_with_templates().await;
    let location = later(&world, "location", place(1.0)).await;
    let template = later(&world, "template", order(&["4711", "Monday"])).await;
    let before = world
        .db
        .query("SELECT content FROM messages ORDER BY message_id");
    let unknown = uuid::Uuid::now_v7();
    for (id, body, expected) in [
        (
            &location,
            json!({"type": "location", "location": place(91.0)}),
            "location.latitude",
        ),
        (
            &template,
            json!({"type": "template", "template": order(&["4711"])}),
            "template.components[0].parameters",
        ),
        (
            &location,
            json!({"type": "image", "image": {"id": unknown}}),
            "image.id",
        ),
    ] {
        let (status, answer) = change(&world, id, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert_eq!(fields(&answer), [expected]);
    }
    for (body, code) in [
        (
            json!({"type": "text", "text": {"body": "x"}}),
            "MESSAGE_OF_ANOTHER_TYPE",
        ),
        (json!({"text": "x"}), "MESSAGE_NOT_TEXT"),
    ] {
        let (status, answer) = change(&world, &location, body).await;
        assert_eq!(status, StatusCode::CONFLICT, "{answer}");
        assert_eq!(answer["error"]["code"], code);
    }
    let raw = json!({"type": "location", "raw": true, "location": {"of": "tomorrow"}});
    let (status, answer) = change(&world, &location, raw).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{answer}");
    // No marketing for who stopped it.
    world.db.execute(
        "INSERT INTO contact_preferences (tenant_id, contact, category, value, changed_at) \
         VALUES ('acme', '+1234567890', 'marketing_messages', 'stop', now())",
    );
    let marketing = json!({"type": "template", "template": coupon()});
    let (status, answer) = change(&world, &template, marketing).await;
    assert_eq!(status, StatusCode::CONFLICT, "{answer}");
    assert_eq!(answer["error"]["code"], "MARKETING_STOPPED");
    let after = world
        .db
        .query("SELECT content FROM messages ORDER BY message_id");
    assert_eq!(before, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_is_what_meta_gets() {
    let world = world_with_templates().await;
    let token = world.sisters.token("acme");
    let mut ids = Vec::new();
    for (kind, old, new) in [
        ("location", place(1.0), place(3.0)),
        ("template", order(&["4711", "Monday"]), coupon()),
        (
            "text",
            json!({"body": "Old words"}),
            json!({"body": "New words", "preview_url": true}),
        ),
    ] {
        let id = later(&world, kind, old).await;
        let (status, answer) = change(&world, &id, json!({"type": kind, kind: new})).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        ids.push((id, kind, new));
    }
    world
        .db
        .execute("UPDATE messages SET next_attempt_at = now() WHERE status = 'scheduled'");
    for (id, ..) in &ids {
        world.reaches(&token, id, "read").await;
    }
    let calls = world.sandbox.journal().graph_messages();
    assert_eq!(calls.len(), ids.len());
    for (_, kind, new) in &ids {
        let sent = calls
            .iter()
            .find(|call| call.body["type"] == *kind)
            .unwrap();
        assert_eq!(sent.body[*kind], *new);
    }
}
