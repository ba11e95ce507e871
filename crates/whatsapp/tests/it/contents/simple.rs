//! Text, media, places, contacts, reactions, and what is handed through.

use portal_service_kit::FieldErrors;
use portal_whatsapp::{Content, Raw};
use serde_json::json;

use super::{all_fail, all_pass, long, read, sent, with};

#[test]
fn text() {
    all_pass(
        "text",
        &[
            json!({"body": "Hello", "preview_url": true}),
            json!({"body": long(4096), "preview_url": false}),
        ],
    );
    assert_eq!(
        sent("text", &json!({"body": "a"}))["preview_url"],
        json!(false)
    );
    all_fail(
        "text",
        &[
            (json!({}), &["text.body"]),
            (json!({"body": ""}), &["text.body"]),
            (json!({"body": " \n"}), &["text.body"]),
            (json!({"body": long(4097)}), &["text.body"]),
            (
                json!({"body": 7, "preview": true}),
                &["text.body", "text.preview"],
            ),
            (json!("Hello"), &["text"]),
        ],
    );
}

#[test]
fn media() {
    let by_id = json!({"id": "1013859600285441"});
    let by_link = json!({"link": "https://example.com/a.bin?v=2"});
    for kind in ["image", "video", "audio", "document", "sticker"] {
        all_pass(kind, &[by_id.clone(), by_link.clone()]);
        let fields = |body| read(kind, body).1;
        assert_eq!(fields(json!({})), [kind]);
        assert_eq!(
            fields(json!({"id": "1", "link": "https://example.com"})),
            [kind]
        );
        assert_eq!(fields(json!({"id": "a b"})), [format!("{kind}.id")]);
        for link in [
            "ftp://example.com/a",
            "/a.png",
            "https://",
            "javascript:alert(1)",
        ] {
            assert_eq!(
                fields(json!({ "link": link })),
                [format!("{kind}.link")],
                "{link}"
            );
        }
    }
    for kind in ["image", "video", "document"] {
        all_pass(kind, &[with(&by_id, "/caption", long(1024))]);
        let too_long = with(&by_id, "/caption", long(1025));
        assert_eq!(read(kind, too_long).1, [format!("{kind}.caption")]);
    }
    for kind in ["audio", "sticker"] {
        let captioned = with(&by_id, "/caption", json!("no"));
        assert_eq!(read(kind, captioned).1, [format!("{kind}.caption")]);
    }
    all_pass("audio", &[json!({"id": "1", "voice": true})]);
    all_pass("document", &[json!({"id": "1", "filename": "invoice.pdf"})]);
    all_fail(
        "image",
        &[(json!({"id": "1", "filename": "a.png"}), &["image.filename"])],
    );
}

#[test]
fn location() {
    let place = json!({"latitude": 37.758_056, "longitude": -122.425_332, "name": "Park",
        "address": "Dolores St"});
    all_pass(
        "location",
        &[
            place.clone(),
            json!({"latitude": -90.0, "longitude": 180.0}),
        ],
    );
    let as_text = json!({"latitude": "37.5", "longitude": "-122"});
    assert_eq!(
        sent("location", &as_text),
        json!({"latitude": 37.5, "longitude": -122.0})
    );
    all_fail(
        "location",
        &[
            (json!({"latitude": 1}), &["location.longitude"]),
            (
                json!({"latitude": 90.1, "longitude": -181}),
                &["location.latitude", "location.longitude"],
            ),
            (
                with(&place, "/latitude", json!("north")),
                &["location.latitude"],
            ),
            (
                with(&place, "/latitude", json!("NaN")),
                &["location.latitude"],
            ),
            (with(&place, "/name", json!("")), &["location.name"]),
        ],
    );
}

#[test]
fn contacts() {
    let card = json!({
        "name": {"formatted_name": "Ada Lovelace", "first_name": "Ada", "last_name": "Lovelace"},
        "phones": [{"phone": "+1 650 555 1234", "type": "WORK", "wa_id": "16505551234"}],
        "emails": [{"email": "ada@example.com", "type": "WORK"}],
        "addresses": [{"street": "1 Lucky Way", "city": "Menlo Park", "state": "CA", "zip": "94025",
            "country": "United States", "country_code": "us", "type": "HOME"}],
        "org": {"company": "Engines", "department": "Design", "title": "Countess"},
        "urls": [{"url": "https://example.com", "type": "WORK"}],
        "birthday": "2012-08-18"
    });
    let plain = json!({"name": {"formatted_name": "Ada", "first_name": "Ada"}});
    all_pass(
        "contacts",
        &[json!([card]), json!([plain, plain, plain, plain, plain])],
    );
    let one = |pointer: &str, value| json!([with(&card, pointer, value)]);
    all_fail(
        "contacts",
        &[
            (json!([]), &["contacts"]),
            (
                json!([plain, plain, plain, plain, plain, plain]),
                &["contacts"],
            ),
            (json!({}), &["contacts"]),
            (
                one("/name", json!({"formatted_name": "Ada"})),
                &["contacts[0].name"],
            ),
            (
                one("/name/formatted_name", json!("")),
                &["contacts[0].name.formatted_name"],
            ),
            (
                one("/phones/0/wa_id", json!("+1650")),
                &["contacts[0].phones[0].wa_id"],
            ),
            (
                one("/emails/0/email", json!("ada")),
                &["contacts[0].emails[0].email"],
            ),
            (
                one("/addresses/0/country_code", json!("USA")),
                &["contacts[0].addresses[0].country_code"],
            ),
            (
                one("/urls/0/url", json!("example")),
                &["contacts[0].urls[0].url"],
            ),
            (one("/org/title", json!("")), &["contacts[0].org.title"]),
            (
                one("/birthday", json!("18.8.2012")),
                &["contacts[0].birthday"],
            ),
            (
                one("/birthday", json!("2012-02-30")),
                &["contacts[0].birthday"],
            ),
            (one("/fax", json!("1")), &["contacts[0].fax"]),
        ],
    );
}

#[test]
fn reaction() {
    let to = |emoji: &str| json!({"message_id": "wamid.HBgL", "emoji": emoji});
    all_pass(
        "reaction",
        &[to("👍"), to("❤️"), to("👩🏽‍🚀"), to("🇩🇪"), to("1️⃣"), to("")],
    );
    all_fail(
        "reaction",
        &[
            (to("ok"), &["reaction.emoji"]),
            (to("ja ✅"), &["reaction.emoji"]),
            (to(&"👍".repeat(17)), &["reaction.emoji"]),
            (
                json!({"message_id": "", "emoji": "👍"}),
                &["reaction.message_id"],
            ),
            (json!({"message_id": "wamid.1"}), &["reaction.emoji"]),
        ],
    );
}

#[test]
fn unknown_types_are_refused_unless_they_are_handed_through() {
    assert_eq!(read("hologram", json!({})).1, ["type"]);
    let raw = |name: &str| {
        let mut errors = FieldErrors::new();
        let content = Content::Raw(Raw {
            type_name: name.to_owned(),
            value: json!({"depth": 3}),
        });
        content.check(&mut errors);
        errors.is_empty().then_some(content)
    };
    let content = raw("hologram").unwrap();
    let stored = serde_json::to_value(&content).unwrap();
    assert_eq!(stored, json!({"hologram": {"depth": 3}}));
    assert!(serde_json::from_value::<Content>(stored).unwrap() == content);
    // Nothing of the envelope can be replaced.
    for name in [
        "to",
        "recipient",
        "type",
        "messaging_product",
        "context",
        "",
        "A",
        "a b",
    ] {
        assert!(raw(name).is_none(), "{name:?}");
    }
}

#[test]
fn stored_content_is_sent_as_it_was_even_if_its_form_is_not_known() {
    for stored in [
        json!({"text": {"body": "a", "preview_url": false, "colour": "red"}}),
        json!({"interactive": {"type": "order_details", "action": {"name": "review_and_pay"}}}),
        json!({"hologram": [1, 2]}),
    ] {
        let content: Content = serde_json::from_value(stored.clone()).unwrap();
        assert!(matches!(content, Content::Raw(_)));
        assert_eq!(serde_json::to_value(&content).unwrap(), stored);
    }
    for broken in [json!({}), json!({"text": {}, "image": {}}), json!([])] {
        assert!(serde_json::from_value::<Content>(broken).is_err());
    }
}

#[test]
fn debug_tells_the_type_alone() {
    let (content, _) = read("text", json!({"body": "private words"}));
    assert_eq!(format!("{:?}", content.unwrap()), "Content(\"text\")");
}
