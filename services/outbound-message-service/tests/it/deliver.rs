//! From acceptance to the phone: one request, the right token, every outcome.

use portal_sandbox::{Outage, TokenState, magic_recipient, seed};
use portal_test_harness::eventually;
use serde_json::{Value, json};

use crate::{sisters::seal, world::World};

fn statuses(message: &Value) -> Vec<&str> {
    let history = message["history"].as_array().unwrap();
    history
        .iter()
        .map(|entry| entry["status"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_leaves_once_through_the_organizations_number_and_is_followed_to_read() {
    let world = World::start().await;
    let events = world.listen("message.#").await;
    let token = world.sisters.token("acme");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let response = world
        .http
        .post(format!("{}/api/messages/send", world.url))
        .bearer_auth(&token)
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
        .header("X-Request-ID", "request-7")
        .json(&json!({"to": "+1234567890", "text": "Test message"}))
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["x-request-id"], "request-7");
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let id = response.json::<Value>().await.unwrap()["message_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(location, format!("/api/messages/{id}"));

    let message = world.reaches(&token, &id, "read").await;
    assert_eq!(
        statuses(&message),
        ["accepted", "sent", "delivered", "read"]
    );
    assert_eq!(message["text"], "Test message");
    assert_eq!(message["trace_id"], trace);
    assert_eq!(message["attempts"].as_array().unwrap().len(), 1);

    let calls = world.sandbox.journal().graph_messages();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].phone_number_id, seed::ACME_PHONE_NUMBER_ID);
    assert_eq!(calls[0].token_name.as_deref(), Some(seed::ACME_TOKEN_NAME));
    assert_eq!(calls[0].wamid.as_deref(), message["wamid"].as_str());
    assert_eq!(calls[0].to(), Some("+1234567890"));
    // One trace from the request through the broker to Meta.
    assert_eq!(
        calls[0].traceparent.as_ref().unwrap().split('-').nth(1),
        Some(trace)
    );

    for expected in [
        "message.accepted",
        "message.sent",
        "message.delivered",
        "message.read",
    ] {
        let event = events.next().await;
        assert_eq!(event.routing_key, expected);
        let envelope = &event.envelope;
        assert_eq!(envelope["type"], format!("com.agentportal.{expected}.v1"));
        assert_eq!(envelope["source"], "/services/outbound-message-service");
        assert_eq!(envelope["subject"], id.as_str());
        assert_eq!(envelope["tenantid"], "acme");
        assert_eq!(envelope["data"]["message_id"], id.as_str());
        assert_eq!(
            envelope["traceparent"].as_str().unwrap().split('-').nth(1),
            Some(trace)
        );
        let properties = &event.properties;
        assert_eq!(properties.delivery_mode(), &Some(2));
        assert_eq!(
            properties.message_id().as_ref().unwrap().as_str(),
            envelope["id"].as_str().unwrap()
        );
        assert_eq!(
            properties.content_type().as_ref().unwrap().as_str(),
            "application/cloudevents+json"
        );
        assert_eq!(properties.kind().as_ref().unwrap().as_str(), expected);
        assert!(!envelope.to_string().contains(seed::ACME_TOKEN));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_messages_fail_with_metas_words() {
    let world = World::start().await;
    let events = world.listen("message.failed").await;
    let token = world.sisters.token("acme");
    for (magic, code, class, attempts) in [
        ("100", 100, "permanent", 1),
        ("026", 131_026, "permanent", 1),
        ("047", 131_047, "permanent", 1),
    ] {
        let id = world.send(&token, &magic_recipient(magic, 0)).await;
        let message = world.reaches(&token, &id, "failed").await;
        assert_eq!(message["error"]["code"], code, "{message}");
        assert_eq!(message["error"]["class"], class);
        assert_eq!(message["attempts"].as_array().unwrap().len(), attempts);
        let event = events.next().await;
        assert_eq!(event.envelope["data"]["message_id"], id.as_str());
        assert_eq!(event.envelope["data"]["error"]["code"], code);
        assert!(event.envelope["data"]["error"]["title"].is_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_meta_did_not_take_is_tried_again_and_what_it_may_have_taken_is_not() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    // Refused twice with 130429, then taken.
    let retried = world.send(&token, &magic_recipient("712", 0)).await;
    let message = world.reaches(&token, &retried, "read").await;
    let outcomes: Vec<_> = message["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["outcome"].as_str())
        .collect();
    assert_eq!(
        outcomes,
        [Some("not_accepted"), Some("not_accepted"), Some("accepted")]
    );

    // Taken, but the connection broke before the answer: the webhook tells.
    let lost = world.send(&token, &magic_recipient("601", 0)).await;
    let message = world.reaches(&token, &lost, "read").await;
    assert_eq!(message["attempts"].as_array().unwrap().len(), 1);
    let to = magic_recipient("601", 0);
    let calls = world.sandbox.journal().graph_messages();
    assert_eq!(
        calls
            .iter()
            .filter(|call| call.to() == Some(to.as_str()))
            .count(),
        1
    );
    assert!(message["wamid"].is_string());

    // 200 without an id: the webhook brings it.
    let nameless = world.send(&token, &magic_recipient("605", 0)).await;
    let message = world.reaches(&token, &nameless, "read").await;
    assert!(message["wamid"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_stays_unknown_fails_loudly_and_is_not_sent_again() {
    let world = World::start_with(&[("DELIVERY__UNKNOWN_HORIZON_SECONDS", "1")]).await;
    let token = world.sisters.token("acme");
    let to = magic_recipient("602", 0);
    let id = world.send(&token, &to).await;
    world.reaches(&token, &id, "unknown").await;
    let message = world.settles(&token, &id).await;
    assert_eq!(message["error"]["class"], "undetermined");
    assert_eq!(statuses(&message), ["accepted", "unknown", "failed"]);
    let calls = world.sandbox.journal().graph_messages();
    assert_eq!(
        calls
            .iter()
            .filter(|call| call.to() == Some(to.as_str()))
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_token_holds_the_number_and_a_new_one_resumes_it() {
    let world = World::start().await;
    let events = world.listen("tenant.whatsapp.token_invalid").await;
    let restored = world.listen("tenant.whatsapp.token_restored").await;
    let token = world.sisters.token("acme");
    world
        .sandbox
        .set_graph_token(seed::ACME_TOKEN_NAME, TokenState::Revoked);
    let first = world.send(&token, "+15550001").await;
    let invalid = events.next().await;
    assert_eq!(invalid.routing_key, "tenant.whatsapp.token_invalid");
    assert_eq!(invalid.envelope["data"]["waba_id"], seed::ACME_WABA_ID);
    assert_eq!(invalid.envelope["data"]["error_code"], 190);
    // While it is held, others wait without a call and without an attempt.
    let second = world.send(&token, "+15550002").await;
    let other_tenant = world
        .send(&world.sisters.token("globex"), "+15550003")
        .await;
    world
        .reaches(&world.sisters.token("globex"), &other_tenant, "read")
        .await;
    assert_eq!(world.get(&token, &second).await.1["attempts"], json!([]));

    world
        .sandbox
        .set_graph_token(seed::ACME_TOKEN_NAME, TokenState::Active);
    world
        .publish("tenant.whatsapp.configured", "acme", json!({}))
        .await;
    for id in [&first, &second] {
        world.reaches(&token, id, "read").await;
    }
    assert_eq!(restored.next().await.envelope["tenantid"], "acme");
    assert_eq!(world.db.query("SELECT count(*) FROM sending_holds"), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenants_messages_wait_for_its_resumption() {
    let mut world = World::prepare(&[("DELIVERY__ENABLED", "false")]);
    world.run_service().await;
    let token = world.sisters.token("acme");
    let id = world.send(&token, "+1234567890").await;
    world.stop_service();
    world.sisters.change("acme", |p| {
        p.status = portal_tenant_client::TenantStatus::Suspended;
    });
    world.set("DELIVERY__ENABLED", "true");
    world.run_service().await;
    eventually("the hold", async || {
        (world.db.query("SELECT reason FROM sending_holds") == ["tenant"]).then_some(())
    })
    .await;
    assert!(world.sandbox.journal().graph_messages().is_empty());
    world.sisters.change("acme", |p| {
        p.status = portal_tenant_client::TenantStatus::Active;
    });
    // Its queue may not be bound yet.
    eventually("the resumption", async || {
        world.publish("tenant.resumed", "acme", json!({})).await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        (world.get(&token, &id).await.1["status"] == "read").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_to_one_recipient_leave_in_order_also_over_failures() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    // Each message to this number is refused once with 130429.
    let to = magic_recipient("711", 0);
    let mut ids = Vec::new();
    for n in 0..5 {
        let (_, body) = world
            .post(&token, &json!({"to": to, "text": format!("{n}")}))
            .await;
        ids.push(body["message_id"].as_str().unwrap().to_owned());
    }
    for id in &ids {
        world.reaches(&token, id, "read").await;
    }
    let sent: Vec<_> = world
        .sandbox
        .journal()
        .accepted_messages()
        .iter()
        .map(|call| call.body["text"]["body"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(sent, ["0", "1", "2", "3", "4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_meta_is_waited_for() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    world.sandbox.set_graph_outage(Outage::Unavailable);
    let id = world.send(&token, "+1234567890").await;
    let waiting = world.reaches(&token, &id, "retry_wait").await;
    assert_eq!(waiting["attempts"][0]["outcome"], "not_accepted");
    world.sandbox.set_graph_outage(Outage::None);
    // The wait after a 5xx with an error object is a minute: a late webhook may still cancel it.
    world
        .db
        .execute("UPDATE messages SET next_attempt_at = now()");
    world.reaches(&token, &id, "read").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_is_used_for_the_next_message() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    let first = world.send(&token, "+1234567890").await;
    world.reaches(&token, &first, "read").await;
    let sealed = seal(&world.vault, "acme", seed::EXPIRED_TOKEN);
    world.sisters.change("acme", |profile| {
        profile.whatsapp.as_mut().unwrap().sealed_access_token = sealed;
    });
    let events = world.listen("tenant.whatsapp.token_invalid").await;
    world.publish("tenant.updated", "acme", json!({})).await;
    // The cache is dropped by the event: sooner or later the expired token is used.
    eventually("the new token to be used", async || {
        world.send(&token, "+1234567891").await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        events.poll().await
    })
    .await;
}
