//! A worker that is killed in the middle: nothing is lost, nothing is sent twice.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use portal_test_harness::eventually;
use reqwest::StatusCode;
use serde_json::json;

use crate::{worker::Worker, world::World};

const MESSAGES: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_accepted_messages_survive_a_killed_worker_each_sent_once() {
    let mut world = World::prepare(&[
        ("DELIVERY__ENABLED", "false"),
        // A tenant alone may use half of them.
        ("DELIVERY__CONCURRENCY", "16"),
        ("META__TIMEOUT_MS", "60000"),
        ("DELIVERY__LEASE_SECONDS", "61"),
    ]);
    // This process accepts and hears Meta's webhooks; the one to be killed sends.
    world.run_service().await;
    let token = world.sisters.token("acme");
    // Meta takes each message at once and answers late, so that the worker dies with requests in
    // hand whose outcome it never learns.
    world
        .sandbox
        .change_graph(|graph| graph.hang = Duration::from_mins(1));
    let posts = (0..MESSAGES).map(async |n| {
        let body = json!({"to": format!("+1{n:04}999604"), "text": format!("{n}")});
        world.post(&token, &body).await.0
    });
    let answers: Vec<_> = stream::iter(posts).buffered(10).collect().await;
    assert!(answers.iter().all(|status| *status == StatusCode::ACCEPTED));
    assert_eq!(
        world
            .db
            .query("SELECT count(*) FROM messages WHERE status = 'accepted'"),
        ["200"]
    );

    world.set("DELIVERY__ENABLED", "true");
    world.set("HTTP__BIND", "127.0.0.1:0");
    let mut worker = Worker::start(&world);
    eventually("requests in hand", async || {
        (world.sandbox.journal().accepted_messages().len() == 8).then_some(())
    })
    .await;
    worker.kill();
    assert!(world.sandbox.journal().graph_messages().len() < MESSAGES);

    world
        .sandbox
        .change_graph(|graph| graph.hang = Duration::from_millis(1));
    let _worker = Worker::start(&world);
    eventually("every message to be read", async || {
        let read = world
            .db
            .query("SELECT count(*) FROM messages WHERE status = 'read'");
        (read == [MESSAGES.to_string()]).then_some(())
    })
    .await;
    let calls = world.sandbox.journal().graph_messages();
    assert_eq!(calls.len(), MESSAGES, "each message in exactly one request");
    let mut texts: Vec<_> = calls
        .iter()
        .map(|call| call.body["text"]["body"].as_str().unwrap().to_owned())
        .collect();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), MESSAGES);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_died_with_its_worker_is_never_sent_again() {
    let mut world = World::prepare(&[
        ("META__TIMEOUT_MS", "1000"),
        ("DELIVERY__LEASE_SECONDS", "2"),
        ("DELIVERY__UNKNOWN_HORIZON_SECONDS", "1"),
    ]);
    world.set("DELIVERY__ENABLED", "false");
    world.run_service().await;
    let token = world.sisters.token("acme");
    let id = world.send(&token, "+1234567890").await;
    // What a worker leaves that died between writing the attempt and making the request.
    world.db.execute(
        "UPDATE messages SET status = 'sending', attempts = 1, next_attempt_at = NULL, \
             lease_until = now() - interval '1 second'; \
         INSERT INTO message_attempts (attempt_id, tenant_id, message_id, number) \
             SELECT gen_random_uuid(), tenant_id, message_id, 1 FROM messages",
    );
    world.set("DELIVERY__ENABLED", "true");
    let _worker = Worker::start(&world);
    world.reaches(&token, &id, "unknown").await;
    let message = world.settles(&token, &id).await;
    assert_eq!(message["error"]["class"], "undetermined");
    assert_eq!(message["attempts"][0]["outcome"], "unknown");
    let calls = world.sandbox.journal().graph_messages();
    assert!(calls.iter().all(|call| call.to() != Some("+1234567890")));
}
