//! Many messages at once: each once, in order, in fair turns, and held back together.

use std::collections::BTreeMap;

use portal_sandbox::{magic_recipient, seed};
use portal_test_harness::eventually;
use serde_json::json;

use crate::{amend::supervisor, world::World};

/// Waits until the sandbox took so many messages.
async fn taken(world: &World, count: usize) {
    eventually("the messages to be taken", async || {
        (world.sandbox.journal().accepted_messages().len() >= count).then_some(())
    })
    .await;
}

/// What each recipient got, in order of arrival.
fn texts_by_recipient(world: &World) -> BTreeMap<String, Vec<String>> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for call in world.sandbox.journal().accepted_messages() {
        let text = call.body["text"]["body"].as_str().unwrap().to_owned();
        texts
            .entry(call.to().unwrap().to_owned())
            .or_default()
            .push(text);
    }
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_send_each_message_once_and_each_lane_in_order() {
    const RECIPIENTS: usize = 20;
    const EACH: usize = 6;
    let mut world = World::prepare(&[
        ("DELIVERY__ENABLED", "false"),
        // So long that a busy machine makes no outcome unknown.
        ("META__TIMEOUT_MS", "30000"),
        ("DELIVERY__LEASE_SECONDS", "31"),
    ]);
    world.run_service().await;
    let token = world.sisters.token("acme");
    for n in 0..EACH {
        for recipient in 0..RECIPIENTS {
            let body = json!({"to": format!("+1555{recipient:04}"), "text": format!("{n}")});
            world.post(&token, &body).await;
        }
    }
    world.set("DELIVERY__ENABLED", "true");
    world.run_service().await;
    world.run_service().await;
    taken(&world, RECIPIENTS * EACH).await;
    eventually("all to be recorded", async || {
        let open = world.db.query(
            "SELECT count(*) FROM messages WHERE status IN ('accepted', 'sending', 'retry_wait', 'unknown')",
        );
        (open == ["0"]).then_some(())
    })
    .await;
    let in_order: Vec<_> = (0..EACH).map(|n| n.to_string()).collect();
    let texts = texts_by_recipient(&world);
    assert_eq!(texts.len(), RECIPIENTS);
    for got in texts.values() {
        assert_eq!(*got, in_order);
    }
    let calls = world.sandbox.journal().graph_messages().len();
    assert_eq!(calls, RECIPIENTS * EACH, "each in exactly one request");
    assert_eq!(
        world.db.query("SELECT DISTINCT attempts FROM messages"),
        ["1"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_one_tenant_does_not_keep_another_waiting() {
    const FLOOD: usize = 200;
    let mut world = World::prepare(&[("DELIVERY__ENABLED", "false")]);
    world.run_service().await;
    let (acme, globex) = (world.sisters.token("acme"), world.sisters.token("globex"));
    for n in 0..FLOOD {
        world.send(&acme, &format!("+1555{n:04}")).await;
    }
    for n in 0..3 {
        world.send(&globex, &format!("+4930{n:05}")).await;
    }
    world.set("DELIVERY__ENABLED", "true");
    world.run_service().await;
    taken(&world, FLOOD + 3).await;
    let calls = world.sandbox.journal().accepted_messages();
    let last_of_globex = calls
        .iter()
        .rposition(|call| call.phone_number_id == seed::GLOBEX_PHONE_NUMBER_ID)
        .unwrap();
    assert!(
        last_of_globex < FLOOD / 2,
        "the last of three came at {last_of_globex}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_leave_before_bulk() {
    let mut world = World::prepare(&[("DELIVERY__ENABLED", "false")]);
    world.run_service().await;
    let token = world.sisters.token("acme");
    for n in 0..60 {
        world.send(&token, &format!("+1555{n:04}")).await;
    }
    world.db.execute("UPDATE messages SET send_class = 'bulk'");
    let reply = world.send(&token, "+15559999").await;
    world.set("DELIVERY__ENABLED", "true");
    world.run_service().await;
    world.reaches(&token, &reply, "read").await;
    taken(&world, 61).await;
    let calls = world.sandbox.journal().accepted_messages();
    let at = calls.iter().position(|call| call.to() == Some("+15559999"));
    assert!(at.unwrap() < 20, "the reply came at {at:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_account_holds_its_number_until_meta_takes_a_message_again() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    let blocked = world.send(&token, &magic_recipient("368", 0)).await;
    let holds = eventually("the hold", async || {
        let url = format!("{}/api/messages/holds", world.url);
        let request = world.http.get(url).bearer_auth(supervisor(&world, "acme"));
        let body: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
        (body["holds"].as_array()?.len() == 1).then_some(body)
    })
    .await;
    assert_eq!(holds["holds"][0]["reason"], "account");
    assert_eq!(holds["holds"][0]["error_code"], 368);
    let (_, message) = world.get(&token, &blocked).await;
    assert_eq!(message["hold"]["reason"], "account");
    // Others wait without a call and without an attempt; agents do not see why.
    let second = world.send(&token, "+15550002").await;
    let url = format!("{}/api/messages/holds", world.url);
    let refused = world
        .http
        .get(url)
        .bearer_auth(&token)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 403);
    assert_eq!(world.get(&token, &second).await.1["attempts"], json!([]));

    // What was refused for its recipient is taken back, and the next message probes.
    world.db.execute(&format!(
        "UPDATE messages SET status = 'canceled', next_attempt_at = NULL WHERE message_id = '{blocked}'; \
         UPDATE sending_holds SET next_probe_at = now()"
    ));
    world.reaches(&token, &second, "read").await;
    assert_eq!(world.db.query("SELECT count(*) FROM sending_holds"), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_complaining_fails_the_message_and_rests_the_number() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    let id = world.send(&token, &magic_recipient("048", 0)).await;
    let message = world.reaches(&token, &id, "failed").await;
    assert_eq!(message["error"]["code"], 131_048);
    assert_eq!(
        world.db.query("SELECT reason FROM sending_holds"),
        ["quality"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_tenant_takes_a_server_error_for_an_unknown_outcome() {
    let world = World::start().await;
    world.db.execute(
        "INSERT INTO sending_policies (tenant_id, treat_5xx_as_unknown) VALUES ('acme', true)",
    );
    let (acme, globex) = (world.sisters.token("acme"), world.sisters.token("globex"));
    let strict = world.send(&acme, &magic_recipient("016", 0)).await;
    let lenient = world.send(&globex, &magic_recipient("016", 1)).await;
    let message = world.reaches(&acme, &strict, "unknown").await;
    assert_eq!(message["attempts"][0]["outcome"], "unknown");
    world.reaches(&globex, &lenient, "retry_wait").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_too_long_fails_and_its_lane_goes_on() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    let to = magic_recipient("016", 0);
    let first = world.send(&token, &to).await;
    world.reaches(&token, &first, "retry_wait").await;
    let second = world.send(&token, &to).await;
    world.db.execute(&format!(
        "UPDATE messages SET expires_at = now() WHERE message_id = '{first}'"
    ));
    let message = world.reaches(&token, &first, "failed").await;
    assert_eq!(message["error"]["class"], "expired");
    world.reaches(&token, &second, "retry_wait").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn meta_is_asked_what_a_number_may_send() {
    let world = World::start().await;
    let events = world.listen("tenant.whatsapp.quality_changed").await;
    // Its queue may not be bound yet.
    let event = eventually("the event", async || {
        world
            .publish("tenant.whatsapp.configured", "acme", json!({}))
            .await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        events.poll().await
    })
    .await;
    assert_eq!(event.envelope["tenantid"], "acme");
    assert_eq!(
        event.envelope["data"]["phone_number_id"],
        seed::ACME_PHONE_NUMBER_ID
    );
    assert_eq!(event.envelope["data"]["limit"], "TIER_2K");
    assert_eq!(
        world.db.query(
            "SELECT tracked_since IS NULL AND checked_at IS NOT NULL FROM sending_numbers WHERE tenant_id = 'acme'"
        ),
        ["true"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_waits_as_long_as_no_webhook_of_its_number_arrives() {
    let world = World::start_with(&[("DELIVERY__UNKNOWN_HORIZON_SECONDS", "1")]).await;
    let token = world.sisters.token("acme");
    let id = world.send(&token, &magic_recipient("602", 0)).await;
    world.reaches(&token, &id, "unknown").await;
    world.db.execute(
        "UPDATE messages SET unknown_since = now() - interval '1 hour' WHERE status = 'unknown'",
    );
    // Another tenant's number is no evidence, and the sweeper has been here since.
    let globex = world.sisters.token("globex");
    let other = world.send(&globex, "+1234567890").await;
    world.reaches(&globex, &other, "read").await;
    let expired = world.send(&globex, &magic_recipient("016", 0)).await;
    world.reaches(&globex, &expired, "retry_wait").await;
    world.db.execute(&format!(
        "UPDATE messages SET expires_at = now() WHERE message_id = '{expired}'"
    ));
    world.reaches(&globex, &expired, "failed").await;
    assert_eq!(world.get(&token, &id).await.1["status"], "unknown");
    world.settles(&token, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_least_once_sends_again_after_the_horizon_and_says_so() {
    let world = World::start_with(&[("DELIVERY__UNKNOWN_HORIZON_SECONDS", "1")]).await;
    world.db.execute(
        "INSERT INTO sending_policies (tenant_id, unknown_policy) VALUES ('acme', 'at_least_once')",
    );
    let token = world.sisters.token("acme");
    let to = magic_recipient("602", 0);
    let id = world.send(&token, &to).await;
    world.reaches(&token, &id, "unknown").await;
    eventually("the second attempt", async || {
        world.send(&token, "+15551234567").await;
        let (_, message) = world.get(&token, &id).await;
        let attempts = message["attempts"].as_array().unwrap().len();
        (attempts > 1 && message["possible_duplicate"] == true).then_some(())
    })
    .await;
}
