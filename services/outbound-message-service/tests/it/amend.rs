//! What is not sent can be taken back, put off and sent again.

use portal_auth::AccessSubject;
use portal_sandbox::magic_recipient;
use portal_types::{Role, SessionId, TenantId, UserId};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::world::{World, answer};

/// A signed-in supervisor's token.
pub(crate) fn supervisor(world: &World, tenant: &str) -> String {
    let subject = AccessSubject {
        user_id: UserId::generate(),
        tenant_id: TenantId::parse(tenant).unwrap(),
        role: Role::Supervisor,
        session_id: SessionId::generate(),
    };
    let issued = world.sisters.issuer.issue_access(&subject).unwrap();
    issued.token.expose_secret().to_owned()
}

pub(crate) async fn call(
    world: &World,
    token: &str,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> (StatusCode, Value) {
    let url = format!("{}/api/messages/{path}", world.url);
    let mut request = world.http.request(method, url).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    answer(request).await
}

/// A message that is scheduled for tomorrow.
async fn scheduled(world: &World, token: &str, to: &str) -> String {
    let id = world.send(token, to).await;
    world.db.execute(&format!(
        "UPDATE messages SET status = 'scheduled', send_at = now() + interval '1 day', \
             next_attempt_at = now() + interval '1 day', expires_at = now() + interval '25 hours' \
         WHERE message_id = '{id}'"
    ));
    id
}

/// A world that accepts and does not send yet.
async fn accepting() -> World {
    let mut world = World::prepare(&[("DELIVERY__ENABLED", "false")]);
    world.run_service().await;
    world
}

async fn begin_to_send(world: &mut World) {
    world.set("DELIVERY__ENABLED", "true");
    world.run_service().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_back_is_never_sent() {
    let mut world = accepting().await;
    let events = world.listen("message.canceled").await;
    let token = world.sisters.token("acme");
    let waiting = world.send(&token, "+1234567890").await;
    let later = scheduled(&world, &token, "+1234567890").await;
    let kept = world.send(&token, "+1234567890").await;
    for (id, method, suffix) in [
        (&waiting, Method::DELETE, ""),
        (&later, Method::POST, "/cancel"),
        // Repeating it changes nothing.
        (&waiting, Method::POST, "/cancel"),
    ] {
        let (status, body) = call(&world, &token, method, &format!("{id}{suffix}"), None).await;
        assert_eq!(
            (status, &body["status"]),
            (StatusCode::OK, &json!("canceled")),
            "{body}"
        );
        assert_eq!(world.get(&token, id).await.1["status"], "canceled");
    }
    for id in [&waiting, &later] {
        let event = events.next().await;
        assert_eq!(event.envelope["data"]["message_id"], id.as_str());
        assert_eq!(event.envelope["data"]["canceled_by"]["kind"], "user");
    }
    assert_eq!(
        world
            .db
            .query("SELECT count(*) FROM audit_log WHERE action = 'message.cancel'"),
        ["2"]
    );
    begin_to_send(&mut world).await;
    world.reaches(&token, &kept, "read").await;
    assert_eq!(world.sandbox.journal().graph_messages().len(), 1);
    let (status, body) = call(&world, &token, Method::DELETE, &kept, None).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(body["error"]["code"], "MESSAGE_NOT_CANCELABLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_message_is_changed_and_leaves_in_its_time_behind_those_before() {
    let mut world = accepting().await;
    let token = world.sisters.token("acme");
    let first = scheduled(&world, &token, "+1234567890").await;
    let second = world.send(&token, "+1234567890").await;
    let tomorrow = chrono::Utc::now() + chrono::Duration::days(2);
    let (status, body) = call(
        &world,
        &token,
        Method::PATCH,
        &first,
        Some(json!({"text": "New words", "send_at": tomorrow})),
    )
    .await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(
        world.db.query(&format!(
            "SELECT expires_at - send_at FROM messages WHERE message_id = '{first}'"
        )),
        ["01:00:00"],
        "the time to live runs from the new time"
    );
    begin_to_send(&mut world).await;
    world.reaches(&token, &second, "read").await;
    assert_eq!(world.get(&token, &first).await.1["status"], "scheduled");
    world.db.execute(&format!(
        "UPDATE messages SET next_attempt_at = now() WHERE message_id = '{first}'"
    ));
    let message = world.reaches(&token, &first, "read").await;
    assert_eq!(message["text"], "New words");
    let (status, body) = call(
        &world,
        &token,
        Method::PATCH,
        &first,
        Some(json!({"text": "Too late"})),
    )
    .await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(body["error"]["code"], "MESSAGE_NOT_SCHEDULED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_names_every_field_that_cannot_be_used() {
    let world = accepting().await;
    let token = world.sisters.token("acme");
    let id = scheduled(&world, &token, "+1234567890").await;
    for (body, fields) in [
        (json!({}), vec!["send_at"]),
        (
            json!({"send_at": "2020-01-01T00:00:00Z", "text": " "}),
            vec!["send_at", "text"],
        ),
        (json!({"text": {"body": "of which type?"}}), vec!["text"]),
        (json!({"image": {"id": "1"}}), vec!["image"]),
        (json!({"type": "image"}), vec!["image"]),
        (json!({"type": "hologram", "hologram": {}}), vec!["type"]),
        (
            json!({"type": "text", "text": {"body": ""}, "image": {}}),
            vec!["image", "text.body"],
        ),
    ] {
        let (status, answer) = call(&world, &token, Method::PATCH, &id, Some(body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(crate::accept::fields(&answer), fields);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_due_outside_the_window_fails_unless_meta_decides() {
    let mut world = accepting().await;
    world.db.execute(
        "INSERT INTO contact_windows (tenant_id, phone_number_id, contact, last_inbound_at, expires_at) \
         SELECT t, p, '+1234567890', now() - interval '25 hours', now() - interval '1 hour' \
         FROM (VALUES ('acme', '200000000000001'), ('globex', '200000000000002')) AS v (t, p); \
         INSERT INTO sending_policies (tenant_id, window_policy) VALUES ('globex', 'meta_decides')",
    );
    let (acme, globex) = (world.sisters.token("acme"), world.sisters.token("globex"));
    // Accepted while the windows were open.
    world
        .db
        .execute("UPDATE contact_windows SET expires_at = now() + interval '1 hour'");
    let refused = scheduled(&world, &acme, "+1234567890").await;
    let sent = scheduled(&world, &globex, "+1234567890").await;
    world.db.execute(
        "UPDATE contact_windows SET expires_at = now() - interval '1 hour'; \
         UPDATE messages SET next_attempt_at = now() WHERE status = 'scheduled'",
    );
    begin_to_send(&mut world).await;
    let message = world.reaches(&acme, &refused, "failed").await;
    assert_eq!(message["error"]["class"], "window_closed");
    world.reaches(&globex, &sent, "read").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_message_is_sent_again_by_a_supervisor() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    let lead = supervisor(&world, "acme");
    let id = world.send(&token, &magic_recipient("100", 0)).await;
    world.reaches(&token, &id, "failed").await;
    let path = format!("{id}/retry");
    let refused = call(&world, &token, Method::POST, &path, Some(json!({}))).await;
    assert_eq!(refused.0, StatusCode::FORBIDDEN);
    let (status, body) = call(&world, &lead, Method::POST, &path, Some(json!({}))).await;
    assert_eq!(
        (status, &body["status"]),
        (StatusCode::ACCEPTED, &json!("accepted"))
    );
    portal_test_harness::eventually("the second attempt", async || {
        let (_, message) = world.get(&token, &id).await;
        let attempts = message["attempts"].as_array().unwrap().len();
        (message["status"] == "failed" && attempts == 2).then_some(())
    })
    .await;

    // It may have arrived: only who takes that into the bargain sends it again.
    world.db.execute(&format!(
        "UPDATE messages SET error = '{{\"class\": \"undetermined\"}}' WHERE message_id = '{id}'"
    ));
    let (status, body) = call(&world, &lead, Method::POST, &path, Some(json!({}))).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(body["error"]["code"], "MESSAGE_MAY_HAVE_ARRIVED");
    let accept = Some(json!({"accept_duplicate": true}));
    let (status, _) = call(&world, &lead, Method::POST, &path, accept).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_eq!(world.get(&token, &id).await.1["possible_duplicate"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_message_cannot_be_changed() {
    let world = accepting().await;
    let id = scheduled(&world, &world.sisters.token("acme"), "+1234567890").await;
    let globex = supervisor(&world, "globex");
    for (method, suffix, body) in [
        (Method::DELETE, "", None),
        (Method::POST, "/cancel", None),
        (Method::PATCH, "", Some(json!({"text": "Mine"}))),
        (Method::POST, "/retry", Some(json!({}))),
    ] {
        let (status, body) = call(&world, &globex, method, &format!("{id}{suffix}"), body).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
        assert_eq!(body["error"]["code"], "MESSAGE_NOT_FOUND");
    }
    assert_eq!(world.db.query("SELECT status FROM messages"), ["scheduled"]);
}
