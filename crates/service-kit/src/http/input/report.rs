//! Turns serde's errors into field names and sentences, without the caller's values.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::nested;
use crate::error::FieldErrors;

/// The field that stands for a body as a whole.
pub(super) const WHOLE_BODY: &str = "body";
/// More than a form has; a hostile body gets no longer list.
const MAX_REPORTED: usize = 50;

/// The field (unless the whole input is meant) and what is wrong with it.
pub(super) fn describe(path: &Path, text: &str) -> (Option<String>, String) {
    let (segments, text) = nested::locate(path, text);
    let base = shown(&segments);
    let child = |start: &str| {
        text.split_once(start)
            .and_then(|(_, rest)| rest.split('`').next())
    };
    let join = |name: &str| {
        let joined = base == name || base.ends_with(&format!(".{name}"));
        match (base.is_empty(), joined) {
            (true, _) => name.to_owned(),
            (_, true) => base.clone(),
            _ => format!("{base}.{name}"),
        }
    };
    if let Some(name) = child("unknown field `") {
        (Some(join(name)), "is not a known field".to_owned())
    } else if let Some(name) = child("missing field `") {
        (Some(join(name)), "is missing".to_owned())
    } else if let Some(name) = child("duplicate field `") {
        (Some(join(name)), "is given twice".to_owned())
    } else {
        ((!base.is_empty()).then_some(base), without_values(text))
    }
}

/// A path as people write it: `items[0].size`.
fn shown(segments: &[Segment]) -> String {
    let mut path = String::new();
    for segment in segments {
        if !path.is_empty() && !matches!(segment, Segment::Seq { .. }) {
            path.push('.');
        }
        path.push_str(&segment.to_string());
    }
    path
}

/// serde quotes what it found; keep what it expected.
pub(super) fn without_values(text: &str) -> String {
    let text = text.split(" at line ").next().unwrap_or(text);
    let quotes = [
        "invalid type",
        "invalid value",
        "unknown variant",
        "invalid length",
    ];
    if quotes.iter().any(|start| text.starts_with(start)) {
        let expected = text
            .rsplit_once("expected ")
            .map_or("another form", |(_, rest)| rest);
        format!("must be {expected}")
    } else {
        text.to_owned()
    }
}

/// Finds every bad field of a body that did not fit, by repairing one after the other in a copy.
///
/// The copy is thrown away: a repaired body is never accepted. The names begin with `at`, the place
/// of the body in a larger one, if there is such a place.
pub(super) fn every_bad_field<T: DeserializeOwned>(
    mut body: Value,
    at: Option<&str>,
) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let mut reported: Vec<String> = Vec::new();
    while reported.len() < MAX_REPORTED {
        let Some(bad) = first_bad_field::<T>(&body) else {
            break;
        };
        let field = match (at, &bad.field) {
            (None, None) => WHOLE_BODY.to_owned(),
            (None, Some(inner)) => inner.clone(),
            (Some(place), None) => place.to_owned(),
            (Some(place), Some(inner)) if inner.starts_with('[') => format!("{place}{inner}"),
            (Some(place), Some(inner)) => format!("{place}.{inner}"),
        };
        if reported.contains(&field) {
            break;
        }
        errors.add(field.clone(), bad.message.clone());
        reported.push(field);
        let Some(repaired) = repair::<T>(&body, &bad) else {
            break;
        };
        body = repaired;
    }
    errors
}

struct Bad {
    field: Option<String>,
    message: String,
    pointer: Vec<Segment>,
    is_unknown: bool,
}

fn first_bad_field<T: DeserializeOwned>(body: &Value) -> Option<Bad> {
    // Through text, not `from_value`: types that keep raw JSON only read from text.
    let text = body.to_string();
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    let error = serde_path_to_error::deserialize::<_, T>(&mut deserializer).err()?;
    let cause = error.inner().to_string();
    let (field, message) = describe(error.path(), &cause);
    let (mut pointer, cause) = nested::locate(error.path(), &cause);
    let is_unknown = cause.starts_with("unknown field");
    for start in ["unknown field `", "missing field `"] {
        if let Some(name) = cause
            .split_once(start)
            .and_then(|(_, rest)| rest.split('`').next())
        {
            let last = pointer.last().map(ToString::to_string);
            if last.as_deref() != Some(name) {
                pointer.push(Segment::Map {
                    key: name.to_owned(),
                });
            }
        }
    }
    Some(Bad {
        field,
        message,
        pointer,
        is_unknown,
    })
}

fn repair<T: DeserializeOwned>(body: &Value, bad: &Bad) -> Option<Value> {
    if bad.is_unknown {
        return with_field(body, &bad.pointer, None);
    }
    // Any value that lets the reading go past the field will do.
    let stand_ins = [
        Value::Null,
        Value::from(""),
        Value::from(0),
        Value::from(false),
        Value::Array(Vec::new()),
        Value::Object(serde_json::Map::new()),
    ];
    stand_ins.into_iter().find_map(|stand_in| {
        let repaired = with_field(body, &bad.pointer, Some(stand_in))?;
        let next = first_bad_field::<T>(&repaired);
        let is_past = next.is_none_or(|next| next.field != bad.field);
        is_past.then_some(repaired)
    })
}

fn with_field(body: &Value, pointer: &[Segment], value: Option<Value>) -> Option<Value> {
    let (last, parents) = pointer.split_last()?;
    let mut copy = body.clone();
    let mut place = &mut copy;
    for segment in parents {
        place = match segment {
            Segment::Map { key } => place.get_mut(key)?,
            Segment::Seq { index } => place.get_mut(index)?,
            Segment::Enum { .. } | Segment::Unknown => return None,
        };
    }
    match (last, place, value) {
        (Segment::Map { key }, Value::Object(object), None) => {
            object.remove(key)?;
        }
        (Segment::Map { key }, Value::Object(object), Some(value)) => {
            object.insert(key.clone(), value);
        }
        (Segment::Seq { index }, Value::Array(items), Some(value)) => {
            *items.get_mut(*index)? = value;
        }
        _ => return None,
    }
    Some(copy)
}

/// What is wrong with a text that holds U+0000, which PostgreSQL cannot store.
pub(super) const HOLDS_NUL: &str = "must not hold the character U+0000";

/// Every field whose text, or whose name, holds U+0000.
pub(super) fn fields_with_nul(value: &Value) -> FieldErrors {
    let mut fields = FieldErrors::new();
    find_nul(value, "", &mut fields);
    fields
}

fn find_nul(value: &Value, path: &str, fields: &mut FieldErrors) {
    match value {
        Value::String(text) if text.contains('\0') => {
            fields.add(if path.is_empty() { WHOLE_BODY } else { path }, HOLDS_NUL);
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                find_nul(item, &format!("{path}[{index}]"), fields);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let shown = name.replace('\0', "");
                let path = if path.is_empty() {
                    shown
                } else {
                    format!("{path}.{shown}")
                };
                if name.contains('\0') {
                    fields.add(path.as_str(), HOLDS_NUL);
                }
                find_nul(member, &path, fields);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
