//! Incoming messages, management webhooks, and the 24-hour window.

use portal_sandbox::{Inbound, InboundMedia, Sandbox, TemplateChange, seed};
use serde_json::{Value, json};

use crate::support::{
    Hook, Receiver, client, expect_json, post_message, send, start, text_message,
};

async fn control(sandbox: &Sandbox, path: &str, body: &Value) -> Value {
    let url = format!("{}/control/{path}", sandbox.base_url());
    let call = client().post(url).json(body).send().await.unwrap();
    expect_json(call, 200).await
}

async fn next(receiver: &Receiver, count: usize) -> Hook {
    receiver.wait_for(count).await.remove(count - 1)
}

#[tokio::test]
async fn a_person_sends_every_type() {
    let sandbox = start();
    let receiver = Receiver::of(&sandbox);
    let types = [
        ("text", "text"),
        ("location", "location"),
        ("contacts", "contacts"),
        ("reaction", "reaction"),
        ("interactive", "interactive"),
        ("button", "button"),
        ("order", "order"),
        ("system", "system"),
        ("edit", "edit"),
        ("revoke", "revoke"),
        ("unsupported", "errors"),
        ("image", "image"),
        ("video", "video"),
        ("audio", "audio"),
        ("document", "document"),
        ("sticker", "sticker"),
    ];
    for (count, (kind, member)) in types.into_iter().enumerate() {
        let answer = control(&sandbox, "inbound", &json!({"type": kind})).await;
        let hook = next(&receiver, count + 1).await;
        assert!(hook.genuine);
        let message = &hook.value()["messages"][0];
        assert_eq!(
            (&message["type"], &message["id"]),
            (&json!(kind), &answer["id"])
        );
        assert!(message.get(member).is_some(), "{message}");
        assert_eq!(hook.value().get("contacts").is_none(), kind == "system");
        assert_eq!(
            message[member].get("sha256").is_some(),
            answer["media_id"].is_string()
        );
    }
    receiver.stop().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn what_a_message_holds_can_be_told() {
    let sandbox = start();
    let receiver = Receiver::of(&sandbox);
    let order = json!({
        "from": null,
        "user_id": "US.77",
        "profile_name": "Ada",
        "username": "ada",
        "type": "interactive",
        "content": {"type": "list_reply", "button_reply": null, "list_reply": {"id": "r", "title": "R"}},
        "timestamp": 1_760_000_000,
        "id": "wamid.given",
        "context": {"from": "15550100001", "id": "wamid.ours"},
        "referral": {"source_id": "ad"},
        "message": {"group_id": "g"},
        "value": {"standby": true},
        "copies": 2,
    });
    control(&sandbox, "inbound", &order).await;
    let hooks = receiver.wait_for(2).await;
    assert_eq!(hooks[0].body, hooks[1].body);
    let value = hooks[0].value();
    assert_eq!(value["standby"], true);
    assert_eq!(
        value["contacts"],
        json!([{"profile": {"name": "Ada", "username": "ada"}, "user_id": "US.77"}])
    );
    let expected = json!({
        "from_user_id": "US.77",
        "id": "wamid.given",
        "timestamp": "1760000000",
        "type": "interactive",
        "interactive": {"type": "list_reply", "list_reply": {"id": "r", "title": "R"}},
        "context": {"from": "15550100001", "id": "wamid.ours"},
        "referral": {"source_id": "ad"},
        "group_id": "g",
    });
    assert_eq!(value["messages"][0], expected);
    receiver.stop().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn a_file_that_came_in_can_be_downloaded() {
    let sandbox = start();
    let received = sandbox
        .receive(Inbound {
            kind: "image".to_owned(),
            media: Some(InboundMedia {
                mime_type: "image/png".to_owned(),
                body_base64: Some("AAEC".to_owned()),
                size: 0,
            }),
            ..Inbound::default()
        })
        .unwrap();
    let url = format!(
        "{}/v25.0/{}",
        sandbox.base_url(),
        received.media_id.unwrap()
    );
    let get = |url: String| client().get(url).bearer_auth(seed::ACME_TOKEN).send();
    let node = expect_json(get(url).await.unwrap(), 200).await;
    let file = get(node["url"].as_str().unwrap().to_owned()).await.unwrap();
    assert_eq!(file.bytes().await.unwrap().as_ref(), [0, 1, 2]);
    sandbox.stop().await;
}

#[tokio::test]
async fn outside_the_window_free_form_fails_and_templates_do_not() {
    let sandbox = start();
    let receiver = Receiver::of(&sandbox);
    sandbox.change_graph(|graph| graph.enforce_window = true);
    let first_status = |hook: &Hook| hook.value()["statuses"][0].clone();

    send(&sandbox, "+16505551234").await;
    let failed = first_status(&next(&receiver, 1).await);
    assert_eq!(failed["errors"][0]["code"], 131_047);
    let template = json!({"name": "hello_world", "language": {"code": "en_US"}});
    let mut body = text_message("+16505551234");
    body.as_object_mut().unwrap().remove("text");
    body["type"] = json!("template");
    body["template"] = template;
    expect_json(post_message(&sandbox, &body).await.unwrap(), 200).await;
    receiver.wait_for(4).await;

    let old = chrono::Utc::now().timestamp() - 90_000;
    sandbox
        .receive(Inbound {
            timestamp: Some(old),
            ..Inbound::default()
        })
        .unwrap();
    receiver.wait_for(5).await;
    send(&sandbox, "+16505551234").await;
    assert_eq!(first_status(&next(&receiver, 6).await)["status"], "failed");
    sandbox.receive(Inbound::default()).unwrap();
    receiver.wait_for(7).await;
    send(&sandbox, "+16505551234").await;
    assert_eq!(first_status(&next(&receiver, 8).await)["status"], "sent");
    receiver.stop().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn templates_change_with_webhooks() {
    let sandbox = start();
    let receiver = Receiver::of(&sandbox);
    let change = |change: TemplateChange| sandbox.change_template("feedback", &change);
    assert_eq!(
        sandbox.change_template("nothing", &TemplateChange::default()),
        0
    );
    let text = |text: &str| Some(text.to_owned());
    change(TemplateChange {
        status: text("PAUSED"),
        other_info: Some(json!({"title": "FIRST_PAUSE"})),
        ..TemplateChange::default()
    });
    change(TemplateChange {
        quality: text("RED"),
        ..TemplateChange::default()
    });
    change(TemplateChange {
        category: text("MARKETING"),
        ..TemplateChange::default()
    });
    change(TemplateChange {
        components: Some(json!([{"type": "BODY", "text": "New"}])),
        ..TemplateChange::default()
    });
    let hooks = receiver.wait_for(4).await;
    let of = |field: &str| {
        let change = |hook: &Hook| hook.body["entry"][0]["changes"][0].clone();
        let found = hooks
            .iter()
            .map(change)
            .find(|change| change["field"] == field);
        found.unwrap()["value"].clone()
    };
    let status = of("message_template_status_update");
    assert_eq!(
        (&status["event"], &status["reason"]),
        (&json!("PAUSED"), &json!("NONE"))
    );
    assert!(status["message_template_id"].is_u64());
    assert_eq!(
        of("message_template_quality_update")["new_quality_score"],
        "RED"
    );
    assert_eq!(
        of("template_category_update")["previous_category"],
        "UTILITY"
    );
    assert_eq!(
        of("message_template_components_update")["message_template_element"],
        "New"
    );
    let now = sandbox.templates(seed::ACME_WABA_ID);
    let feedback = now.iter().find(|have| have.name == "feedback").unwrap();
    assert_eq!(
        (feedback.status.as_str(), feedback.quality.as_str()),
        ("PAUSED", "RED")
    );
    receiver.stop().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn any_field_can_be_sent() {
    let sandbox = start();
    let receiver = Receiver::of(&sandbox);
    let fields = [
        "account_update",
        "business_capability_update",
        "phone_number_quality_update",
        "account_alerts",
        "security",
        "user_preferences",
        "smb_message_echoes",
    ];
    for (count, field) in fields.into_iter().enumerate() {
        let raw = json!({"field": field, "value": {"event": "X"}, "waba_id": seed::GLOBEX_WABA_ID});
        control(&sandbox, "webhooks/raw", &raw).await;
        let hook = next(&receiver, count + 1).await;
        assert!(hook.genuine);
        let entry = &hook.body["entry"][0];
        assert_eq!(entry["id"], seed::GLOBEX_WABA_ID);
        assert!(entry["time"].is_i64());
        assert_eq!(
            entry["changes"][0],
            json!({"field": field, "value": {"event": "X"}})
        );
    }
    let raw = json!({"body": {"object": "page"}, "forged": true});
    control(&sandbox, "webhooks/raw", &raw).await;
    let hook = next(&receiver, fields.len() + 1).await;
    assert_eq!(
        (hook.genuine, &hook.body["object"]),
        (false, &json!("page"))
    );
    receiver.stop().await;
    sandbox.stop().await;
}
