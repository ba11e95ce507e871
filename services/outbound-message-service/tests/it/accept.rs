//! `POST /api/messages/send`: what is accepted, what is refused, and that nothing is half done.

use portal_tenant_client::TenantStatus;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::World;

fn rows(world: &World) -> Vec<String> {
    [
        "messages",
        "message_status_events",
        "idempotency_keys",
        "outbox_events",
    ]
    .into_iter()
    .flat_map(|table| world.db.query(&format!("SELECT count(*) FROM {table}")))
    .collect()
}

pub(crate) fn fields(body: &Value) -> Vec<&str> {
    let details = body["error"]["details"].as_array().unwrap();
    details
        .iter()
        .map(|detail| detail["field"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_message_is_answered_as_the_contract_says() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    let body = json!({"to": "+1 (234) 567-890", "text": "Test message"});
    let (status, answer) = world.post(&token, &body).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(answer["success"], true);
    assert_eq!(answer["status"], "accepted");
    assert_eq!(answer["to"], "+1234567890");
    assert_eq!(answer["from"], "+1 555-010-0001");
    assert_eq!(answer["tenant_id"], "acme");
    let conversation = answer["conversation_id"].as_str().unwrap();

    // A bare wa_id is the same contact, and the conversation may be given.
    let again = json!({"to": "1234567890", "text": "x", "conversation_id": conversation});
    let (status, second) = world.post(&token, &again).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{second}");
    assert_eq!(second["conversation_id"], conversation);
    assert_ne!(second["message_id"], answer["message_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_field_by_field_and_nothing_is_written() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    let too_long = "x".repeat(4097);
    let cases = [
        (json!({"to": "12", "text": ""}), vec!["to", "text"]),
        (json!({"to": "+1234567890", "text": too_long}), vec!["text"]),
        (
            json!({"to": "+1234567890", "text": "a\u{0}b"}),
            vec!["text"],
        ),
        (
            json!({"to": "+1234567890", "text": "x", "reply_to": "a b"}),
            vec!["reply_to"],
        ),
        (
            json!({"to": "+1234567890", "text": "x", "colour": "red"}),
            vec!["colour"],
        ),
        (json!({"to": "+1234567890"}), vec!["text"]),
        (json!({"to": 5, "text": "x"}), vec!["to"]),
        (
            json!({"to": "+1234567890", "text": "x", "conversation_id": uuid::Uuid::now_v7()}),
            vec!["conversation_id"],
        ),
    ];
    for (body, expected) in cases {
        let (status, answer) = world.post(&token, &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert_eq!(answer["error"]["code"], "VALIDATION_FAILED", "{answer}");
        assert_eq!(fields(&answer), expected, "{answer}");
        assert!(answer["requestId"].is_string());
    }
    let send = format!("{}/api/messages/send", world.url);
    let raw = |content_type: &str, body: String| {
        let request = world.http.post(&send).bearer_auth(&token).body(body);
        request.header("content-type", content_type).send()
    };
    let broken = raw("application/json", "{".to_owned()).await.unwrap();
    assert_eq!(broken.status(), StatusCode::BAD_REQUEST);
    let form = raw("application/x-www-form-urlencoded", "to=1".to_owned())
        .await
        .unwrap();
    assert_eq!(form.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let huge = json!({"to": "+1234567890", "text": "x".repeat(300_000)}).to_string();
    let huge = raw("application/json", huge).await.unwrap();
    assert_eq!(huge.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let huge: Value = huge.json().await.unwrap();
    assert_eq!(huge["error"]["code"], "BODY_TOO_LARGE");
    assert_eq!(rows(&world), ["0"; 4]);
    assert!(world.sandbox.journal().graph_messages().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_cannot_send_is_told_why() {
    let world = World::start().await;
    let body = json!({"to": "+1234567890", "text": "x"});

    let (status, answer) = world.post(&world.sisters.token("initech"), &body).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (StatusCode::FORBIDDEN, &json!("TENANT_NOT_ACTIVE"))
    );

    world
        .sisters
        .change("acme", |profile| profile.status = TenantStatus::Suspended);
    let (status, answer) = world.post(&world.sisters.token("acme"), &body).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (StatusCode::FORBIDDEN, &json!("TENANT_SUSPENDED"))
    );

    world
        .sisters
        .change("globex", |profile| profile.whatsapp = None);
    let (status, answer) = world.post(&world.sisters.token("globex"), &body).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(answer["error"]["code"], "WHATSAPP_NOT_CONFIGURED");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("WhatsApp not configured for your organization"),
        "{message}"
    );
    assert_eq!(rows(&world), ["0"; 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_stands_for_one_message_with_any_number_of_callers() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    let send = async |key: &str, text: &str| {
        let request = world
            .http
            .post(format!("{}/api/messages/send", world.url))
            .bearer_auth(&token)
            .header("Idempotency-Key", key)
            .json(&json!({"to": "+1234567890", "text": text}));
        let response = request.send().await.unwrap();
        let replayed = response.headers().get("Idempotent-Replayed").is_some();
        let status = response.status();
        (status, replayed, response.json::<Value>().await.unwrap())
    };
    let answers = futures_util::future::join_all((0..20).map(|_| send("key-1", "x"))).await;
    let first = answers.iter().filter(|(_, replayed, _)| !replayed).count();
    assert_eq!(first, 1);
    for (status, _, body) in &answers {
        assert_eq!(*status, StatusCode::ACCEPTED, "{body}");
        assert_eq!(body, &answers[0].2);
    }
    let (status, _, body) = send("key-1", "another text").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(body["error"]["code"], "IDEMPOTENCY_KEY_REUSED");
    let (status, _, body) = send(&"k".repeat(256), "x").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(fields(&body), ["Idempotency-Key"]);
    assert_eq!(world.db.query("SELECT count(*) FROM messages"), ["1"]);

    // Another tenant's key of the same name is another key.
    let request = world
        .http
        .post(format!("{}/api/messages/send", world.url))
        .bearer_auth(world.sisters.token("globex"))
        .header("Idempotency-Key", "key-1")
        .json(&json!({"to": "+1234567890", "text": "x"}));
    let foreign = request.send().await.unwrap();
    assert_eq!(foreign.status(), StatusCode::ACCEPTED);
    assert!(foreign.headers().get("Idempotent-Replayed").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_accepted_and_sent_while_the_broker_is_away_and_told_of_when_it_is_back() {
    let mut world = World::prepare(&[("RABBITMQ__URL", "amqp://127.0.0.1:1/%2f")]);
    world.launch_service();
    world.wait_until_broker_is("down").await;
    let token = world.sisters.token("acme");
    let id = world.send(&token, "+1234567890").await;
    world.reaches(&token, &id, "read").await;
    world.stop_service();

    let told = "SELECT count(*) > 0 FROM outbox_events WHERE published_at IS NOT NULL \
         AND routing_key = 'message.read'";
    assert_eq!(world.db.query(told), ["false"]);
    world.set("RABBITMQ__URL", &portal_test_harness::amqp_url());
    world.run_service().await;
    portal_test_harness::eventually("the events to leave", async || {
        (world.db.query(told) == ["true"]).then_some(())
    })
    .await;
}
