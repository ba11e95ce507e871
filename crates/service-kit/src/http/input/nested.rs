//! Values whose form depends on another value, read from a buffer without losing the path.
//!
//! serde reads such a value twice: whole, then in its form. The second reader does not know where it
//! is, so its errors say it in their text, and [`super::report`] takes that apart again.

use serde::de::{self, DeserializeOwned};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::report;
use crate::error::FieldErrors;

const START: &str = "in ";

/// Reads a `T` inside of a `Deserialize` implementation; the error names the field in `value`.
pub fn from_buffered<T: DeserializeOwned, E: de::Error>(value: Value) -> Result<T, E> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let (inner, text) = (error.path().clone(), error.inner().to_string());
        let (segments, text) = locate(&inner, &text);
        error_in(&segments, text)
    })
}

/// An error at the member `field` of the value that a `Deserialize` implementation reads.
pub fn error_at<E: de::Error>(field: &str, message: &str) -> E {
    let key = field.to_owned();
    error_in(&[Segment::Map { key }], message)
}

/// Reads a `T` that stands at `path` of a body, or adds every field that does not fit.
pub fn read_member<T: DeserializeOwned>(
    value: Value,
    path: &str,
    errors: &mut FieldErrors,
) -> Option<T> {
    // From a copy: what does not fit is looked at again, and values are small.
    if let Ok(read) = T::deserialize(value.clone()) {
        return Some(read);
    }
    for bad in report::every_bad_field::<T>(value, Some(path)).fields() {
        errors.add(bad.field.as_str(), bad.message.as_str());
    }
    None
}

fn error_in<E: de::Error>(segments: &[Segment], message: &str) -> E {
    let path: Vec<Value> = segments
        .iter()
        .map(|segment| match segment {
            Segment::Seq { index } => Value::from(*index),
            Segment::Map { key } => Value::from(key.as_str()),
            Segment::Enum { variant } => Value::from(variant.as_str()),
            Segment::Unknown => Value::Null,
        })
        .collect();
    E::custom(format_args!("{START}{}: {message}", Value::from(path)))
}

/// The whole path of an error, with the part that its text tells, and the rest of the text.
pub(super) fn locate<'t>(path: &Path, text: &'t str) -> (Vec<Segment>, &'t str) {
    let outer = path.iter().cloned();
    let Some((inner, text)) = split(text) else {
        return (outer.collect(), text);
    };
    (outer.chain(inner).collect(), text)
}

fn split(text: &str) -> Option<(Vec<Segment>, &str)> {
    let rest = text.strip_prefix(START)?;
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Vec<Value>>();
    let path = values.next()?.ok()?;
    let message = rest.get(values.byte_offset()..)?.strip_prefix(": ")?;
    let segments = path
        .into_iter()
        .map(|part| match part {
            Value::String(key) => Segment::Map { key },
            Value::Number(index) => Segment::Seq {
                index: index
                    .as_u64()
                    .and_then(|i| usize::try_from(i).ok())
                    .unwrap_or(0),
            },
            _ => Segment::Unknown,
        })
        .collect();
    Some((segments, message))
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Deserializer};
    use serde_json::json;

    use super::*;
    use crate::http::parse_json;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Drawing {
        #[expect(dead_code, reason = "only reading it matters")]
        shapes: Vec<Shape>,
    }

    /// `{"kind": "circle", …}`
    enum Shape {
        Circle,
        Group,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only reading it matters")]
    struct Circle {
        radius: u8,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only reading it matters")]
    struct Group {
        of: Vec<Shape>,
    }

    impl<'de> Deserialize<'de> for Shape {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let mut members = serde_json::Map::deserialize(deserializer)?;
            match members.remove("kind").as_ref().and_then(Value::as_str) {
                Some("circle") => from_buffered(members.into()).map(|_: Circle| Self::Circle),
                Some("group") => from_buffered(members.into()).map(|_: Group| Self::Group),
                _ => Err(error_at("kind", "must be `circle` or `group`")),
            }
        }
    }

    fn bad_fields(body: &Value) -> Vec<(String, String)> {
        let error = parse_json::<Drawing>(body.to_string().as_bytes())
            .err()
            .unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let details = error.details().unwrap().as_array().unwrap().clone();
        details
            .iter()
            .map(|detail| (text(&detail["field"]), text(&detail["message"])))
            .collect()
    }

    #[test]
    fn every_bad_field_is_named_however_deep_it_stands() {
        let body = json!({"shapes": [
            {"kind": "circle", "radius": 1},
            {"kind": "group", "of": [{"kind": "circle", "radius": 1, "area": 3}, {"kind": "circle"}]},
            {"kind": "circle", "radius": "s3cret"},
        ]});
        let of = |field: &str, message: &str| (field.to_owned(), message.to_owned());
        assert_eq!(
            bad_fields(&body),
            [
                of("shapes[1].of[0].area", "is not a known field"),
                of("shapes[1].of[1].radius", "is missing"),
                of("shapes[2].radius", "must be u8"),
            ]
        );
        assert_eq!(
            bad_fields(&json!({"shapes": [{"kind": "line"}]})),
            [of("shapes[0].kind", "must be `circle` or `group`")]
        );
    }

    #[test]
    fn a_member_is_read_or_its_bad_fields_are_added_under_its_path() {
        let mut errors = FieldErrors::new();
        let read = |value, errors: &mut FieldErrors| read_member::<Circle>(value, "circle", errors);
        assert!(read(json!({"radius": 3}), &mut errors).is_some());
        assert!(errors.is_empty());
        assert!(read(json!({"radius": -3, "x": 1}), &mut errors).is_none());
        assert!(read(json!(7), &mut errors).is_none());
        let fields: Vec<&str> = errors
            .fields()
            .iter()
            .map(|bad| bad.field.as_str())
            .collect();
        assert_eq!(fields, ["circle.radius", "circle.x", "circle"]);
    }

    #[test]
    fn texts_that_only_look_like_a_path_are_left_alone() {
        for text in ["in the end", "in [1]", "in [\"a\"] x", "out", "in {}: x"] {
            assert!(split(text).is_none(), "{text}");
        }
    }
}
