//! Accepting many, trying without sending, refusing when too much waits.

use portal_test_harness::{ServiceRole, eventually};
use reqwest::{StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use crate::world::World;

pub(crate) async fn call(
    world: &World,
    token: &str,
    path: &str,
    key: Option<&str>,
    body: &Value,
) -> (StatusCode, HeaderMap, Value) {
    let mut request = world
        .http
        .post(format!("{}/api/messages{path}", world.url))
        .bearer_auth(token)
        .json(body);
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    (status, headers, answer.json().await.unwrap())
}

pub(crate) fn text(to: &str) -> Value {
    json!({"to": to, "type": "text", "text": {"body": "Hello"}})
}

fn count(world: &World, table: &str) -> String {
    world.db.query(&format!("SELECT count(*) FROM {table}"))[0].clone()
}

/// A number that was watched for long enough to know every window.
pub(crate) fn watch(world: &World) {
    world.db.execute(&format!(
        "INSERT INTO sending_numbers (tenant_id, phone_number_id, tracked_since) \
         VALUES ('acme', '{}', now() - interval '2 days') \
         ON CONFLICT (tenant_id, phone_number_id) DO UPDATE SET tracked_since = excluded.tracked_since",
        portal_sandbox::seed::ACME_PHONE_NUMBER_ID
    ));
}

pub(crate) fn open_window(world: &World, contact: &str, until: &str) {
    world.db.execute(&format!(
        "INSERT INTO contact_windows (tenant_id, phone_number_id, contact, last_inbound_at, expires_at) \
         VALUES ('acme', '{}', '{contact}', now(), {until})",
        portal_sandbox::seed::ACME_PHONE_NUMBER_ID
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_a_bulk_request_has_a_verdict_and_the_good_ones_are_sent() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    let mut keyed = text("+1234567001");
    keyed["idempotency_key"] = json!("row-1");
    let body = json!({"messages": [
        text("+1234567000"), keyed.clone(), {"to": "12", "type": "text", "text": {"body": ""}}, keyed,
    ]});
    let (status, _, answer) = call(&world, &token, "/bulk", None, &body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    let statuses: Vec<_> = (0..4)
        .map(|n| answer["results"][n]["status"].as_str().unwrap())
        .collect();
    assert_eq!(
        statuses,
        ["accepted", "accepted", "rejected", "replayed"],
        "{answer}"
    );
    assert_eq!(
        answer["results"][1]["message_id"],
        answer["results"][3]["message_id"]
    );
    assert_eq!(answer["results"][2]["error"]["code"], "VALIDATION_FAILED");
    assert_eq!(answer["results"][2]["error"]["details"][0]["field"], "to");
    assert_eq!(
        (&answer["accepted"], &answer["rejected"]),
        (&json!(2), &json!(1))
    );
    let first = answer["results"][0]["message_id"].as_str().unwrap();
    world.reaches(&token, first, "read").await;
    assert_eq!(
        world.db.query("SELECT DISTINCT send_class FROM messages"),
        ["bulk"]
    );

    let none = json!({"messages": []});
    let (status, _, answer) = call(&world, &token, "/bulk", None, &none).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(answer["error"]["details"][0]["field"], "messages");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_request_with_a_key_is_carried_out_once() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    let body = json!({"messages": [text("+1234567000"), text("+1234567001")]});
    let (status, headers, first) = call(&world, &token, "/bulk", Some("all"), &body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{first}");
    assert!(headers.get("Idempotent-Replayed").is_none());
    let (status, headers, again) = call(&world, &token, "/bulk", Some("all"), &body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{again}");
    assert_eq!(headers["Idempotent-Replayed"], "true");
    assert_eq!(
        again["results"][1]["message_id"],
        first["results"][1]["message_id"]
    );
    let other =
        json!({"messages": [text("+1234567000"), text("+1234567001"), text("+1234567002")]});
    let (status, _, answer) = call(&world, &token, "/bulk", Some("all"), &other).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
    assert_eq!(answer["error"]["code"], "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(count(&world, "messages"), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_would_come_of_a_message_and_stores_nothing() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    watch(&world);
    open_window(&world, "+1234567000", "now() + interval '3 hours'");
    let (status, _, answer) = call(
        &world,
        &token,
        "?dry_run=true",
        None,
        &text("+1 234 567000"),
    )
    .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["ok"], true, "{answer}");
    assert_eq!(
        answer["recipient"],
        json!({"to": "+1234567000", "form": "phone"})
    );
    assert_eq!(answer["window"]["state"], "open");
    assert_eq!(answer["token_status"], "valid");
    assert_eq!(answer["expected_wait_seconds"], 0.0);

    let (status, _, answer) =
        call(&world, &token, "?dry_run=true", None, &text("+1234567001")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["ok"], false);
    assert_eq!(answer["window"]["state"], "closed");
    assert_eq!(answer["errors"][0]["code"], "WINDOW_CLOSED");

    let bad = json!({"to": "12", "text": ""});
    let (status, _, answer) = call(&world, &token, "/send?dry_run=true", None, &bad).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["errors"][0]["code"], "VALIDATION_FAILED", "{answer}");
    let many = json!({"messages": [{"to": "12"}, text("+1234567000")], "dry_run": true});
    let (status, _, answer) = call(&world, &token, "/bulk", None, &many).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["results"][0]["status"], "rejected", "{answer}");
    assert_eq!(answer["results"][1]["preview"]["ok"], true, "{answer}");

    let (status, _, _) = call(
        &world,
        &token,
        "?dry_run=perhaps",
        None,
        &text("+1234567000"),
    )
    .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    for table in ["messages", "outbox_events", "idempotency_keys"] {
        assert_eq!(count(&world, table), "0", "{table}");
    }
    assert!(world.sandbox.journal().graph_messages().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_free_form_message_outside_its_window_is_refused_unless_meta_is_to_decide() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    let send = async |to: &str| {
        let (status, _, answer) = call(&world, &token, "", None, &text(to)).await;
        (status, answer)
    };
    // Not watched long enough to know: Meta decides.
    assert_eq!(send("+1234567000").await.0, StatusCode::ACCEPTED);
    watch(&world);
    let (status, answer) = send("+1234567000").await;
    assert_eq!(status, StatusCode::CONFLICT, "{answer}");
    assert_eq!(answer["error"]["code"], "WINDOW_CLOSED");
    assert_eq!(answer["error"]["details"]["window_expired_at"], Value::Null);
    assert!(
        answer["error"]["details"]["usable_templates"].is_array(),
        "{answer}"
    );
    open_window(&world, "+1234567001", "now() - interval '2 minutes'");
    assert_eq!(
        send("+1234567001").await.0,
        StatusCode::ACCEPTED,
        "clocks differ"
    );
    open_window(&world, "+1234567002", "now() - interval '1 hour'");
    let (status, answer) = send("+1234567002").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(
        answer["error"]["details"]["window_expired_at"].is_string(),
        "{answer}"
    );
    // Another tenant's number with the same contact is not concerned.
    let globex = world.sisters.token("globex");
    let (status, _, _) = call(&world, &globex, "", None, &text("+1234567002")).await;
    assert_eq!(status, StatusCode::ACCEPTED);

    world.db.execute(
        "INSERT INTO sending_policies (tenant_id, window_policy) VALUES ('acme', 'meta_decides')",
    );
    assert_eq!(send("+1234567000").await.0, StatusCode::ACCEPTED);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_is_refused_when_too_much_waits_of_a_tenant_or_of_all() {
    let world = World::start_with(&[
        ("DELIVERY__ENABLED", "false"),
        ("ACCEPTANCE__TENANT_BACKLOG", "2"),
        ("ACCEPTANCE__TOTAL_BACKLOG", "3"),
    ])
    .await;
    let (acme, globex) = (world.sisters.token("acme"), world.sisters.token("globex"));
    let send = async |token: &str| call(&world, token, "", None, &text("+1234567000")).await;
    for _ in 0..2 {
        assert_eq!(send(&acme).await.0, StatusCode::ACCEPTED);
    }
    let (status, headers, answer) = send(&acme).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer["error"]["code"], "TENANT_BACKLOG_FULL");
    assert!(headers.contains_key("retry-after"));
    // A count that was under way may have counted a message twice, until the next one.
    eventually("the other tenant's message to be taken", async || {
        (send(&globex).await.0 == StatusCode::ACCEPTED).then_some(())
    })
    .await;
    let (status, headers, answer) = send(&globex).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    assert_eq!(answer["error"]["code"], "BACKLOG_FULL");
    assert!(headers.contains_key("retry-after"));
    assert_eq!(count(&world, "messages"), "3");
}

#[test]
fn the_role_that_accepts_adds_messages_and_reads_none() {
    let db = portal_test_harness::TestDb::new();
    let as_acceptor = |sql: &str| db.query_as(ServiceRole::Outbound, None, sql);
    for (privilege, table, allowed) in [
        ("INSERT", "messages", "true"),
        ("SELECT", "messages", "false"),
        ("UPDATE", "messages", "false"),
        ("INSERT", "outbox_events", "true"),
        ("SELECT", "outbox_events", "false"),
        ("UPDATE", "idempotency_keys", "false"),
    ] {
        let sql = format!(
            "SELECT has_table_privilege('message_acceptor', '{table}', '{privilege}')::text"
        );
        assert_eq!(as_acceptor(&sql).unwrap(), [allowed], "{privilege} {table}");
    }
}
