//! What a body looks like, without what stands in it.

use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Fields whose words are ours or Meta's, never a person's.
const PLAIN: [&str; 11] = [
    "type",
    "sub_type",
    "specversion",
    "source",
    "datacontenttype",
    "dataschema",
    "tenantid",
    "tenant_id",
    "message_type",
    "messaging_product",
    "time",
];

/// The same structure with lengths in place of texts and nothing in place of numbers; ids (UUIDs)
/// and the words of a few known fields stay.
pub(crate) fn redacted(value: &Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) => value.clone(),
        Value::Number(_) => json!("<number>"),
        Value::String(text) => text_shape(text),
        Value::Array(items) => items.iter().map(redacted).collect(),
        Value::Object(fields) => object_shape(fields),
    }
}

fn text_shape(text: &str) -> Value {
    if Uuid::try_parse(text).is_ok() {
        return text.into();
    }
    format!("<{} characters>", text.chars().count()).into()
}

fn object_shape(fields: &Map<String, Value>) -> Value {
    let mut shape = Map::new();
    let mut others = 0_u32;
    for (name, value) in fields {
        if !is_field_name(name) {
            others += 1;
            continue;
        }
        let word = value.as_str().filter(|_| PLAIN.contains(&name.as_str()));
        let shown = word.filter(|word| is_word(word)).map(Into::into);
        shape.insert(name.clone(), shown.unwrap_or_else(|| redacted(value)));
    }
    if others > 0 {
        shape.insert("other_fields".to_owned(), others.into());
    }
    Value::Object(shape)
}

/// Names of fields are part of the structure, unless somebody wrote data there.
fn is_field_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
}

/// A word of a protocol, a name of a tenant or a moment; no sentence and no telephone number.
fn is_word(word: &str) -> bool {
    let is_time = chrono::DateTime::parse_from_rfc3339(word).is_ok();
    is_time
        || ((1..=255).contains(&word.len())
            && word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
            && word
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ':')))
        || word == "1.0"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_structure_is_told_and_nothing_else() {
        let id = Uuid::now_v7();
        let body = json!({
            "type": "text", "text": {"body": "grüß dich", "preview_url": false},
            "message_id": id, "tenant_id": "acme", "to": "+491511234567", "n": 7,
            "+491511234567": "x", "location": [{"latitude": 1.5}], "nothing": null,
        });
        let expected = json!({
            "type": "text", "text": {"body": "<9 characters>", "preview_url": false},
            "message_id": id, "tenant_id": "acme", "to": "<13 characters>", "n": "<number>",
            "location": [{"latitude": "<number>"}], "nothing": null, "other_fields": 1,
        });
        assert_eq!(redacted(&body), expected);
        // A known field with something else in it is none.
        let odd = json!({"type": "call 0151", "time": "soon, I hope"});
        let shape = json!({"type": "<9 characters>", "time": "<12 characters>"});
        assert_eq!(redacted(&odd), shape);
    }

    proptest! {
        #[test]
        fn no_text_gets_through(text in "[a-zA-Z]{3,12} [a-zA-Z ]{3,20}", key in "[A-Z+]{4,12}") {
            let body = json!({"type": text, "text": {"body": text}, "deep": [[{ &key: text }]]});
            let shape = redacted(&body).to_string();
            prop_assert!(!shape.contains(&text), "{}", shape);
            prop_assert!(!shape.contains(&key), "{}", shape);
        }
    }
}
