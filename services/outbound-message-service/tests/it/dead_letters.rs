//! Dead letters: what is listed, what is shown of it, what deciding on it does.

use portal_sandbox::magic_recipient;
use portal_test_harness::{eventually, publish_event};
use portal_types::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::World;

const PATH: &str = "/api/messages/dead-letters";

async fn listed(world: &World, token: &str, query: &str) -> Vec<Value> {
    let path = format!("{PATH}{query}");
    let (status, answer) = world.call(Method::GET, token, &path, None).await;
    assert_eq!(status, StatusCode::OK, "{query}: {answer}");
    answer["dead_letters"].as_array().unwrap().clone()
}

async fn decide(
    world: &World,
    token: &str,
    id: &str,
    what: &str,
    body: Value,
) -> (StatusCode, Value) {
    let path = format!("{PATH}/{id}/{what}");
    world.call(Method::POST, token, &path, Some(&body)).await
}

async fn failed(world: &World, token: &str, magic: &str) -> String {
    let id = world.send(token, &magic_recipient(magic, 0)).await;
    world.reaches(token, &id, "failed").await;
    id
}

/// The recipient is a good one from now on.
fn heal(world: &World, id: &str) {
    world.db.execute(&format!(
        "UPDATE messages SET recipient = '+1234567890' WHERE message_id = '{id}'"
    ));
}

fn audited(world: &World) -> Vec<String> {
    world.db.query(
        "SELECT concat_ws(' ', tenant_id, actor_kind, action, target) FROM audit_log ORDER BY seq",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_message_is_listed_redacted_and_replayed_once_under_its_id() {
    let world = World::start().await;
    let admin = world.sisters.token_as(Role::Admin, "acme");
    let text = "canary-in-a-text";
    let to = magic_recipient("100", 0);
    let body = json!({"to": to, "text": text});
    let (_, accepted) = world.post(&admin, &body).await;
    let id = accepted["message_id"].as_str().unwrap().to_owned();
    world.reaches(&admin, &id, "failed").await;

    let letters = listed(&world, &admin, "").await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["dead_letter_id"], id);
    assert_eq!(letters[0]["source"], "message");
    assert_eq!(letters[0]["error"]["code"], 100);
    let path = format!("{PATH}/{id}");
    let (_, letter) = world.call(Method::GET, &admin, &path, None).await;
    assert_eq!(letter["content"]["text"]["body"], "<16 characters>");
    for secret in [text, to.trim_start_matches('+')] {
        assert!(!letter.to_string().contains(secret), "{letter}");
    }
    for (query, count) in [
        ("?code=100", 1),
        ("?code=99", 0),
        ("?class=nothing", 0),
        ("?source=queue", 0),
        ("?state=discarded", 0),
        ("?until=2020-01-01T00:00:00Z", 0),
    ] {
        assert_eq!(listed(&world, &admin, query).await.len(), count, "{query}");
    }

    heal(&world, &id);
    let (status, answer) = decide(&world, &admin, &id, "replay", json!({})).await;
    assert_eq!((status, &answer["done"]), (StatusCode::OK, &json!(true)));
    let message = world.reaches(&admin, &id, "read").await;
    let statuses: Vec<_> = message["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["status"].clone())
        .collect();
    assert_eq!(statuses[..4], ["accepted", "failed", "accepted", "sent"]);
    assert_eq!(message["possible_duplicate"], false);
    assert_eq!(message["error"], Value::Null);
    assert_eq!(listed(&world, &admin, "").await.len(), 0);
    // Again: the effect is there, and nothing happens.
    let (_, answer) = decide(&world, &admin, &id, "replay", json!({})).await;
    assert_eq!(
        (&answer["done"], &answer["status"]),
        (&json!(false), &json!("read"))
    );
    let calls = world.sandbox.journal().graph_messages();
    assert_eq!(
        calls
            .iter()
            .filter(|call| call.to() == Some("+1234567890"))
            .count(),
        1
    );
    assert_eq!(
        audited(&world),
        [format!("acme user dead_letter.replay {id}")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_fails_again_in_the_same_way_tells_of_both_times() {
    let world = World::start().await;
    let supervisor = world.sisters.token_as(Role::Supervisor, "acme");
    let id = failed(&world, &supervisor, "100").await;
    let path = format!("/api/messages/{id}/retry");
    let (status, answer) = world
        .call(Method::POST, &supervisor, &path, Some(&json!({})))
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    let message = eventually("the second failure", async || {
        let (_, message) = world.get(&supervisor, &id).await;
        (message["status"] == "failed" && message["attempts"].as_array()?.len() == 2)
            .then_some(message)
    })
    .await;
    let history = message["history"].as_array().unwrap();
    let failures = history.iter().filter(|event| event["status"] == "failed");
    assert_eq!(failures.count(), 2, "{message}");
    // Only a failed one can be sent again.
    let good = world.send(&supervisor, "+1234567890").await;
    world.reaches(&supervisor, &good, "read").await;
    let path = format!("/api/messages/{good}/retry");
    let (status, answer) = world
        .call(Method::POST, &supervisor, &path, Some(&json!({})))
        .await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (StatusCode::CONFLICT, &json!("MESSAGE_NOT_FAILED"))
    );
    let agent = world.sisters.token("acme");
    let (status, _) = world
        .call(Method::POST, &agent, &path, Some(&json!({"bad": 1})))
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(audited(&world), [format!("acme user message.retry {id}")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_arrived_is_sent_again_only_if_a_duplicate_is_accepted() {
    let world = World::start_with(&[
        ("DELIVERY__UNKNOWN_HORIZON_SECONDS", "1"),
        ("DELIVERY__HORIZON_NEEDS_WEBHOOKS", "false"),
    ])
    .await;
    let admin = world.sisters.token_as(Role::Admin, "acme");
    let id = failed(&world, &admin, "602").await;
    let retry = format!("/api/messages/{id}/retry");
    for answer in [
        decide(&world, &admin, &id, "replay", json!({})).await,
        world
            .call(Method::POST, &admin, &retry, Some(&json!({})))
            .await,
    ] {
        assert_eq!(answer.0, StatusCode::CONFLICT, "{answer:?}");
        assert_eq!(answer.1["error"]["code"], "MESSAGE_MAY_HAVE_ARRIVED");
    }
    let bulk = format!("{PATH}/replay");
    let (_, report) = world
        .call(Method::POST, &admin, &bulk, Some(&json!({})))
        .await;
    assert_eq!(
        (&report["replayed"], &report["may_have_arrived"]),
        (&json!(0), &json!(1))
    );
    heal(&world, &id);
    let consent = json!({"accept_duplicate": true});
    let (status, _) = decide(&world, &admin, &id, "replay", consent).await;
    assert_eq!(status, StatusCode::OK);
    let message = world.reaches(&admin, &id, "read").await;
    assert_eq!(message["possible_duplicate"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_replayed_in_parts_and_one_is_put_aside() {
    let world = World::start().await;
    let admin = world.sisters.token_as(Role::Admin, "acme");
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(failed(&world, &admin, "100").await);
    }
    let (_, answer) = decide(&world, &admin, &ids[0], "discard", json!({})).await;
    assert_eq!(answer["done"], true);
    let (_, answer) = decide(&world, &admin, &ids[0], "discard", json!({})).await;
    assert_eq!(answer["done"], false);
    assert_eq!(
        listed(&world, &admin, "?state=discarded").await[0]["dead_letter_id"],
        ids[0]
    );
    for id in &ids {
        heal(&world, id);
    }
    let bulk = async |body: Value| {
        let path = format!("{PATH}/replay");
        world.call(Method::POST, &admin, &path, Some(&body)).await.1
    };
    let counted = bulk(json!({"code": 100, "dry_run": true})).await;
    assert_eq!(
        (&counted["matched"], &counted["replayed"]),
        (&json!(3), &json!(0))
    );
    let first = bulk(json!({"code": 100, "limit": 2})).await;
    assert_eq!(
        (&first["replayed"], &first["remaining"]),
        (&json!(2), &json!(1))
    );
    let rest = bulk(json!({"code": 100, "limit": 2, "cursor": first["next_cursor"]})).await;
    assert_eq!(
        (&rest["replayed"], &rest["next_cursor"]),
        (&json!(1), &Value::Null)
    );
    for id in &ids[1..] {
        world.reaches(&admin, id, "read").await;
    }
    assert_eq!(world.get(&admin, &ids[0]).await.1["status"], "failed");
    let bad = bulk(json!({"limit": 1001, "cursor": "x"})).await;
    assert_eq!(
        bad["error"]["details"].as_array().unwrap().len(),
        2,
        "{bad}"
    );
    assert_eq!(audited(&world).len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_nobody_can_read_is_kept_for_its_tenant_and_shown_without_its_content() {
    let world = World::start().await;
    let admin = world.sisters.token_as(Role::Admin, "acme");
    let kind = "tenant.resumed";
    let poison = json!({"tenantid": "acme", "data": {"note": "canary-in-a-letter"}});
    let letter = eventually("the letter", async || {
        // Lost as long as nobody listens; the same once more is the same letter.
        publish_event(&world.isolation, kind, &poison).await;
        listed(&world, &admin, "?source=queue").await.pop()
    })
    .await;
    assert_eq!(letter["queue"], "outbound-message-service.tenants");
    let id = letter["dead_letter_id"].as_str().unwrap();
    let (_, shown) = world
        .call(Method::GET, &admin, &format!("{PATH}/{id}"), None)
        .await;
    assert_eq!(shown["content"]["data"]["note"], "<18 characters>");
    assert!(!shown.to_string().contains("canary"), "{shown}");
    let other = world.sisters.token_as(Role::Admin, "globex");
    assert_eq!(listed(&world, &other, "").await.len(), 0);

    // One that names no tenant of ours is the operator's.
    let lost = json!({"tenantid": "nobody", "data": {}});
    publish_event(&world.isolation, kind, &lost).await;
    eventually("the letter without a tenant", async || {
        let sql = "SELECT count(*) FROM dead_letters WHERE tenant_id IS NULL";
        (world.db.query(sql) == ["1"]).then_some(())
    })
    .await;

    // Given back it is refused again: a new letter, while the old one is settled.
    let (_, answer) = decide(&world, &admin, id, "replay", json!({})).await;
    assert_eq!(answer["done"], true);
    let again = eventually("the new letter", async || {
        listed(&world, &admin, "?source=queue").await.pop()
    })
    .await;
    assert_ne!(again["dead_letter_id"], letter["dead_letter_id"]);
    let (_, answer) = decide(&world, &admin, id, "replay", json!({})).await;
    assert_eq!(
        (&answer["done"], &answer["status"]),
        (&json!(false), &json!("replayed"))
    );
    let again = again["dead_letter_id"].as_str().unwrap();
    decide(&world, &admin, again, "discard", json!({})).await;
    assert_eq!(listed(&world, &admin, "").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_for_administrators_of_their_own_tenant() {
    let world = World::start().await;
    let acme = world.sisters.token("acme");
    let id = failed(&world, &acme, "100").await;
    let foreign = world.sisters.token_as(Role::Admin, "globex");
    let supervisor = world.sisters.token_as(Role::Supervisor, "acme");
    let (_, key) = world
        .sisters
        .api_key("acme", &["messages:read", "messages:send"]);
    let good = json!({});
    let unknown = Uuid::now_v7().to_string();
    for (method, path) in [
        (Method::GET, format!("{PATH}/{id}")),
        (Method::POST, format!("{PATH}/{id}/replay")),
        (Method::POST, format!("{PATH}/{id}/discard")),
        (Method::POST, format!("/api/messages/{id}/retry")),
    ] {
        let body = Some(&good).filter(|_| method == Method::POST);
        let told = world.call(method.clone(), &foreign, &path, body).await;
        assert_eq!(told.0, StatusCode::NOT_FOUND, "{path}");
        let nobodys = path.replace(&id, &unknown);
        let same = world.call(method.clone(), &foreign, &nobodys, body).await;
        assert_eq!(same.1["error"]["code"], told.1["error"]["code"]);
        let (status, _) = world.call(method.clone(), &key, &path, body).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
        if path.starts_with(PATH) {
            let (status, _) = world.call(method, &supervisor, &path, body).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        }
    }
    assert_eq!(listed(&world, &foreign, "").await.len(), 0);
    assert_eq!(world.get(&acme, &id).await.1["status"], "failed");
}
