//! Templates with the values of their variables.

use serde_json::{Value, json};

use super::{all_fail, all_pass, read, sent, with};

const T: &str = "template";

fn template(components: &Value) -> Value {
    json!({"name": "order_update", "language": {"code": "en_US"}, "components": components})
}

fn text(value: &str) -> Value {
    json!({"type": "text", "text": value})
}

fn body(parameters: &Value) -> Value {
    json!({"type": "body", "parameters": parameters})
}

fn button(kind: &str, parameter: &Value) -> Value {
    json!({"type": "button", "sub_type": kind, "index": "0", "parameters": [parameter]})
}

fn header(parameter: &Value) -> Value {
    json!({"type": "header", "parameters": [parameter]})
}

#[test]
fn every_component_and_value_passes() {
    let card = |index: u8| {
        json!({"card_index": index, "components": [
            header(&json!({"type": "image", "image": {"id": "1"}})),
            body(&json!([text("20OFF")])),
            button("quick_reply", &json!({"type": "payload", "payload": "p"})),
        ]})
    };
    let sections = json!([{"title": "Tea", "product_items": [{"product_retailer_id": "1"}]}]);
    let values = [
        header(&text("7045")),
        header(&json!({"type": "video", "video": {"link": "https://example.com/a.mp4"}})),
        header(&json!({"type": "document", "document": {"id": "2", "filename": "a.pdf"}})),
        header(&json!({"type": "location", "location": {"latitude": 1.5, "longitude": 2.5}})),
        header(
            &json!({"type": "product", "product": {"catalog_id": "1", "product_retailer_id": "2"}}),
        ),
        body(&json!([text("A"), text("B  C    D")])),
        body(&json!([
            {"type": "text", "parameter_name": "first_name", "text": "Ada"},
            {"type": "text", "parameter_name": "order_2", "text": "B"},
        ])),
        body(&json!([
            {"type": "currency", "currency": {"fallback_value": "$100.99", "code": "USD", "amount_1000": 100_990}},
            {"type": "date_time", "date_time": {"fallback_value": "May 5, 2026"}},
        ])),
        button("quick_reply", &json!({"type": "payload", "payload": "yes"})),
        button("url", &text("suffix/1")),
        button(
            "copy_code",
            &json!({"type": "coupon_code", "coupon_code": "SAVE25"}),
        ),
        button(
            "flow",
            &json!({"type": "action", "action": {"flow_token": "t", "flow_action_data": {"a": 1}}}),
        ),
        json!({"type": "button", "sub_type": "flow", "index": "9"}),
        json!({"type": "button", "sub_type": "catalog", "index": "1"}),
        button(
            "mpm",
            &json!({"type": "action", "action": {"thumbnail_product_retailer_id": "1", "sections": sections}}),
        ),
        json!({"type": "limited_time_offer", "parameters": [{"type": "limited_time_offer",
            "limited_time_offer": {"expiration_time_ms": 1_698_562_800_000_i64}}]}),
        json!({"type": "carousel", "cards": [card(0), card(1)]}),
    ];
    for component in values {
        all_pass(T, &[template(&json!([component]))]);
    }
    all_pass(
        T,
        &[json!({"name": "hello_world", "language": {"code": "en"}})],
    );
}

#[test]
fn forms_that_meta_also_takes_become_one() {
    let given = template(&json!([
        {"type": "BODY", "parameters": [text("A")]},
        {"type": "button", "sub_type": "URL", "index": 1, "parameters": [text("b")]},
    ]));
    assert_eq!(
        sent(T, &given)["components"],
        json!([
            {"type": "body", "parameters": [text("A")]},
            {"type": "button", "sub_type": "url", "index": "1", "parameters": [text("b")]},
        ])
    );
}

#[test]
fn names_and_languages_have_a_form() {
    let good = json!({"name": "a_1", "language": {"code": "en"}});
    for code in ["en", "en_US", "fil", "pt_BR", "es_419"] {
        all_pass(T, &[with(&good, "/language/code", json!(code))]);
    }
    for code in ["", "e", "EN", "en-US", "en_us", "en_USA", "english", "en_"] {
        let body = with(&good, "/language/code", json!(code));
        assert_eq!(read(T, body).1, ["template.language.code"], "{code:?}");
    }
    for name in ["", "Order", "order-1", "ä", &"a".repeat(513)] {
        assert_eq!(
            read(T, with(&good, "/name", json!(name))).1,
            ["template.name"],
            "{name:?}"
        );
    }
    all_fail(
        T,
        &[
            (
                json!({}),
                &[
                    "template.name",
                    "template.language",
                    "template.language.code",
                ],
            ),
            (
                with(&good, "/language", json!("en")),
                &["template.language", "template.language.code"],
            ),
            (
                with(&good, "/namespace", json!("x")),
                &["template.namespace"],
            ),
        ],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn values_must_fit_their_component() {
    let one = |component: Value| template(&json!([component]));
    let c = "template.components[0]";
    let named = |name: &str| json!({"type": "text", "parameter_name": name, "text": "v"});
    for (component, field) in [
        (json!({"type": "footer"}), ".type"),
        (json!({"type": "header", "parameters": []}), ".parameters"),
        (
            json!({"type": "header", "parameters": [text("a"), text("b")]}),
            ".parameters",
        ),
        (
            header(&json!({"type": "payload", "payload": "x"})),
            ".parameters[0].type",
        ),
        (header(&json!({"type": "gif"})), ".parameters[0].type"),
        (
            header(&json!({"type": "image", "image": {"id": "1", "link": "https://example.com"}})),
            ".parameters[0].image",
        ),
        (
            header(&json!({"type": "location", "location": {"latitude": 100, "longitude": 0}})),
            ".parameters[0].location.latitude",
        ),
        (body(&json!([text("")])), ".parameters[0].text"),
        (body(&json!([text("a\nb")])), ".parameters[0].text"),
        (body(&json!([text("a\tb")])), ".parameters[0].text"),
        (body(&json!([text("a     b")])), ".parameters[0].text"),
        (
            body(&json!([text(&"x".repeat(32_769))])),
            ".parameters[0].text",
        ),
        (
            body(&json!([{"type": "image", "image": {"id": "1"}}])),
            ".parameters[0].type",
        ),
        (body(&json!([named("a"), text("b")])), ".parameters"),
        (
            body(&json!([named("a"), named("a")])),
            ".parameters[].parameter_name",
        ),
        (
            body(&json!([named("First Name")])),
            ".parameters[0].parameter_name",
        ),
        (
            body(
                &json!([{"type": "currency", "currency": {"fallback_value": "1", "code": "usd", "amount_1000": 1}}]),
            ),
            ".parameters[0].currency.code",
        ),
        (
            button("url", &json!({"type": "payload", "payload": "x"})),
            ".parameters[0].type",
        ),
        (button("quick_reply", &text("x")), ".parameters[0].type"),
        (button("phone_number", &text("x")), ".sub_type"),
        (
            button(
                "copy_code",
                &json!({"type": "coupon_code", "coupon_code": "A-1"}),
            ),
            ".parameters[0].coupon_code",
        ),
        (
            button(
                "copy_code",
                &json!({"type": "coupon_code", "coupon_code": "A".repeat(21)}),
            ),
            ".parameters[0].coupon_code",
        ),
        (
            json!({"type": "button", "sub_type": "url", "index": "0"}),
            ".parameters",
        ),
        (
            with(&button("url", &text("x")), "/index", json!(10)),
            ".index",
        ),
        (
            with(&button("url", &text("x")), "/index", json!("first")),
            ".index",
        ),
        (
            json!({"type": "limited_time_offer", "parameters": [{"type": "limited_time_offer",
            "limited_time_offer": {"expiration_time_ms": 1_698_562_800}}]}),
            ".parameters[0].limited_time_offer.expiration_time_ms",
        ),
        (
            json!({"type": "limited_time_offer", "parameters": [text("x")]}),
            ".parameters[0].type",
        ),
    ] {
        assert_eq!(
            read(T, one(component.clone())).1,
            [format!("{c}{field}")],
            "{component}"
        );
    }
}

#[test]
fn a_part_appears_once() {
    let url = button("url", &text("x"));
    all_fail(
        T,
        &[
            (
                template(&json!([body(&json!([])), body(&json!([]))])),
                &["template.components[1]"],
            ),
            (template(&json!([url, url])), &["template.components[1]"]),
        ],
    );
    all_pass(
        T,
        &[template(&json!([url, with(&url, "/index", json!("1"))]))],
    );
}

#[test]
fn a_coupon_below_an_offer_is_shorter() {
    let offer = json!({"type": "limited_time_offer", "parameters": [{"type": "limited_time_offer",
        "limited_time_offer": {"expiration_time_ms": 1_698_562_800_000_i64}}]});
    let coupon = |length| {
        let code = "A".repeat(length);
        button(
            "copy_code",
            &json!({"type": "coupon_code", "coupon_code": code}),
        )
    };
    all_pass(
        T,
        &[
            template(&json!([offer, coupon(15)])),
            template(&json!([coupon(20)])),
        ],
    );
    all_fail(
        T,
        &[(
            template(&json!([offer, coupon(16)])),
            &["template.components[1].parameters[0].coupon_code"],
        )],
    );
}

#[test]
fn cards_hold_headers_bodies_and_buttons() {
    let card =
        |index: u8, components: Value| json!({"card_index": index, "components": components});
    let cards = |cards: Value| template(&json!([{"type": "carousel", "cards": cards}]));
    let plain = |index| card(index, json!([body(&json!([]))]));
    let nested = json!([{"type": "carousel", "cards": []}]);
    let c = "template.components[0].cards";
    for (body, field) in [
        (cards(json!([plain(0)])), c.to_owned()),
        (
            cards(json!((0..11).map(plain).collect::<Vec<_>>())),
            c.to_owned(),
        ),
        (
            cards(json!([plain(0), plain(0)])),
            format!("{c}[].card_index"),
        ),
        (
            cards(json!([plain(0), card(1, nested)])),
            format!("{c}[1].components[0].type"),
        ),
    ] {
        assert_eq!(read(T, body.clone()).1, [field], "{body}");
    }
}
