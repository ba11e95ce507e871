use portal_service_kit::http::parse_json;
use serde_json::{Value, json};

use super::*;

fn now() -> DateTime<Utc> {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

fn text(body: impl std::borrow::Borrow<Value>) -> Result<Draft, Vec<String>> {
    judge(body.borrow(), SendTextRequest::into_draft)
}

fn message(body: impl std::borrow::Borrow<Value>) -> Result<Draft, Vec<String>> {
    judge(body.borrow(), SendMessageRequest::into_draft)
}

fn template(body: impl std::borrow::Borrow<Value>) -> Result<Draft, Vec<String>> {
    judge(body.borrow(), SendTemplateRequest::into_draft)
}

/// The draft of a body, or the names of the fields that are answered as bad.
fn judge<T: serde::de::DeserializeOwned>(
    body: &Value,
    into_draft: fn(T, DateTime<Utc>) -> Result<Draft, FieldErrors>,
) -> Result<Draft, Vec<String>> {
    let error = match parse_json::<T>(body.to_string().as_bytes()) {
        Ok(request) => match into_draft(request, now()) {
            Ok(draft) => return Ok(draft),
            Err(fields) => portal_service_kit::ApiError::validation(&fields),
        },
        Err(error) => error,
    };
    let details = error.details().unwrap().as_array().unwrap();
    let field = |bad: &Value| bad["field"].as_str().unwrap().to_owned();
    Err(details.iter().map(field).collect())
}

fn stored(draft: &Draft) -> Value {
    serde_json::to_value(&draft.content).unwrap()
}

#[test]
fn limits_count_characters_and_not_bytes() {
    let of = |words: &str| text(json!({"to": "+1234567890", "text": words}));
    let longest = "ü".repeat(4096);
    assert!(of(&longest).is_ok());
    for bad in [&format!("{longest}x"), "", " \n"] {
        assert_eq!(of(bad).err().unwrap(), ["text"]);
    }
}

#[test]
fn every_bad_field_is_named() {
    let bad = json!({"to": "12", "text": "", "reply_to": "a b", "send_at": "2026-11-25T11:59:59Z",
        "ttl_seconds": 0, "genesys_conversation_id": ""});
    let expected = [
        "to",
        "text",
        "reply_to",
        "genesys_conversation_id",
        "send_at",
        "ttl_seconds",
    ];
    assert_eq!(text(bad).err().unwrap(), expected);
    let bad = json!({"to": "12", "type": "image", "image": {"id": 7}, "text": {}, "class": "slow"});
    assert_eq!(message(bad.clone()).err().unwrap(), ["class"]);
    let mut bad = bad;
    bad["class"] = json!("bulk");
    assert_eq!(message(bad).err().unwrap(), ["to", "text", "image.id"]);
}

#[test]
fn what_surrounds_the_content_is_kept() {
    let draft = message(json!({
        "to": "US.13491208655302741918", "type": "text", "text": {"body": "a"},
        "reply_to": "wamid.1", "class": "bulk", "send_at": "2026-11-26T12:00:00+01:00",
        "ttl_seconds": 90, "genesys_conversation_id": "7b1c5d0e"
    }));
    let draft = draft.unwrap();
    assert_eq!(draft.to.as_str(), "US.13491208655302741918");
    assert_eq!(draft.reply_to.as_deref(), Some("wamid.1"));
    assert_eq!(draft.genesys_conversation_id.as_deref(), Some("7b1c5d0e"));
    assert_eq!(draft.class, SendClass::Bulk);
    assert_eq!(draft.send_at, Some("2026-11-26T11:00:00Z".parse().unwrap()));
    assert_eq!(draft.time_to_live, Some(Duration::seconds(90)));
    assert!(!matches!(draft.content, Content::Raw(_)));
    let plain =
        message(json!({"to": "1234567890", "type": "text", "text": {"body": "a"}})).unwrap();
    assert_eq!(
        (plain.to.as_str(), plain.class),
        ("+1234567890", SendClass::Reply)
    );
}

#[test]
fn the_content_stands_under_the_name_of_its_type() {
    let to = |mut body: Value| {
        body["to"] = json!("+1234567890");
        message(body)
    };
    let image = to(json!({"type": "image", "image": {"id": "1"}})).unwrap();
    assert_eq!(stored(&image), json!({"image": {"id": "1"}}));
    for (body, bad) in [
        (json!({"type": "image"}), "image"),
        (
            json!({"type": "image", "image": {"id": "1"}, "video": {"id": "1"}}),
            "video",
        ),
        (
            json!({"type": "image", "image": {"id": "1"}, "colour": 1}),
            "colour",
        ),
        (json!({"type": "hologram", "hologram": {}}), "type"),
        (json!({"type": ""}), "type"),
        (json!({}), "type"),
    ] {
        assert_eq!(to(body.clone()).err().unwrap(), [bad], "{body}");
    }
}

#[test]
fn what_is_handed_through_is_not_checked_and_says_so() {
    let body = json!({"to": "+1234567890", "type": "interactive", "raw": true,
        "interactive": {"type": "order_details", "action": {"name": "review_and_pay"}}});
    let draft = message(body.clone()).unwrap();
    assert!(matches!(draft.content, Content::Raw(_)));
    assert_eq!(stored(&draft), json!({"interactive": body["interactive"]}));
    let bad = json!({"to": "+1234567890", "type": "biz_opaque_callback_data", "raw": true,
        "biz_opaque_callback_data": "x"});
    assert_eq!(message(bad).err().unwrap(), ["type"]);
}

fn order(values: impl std::borrow::Borrow<Value>) -> Result<Draft, Vec<String>> {
    let mut body = json!({"to": "+1234567890", "template_name": "order", "language": "en_US"});
    for (name, value) in values.borrow().as_object().unwrap() {
        body[name] = value.clone();
    }
    template(body)
}

#[test]
fn short_values_become_components() {
    let draft = order(json!({
        "header": {"type": "image", "image": {"link": "https://example.com/a.png"}},
        "parameters": ["Ada", 7045, {"type": "date_time", "date_time": {"fallback_value": "May 5"}}],
        "buttons": [{"index": 0, "payload": "yes"}, {"index": "1", "url": "a/b"},
            {"index": 2, "coupon_code": "SAVE25"}],
    }));
    assert_eq!(
        stored(&draft.unwrap()),
        json!({"template": {"name": "order", "language": {"code": "en_US"}, "components": [
            {"type": "header", "parameters":
                [{"type": "image", "image": {"link": "https://example.com/a.png"}}]},
            {"type": "body", "parameters": [
                {"type": "text", "text": "Ada"}, {"type": "text", "text": "7045"},
                {"type": "date_time", "date_time": {"fallback_value": "May 5"}}]},
            {"type": "button", "sub_type": "quick_reply", "index": "0",
                "parameters": [{"type": "payload", "payload": "yes"}]},
            {"type": "button", "sub_type": "url", "index": "1",
                "parameters": [{"type": "text", "text": "a/b"}]},
            {"type": "button", "sub_type": "copy_code", "index": "2",
                "parameters": [{"type": "coupon_code", "coupon_code": "SAVE25"}]},
        ]}})
    );
    let by_name = order(
        json!({"parameters": {"first_name": "Ada", "amount": {"type": "currency",
        "currency": {"fallback_value": "1 €", "code": "EUR", "amount_1000": 1000}}}}),
    );
    let by_name = stored(&by_name.unwrap());
    let values = by_name
        .pointer("/template/components/0/parameters")
        .unwrap();
    let names: Vec<&Value> = values
        .as_array()
        .unwrap()
        .iter()
        .map(|v| &v["parameter_name"])
        .collect();
    assert!(
        names.contains(&&json!("first_name")) && names.contains(&&json!("amount")),
        "{values}"
    );
    let whole = json!([{"type": "body", "parameters": [{"type": "text", "text": "a"}]}]);
    let draft = order(json!({ "components": whole })).unwrap();
    assert_eq!(stored(&draft)["template"]["components"], whole);
    let bare = order(json!({"parameters": []})).unwrap();
    assert_eq!(stored(&bare)["template"].get("components"), None);
}

#[test]
fn bad_values_have_the_names_that_the_caller_gave() {
    for (values, bad) in [
        (json!({"parameters": ["ok", "a\nb"]}), "parameters[1].text"),
        (json!({"parameters": ["ok", true]}), "parameters[1]"),
        (json!({"parameters": 7}), "parameters"),
        (
            json!({"parameters": {"First": "a"}}),
            "parameters[0].parameter_name",
        ),
        (json!({"header": ""}), "header"),
        (json!({"header": {"type": "gif"}}), "header.type"),
        (json!({"buttons": [{"index": 0}]}), "buttons[0]"),
        (
            json!({"buttons": [{"index": 0, "url": "a", "payload": "b"}]}),
            "buttons[0]",
        ),
        (
            json!({"buttons": [{"index": 10, "url": "a"}]}),
            "buttons[0].index",
        ),
        (
            json!({"buttons": [{"index": 0, "coupon_code": "-"}]}),
            "buttons[0]",
        ),
        (json!({"components": [], "parameters": ["a"]}), "components"),
        (
            json!({"components": [{"type": "body", "parameters": [{"type": "text"}]}]}),
            "components[0].parameters[0].text",
        ),
        (json!({"language": "en-US"}), "language"),
        (json!({"template_name": "Order"}), "template_name"),
    ] {
        assert_eq!(order(values.clone()).err().unwrap(), [bad], "{values}");
    }
}
