//! F20: webhooks that come too early, too often, in any order, or from nobody.

use portal_sandbox::seed;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    generator::Load,
    stage::{Setup, Stage},
};

#[tokio::test(flavor = "multi_thread")]
async fn f20_in_any_order_and_number_the_state_is_the_truth() {
    let mut stage = Stage::start(Setup::default()).await;
    stage.load(Load {
        conversations: 6,
        // Twice each, backwards, before the answer, delivered skipped, all in one, forged first.
        endings: &["999802", "999803", "999804", "999808", "999809", "999810"],
        ..Load::default()
    });
    let evidence = stage.judge().await;
    let unread: Vec<_> = evidence
        .rows
        .iter()
        .filter(|row| row.status != "read")
        .collect();
    assert!(unread.is_empty(), "{unread:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f20_a_forged_post_and_one_about_strangers_change_nothing() {
    let mut stage = Stage::start(Setup::default()).await;
    stage.load(Load::default());
    stage.accepted(10).await;
    let (number, other) = (
        stage.tenants[0].phone_number_id.clone(),
        stage.tenants[1].phone_number_id.clone(),
    );
    let wamid = eventually_taken(&stage, &number).await;
    let failed = |number: &str, wamid: &str| {
        json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{
            "field": "messages", "value": {
                "messaging_product": "whatsapp",
                "metadata": {"display_phone_number": "1", "phone_number_id": number},
                "statuses": [{"id": wamid, "status": "failed", "timestamp": "1700000000",
                    "recipient_id": "1", "errors": [{"code": 131_026, "title": "x"}]}],
            },
        }]}]})
    };
    let forged = post(&stage, &failed(&number, &wamid), "another secret").await;
    assert_eq!(forged, StatusCode::UNAUTHORIZED);
    for body in [failed(&other, &wamid), failed(&number, "wamid.nobody")] {
        assert_eq!(post(&stage, &body, seed::APP_SECRET).await, StatusCode::OK);
    }
    let evidence = stage.judge().await;
    assert!(evidence.rows.iter().all(|row| row.status == "read"));
}

async fn eventually_taken(stage: &Stage, number: &str) -> String {
    portal_test_harness::eventually("a message of the number", async || {
        let taken = stage.world.sandbox.journal().accepted_messages();
        taken
            .into_iter()
            .find(|call| call.phone_number_id == number)?
            .wamid
    })
    .await
}

async fn post(stage: &Stage, body: &Value, secret: &str) -> StatusCode {
    let body = body.to_string();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hex::encode(aws_lc_rs::hmac::sign(&key, body.as_bytes()));
    let request = stage
        .world
        .http
        .post(format!("{}/webhooks/whatsapp", stage.world.url))
        .header("X-Hub-Signature-256", format!("sha256={signature}"))
        .header("Content-Type", "application/json");
    request.body(body).send().await.unwrap().status()
}
