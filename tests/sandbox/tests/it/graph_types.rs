//! Every content type: what is accepted, and which limit is named when it is broken.

use portal_sandbox::Sandbox;
use serde_json::{Value, json};

use crate::support::{expect_json, json_of, post_message, start};

fn message(kind: &str, content: Value) -> Value {
    let mut body = json!({"messaging_product": "whatsapp", "to": "+1234567890", "type": kind});
    body[kind] = content;
    body
}

fn interactive(kind: &str, action: &Value) -> Value {
    let body = json!({"text": "Choose"});
    message(
        "interactive",
        json!({"type": kind, "body": body, "action": action}),
    )
}

fn button(id: &str, title: &str) -> Value {
    json!({"type": "reply", "reply": {"id": id, "title": title}})
}

fn rows(count: usize) -> Value {
    (0..count)
        .map(|i| json!({"id": format!("r{i}"), "title": "Row"}))
        .collect()
}

fn flow(change: &[(&str, Value)]) -> Value {
    let mut parameters = json!({"flow_message_version": "3", "flow_id": "1", "flow_cta": "Book"});
    for (name, value) in change {
        parameters[name] = value.clone();
    }
    interactive("flow", &json!({"name": "flow", "parameters": parameters}))
}

fn card(name: &Value) -> Value {
    message(
        "contacts",
        json!([{"name": name, "phones": [{"phone": "+1", "type": "WORK"}]}]),
    )
}

fn good() -> Vec<Value> {
    let link = json!({"link": "https://example.com/a.png"});
    let product = json!({"catalog_id": "1", "product_retailer_id": "2"});
    let cta = json!({"name": "cta_url",
                     "parameters": {"display_text": "See", "url": "https://example.com"}});
    let cards: Value = (0..2)
        .map(|i| {
            json!({"card_index": i, "type": "cta_url",
                        "header": {"type": "image", "image": link}, "action": cta})
        })
        .collect();
    let mut with_header = interactive("button", &json!({"buttons": [button("a", "A")]}));
    with_header["interactive"]["header"] = json!({"type": "image", "image": link});
    with_header["interactive"]["footer"] = json!({"text": "f".repeat(60)});
    let mut products = interactive(
        "product_list",
        &json!({"catalog_id": "1", "sections": [
        {"title": "T", "product_items": [{"product_retailer_id": "1"}]}]}),
    );
    products["interactive"]["header"] = json!({"type": "text", "text": "Ours"});
    vec![
        message(
            "image",
            json!({"link": "https://example.com/a.png", "caption": "c".repeat(1024)}),
        ),
        message("video", link.clone()),
        message(
            "audio",
            json!({"link": "https://example.com/a.ogg", "voice": true}),
        ),
        message(
            "document",
            json!({"link": "https://example.com/a.pdf", "filename": "a.pdf"}),
        ),
        message("sticker", link),
        message(
            "location",
            json!({"latitude": "37.75", "longitude": -122.4, "name": "N"}),
        ),
        card(&json!({"formatted_name": "Ada L", "first_name": "Ada"})),
        message("reaction", json!({"message_id": "wamid.x", "emoji": "👍"})),
        message("reaction", json!({"message_id": "wamid.x", "emoji": ""})),
        with_header,
        interactive(
            "list",
            &json!({"button": "Open", "sections": [{"rows": rows(10)}]}),
        ),
        interactive("cta_url", &cta),
        flow(&[(
            "flow_action_payload",
            json!({"screen": "W", "data": {"a": 1}}),
        )]),
        interactive("product", &product),
        products,
        interactive("catalog_message", &json!({"name": "catalog_message"})),
        interactive(
            "location_request_message",
            &json!({"name": "send_location"}),
        ),
        interactive(
            "address_message",
            &json!({"name": "address_message", "parameters": {"country": "IN"}}),
        ),
        interactive(
            "request_contact_info",
            &json!({"name": "request_contact_info"}),
        ),
        interactive(
            "call_permission_request",
            &json!({"name": "call_permission_request"}),
        ),
        interactive("voice_call", &json!({"name": "voice_call"})),
        interactive("carousel", &json!({"cards": cards})),
        interactive(
            "order_details",
            &json!({"name": "review_and_pay", "parameters": {}}),
        ),
    ]
}

#[tokio::test]
async fn every_type_is_accepted() {
    let sandbox = start();
    for body in good() {
        let response = post_message(&sandbox, &body).await.unwrap();
        let status = response.status().as_u16();
        assert_eq!(status, 200, "{body} {}", json_of(response).await);
    }
    sandbox.stop().await;
}

/// Bodies, the code, and a part of the details that names the place.
fn bad() -> Vec<(Value, u32, &'static str)> {
    let mut bad_media = bad_media();
    bad_media.extend(bad_interactive());
    bad_media
}

fn bad_media() -> Vec<(Value, u32, &'static str)> {
    let link = "https://example.com/a.png";
    let many: Value = (0..6)
        .map(|_| json!({"name": {"formatted_name": "A", "first_name": "A"}}))
        .collect();
    vec![
        (message("image", json!({})), 131_008, "image['id']"),
        (
            message("image", json!({"id": "1", "link": link})),
            131_009,
            "must not be given together",
        ),
        (
            message("image", json!({"link": "ftp://example.com/a"})),
            100,
            "not a valid URI",
        ),
        (
            message("image", json!({"link": link, "caption": "c".repeat(1025)})),
            131_009,
            "1024",
        ),
        (
            message("audio", json!({"link": link, "caption": "c"})),
            100,
            "caption",
        ),
        (
            message("sticker", json!({"link": link, "caption": "c"})),
            100,
            "caption",
        ),
        (
            message("image", json!({"link": link, "filename": "a"})),
            100,
            "filename",
        ),
        (
            message("location", json!({"latitude": 1})),
            131_008,
            "longitude",
        ),
        (
            message("location", json!({"latitude": 91, "longitude": 1})),
            131_009,
            "latitude",
        ),
        (message("contacts", many), 131_009, "Max count: 5"),
        (
            card(&json!({"formatted_name": "Ada"})),
            131_009,
            "name part",
        ),
        (
            message("reaction", json!({"message_id": "x", "emoji": "👍"})),
            131_009,
            "message_id",
        ),
        (
            message("reaction", json!({"message_id": "wamid.x"})),
            131_008,
            "emoji",
        ),
        (message("pin", json!({"type": "pin"})), 130_501, "groups"),
    ]
}

fn bad_interactive() -> Vec<(Value, u32, &'static str)> {
    let buttons = |list: Value| interactive("button", &json!({"buttons": list}));
    let list = |sections: Value| interactive("list", &json!({"button": "B", "sections": sections}));
    let url = |text: &str, url: &str| {
        interactive(
            "cta_url",
            &json!({"name": "cta_url",
                                       "parameters": {"display_text": text, "url": url}}),
        )
    };
    let mut list_header = list(json!([{"rows": rows(1)}]));
    list_header["interactive"]["header"] =
        json!({"type": "image", "image": {"link": "https://example.com/a.png"}});
    let four: Value = ["a", "b", "c", "d"].iter().map(|x| button(x, x)).collect();
    vec![
        (
            message("interactive", json!({"type": "poll"})),
            100,
            "interactive['type']",
        ),
        (
            message("interactive", json!({"type": "button"})),
            131_008,
            "body",
        ),
        (buttons(four), 131_009, "Max count: 3"),
        (
            buttons(json!([button("a", &"t".repeat(21))])),
            131_009,
            "Max length: 20",
        ),
        (
            buttons(json!([button("a", "A"), button("a", "B")])),
            131_009,
            "Button id",
        ),
        (
            buttons(json!([button("a", "A"), button("b", "A")])),
            131_009,
            "Button title",
        ),
        (buttons(json!([button(" a", "A")])), 131_009, "blank"),
        (list(json!([{"rows": rows(11)}])), 131_009, "Max count: 10"),
        (
            list(json!([{"rows": rows(1)}, {"rows": rows(1)}])),
            131_008,
            "title",
        ),
        (list_header, 131_009, "Header type image"),
        (
            url(&"t".repeat(21), "https://example.com"),
            131_009,
            "display_text",
        ),
        (url("t", "example.com"), 131_009, "not a valid URL"),
        (flow(&[("flow_name", json!("n"))]), 131_009, "Exactly one"),
        (
            flow(&[("flow_message_version", json!("2"))]),
            131_009,
            "must be 3",
        ),
        (flow(&[("flow_cta", json!("Book 🚀"))]), 131_009, "emoji"),
        (
            flow(&[("flow_action_payload", json!({"data": {}}))]),
            131_009,
            "must not be empty",
        ),
        (
            interactive("product_list", &json!({"catalog_id": "1"})),
            131_008,
            "header",
        ),
    ]
}

#[tokio::test]
async fn broken_limits_are_named() {
    let sandbox = start();
    for (body, code, part) in bad() {
        assert_error(&sandbox, &body, code, part).await;
    }
    assert!(sandbox.journal().accepted_messages().is_empty());
    sandbox.stop().await;
}

async fn assert_error(sandbox: &Sandbox, body: &Value, code: u32, part: &str) {
    let response = post_message(sandbox, body).await.unwrap();
    let answer = json_of(response).await;
    let error = &answer["error"];
    assert_eq!(error["code"], code, "{body}: {error}");
    let text = format!("{} {}", error["message"], error["error_data"]["details"]);
    assert!(text.contains(part), "{body}: {text}");
}

#[tokio::test]
async fn types_of_the_future_can_be_let_in() {
    let sandbox = start();
    let poll = message("poll", json!({"question": "?"}));
    let refused = post_message(&sandbox, &poll).await.unwrap();
    assert_eq!(expect_json(refused, 400).await["error"]["code"], 100);
    sandbox.change_graph(|graph| graph.extra_types = vec!["poll".to_owned()]);
    let taken = post_message(&sandbox, &poll).await.unwrap();
    expect_json(taken, 200).await;
    sandbox.stop().await;
}
