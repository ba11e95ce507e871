//! Meta's door: signatures, storage, evidence in any order.

use portal_sandbox::{magic_recipient, seed};
use portal_test_harness::eventually;
use reqwest::StatusCode;
use serde_json::Value;

use crate::{
    meta::{post, sign, status, status_post},
    world::World,
};

fn history(message: &Value) -> Vec<(&str, &str)> {
    let history = message["history"].as_array().unwrap();
    history
        .iter()
        .map(|e| (e["status"].as_str().unwrap(), e["source"].as_str().unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_signed_posts_are_taken() {
    let world = World::start().await;
    let body = status_post(seed::ACME_PHONE_NUMBER_ID, &[status("wamid.x", "sent")]);
    let good = sign(seed::APP_SECRET, &body);
    for bad in [
        None,
        Some("sha256=00"),
        Some(&*sign("other", &body)),
        Some(&*good.replace("sha256=", "")),
    ] {
        assert_eq!(
            post(&world, &body, bad).await,
            StatusCode::UNAUTHORIZED,
            "{bad:?}"
        );
    }
    assert_eq!(
        post(&world, &format!("{body} "), Some(&good)).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(world.db.query("SELECT count(*) FROM webhook_intake"), ["0"]);
    assert_eq!(post(&world, &body, Some(&good)).await, StatusCode::OK);
    // Meta repeats: the same bytes are stored once.
    assert_eq!(post(&world, &body, Some(&good)).await, StatusCode::OK);
    assert_eq!(world.db.query("SELECT count(*) FROM webhook_intake"), ["1"]);
    let large = "x".repeat(3 * 1024 * 1024 + 1);
    assert_eq!(
        post(&world, &large, Some(&sign(seed::APP_SECRET, &large))).await,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_not_acknowledged() {
    let world = World::start().await;
    let let_in = |grant: &str| {
        world.db.execute(&format!(
            "DO $$ BEGIN EXECUTE format('{grant} outbound_message_service', current_database()); END $$"
        ));
    };
    let body = status_post(seed::ACME_PHONE_NUMBER_ID, &[status("wamid.x", "sent")]);
    let signature = sign(seed::APP_SECRET, &body);
    let_in("REVOKE CONNECT ON DATABASE %I FROM PUBLIC,");
    world.db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND usename = 'outbound_message_service'",
    );
    let refused = post(&world, &body, Some(&signature)).await;
    assert_eq!(refused, StatusCode::SERVICE_UNAVAILABLE);
    let_in("GRANT CONNECT ON DATABASE %I TO");
    eventually("Meta's next try to be taken", async || {
        (post(&world, &body, Some(&signature)).await == StatusCode::OK).then_some(())
    })
    .await;
    assert_eq!(world.db.query("SELECT count(*) FROM webhook_intake"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_challenge_is_answered_to_who_knows_the_token() {
    let world = World::start().await;
    let ask = async |query: &str| {
        let url = format!("{}/webhooks/whatsapp?{query}", world.url);
        let response = world.http.get(url).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    };
    let right = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=verify-me";
    assert_eq!(ask(right).await, (StatusCode::OK, "1158201444".to_owned()));
    for wrong in [
        "hub.mode=subscribe&hub.challenge=1&hub.verify_token=other",
        "hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=verify-me",
        "hub.mode=subscribe&hub.verify_token=verify-me",
        "",
    ] {
        assert_eq!(ask(wrong).await.0, StatusCode::FORBIDDEN, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_in_any_order_and_number_lead_to_the_same_end() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    for (magic, expected) in [
        ("802", "read"), // each twice
        ("803", "read"), // read, delivered, sent
        ("804", "read"), // sent before Meta's own answer
        ("808", "read"), // delivered is skipped
        ("809", "read"), // all in one post
        ("810", "read"), // a forged failure first
        ("807", "delivered"),
        ("805", "failed"),
    ] {
        let id = world.send(&token, &magic_recipient(magic, 0)).await;
        world.reaches(&token, &id, expected).await;
        eventually("all webhooks", async || {
            (world.sandbox.webhooks_under_way() == 0).then_some(())
        })
        .await;
        eventually("all applied", async || {
            let pending = "SELECT count(*) FROM webhook_intake WHERE state = 'pending'";
            (world.db.query(pending) == ["0"]).then_some(())
        })
        .await;
        let (_, message) = world.get(&token, &id).await;
        assert_eq!(message["status"], expected, "{magic}: {message}");
        let end = history(&message).last().unwrap().0.to_owned();
        assert_eq!(end, expected, "{magic}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_from_another_number_or_of_nobodys_message_changes_nothing() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    // Sent only: `delivered` must come from us, under the wrong number.
    let id = world.send(&token, &magic_recipient("806", 0)).await;
    let message = world.reaches(&token, &id, "sent").await;
    eventually("Meta's own webhook", async || {
        (world
            .db
            .query("SELECT count(*) FROM webhook_intake WHERE state = 'applied'")
            == ["1"])
        .then_some(())
    })
    .await;
    let wamid = message["wamid"].as_str().unwrap();
    let note = world.sandbox.journal().graph_messages()[0].body["biz_opaque_callback_data"].clone();
    let mut foreign = status(wamid, "delivered");
    foreign["biz_opaque_callback_data"] = note;
    let posts = [
        status_post(seed::GLOBEX_PHONE_NUMBER_ID, &[foreign]),
        status_post(seed::GLOBEX_PHONE_NUMBER_ID, &[status(wamid, "delivered")]),
        status_post(
            seed::ACME_PHONE_NUMBER_ID,
            &[status("wamid.unknown", "delivered")],
        ),
        "{\"object\": 5}".to_owned(),
    ];
    for body in &posts {
        assert_eq!(
            post(&world, body, Some(&sign(seed::APP_SECRET, body))).await,
            StatusCode::OK
        );
    }
    let expected = ["applied", "applied", "applied", "applied", "unreadable"];
    eventually("all to be looked at", async || {
        let states = "SELECT state FROM webhook_intake ORDER BY received_at";
        (world.db.query(states) == expected).then_some(())
    })
    .await;
    // What is nobody's waits by itself, and its posts are not applied again and again.
    let waiting =
        "SELECT state || ' ' || wamid FROM unmatched_statuses ORDER BY wamid COLLATE \"C\"";
    let mut unmatched = [
        format!("pending {wamid}"),
        "pending wamid.unknown".to_owned(),
    ];
    unmatched.sort();
    let mut found = world.db.query(waiting);
    found.sort();
    assert_eq!(found, unmatched);
    let (_, after) = world.get(&token, &id).await;
    assert_eq!(after["status"], "sent");

    // The same report under the right number, found by its wamid alone.
    let own = status_post(seed::ACME_PHONE_NUMBER_ID, &[status(wamid, "delivered")]);
    assert_eq!(
        post(&world, &own, Some(&sign(seed::APP_SECRET, &own))).await,
        StatusCode::OK
    );
    world.reaches(&token, &id, "delivered").await;
}
