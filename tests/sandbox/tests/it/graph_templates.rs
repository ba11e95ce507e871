//! Templates: the list, sends compared with them, changes.

use portal_sandbox::{Sandbox, seed};
use serde_json::{Value, json};

use crate::support::{client, expect_json, json_of, post_message, start};

fn send(name: &str, components: &Value) -> Value {
    json!({
        "messaging_product": "whatsapp",
        "to": "+1234567890",
        "type": "template",
        "template": {"name": name, "language": {"code": "en_US"}, "components": components},
    })
}

fn texts(kind: &str, values: &[&str]) -> Value {
    let list: Value = values
        .iter()
        .map(|text| json!({"type": "text", "text": text}))
        .collect();
    json!({"type": kind, "parameters": list})
}

fn named(kind: &str, values: &[(&str, &str)]) -> Value {
    let list: Value = values
        .iter()
        .map(|(name, text)| json!({"type": "text", "parameter_name": name, "text": text}))
        .collect();
    json!({"type": kind, "parameters": list})
}

fn button(kind: &str, index: &Value, parameter: &Value) -> Value {
    json!({"type": "button", "sub_type": kind, "index": index, "parameters": [parameter]})
}

fn url(index: u8, text: &str) -> Value {
    button(
        "url",
        &json!(index.to_string()),
        &json!({"type": "text", "text": text}),
    )
}

fn image() -> Value {
    let link = json!({"link": "https://example.com/a.png"});
    json!({"type": "header", "parameters": [{"type": "image", "image": link}]})
}

fn coupon(code: &str) -> Value {
    button(
        "copy_code",
        &json!(0),
        &json!({"type": "coupon_code", "coupon_code": code}),
    )
}

fn good() -> Vec<Value> {
    let place = json!({"latitude": 1.5, "longitude": 2.5, "name": "N", "address": "A"});
    let location =
        json!({"type": "header", "parameters": [{"type": "location", "location": place}]});
    let named_parts = json!([
        named("header", &[("first_name", "Ada")]),
        named(
            "body",
            &[("hour", "10"), ("first_name", "Ada"), ("day", "Monday")]
        ),
    ]);
    let end = now_ms() + 3_600_000;
    let offer = json!({"type": "limited_time_offer", "parameters": [{"type": "limited_time_offer",
        "limited_time_offer": {"expiration_time_ms": end}}]});
    let card = |i: u8| json!({"card_index": i, "components": [image(), texts("body", &["10"]), url(1, "x")]});
    let flow = button(
        "flow",
        &json!("0"),
        &json!({"type": "action", "action": {"flow_token": "t"}}),
    );
    let payload = button(
        "quick_reply",
        &json!(1),
        &json!({"type": "payload", "payload": "no"}),
    );
    vec![
        send("hello_world", &json!([])),
        send("order_update", &json!([texts("body", &["1", "2"])])),
        send(
            "ticket_answered",
            &json!([texts("header", &["7"]), texts("BODY", &["x"])]),
        ),
        send("appointment_reminder", &named_parts),
        send("with_image", &json!([image(), texts("body", &["Ada"])])),
        send("with_location", &json!([location])),
        send("feedback", &json!([texts("body", &["Ada"]), payload])),
        send("parcel", &json!([url(1, "4711")])),
        send("book_visit", &json!([flow])),
        send(
            "login_code",
            &json!([texts("body", &["123456"]), url(0, "123456")]),
        ),
        send(
            "coupon",
            &json!([texts("body", &["25%"]), coupon("SAVE25")]),
        ),
        send(
            "limited_offer",
            &json!([
                image(),
                offer,
                texts("body", &["A"]),
                coupon("S"),
                url(1, "x")
            ]),
        ),
        send(
            "catalog_tour",
            &json!([texts("body", &["Ada"]),
             {"type": "carousel", "cards": [card(0), card(1)]}]),
        ),
    ]
}

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

#[tokio::test]
async fn every_kind_of_template_can_be_sent() {
    let sandbox = start();
    for body in good() {
        let response = post_message(&sandbox, &body).await.unwrap();
        let status = response.status().as_u16();
        let answer = json_of(response).await;
        assert_eq!(status, 200, "{body} {answer}");
        assert_eq!(answer["messages"][0]["message_status"], "accepted");
    }
    sandbox.stop().await;
}

/// Bodies, HTTP status, code.
fn bad() -> Vec<(Value, u16, u32)> {
    let mut rows = bad_states();
    rows.extend(bad_parameters());
    rows
}

fn bad_states() -> Vec<(Value, u16, u32)> {
    let mut german = send("order_update", &json!([]));
    german["template"]["language"]["code"] = json!("en");
    vec![
        (send("nothing", &json!([])), 404, 132_001),
        (german, 404, 132_001),
        (send("rejected_promo", &json!([])), 404, 132_001),
        (send("pending_review", &json!([])), 404, 132_001),
        (send("paused_promo", &json!([])), 400, 132_015),
        (send("disabled_promo", &json!([])), 400, 132_016),
    ]
}

fn bad_parameters() -> Vec<(Value, u16, u32)> {
    let mut by_user = send("login_code", &json!([texts("body", &["1"]), url(0, "1")]));
    by_user["recipient"] = json!("US.1349");
    by_user.as_object_mut().unwrap().remove("to");
    vec![
        (send("order_update", &json!([])), 400, 132_000),
        (
            send("order_update", &json!([texts("body", &["1"])])),
            400,
            132_000,
        ),
        (
            send("hello_world", &json!([texts("body", &["1"])])),
            400,
            132_000,
        ),
        (
            send(
                "order_update",
                &json!([named("body", &[("a", "1"), ("b", "2")])]),
            ),
            400,
            132_012,
        ),
        (
            send("appointment_reminder", &json!([texts("header", &["A"])])),
            400,
            132_012,
        ),
        (
            send("order_update", &json!([texts("body", &["1", "a\nb"])])),
            400,
            132_012,
        ),
        (
            send(
                "with_image",
                &json!([texts("header", &["A"]), texts("body", &["A"])]),
            ),
            400,
            132_012,
        ),
        (
            send("with_image", &json!([texts("body", &["A"])])),
            400,
            132_012,
        ),
        (
            send(
                "nearly_full",
                &json!([texts("body", &["x".repeat(30).as_str()])]),
            ),
            400,
            132_005,
        ),
        (send("parcel", &json!([])), 400, 131_008),
        (
            send("parcel", &json!([url(1, "a"), url(7, "b")])),
            400,
            132_012,
        ),
        (
            send("coupon", &json!([texts("body", &["A"]), coupon("SAVE 25")])),
            400,
            132_012,
        ),
        (
            send("catalog_tour", &json!([texts("body", &["A"])])),
            400,
            132_000,
        ),
        (by_user, 400, 131_062),
    ]
}

#[tokio::test]
async fn sends_that_do_not_fit_are_refused() {
    let sandbox = start();
    for (body, status, code) in bad() {
        let answer = post_message(&sandbox, &body).await.unwrap();
        let answer = expect_json(answer, status).await;
        assert_eq!(answer["error"]["code"], code, "{body}: {answer}");
    }
    sandbox.stop().await;
}

async fn get(sandbox: &Sandbox, path: &str) -> Value {
    let url = format!("{}/v25.0/{path}", sandbox.base_url());
    let response = client().get(url).bearer_auth(seed::ACME_TOKEN).send();
    expect_json(response.await.unwrap(), 200).await
}

#[tokio::test]
async fn the_list_is_paged_filtered_and_selected() {
    let sandbox = start();
    let list = format!("{}/message_templates", seed::ACME_WABA_ID);
    let mut names = Vec::new();
    let mut after = String::new();
    loop {
        let page = get(
            &sandbox,
            &format!("{list}?fields=name,status&limit=5{after}"),
        )
        .await;
        let items = page["data"].as_array().unwrap();
        assert!(items.len() <= 5 && !items.is_empty());
        assert!(items.iter().all(|item| item.get("components").is_none()));
        names.extend(
            items
                .iter()
                .map(|item| item["name"].as_str().unwrap().to_owned()),
        );
        if page["paging"].get("next").is_none() {
            break;
        }
        after = format!(
            "&after={}",
            page["paging"]["cursors"]["after"].as_str().unwrap()
        );
    }
    assert!(names.len() > 15);
    assert_eq!(
        names.iter().filter(|name| *name == "hello_world").count(),
        2
    );

    let paused = get(&sandbox, &format!("{list}?status=PAUSED")).await;
    assert_eq!(paused["data"][0]["name"], "paused_promo");
    let german = get(&sandbox, &format!("{list}?name=order_update&language=de")).await;
    assert_eq!(german["data"].as_array().unwrap().len(), 1);
    let id = german["data"][0]["id"].as_str().unwrap();
    let one = get(
        &sandbox,
        &format!("{id}?fields=quality_score,rejected_reason"),
    )
    .await;
    assert_eq!(one["quality_score"]["score"], "GREEN");
    assert_eq!(one["rejected_reason"], "NONE");
    sandbox.stop().await;
}

#[tokio::test]
async fn templates_are_made_edited_and_deleted() {
    let sandbox = start();
    let base = sandbox.base_url();
    let list = format!("{base}/v25.0/{}/message_templates", seed::ACME_WABA_ID);
    let post = |url: String, body: Value| {
        client()
            .post(url)
            .bearer_auth(seed::ACME_TOKEN)
            .json(&body)
            .send()
    };
    let parts = json!([{"type": "BODY", "text": "Hi"}]);
    let new =
        json!({"name": "fresh", "language": "en_US", "category": "UTILITY", "components": parts});
    let made = expect_json(post(list.clone(), new.clone()).await.unwrap(), 200).await;
    assert_eq!(made["status"], "PENDING");
    let again = post(list.clone(), new).await.unwrap();
    assert_eq!(
        expect_json(again, 400).await["error"]["error_subcode"],
        2_388_024
    );
    // Not sendable before it is approved, not editable either.
    let id = made["id"].as_str().unwrap();
    let edit = json!({"components": [{"type": "BODY", "text": "Hello"}]});
    let early = post(format!("{base}/v25.0/{id}"), edit.clone())
        .await
        .unwrap();
    assert_eq!(early.status(), 400);
    let known = get(
        &sandbox,
        &format!("{}/message_templates?name=feedback", seed::ACME_WABA_ID),
    )
    .await;
    let id = known["data"][0]["id"].as_str().unwrap();
    expect_json(post(format!("{base}/v25.0/{id}"), edit).await.unwrap(), 200).await;
    let edited = get(&sandbox, id).await;
    assert_eq!(
        (&edited["status"], &edited["components"][0]["text"]),
        (&json!("PENDING"), &json!("Hello"))
    );

    let delete = client()
        .delete(format!("{list}?name=fresh"))
        .bearer_auth(seed::ACME_TOKEN);
    expect_json(delete.send().await.unwrap(), 200).await;
    let gone = get(
        &sandbox,
        &format!("{}/message_templates?name=fresh", seed::ACME_WABA_ID),
    )
    .await;
    assert_eq!(gone["data"], json!([]));
    sandbox.stop().await;
}
