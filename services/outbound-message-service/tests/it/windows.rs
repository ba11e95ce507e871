//! The customer service window at every door: what is refused outside it, what is offered instead,
//! what is let through.

use portal_test_harness::publish_command;
use portal_types::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    accepting::{call, open_window, text, watch},
    commands::command,
    templates::world_with_templates,
    world::World,
};

const INSIDE: &str = "+1234567000";
const OUTSIDE: &str = "+1234567001";

/// A world that knows one contact's window to be open and all others' to be closed, and the account's
/// templates.
async fn watched() -> World {
    let world = world_with_templates().await;
    watch(&world);
    open_window(&world, INSIDE, "now() + interval '3 hours'");
    open_window(&world, OUTSIDE, "now() - interval '1 hour'");
    world
}

/// The doors that take free-form messages, with a body for each.
fn free_form(to: &str) -> [(&'static str, Value); 4] {
    [
        ("", text(to)),
        ("/send", json!({"to": to, "text": "Hello"})),
        (
            "",
            json!({"to": to, "type": "location", "location": {"latitude": 1.0, "longitude": 2.0}}),
        ),
        (
            "",
            json!({"to": to, "type": "text", "raw": true, "text": {"body": "of a type that is known"}}),
        ),
    ]
}

fn hologram(to: &str) -> Value {
    json!({"to": to, "type": "hologram", "raw": true, "hologram": {"beam": 7}})
}

fn template(to: &str) -> Value {
    json!({"to": to, "template_name": "hello_world", "language": "en_US"})
}

async fn choose(world: &World, policy: &Value) {
    let admin = world.sisters.token_as(Role::Admin, "acme");
    let (status, answer) = world
        .call(Method::PUT, &admin, "/api/messages/policy", Some(policy))
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

/// The names of the templates that are offered with a refusal.
fn offered(error: &Value) -> Vec<(&str, bool)> {
    let offered = error["details"]["usable_templates"].as_array().unwrap();
    let offer = |item: &'_ Value| item["needs_parameters"].as_bool().unwrap();
    let name = |item: &'_ Value| item["name"].as_str().map(str::to_owned).unwrap();
    offered
        .iter()
        .map(|item| {
            assert!(item["language"].is_string() && item["category"].is_string());
            assert!(!name(item).is_empty());
            (item["name"].as_str().unwrap(), offer(item))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_door_refuses_outside_the_window_and_offers_the_templates_that_can_be_sent() {
    let world = watched().await;
    let token = world.sisters.token("acme");
    choose(&world, &json!({"allow_raw": true})).await;
    for (path, body) in free_form(OUTSIDE) {
        let (status, _, answer) = call(&world, &token, path, None, &body).await;
        assert_eq!(status, StatusCode::CONFLICT, "{path}: {answer}");
        let error = &answer["error"];
        assert_eq!(error["code"], "WINDOW_CLOSED");
        assert!(error["details"]["window_expired_at"].is_string(), "{error}");
        let offered = offered(error);
        let names: Vec<_> = offered.iter().map(|(name, _)| *name).collect();
        assert!(
            names.contains(&"hello_world") && names.contains(&"order_update"),
            "{error}"
        );
        assert!(!names.contains(&"paused_promo"), "cannot be sent: {error}");
        let needs: Vec<_> = offered.iter().map(|(_, needs)| *needs).collect();
        assert!(needs.is_sorted(), "the easy ones first: {error}");
        // The dry run says the same, and stores as little.
        let dry = format!("{path}?dry_run=true");
        let (status, _, answer) = call(&world, &token, &dry, None, &body).await;
        assert_eq!(
            (status, &answer["ok"]),
            (StatusCode::OK, &json!(false)),
            "{answer}"
        );
        assert_eq!(answer["window"]["state"], "closed");
        assert_eq!(answer["errors"], json!([error]));
    }
    let refusals = world.listen("message.rejected").await;
    let sent = command(uuid::Uuid::now_v7(), "acme", &text(OUTSIDE));
    publish_command(&world.isolation, "message.send", &sent).await;
    let refusal = refusals.next().await.envelope;
    assert_eq!(
        refusal["data"]["errors"][0]["code"], "WINDOW_CLOSED",
        "{refusal}"
    );
    assert_eq!(world.db.query("SELECT count(*) FROM messages"), ["0"]);

    // Inside the window they go; so does a template outside of it, and a type of which nobody knows.
    for (path, body) in free_form(INSIDE) {
        let (status, _, answer) = call(&world, &token, path, None, &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{path}: {answer}");
    }
    for (path, body) in [
        ("/send/template", template(OUTSIDE)),
        ("", hologram(OUTSIDE)),
    ] {
        let dry = format!("{path}?dry_run=true");
        let (_, _, answer) = call(&world, &token, &dry, None, &body).await;
        assert_eq!(
            (
                &answer["ok"],
                &answer["window"]["state"],
                &answer["warnings"]
            ),
            (&json!(true), &json!("closed"), &json!([])),
            "{answer}"
        );
        let (status, _, answer) = call(&world, &token, path, None, &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_rows_have_their_own_windows() {
    let world = watched().await;
    let token = world.sisters.token("acme");
    let mut rows = json!({"messages": [
        text(OUTSIDE), text(INSIDE), text("+1234567002"),
        {"to": OUTSIDE, "type": "template",
         "template": {"name": "hello_world", "language": {"code": "en_US"}}},
    ]});
    rows["dry_run"] = json!(true);
    let (_, _, answer) = call(&world, &token, "/bulk", None, &rows).await;
    let oks: Vec<_> = (0..4)
        .map(|n| answer["results"][n]["preview"]["ok"].clone())
        .collect();
    assert_eq!(oks, [false, true, false, true], "{answer}");
    assert_eq!(
        answer["results"][0]["preview"]["errors"][0]["code"],
        "WINDOW_CLOSED"
    );
    rows["dry_run"] = json!(false);
    let (status, _, answer) = call(&world, &token, "/bulk", None, &rows).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    let statuses: Vec<_> = (0..4)
        .map(|n| answer["results"][n]["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["rejected", "accepted", "rejected", "accepted"]);
    for (row, ever) in [(0, true), (2, false)] {
        let error = &answer["results"][row]["error"];
        assert_eq!(error["code"], "WINDOW_CLOSED", "{answer}");
        assert!(
            offered(error)
                .iter()
                .any(|(name, _)| *name == "hello_world")
        );
        assert_eq!(error["details"]["window_expired_at"].is_string(), ever);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_meta_is_to_decide_it_is_sent_and_the_dry_run_warns() {
    let world = watched().await;
    let token = world.sisters.token("acme");
    choose(
        &world,
        &json!({"window_policy": "meta_decides", "allow_raw": true}),
    )
    .await;
    for (path, body) in free_form(OUTSIDE) {
        let dry = format!("{path}?dry_run=true");
        let (_, _, answer) = call(&world, &token, &dry, None, &body).await;
        assert_eq!(answer["ok"], true, "{answer}");
        let warning = answer["warnings"][0].as_str().unwrap();
        assert!(warning.contains("window is closed"), "{warning}");
        let (status, _, answer) = call(&world, &token, path, None, &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{path}: {answer}");
    }
    let rows = json!({"messages": [text(OUTSIDE)]});
    let (_, _, answer) = call(&world, &token, "/bulk", None, &rows).await;
    assert_eq!(answer["results"][0]["status"], "accepted", "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_scheduled_is_judged_when_it_is_due_by_the_same_rule() {
    let world = watched().await;
    let token = world.sisters.token("acme");
    choose(&world, &json!({"allow_raw": true})).await;
    let at = chrono::Utc::now() + chrono::Duration::hours(6);
    let later = async |path: &str, mut body: Value| {
        body["send_at"] = json!(at);
        let dry = format!("{path}?dry_run=true");
        let (_, _, dry) = call(&world, &token, &dry, None, &body).await;
        let (status, _, answer) = call(&world, &token, path, None, &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        (answer["message_id"].as_str().unwrap().to_owned(), dry)
    };
    let mut bound = Vec::new();
    // The window is open now, and will not be then.
    for (path, body) in free_form(INSIDE).into_iter().chain(free_form(OUTSIDE)) {
        let (id, dry) = later(path, body).await;
        assert_eq!(dry["ok"], true, "{dry}");
        let warning = dry["warnings"][0].as_str().unwrap();
        assert!(warning.contains("when the message is due"), "{warning}");
        bound.push(id);
    }
    let mut free = Vec::new();
    for (path, body) in [
        ("/send/template", template(OUTSIDE)),
        ("", hologram(OUTSIDE)),
    ] {
        let (id, dry) = later(path, body).await;
        assert_eq!(
            (&dry["ok"], &dry["warnings"]),
            (&json!(true), &json!([])),
            "{dry}"
        );
        free.push(id);
    }
    world.db.execute(
        "UPDATE contact_windows SET expires_at = now() - interval '1 hour'; \
         UPDATE messages SET next_attempt_at = now() WHERE status = 'scheduled'",
    );
    for id in &bound {
        let message = world.reaches(&token, id, "failed").await;
        assert_eq!(message["error"]["class"], "window_closed", "{message}");
        assert_eq!(message["attempts"], json!([]), "Meta was not asked");
    }
    world.reaches(&token, &free[0], "read").await;
    // Meta knows no such type, and says so itself.
    let message = world.reaches(&token, &free[1], "failed").await;
    assert!(message["error"]["code"].is_number(), "{message}");
}
