//! No body makes a check panic, and what is accepted is what is stored and sent.

use portal_service_kit::FieldErrors;
use portal_whatsapp::Content;
use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value};

/// Names that mean something somewhere, so that random bodies get past the first door.
const NAMES: &[&str] = &[
    "type",
    "body",
    "text",
    "action",
    "parameters",
    "components",
    "header",
    "buttons",
    "reply",
    "id",
    "link",
    "title",
    "sections",
    "rows",
    "cards",
    "card_index",
    "name",
    "language",
    "code",
    "index",
    "sub_type",
    "emoji",
    "message_id",
    "latitude",
    "longitude",
    "formatted_name",
    "first_name",
];
const VALUES: &[&str] = &[
    "text",
    "button",
    "list",
    "carousel",
    "flow",
    "body",
    "header",
    "image",
    "reply",
    "cta_url",
    "url",
    "en_US",
    "order",
    "https://example.com",
    "wamid.1",
    "👍",
    "3",
    "limited_time_offer",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-200_i32..200).prop_map(Value::from),
        select(VALUES).prop_map(Value::from),
        ".{0,30}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((select(NAMES), inner), 0..5).prop_map(|members| {
                let members = members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value));
                Value::Object(members.collect::<Map<_, _>>())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_body_is_judged(kind in select(Content::TYPES), value in value()) {
        let mut errors = FieldErrors::new();
        let content = Content::read(kind, value, &mut errors);
        prop_assert!(content.is_some() || !errors.is_empty());
        for bad in errors.fields() {
            prop_assert!(bad.field.starts_with(kind), "{}", bad.field);
        }
    }

    #[test]
    fn accepted_text_comes_back(body in "\\PC{1,50}", preview_url: bool) {
        let given = serde_json::json!({"body": body, "preview_url": preview_url});
        let mut errors = FieldErrors::new();
        let content = Content::read("text", given.clone(), &mut errors).unwrap();
        prop_assert_eq!(errors.is_empty(), !body.trim().is_empty());
        let stored = serde_json::to_value(&content).unwrap();
        prop_assert_eq!(&stored["text"], &given);
        prop_assert!(serde_json::from_value::<Content>(stored).unwrap() == content);
    }

    #[test]
    fn accepted_places_come_back(micro_lat in -90_000_000_i32..=90_000_000, micro_lon in -180_000_000_i32..=180_000_000) {
        let degrees = |micro: i32| f64::from(micro) / 1e6;
        let given = serde_json::json!({"latitude": degrees(micro_lat), "longitude": degrees(micro_lon)});
        let mut errors = FieldErrors::new();
        let content = Content::read("location", given.clone(), &mut errors).unwrap();
        prop_assert!(errors.is_empty());
        let stored = serde_json::to_value(&content).unwrap().to_string();
        let stored: Value = serde_json::from_str(&stored).unwrap();
        prop_assert!(serde_json::from_value::<Content>(stored).unwrap() == content);
    }
}
