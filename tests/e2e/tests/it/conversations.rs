//! Conversations with real traffic are what their messages say: made anew they are the same.

use std::process::Command;

use portal_e2e::installation::Installation;
use portal_sandbox::seed;
use portal_test_harness::{ServiceRole, eventually};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::operator::portalctl;

const ADA: &str = "16505550001";
const BEN: &str = "16505550002";

/// A person writes to acme.
async fn write(world: &Installation, from: &str, body: &Value) {
    let mut message = json!({"from": from, "without_user_id": true});
    for (key, value) in body.as_object().unwrap() {
        message[key] = value.clone();
    }
    let url = format!("{}/control/inbound", world.sandbox.base_url());
    let answer = world.http.post(url).json(&message).send().await.unwrap();
    assert!(
        answer.status().is_success(),
        "{}",
        answer.text().await.unwrap()
    );
}

async fn call(
    world: &Installation,
    method: Method,
    path: &str,
    token: &str,
    body: Option<Value>,
) -> (StatusCode, Value) {
    let url = format!("{}{path}", world.portal_url);
    let mut request = world.http.request(method, url).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap_or_default())
}

/// The conversation with a contact, once it has so many unread messages and this status.
async fn conversation(
    world: &Installation,
    token: &str,
    contact: &str,
    (unread, status): (u64, &str),
) -> Value {
    let path = format!("/api/conversations?q=%2B{contact}");
    eventually("the conversation to stand so", async || {
        let (_, list) = call(world, Method::GET, &path, token, None).await;
        let found = list["conversations"].get(0)?.clone();
        let is_so = found["unread_count"] == unread && found["status"] == status;
        is_so.then_some(found)
    })
    .await
}

/// Waits until all that was told of messages is published and has become part of conversations: reports
/// come one by one, and the last of them may overtake the others.
async fn settled(world: &Installation) {
    eventually("all that was told of messages to be heard", async || {
        let untold = "SELECT count(*) FROM outbox_events o WHERE o.published_at IS NULL \
            OR o.routing_key ~ '^message.(received|accepted|sent|delivered|read)$' \
            AND NOT EXISTS (SELECT FROM inbox_events i WHERE i.event_id = o.event_id \
                AND i.consumer = 'agent-portal-service.messages')";
        (world.db.query(untold) == ["0"]).then_some(())
    })
    .await;
}

/// Runs `portalctl conversations rebuild`; answers what it found of acme.
fn rebuild(world: &Installation, options: &[&str]) -> Value {
    let done = Command::new(portalctl())
        .args([
            "--json",
            "conversations",
            "rebuild",
            "--tenant",
            "acme_corp",
        ])
        .args(options)
        .env("DATABASE_URL", world.db.url(ServiceRole::Owner))
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{complaint}");
    let answer: Value = serde_json::from_slice(&done.stdout).unwrap();
    answer["tenants"][0].clone()
}

/// All that lists and histories show.
async fn shown(world: &Installation, token: &str) -> Vec<Value> {
    let (_, list) = call(world, Method::GET, "/api/conversations", token, None).await;
    let mut all = Vec::new();
    for conversation in list["conversations"].as_array().unwrap() {
        let id = conversation["conversation_id"].as_str().unwrap();
        let path = format!("/api/conversations/{id}/messages");
        let (_, messages) = call(world, Method::GET, &path, token, None).await;
        all.push(json!([conversation, messages]));
    }
    all
}

async fn traffic(world: &Installation, agent: &str, admin: &str) {
    write(
        world,
        ADA,
        &json!({"content": {"body": "Where is my parcel?"}}),
    )
    .await;
    write(
        world,
        ADA,
        &json!({"type": "image", "media": {"mime_type": "image/png", "size": 64}}),
    )
    .await;
    let found = conversation(world, admin, ADA, (2, "open")).await;
    let id = found["conversation_id"].as_str().unwrap();
    let act = async |what: &str| {
        let path = format!("/api/conversations/{id}/{what}");
        let (status, body) = call(world, Method::POST, &path, agent, None).await;
        assert_eq!(status, StatusCode::OK, "{what}: {body}");
    };
    act("assign").await;
    let (status, sent) = world.send(agent, &format!("+{ADA}")).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{sent}");
    let path = format!("/api/conversations/{id}/messages");
    eventually("the answer to be read", async || {
        let (_, found) = call(world, Method::GET, &path, agent, None).await;
        let messages = found["messages"].as_array()?;
        let is_read = |message: &Value| {
            message["message_id"] == sent["message_id"] && message["status"] == "read"
        };
        messages.iter().any(is_read).then_some(())
    })
    .await;
    act("read").await;
    act("close").await;
    conversation(world, admin, ADA, (0, "closed")).await;
    write(world, ADA, &json!({"content": {"body": "Thank you"}})).await;
    conversation(world, admin, ADA, (1, "open")).await;

    write(world, BEN, &json!({"content": {"body": "Forget me"}})).await;
    let found = conversation(world, admin, BEN, (1, "open")).await;
    let path = format!(
        "/api/conversations/{}/erase",
        found["conversation_id"].as_str().unwrap()
    );
    let (status, begun) = call(world, Method::POST, &path, admin, None).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{begun}");
    let receipt = format!(
        "/api/conversations/erasures/{}",
        begun["erasure_id"].as_str().unwrap()
    );
    eventually("the contact to be erased", async || {
        let (_, found) = call(world, Method::GET, &receipt, admin, None).await;
        (found["status"] == "completed").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_made_anew_after_real_traffic_are_as_they_were() {
    let world = Installation::start().await;
    let agent = world.token(seed::ACME_AGENT).await;
    let admin = world.token(seed::ACME_ADMIN).await;
    traffic(&world, &agent, &admin).await;
    settled(&world).await;
    let before = shown(&world, &admin).await;
    assert_eq!(before.len(), 1, "{before:?}");

    let found = rebuild(&world, &["--dry-run"]);
    assert_eq!(
        (&found["differences"], &found["messages"]),
        (&json!(0), &json!(4)),
        "{found}"
    );
    world
        .db
        .execute("DELETE FROM conversation_messages WHERE tenant_id = 'acme_corp'");
    assert_ne!(shown(&world, &admin).await, before);
    assert_ne!(rebuild(&world, &[])["differences"], 0);
    assert_eq!(shown(&world, &admin).await, before);
    assert_eq!(rebuild(&world, &["--dry-run"])["differences"], 0);
}
