//! Content of every type: what is documented passes unchanged, what is not is named by its field.

mod interactive;
mod properties;
mod simple;
mod template;

use portal_service_kit::FieldErrors;
use portal_whatsapp::Content;
use serde_json::{Value, json};

fn read(kind: &str, value: Value) -> (Option<Content>, Vec<String>) {
    let mut errors = FieldErrors::new();
    let content = Content::read(kind, value, &mut errors);
    let fields = errors.fields().iter();
    (content, fields.map(|bad| bad.field.clone()).collect())
}

/// Reads what must be good, and gives it back as Meta gets it and as it is stored.
fn sent(kind: &str, value: &Value) -> Value {
    let (content, fields) = read(kind, value.clone());
    assert!(fields.is_empty(), "{fields:?} of {value}");
    let content = content.unwrap();
    assert_eq!(content.type_name(), kind);
    let stored = serde_json::to_value(&content).unwrap();
    let again: Content = serde_json::from_value(stored.clone()).unwrap();
    assert!(
        again == content && !matches!(again, Content::Raw(_)),
        "{stored}"
    );
    stored[kind].clone()
}

/// These bodies are good, and Meta gets them as they are.
fn all_pass(kind: &str, bodies: &[Value]) {
    for body in bodies {
        assert_eq!(sent(kind, body), *body);
    }
}

/// In these bodies exactly these fields are bad, in this order.
fn all_fail(kind: &str, cases: &[(Value, &[&str])]) {
    for (body, expected) in cases {
        let (_, fields) = read(kind, body.clone());
        assert_eq!(fields, *expected, "{body}");
    }
}

/// The body with one member, at a JSON pointer, set to another value, or removed by `null`.
fn with(body: &Value, pointer: &str, value: Value) -> Value {
    let mut changed = body.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = changed.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(members), Value::Null) => {
            members.remove(name);
        }
        (Value::Array(items), value) => items[name.parse::<usize>().unwrap()] = value,
        (parent, value) => parent[name] = value,
    }
    changed
}

fn long(chars: usize) -> Value {
    json!("ü".repeat(chars))
}
