use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_767_000_000_000;

fn problems_in(template: &Value, is_named: bool, components: Value) -> Vec<String> {
    let schema = TemplateSchema::read(template, is_named);
    let components: Vec<TemplateComponent> = serde_json::from_value(components).unwrap();
    let mut errors = FieldErrors::new();
    check(&schema, &components, "c", NOW, &mut errors);
    let fields = errors.fields().iter();
    fields
        .map(|bad| format!("{} {}", bad.field, bad.message))
        .collect()
}

fn problems(template: &Value, components: Value) -> Vec<String> {
    problems_in(template, false, components)
}

fn text(values: &[&str]) -> Value {
    let parameters: Vec<_> = values
        .iter()
        .map(|v| json!({"type": "text", "text": v}))
        .collect();
    json!(parameters)
}

fn body(values: &[&str]) -> Value {
    json!({"type": "body", "parameters": text(values)})
}

#[test]
fn counts_are_the_templates() {
    let template = json!([{"type": "BODY", "text": "{{1}} and {{2}}"}]);
    assert_eq!(problems(&template, json!([body(&["a", "b"])])), [""; 0]);
    assert_eq!(
        problems(&template, json!([body(&["a"])])),
        ["c[0].parameters must have 2, values for {{1}}, {{2}}, and has 1"]
    );
    assert_eq!(
        problems(&template, json!([])),
        ["c must have a body with values for {{1}}, {{2}}"]
    );
    let plain = json!([{"type": "BODY", "text": "Hello"}]);
    assert_eq!(problems(&plain, json!([])), [""; 0]);
    assert_eq!(
        problems(&plain, json!([body(&["a"])])),
        ["c[0].parameters must be empty: the template has no variables here"]
    );
}

#[test]
fn names_and_numbers_are_not_mixed() {
    let template = json!([{"type": "BODY", "text": "{{day}} {{hour}}"}]);
    let named = |names: &[&str]| {
        let parameters: Vec<_> = names
            .iter()
            .map(|name| json!({"type": "text", "parameter_name": name, "text": "x"}))
            .collect();
        json!([{"type": "body", "parameters": parameters}])
    };
    assert_eq!(
        problems_in(&template, true, named(&["hour", "day"])),
        [""; 0]
    );
    assert_eq!(
        problems_in(&template, true, named(&["hour", "week"])),
        ["c[0].parameters[1].parameter_name must be one of day, hour"]
    );
    assert_eq!(
        problems_in(&template, true, named(&["hour", "hour"])),
        ["c[0].parameters lacks a value for {{day}}"]
    );
    assert_eq!(
        problems_in(&template, true, json!([body(&["a", "b"])])),
        [
            "c[0].parameters[0].parameter_name must name the variable: one of day, hour",
            "c[0].parameters[1].parameter_name must name the variable: one of day, hour"
        ]
    );
    let numbered = json!([{"type": "BODY", "text": "{{1}}"}]);
    assert_eq!(
        problems(&numbered, named(&["day"])),
        [
            "c[0].parameters[0].parameter_name must be left out: the template's variables have numbers, values go by their order"
        ]
    );
}

#[test]
fn the_text_with_its_values_has_a_limit() {
    let template = json!([{"type": "BODY", "text": "{{1}} {{1}}"}]);
    assert_eq!(
        problems(&template, json!([body(&[&"ä".repeat(511)])])),
        [""; 0]
    );
    assert_eq!(
        problems(&template, json!([body(&[&"ä".repeat(512)])])),
        [
            "c[0].parameters must be shorter: with these values the text has 1025 characters, 1024 at most"
        ]
    );
    let header = json!([{"type": "HEADER", "format": "TEXT", "text": "Hi {{1}}"}]);
    let given = json!([{"type": "header", "parameters": text(&[&"x".repeat(58)])}]);
    assert_eq!(
        problems(&header, given),
        [
            "c[0].parameters must be shorter: with these values the text has 61 characters, 60 at most"
        ]
    );
}

#[test]
fn headers_are_of_the_templates_kind() {
    let good = [
        ("IMAGE", json!({"type": "image", "image": {"id": "1"}})),
        (
            "VIDEO",
            json!({"type": "video", "video": {"link": "https://x.example/a.mp4"}}),
        ),
        (
            "DOCUMENT",
            json!({"type": "document", "document": {"id": "1"}}),
        ),
        (
            "LOCATION",
            json!({"type": "location", "location": {"latitude": 1, "longitude": 2}}),
        ),
        (
            "PRODUCT",
            json!({"type": "product", "product": {"catalog_id": "1", "product_retailer_id": "2"}}),
        ),
    ];
    for (format, parameter) in &good {
        let template = json!([{"type": "HEADER", "format": format}]);
        let word = format.to_lowercase();
        for (other, given) in &good {
            let found = problems(
                &template,
                json!([{"type": "header", "parameters": [given]}]),
            );
            if other == format {
                assert_eq!(found, [""; 0], "{format}");
            } else {
                let expected = format!(
                    "c[0].parameters[0].type must be {word}: the template has a header of this kind"
                );
                assert_eq!(found, [expected], "{format} {other}");
            }
        }
        assert_eq!(
            problems(&template, json!([])),
            [format!(
                "c must have a header with one parameter of type {word}"
            )]
        );
        let none = json!([{"type": "BODY", "text": "x"}]);
        assert_eq!(
            problems(
                &none,
                json!([{"type": "header", "parameters": [parameter]}])
            ),
            ["c[0] must be left out: the template has no header"]
        );
    }
}

#[test]
fn each_button_gets_what_it_takes() {
    let template = json!([{"type": "BUTTONS", "buttons": [
        {"type": "PHONE_NUMBER", "text": "Call"},
        {"type": "URL", "url": "https://x.example/{{1}}"},
        {"type": "QUICK_REPLY", "text": "Yes"},
        {"type": "COPY_CODE"},
    ]}]);
    let button = |sub_type: &str, index: u8, parameter: Value| json!({"type": "button", "sub_type": sub_type, "index": index, "parameters": [parameter]});
    let url = button("url", 1, json!({"type": "text", "text": "a"}));
    let code = button(
        "copy_code",
        3,
        json!({"type": "coupon_code", "coupon_code": "SAVE"}),
    );
    assert_eq!(problems(&template, json!([url, code])), [""; 0]);
    assert_eq!(
        problems(&template, json!([code])),
        [
            "c must have a button with index 1 and sub_type url: it takes the end of its address, a text"
        ]
    );
    let none = button("url", 0, json!({"type": "text", "text": "a"}));
    let beyond = button("url", 9, json!({"type": "text", "text": "a"}));
    let other = button("url", 2, json!({"type": "text", "text": "a"}));
    assert_eq!(
        problems(&template, json!([url, code, none, beyond, other])),
        [
            "c[2] must be left out: button 0 of the template takes no value",
            "c[3].index must be the place of a button: the template has 4",
            "c[4].sub_type must be quick_reply"
        ]
    );
    let long = button("url", 1, json!({"type": "text", "text": "x".repeat(1983)}));
    assert_eq!(
        problems(&template, json!([long, code])),
        ["c[0].parameters[0].text must have at most 1982 characters"]
    );
}

#[test]
fn codes_are_short() {
    let template = json!([
        {"type": "BODY", "add_security_recommendation": true},
        {"type": "BUTTONS", "buttons": [{"type": "OTP", "otp_type": "COPY_CODE"}]},
    ]);
    let send = |code: &str| {
        json!([body(&[code]), {"type": "button", "sub_type": "url", "index": "0",
                              "parameters": text(&[code])}])
    };
    assert_eq!(problems(&template, send("123456")), [""; 0]);
    assert_eq!(
        problems(&template, send(&"1".repeat(16))),
        [
            "c[1].parameters[0].text must have at most 15 characters",
            "c[0].parameters[0].text must have at most 15 characters"
        ]
    );
}

#[test]
fn offers_have_an_end_to_come() {
    let template = json!([{"type": "LIMITED_TIME_OFFER",
        "limited_time_offer": {"text": "Soon", "has_expiration": true}}]);
    let offer = |ms: i64| {
        json!([{"type": "limited_time_offer", "parameters": [
            {"type": "limited_time_offer", "limited_time_offer": {"expiration_time_ms": ms}}]}])
    };
    assert_eq!(problems(&template, offer(NOW + 1)), [""; 0]);
    assert_eq!(
        problems(&template, offer(NOW)),
        ["c[0].parameters[0].limited_time_offer.expiration_time_ms must be a time to come"]
    );
    assert_eq!(
        problems(&template, json!([])),
        ["c must have a limited_time_offer with the end of the offer, expiration_time_ms"]
    );
    assert_eq!(
        problems(&json!([]), offer(NOW + 1)),
        ["c[0] must be left out: the template has no limited-time offer"]
    );
}

#[test]
fn cards_are_checked_one_by_one() {
    let card = json!({"components": [{"type": "BODY", "text": "{{1}}"}]});
    let template = json!([{"type": "CAROUSEL", "cards": [card, card]}]);
    let cards = |values: &[&[&str]]| {
        let cards: Vec<_> = values
            .iter()
            .enumerate()
            .map(|(place, values)| json!({"card_index": place, "components": [body(values)]}))
            .collect();
        json!([{"type": "carousel", "cards": cards}])
    };
    assert_eq!(problems(&template, cards(&[&["a"], &["b"]])), [""; 0]);
    assert_eq!(
        problems(&template, cards(&[&["a"], &["b", "c"]])),
        ["c[0].cards[1].components[0].parameters must have 1, a value for {{1}}, and has 2"]
    );
    assert_eq!(
        problems(&template, cards(&[&["a"], &["b"], &["c"]])),
        ["c[0].cards must have 2 cards, as the template has"]
    );
    assert_eq!(
        problems(&template, json!([])),
        ["c must have a carousel with 2 cards, as the template has"]
    );
    let long = "x".repeat(161);
    assert_eq!(problems(&template, cards(&[&["a"], &[&long]])).len(), 1);
}
