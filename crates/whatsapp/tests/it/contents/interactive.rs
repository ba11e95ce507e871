//! Messages with something to tap on.

use serde_json::{Value, json};

use super::{all_fail, all_pass, long, read, with};

const I: &str = "interactive";

fn buttons() -> Value {
    json!({"type": "button", "body": {"text": "Well?"}, "action": {"buttons": [
        {"type": "reply", "reply": {"id": "yes", "title": "Yes"}},
        {"type": "reply", "reply": {"id": "no", "title": "No"}}
    ]}})
}

fn list() -> Value {
    json!({"type": "list", "header": {"type": "text", "text": "Menu"},
    "body": {"text": "Choose one"}, "footer": {"text": "Thanks"},
    "action": {"button": "Choose", "sections": [
        {"title": "Main", "rows": [{"id": "r1", "title": "Soup", "description": "Hot"}]},
        {"title": "More", "rows": [{"id": "r2", "title": "Cake"}]}
    ]}})
}

fn flow() -> Value {
    json!({"type": "flow", "body": {"text": "Book now"}, "action": {"name": "flow", "parameters": {
        "flow_message_version": "3", "flow_id": "123", "flow_cta": "Book", "flow_token": "t",
        "mode": "published", "flow_action": "navigate",
        "flow_action_payload": {"screen": "WELCOME", "data": {"k": "v"}}
    }}})
}

fn carousel() -> Value {
    json!({"type": "carousel", "body": {"text": "Look"}, "action": {"cards": [
        {"card_index": 0, "type": "cta_url",
            "header": {"type": "image", "image": {"link": "https://example.com/1.png"}},
            "body": {"text": "First"},
            "action": {"name": "cta_url", "parameters": {"display_text": "Buy",
                "url": "https://example.com/1"}}},
        {"card_index": 1, "type": "cta_url",
            "header": {"type": "video", "video": {"id": "7"}},
            "action": {"buttons": [
                {"type": "quick_reply", "quick_reply": {"id": "a", "title": "A"}}]}}
    ]}})
}

#[test]
fn what_is_documented_passes() {
    all_pass(
        I,
        &[
            buttons(),
            with(
                &buttons(),
                "/header",
                json!({"type": "image", "image": {"id": "1"}}),
            ),
            with(
                &buttons(),
                "/header",
                json!({"type": "video", "video": {"link": "https://example.com/a"}}),
            ),
            with(
                &buttons(),
                "/header",
                json!({"type": "document", "document": {"id": "1", "filename": "a.pdf"}}),
            ),
            with(&buttons(), "/body/text", long(1024)),
            list(),
            with(&list(), "/body/text", long(4096)),
            json!({"type": "cta_url", "body": {"text": "Dates"}, "action": {"name": "cta_url",
                "parameters": {"display_text": "See dates", "url": "https://example.com/?a=b"}}}),
            flow(),
            with(
                &with(&flow(), "/action/parameters/flow_id", Value::Null),
                "/action/parameters/flow_name",
                json!("booking"),
            ),
            json!({"type": "product", "action": {"catalog_id": "1", "product_retailer_id": "a-1"}}),
            json!({"type": "product_list", "header": {"type": "text", "text": "New"},
                "body": {"text": "Our best"}, "action": {"catalog_id": "1", "sections": [
                    {"title": "Tea", "product_items": [{"product_retailer_id": "t 1"}]}]}}),
            json!({"type": "catalog_message", "body": {"text": "All"}, "action": {
                "name": "catalog_message", "parameters": {"thumbnail_product_retailer_id": "t1"}}}),
            json!({"type": "location_request_message", "body": {"text": "Where?"},
                "action": {"name": "send_location"}}),
            json!({"type": "address_message", "body": {"text": "Where to?"}, "action": {
                "name": "address_message", "parameters": {"country": "IN",
                    "values": {"name": "A", "in_pin_code": "400063"},
                    "saved_addresses": [{"id": "1", "value": {"name": "A"}}],
                    "validation_errors": {"in_pin_code": "unknown"}}}}),
            json!({"type": "request_contact_info", "body": {"text": "Your number?"},
                "action": {"name": "request_contact_info"}}),
            json!({"type": "call_permission_request", "action": {"name": "call_permission_request"}}),
            json!({"type": "voice_call", "body": {"text": "Call us"}, "action": {
                "name": "voice_call", "parameters": {"display_text": "Call", "ttl_minutes": 43_200}}}),
            carousel(),
        ],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn the_frame_has_limits_and_depends_on_the_type() {
    let text_header = |text: Value| json!({"type": "text", "text": text});
    let request = json!({"type": "location_request_message", "body": {"text": "Where?"},
        "action": {"name": "send_location"}});
    let products = json!({"type": "product_list", "header": text_header(json!("New")),
        "body": {"text": "Our best"}, "action": {"catalog_id": "1", "sections": [
            {"product_items": [{"product_retailer_id": "1"}]}]}});
    all_fail(
        I,
        &[
            (json!({}), &["interactive.type"]),
            (json!({"type": "order_details"}), &["interactive.type"]),
            (
                json!({"type": "button", "action": {}}),
                &["interactive.action.buttons"],
            ),
            (
                with(&buttons(), "/body", Value::Null),
                &["interactive.body"],
            ),
            (
                with(&buttons(), "/body/text", long(1025)),
                &["interactive.body.text"],
            ),
            (
                with(&list(), "/body/text", long(4097)),
                &["interactive.body.text"],
            ),
            (
                with(&buttons(), "/header", text_header(long(61))),
                &["interactive.header.text"],
            ),
            (
                with(&buttons(), "/header", json!({"type": "audio"})),
                &["interactive.header.type"],
            ),
            (
                with(&buttons(), "/header", json!({"type": "image", "image": {}})),
                &["interactive.header.image"],
            ),
            (
                with(
                    &buttons(),
                    "/header",
                    json!({"type": "image", "image": {"id": "1", "caption": "x"}}),
                ),
                &["interactive.header.image.caption"],
            ),
            (
                with(&buttons(), "/footer", json!({"text": long(61)})),
                &["interactive.footer.text"],
            ),
            (
                with(
                    &list(),
                    "/header",
                    json!({"type": "image", "image": {"id": "1"}}),
                ),
                &["interactive.header.type"],
            ),
            (
                with(&request, "/header", text_header(json!("x"))),
                &["interactive.header"],
            ),
            (
                with(&request, "/footer", json!({"text": "x"})),
                &["interactive.footer"],
            ),
            (
                with(&request, "/action/name", json!("send")),
                &["interactive.action.name"],
            ),
            (
                with(&products, "/header", Value::Null),
                &["interactive.header"],
            ),
            (
                with(
                    &products,
                    "/header",
                    json!({"type": "image", "image": {"id": "1"}}),
                ),
                &["interactive.header.type"],
            ),
            (
                with(&carousel(), "/header", text_header(json!("x"))),
                &["interactive.header"],
            ),
        ],
    );
}

#[test]
fn buttons_differ_and_are_few() {
    let reply =
        |id: &str, title: &str| json!({"type": "reply", "reply": {"id": id, "title": title}});
    let of = |replies: &[Value]| with(&buttons(), "/action/buttons", json!(replies));
    let four = [
        reply("a", "A"),
        reply("b", "B"),
        reply("c", "C"),
        reply("d", "D"),
    ];
    all_fail(
        I,
        &[
            (of(&[]), &["interactive.action.buttons"]),
            (of(&four), &["interactive.action.buttons"]),
            (
                of(&[reply("a", "A"), reply("a", "B")]),
                &["interactive.action.buttons[].reply.id"],
            ),
            (
                of(&[reply("a", "A"), reply("b", "A")]),
                &["interactive.action.buttons[].reply.title"],
            ),
            (
                of(&[reply(" a", "A")]),
                &["interactive.action.buttons[0].reply.id"],
            ),
            (
                of(&[reply(&"i".repeat(257), "A")]),
                &["interactive.action.buttons[0].reply.id"],
            ),
            (
                of(&[reply("a", &"t".repeat(21))]),
                &["interactive.action.buttons[0].reply.title"],
            ),
            (
                of(&[reply("a", "")]),
                &["interactive.action.buttons[0].reply.title"],
            ),
            (
                of(&[json!({"type": "url", "reply": {"id": "a", "title": "t"}})]),
                &["interactive.action.buttons[0].type"],
            ),
        ],
    );
    all_pass(
        I,
        &[of(&[
            reply(&"i".repeat(256), &"ü".repeat(20)),
            reply("b", "B"),
            reply("c", "C"),
        ])],
    );
}

#[test]
fn lists_have_ten_rows_over_all_sections() {
    let row = |n: usize| json!({"id": format!("r{n}"), "title": format!("Row {n}")});
    let section = |rows: std::ops::Range<usize>| json!({"title": "S", "rows": rows.map(row).collect::<Vec<_>>()});
    let of = |sections: Value| with(&list(), "/action/sections", sections);
    let many: Vec<Value> = (0..11).map(|n| section(n..n + 1)).collect();
    let first_row = "/action/sections/0/rows/0";
    let in_row = |name: &str, value| with(&list(), &format!("{first_row}/{name}"), value);
    all_pass(
        I,
        &[
            of(json!([section(0..10)])),
            of(json!([section(0..5), section(5..10)])),
        ],
    );
    all_fail(
        I,
        &[
            (of(json!([])), &["interactive.action.sections"]),
            (
                of(json!([section(0..0)])),
                &["interactive.action.sections[0].rows"],
            ),
            (
                of(json!([section(0..6), section(6..11)])),
                &["interactive.action.sections"],
            ),
            (
                of(json!(many)),
                &["interactive.action.sections", "interactive.action.sections"],
            ),
            (
                of(json!([section(0..1), section(0..1)])),
                &["interactive.action.sections[].rows[].id"],
            ),
            (
                with(&list(), "/action/sections/1/title", Value::Null),
                &["interactive.action.sections[1].title"],
            ),
            (
                with(&list(), "/action/sections/0/title", long(25)),
                &["interactive.action.sections[0].title"],
            ),
            (
                in_row("id", json!("i".repeat(201))),
                &["interactive.action.sections[0].rows[0].id"],
            ),
            (
                in_row("title", long(25)),
                &["interactive.action.sections[0].rows[0].title"],
            ),
            (
                in_row("description", long(73)),
                &["interactive.action.sections[0].rows[0].description"],
            ),
            (
                with(&list(), "/action/button", long(21)),
                &["interactive.action.button"],
            ),
        ],
    );
}

#[test]
fn addresses_of_buttons_are_web_addresses() {
    let link = |text: Value, url: &str| {
        json!({"type": "cta_url", "body": {"text": "Dates"}, "action": {"name": "cta_url",
            "parameters": {"display_text": text, "url": url}}})
    };
    all_fail(
        I,
        &[
            (
                link(long(21), "https://example.com"),
                &["interactive.action.parameters.display_text"],
            ),
            (
                link(json!("See"), "example.com"),
                &["interactive.action.parameters.url"],
            ),
            (
                link(json!("See"), "tel:+123"),
                &["interactive.action.parameters.url"],
            ),
        ],
    );
}

#[test]
fn forms_have_members_that_exclude_one_another() {
    let p = "/action/parameters";
    let of = |name: &str, value| with(&flow(), &format!("{p}/{name}"), value);
    let exchange = of("flow_action", json!("data_exchange"));
    let path = |name: &str| format!("interactive.action.parameters{name}");
    for (body, expected) in [
        (of("flow_id", Value::Null), path("")),
        (of("flow_name", json!("booking")), path("")),
        (
            of("flow_message_version", json!("4")),
            path(".flow_message_version"),
        ),
        (of("flow_cta", long(31)), path(".flow_cta")),
        (of("flow_cta", json!("Book 📅")), path(".flow_cta")),
        (of("mode", json!("live")), path(".mode")),
        (
            of("flow_action_payload/data", json!({})),
            path(".flow_action_payload.data"),
        ),
        (
            of("flow_action_payload/screen", Value::Null),
            path(".flow_action_payload.screen"),
        ),
        (exchange.clone(), path(".flow_action_payload")),
    ] {
        assert_eq!(read(I, body.clone()).1, [expected], "{body}");
    }
    all_pass(
        I,
        &[with(
            &exchange,
            &format!("{p}/flow_action_payload"),
            Value::Null,
        )],
    );
}

#[test]
fn products_are_thirty_at_most() {
    let of = |sections: Value| {
        json!({"type": "product_list", "header": {"type": "text", "text": "New"},
            "body": {"text": "Best"}, "action": {"catalog_id": "1", "sections": sections}})
    };
    let section = |count: usize| {
        json!({"title": "T", "product_items":
        vec![json!({"product_retailer_id": "p"}); count]})
    };
    all_pass(I, &[of(json!([section(15), section(15)]))]);
    all_fail(
        I,
        &[
            (
                of(json!([section(16), section(15)])),
                &["interactive.action.sections"],
            ),
            (
                of(json!(vec![section(1); 11])),
                &["interactive.action.sections"],
            ),
            (
                of(json!([section(0)])),
                &["interactive.action.sections[0].product_items"],
            ),
            (
                of(json!([{"title": "T", "product_items": [{"product_retailer_id": ""}]}])),
                &["interactive.action.sections[0].product_items[0].product_retailer_id"],
            ),
        ],
    );
    let product = json!({"type": "product", "header": {"type": "text", "text": "x"},
        "action": {"catalog_id": "", "product_retailer_id": "1"}});
    all_fail(
        I,
        &[(
            product,
            &["interactive.header", "interactive.action.catalog_id"],
        )],
    );
}

#[test]
fn requests_have_limits_of_their_own() {
    let call = |parameters: Value| {
        json!({"type": "voice_call", "body": {"text": "Call"},
            "action": {"name": "voice_call", "parameters": parameters}})
    };
    let address = |country: &str| {
        json!({"type": "address_message", "body": {"text": "Where?"},
            "action": {"name": "address_message", "parameters": {"country": country}}})
    };
    all_fail(
        I,
        &[
            (
                call(json!({"display_text": long(21)})),
                &["interactive.action.parameters.display_text"],
            ),
            (
                call(json!({"ttl_minutes": 0})),
                &["interactive.action.parameters.ttl_minutes"],
            ),
            (
                call(json!({"ttl_minutes": 43_201})),
                &["interactive.action.parameters.ttl_minutes"],
            ),
            (address("India"), &["interactive.action.parameters.country"]),
        ],
    );
}

#[test]
fn cards_are_in_order_and_have_one_kind_of_action() {
    let card = |name: &str, value| with(&carousel(), &format!("/action/cards/0/{name}"), value);
    let many: Vec<Value> = (0..11)
        .map(|n| with(&carousel()["action"]["cards"][0], "/card_index", json!(n)))
        .collect();
    let path = |name: &str| format!("interactive.action.cards[0].{name}");
    for (body, expected) in [
        (
            card("header", json!({"type": "text", "text": "x"})),
            path("header.type"),
        ),
        (card("body/text", long(161)), path("body.text")),
        (card("body/text", json!("1\n2\n3\n4")), path("body.text")),
        (card("action/buttons", json!([])), path("action")),
        (card("action/name", Value::Null), path("action")),
        (
            card("card_index", json!(1)),
            "interactive.action.cards[].card_index".to_owned(),
        ),
        (
            with(&carousel(), "/action/cards", json!(many)),
            "interactive.action.cards".to_owned(),
        ),
        (
            with(&carousel(), "/action/cards", json!([])),
            "interactive.action.cards".to_owned(),
        ),
    ] {
        assert_eq!(read(I, body.clone()).1, [expected], "{body}");
    }
}
