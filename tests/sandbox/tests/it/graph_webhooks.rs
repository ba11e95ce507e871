//! Status webhooks: payload, signature, repetition.

use std::net::TcpListener;

use portal_sandbox::{Kind, PayloadVersion, seed};
use serde_json::json;

use crate::support::{Receiver, client, eventually, quiet, send, start};

#[tokio::test]
async fn a_message_is_sent_delivered_and_read() {
    let sandbox = start();
    let receiver = Receiver::of(&sandbox);
    let wamid = send(&sandbox, "+1234567890").await;
    let hooks = receiver.wait_for(3).await;
    let mut seen: Vec<String> = Vec::new();
    for hook in &hooks {
        assert!(hook.genuine, "signed over the raw bytes");
        assert_eq!(hook.body["object"], "whatsapp_business_account");
        assert_eq!(hook.body["entry"][0]["id"], seed::ACME_WABA_ID);
        assert_eq!(hook.body["entry"][0]["changes"][0]["field"], "messages");
        let value = hook.value();
        assert_eq!(
            value["metadata"],
            json!({
                "display_phone_number": "15550100001",
                "phone_number_id": seed::ACME_PHONE_NUMBER_ID,
            })
        );
        assert_eq!(value["contacts"][0]["wa_id"], "1234567890");
        let status = &value["statuses"][0];
        assert_eq!(status["id"], wamid.as_str());
        assert_eq!(status["recipient_id"], "1234567890");
        assert_eq!(status["recipient_user_id"], value["contacts"][0]["user_id"]);
        assert_eq!(status["biz_opaque_callback_data"], "our-id-1");
        assert!(status["timestamp"].is_string());
        assert!(status.get("conversation").is_none());
        let name = status["status"].as_str().unwrap();
        assert_eq!(status.get("pricing").is_some(), name != "read");
        seen.push(name.to_owned());
    }
    seen.sort();
    assert_eq!(seen, ["delivered", "read", "sent"]);

    let journal = sandbox.journal().webhooks();
    assert_eq!(journal.len(), 3);
    assert!(
        journal
            .iter()
            .all(|entry| entry.wamid.as_deref() == Some(wamid.as_str()))
    );
    receiver.stop().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn older_payloads_carry_the_conversation() {
    let sandbox = start();
    sandbox.change_webhook(|webhook| webhook.payload = PayloadVersion::V23);
    let receiver = Receiver::of(&sandbox);
    send(&sandbox, "+1234567890").await;
    let hooks = receiver.wait_for(3).await;
    let sent = hooks
        .iter()
        .find(|hook| hook.statuses() == ["sent"])
        .unwrap();
    let status = &sent.value()["statuses"][0];
    assert!(status["conversation"]["expiration_timestamp"].is_string());
    assert_eq!(status["conversation"]["origin"]["type"], "service");
    receiver.stop().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn anything_but_200_is_tried_again() {
    let sandbox = start();
    let receiver = Receiver::of(&sandbox);
    receiver.refuse_next(&[500, 403, 204, 202, 302]);
    send(&sandbox, "+1234567890").await;
    receiver.wait_for(3).await;
    quiet(&sandbox).await;
    let tries = sandbox.journal().webhooks();
    assert_eq!(tries.len(), 8);
    let mut refused: Vec<u16> = tries
        .iter()
        .filter_map(|entry| entry.status)
        .filter(|status| *status != 200)
        .collect();
    refused.sort_unstable();
    assert_eq!(refused, [202, 204, 302, 403, 500]);
    receiver.stop().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn a_receiver_that_was_down_gets_everything_when_it_is_back() {
    let sandbox = start();
    // A loopback address of this test's own, so that nobody else takes the port meanwhile.
    let [a, b] = rand::random::<[u8; 2]>();
    let free = TcpListener::bind(format!("127.77.{a}.{b}:0")).unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    sandbox.set_webhook_url(Some(format!("http://{address}/hook").parse().unwrap()));
    send(&sandbox, "+1234567890").await;
    eventually("some refused tries", || {
        let tries = sandbox.journal().webhooks();
        let refused = |entry: &&std::sync::Arc<portal_sandbox::Entry>| entry.hung_up;
        (tries.iter().filter(refused).count() >= 6).then_some(())
    })
    .await;

    let receiver = Receiver::listen(address, seed::APP_SECRET);
    assert_eq!(receiver.wait_for(3).await.len(), 3);
    quiet(&sandbox).await;
    assert_eq!(receiver.hooks().len(), 3);
    receiver.stop().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn a_webhook_is_given_up_in_the_end() {
    let sandbox = start();
    let receiver = Receiver::of(&sandbox);
    sandbox.change_webhook(|webhook| webhook.retry.truncate(2));
    receiver.refuse_next(&[500; 9]);
    send(&sandbox, "+1234567890").await;
    quiet(&sandbox).await;
    assert_eq!(sandbox.journal().of_kind(Kind::Webhook).len(), 9);
    assert!(receiver.hooks().is_empty());
    receiver.stop().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn a_new_app_secret_signs_from_the_next_try_on() {
    let sandbox = start();
    let receiver = Receiver::listen("127.0.0.1:0", "the new secret");
    sandbox.set_webhook_url(Some(receiver.url.clone()));
    send(&sandbox, "+1234567890").await;
    assert!(receiver.wait_for(3).await.iter().all(|hook| !hook.genuine));
    sandbox.change_webhook(|webhook| webhook.app_secret = "the new secret".to_owned());
    send(&sandbox, "+1234567890").await;
    let hooks = receiver.wait_for(6).await;
    assert!(hooks.iter().skip(3).all(|hook| hook.genuine));
    receiver.stop().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn the_receiver_can_be_verified_first() {
    let sandbox = start();
    let receiver = Receiver::listen("127.0.0.1:0", seed::APP_SECRET);
    let put = |token: &str| {
        let body = json!({"url": receiver.url, "verify_token": token});
        client()
            .put(format!("{}/control/webhook", sandbox.base_url()))
            .json(&body)
            .send()
    };
    assert_eq!(put("wrong").await.unwrap().status(), 400);
    send(&sandbox, "+1234567890").await;
    assert!(
        sandbox.journal().webhooks().is_empty(),
        "the bad url was not taken"
    );
    assert_eq!(put("the verify token").await.unwrap().status(), 200);
    send(&sandbox, "+1234567890").await;
    receiver.wait_for(3).await;
    receiver.stop().await;
    sandbox.stop().await;
}
