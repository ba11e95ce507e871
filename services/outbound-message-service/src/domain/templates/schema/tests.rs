use serde_json::json;

use super::*;

fn names(text: &TextSchema) -> Vec<&str> {
    text.variables.iter().map(|v| v.name.as_str()).collect()
}

#[test]
fn a_text_is_cut_at_its_placeholders() {
    assert_eq!(placeholders("{{1}} and {{ 2 }}, {{1}}"), ["1", "2"]);
    assert_eq!(placeholders("{{name}} {{open"), ["name"]);
    assert!(placeholders("none }} {{").is_empty());
    let cut: Vec<_> = pieces("a{{1}}b").collect();
    assert_eq!(cut, [Ok("a"), Err("1"), Ok("b")]);
    assert_eq!(without_placeholders("ä{{1}}b {{2}}"), 3);
}

#[test]
fn positional_variables_go_by_number_and_named_ones_by_place() {
    let parts = json!([
        {"type": "HEADER", "format": "TEXT", "text": "Ticket {{1}}", "example": {"header_text": ["7"]}},
        {"type": "body", "text": "{{2}} before {{1}}", "example": {"body_text": [["one", "two"]]}},
    ]);
    let schema = TemplateSchema::read(&parts, false);
    let body = schema.body.unwrap();
    assert_eq!(names(&body), ["1", "2"]);
    let examples: Vec<_> = body
        .variables
        .iter()
        .map(|v| v.example.as_deref())
        .collect();
    assert_eq!(examples, [Some("one"), Some("two")]);
    // 1024 without " before " and one character of the other.
    assert_eq!(body.variables[0].max_length, 1024 - 8 - 1);
    let Some(HeaderSchema::Text(header)) = schema.header else {
        panic!("no text header");
    };
    assert_eq!(header.variables[0].example.as_deref(), Some("7"));
    assert_eq!(header.max_length, 60);

    let named = json!([{"type": "BODY", "text": "{{day}} {{first_name}}", "example": {
        "body_text_named_params": [{"param_name": "first_name", "example": "Ada"}]}}]);
    let body = TemplateSchema::read(&named, true).body.unwrap();
    assert_eq!(names(&body), ["day", "first_name"]);
    assert_eq!(body.variables[1].example.as_deref(), Some("Ada"));
}

#[test]
fn each_header_is_known() {
    for (format, expected) in [
        ("IMAGE", HeaderSchema::Image),
        ("video", HeaderSchema::Video),
        ("GIF", HeaderSchema::Video),
        ("DOCUMENT", HeaderSchema::Document),
        ("LOCATION", HeaderSchema::Location),
        ("PRODUCT", HeaderSchema::Product),
        ("HOLOGRAM", HeaderSchema::Other),
    ] {
        let parts = json!([{"type": "HEADER", "format": format}]);
        let schema = TemplateSchema::read(&parts, false);
        assert_eq!(schema.header, Some(expected), "{format}");
        assert!(!schema.needs_nothing(), "{format}");
    }
}

#[test]
fn each_button_says_what_it_takes() {
    use ButtonValueKind as K;
    for (button, expected) in [
        (
            json!({"type": "QUICK_REPLY", "text": "Yes"}),
            Some((K::Payload, "quick_reply", false)),
        ),
        (json!({"type": "URL", "url": "https://x.example/"}), None),
        (
            json!({"type": "URL", "url": "https://x.example/{{1}}"}),
            Some((K::UrlSuffix, "url", true)),
        ),
        (json!({"type": "PHONE_NUMBER"}), None),
        (json!({"type": "VOICE_CALL"}), None),
        (json!({"type": "SPM"}), None),
        (json!({"type": "OF_TOMORROW"}), None),
        (
            json!({"type": "COPY_CODE"}),
            Some((K::CouponCode, "copy_code", true)),
        ),
        (
            json!({"type": "OTP", "otp_type": "COPY_CODE"}),
            Some((K::OneTimePassword, "url", true)),
        ),
        (json!({"type": "FLOW"}), Some((K::Flow, "flow", false))),
        (
            json!({"type": "CATALOG"}),
            Some((K::Catalog, "catalog", false)),
        ),
        (json!({"type": "MPM"}), Some((K::Products, "mpm", true))),
    ] {
        let schema =
            TemplateSchema::read(&json!([{"type": "BUTTONS", "buttons": [&button]}]), false);
        let [found] = schema.buttons.as_slice() else {
            panic!("{button}");
        };
        let taken = found
            .value
            .as_ref()
            .map(|value| (value.kind, value.sub_type, value.required));
        assert_eq!(taken, expected, "{button}");
        assert_eq!(
            schema.needs_nothing(),
            !taken.is_some_and(|taken| taken.2),
            "{button}"
        );
    }
}

#[test]
fn the_room_of_an_address_is_what_is_left() {
    let url = "https://example.com/track/{{1}}";
    let button = json!({"type": "URL", "url": url, "example": ["https://example.com/track/1"]});
    let schema = TemplateSchema::read(&json!([{"type": "BUTTONS", "buttons": [button]}]), false);
    let value = schema.buttons[0].value.as_ref().unwrap();
    assert_eq!(value.max_length, Some(2000 - 26));
    assert_eq!(
        value.example.as_deref(),
        Some("https://example.com/track/1")
    );
}

#[test]
fn offers_cards_and_codes_have_limits_of_their_own() {
    let parts = json!([
        {"type": "LIMITED_TIME_OFFER",
         "limited_time_offer": {"text": "Ends soon", "has_expiration": true}},
        {"type": "BODY", "text": "{{1}}"},
        {"type": "BUTTONS", "buttons": [{"type": "COPY_CODE"}]},
        {"type": "CAROUSEL", "cards": [
            {"components": [{"type": "HEADER", "format": "IMAGE"}, {"type": "BODY", "text": "{{1}}"}]},
            {"components": []}]},
    ]);
    let schema = TemplateSchema::read(&parts, false);
    assert_eq!(schema.body.as_ref().unwrap().max_length, 600);
    assert_eq!(
        schema.buttons[0].value.as_ref().unwrap().max_length,
        Some(15)
    );
    assert!(schema.limited_time_offer.as_ref().unwrap().needs_expiration);
    assert_eq!(schema.cards.len(), 2);
    assert_eq!(schema.cards[0].header, Some(HeaderSchema::Image));
    assert_eq!(schema.cards[0].body.as_ref().unwrap().max_length, 160);
    assert!(!schema.needs_nothing());

    let code = json!([
        {"type": "BODY", "add_security_recommendation": true},
        {"type": "BUTTONS", "buttons": [{"type": "OTP"}]},
    ]);
    // As Meta lists it once it is approved.
    let listed = json!([
        {"type": "BODY", "text": "*{{1}}* is your verification code.", "add_security_recommendation": true},
        {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "Copy code",
            "url": "https://www.whatsapp.com/otp/code/?otp_type=COPY_CODE&code=otp{{1}}"}]},
    ]);
    for code in [code, listed] {
        let schema = TemplateSchema::read(&code, false);
        let body = schema.body.unwrap();
        let variable = &body.variables[0];
        assert_eq!(
            (names(&body), variable.max_length, variable.is_code),
            (vec!["1"], 15, true)
        );
        let value = schema.buttons[0].value.as_ref().unwrap();
        assert_eq!(
            (value.kind, value.max_length),
            (ButtonValueKind::OneTimePassword, Some(15))
        );
    }
}

#[test]
fn anything_is_read_without_trouble() {
    for odd in [
        json!(null),
        json!({}),
        json!([1, "x", {"type": 7}, {"type": "BODY"}, {"type": "BUTTONS", "buttons": {}}]),
    ] {
        assert!(TemplateSchema::read(&odd, true).needs_nothing(), "{odd}");
    }
}
