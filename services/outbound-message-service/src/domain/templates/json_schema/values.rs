//! Values of variables, headers and buttons, and the words of schemas.

use serde_json::{Map, Value, json};

use crate::domain::templates::schema::{ButtonValue, ButtonValueKind, HeaderSchema, Variable};

/// Not blank, without line breaks and tabs.
const VALUE: &str = r"^[^\n\r\t]*\S[^\n\r\t]*$";
/// Meta refuses values with so many blanks in a row.
const BLANKS: &str = " {5}";
const CODE: &str = "^[A-Za-z0-9]+$";
const ID: &str = "^[!-~]+$";
const NOT_BLANK: &str = r"\S";
/// Longest id of a product that is handed through, in characters.
const MAX_PRODUCT_CHARS: usize = 512;
const MAX_ID_CHARS: usize = 512;
const MAX_FILE_NAME_CHARS: usize = 255;

/// Whether a value names its variable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    None,
    Allowed,
    Needed,
}

/// A text or number, or a value as Meta has it.
pub(super) fn short_value(variable: &Variable, name: Name) -> Value {
    let mut forms = vec![value_text(variable.max_length), json!({"type": "number"})];
    forms.push(textual(variable, name));
    described(json!({"anyOf": forms}), variable)
}

/// A value of a variable as Meta has it.
pub(super) fn textual(variable: &Variable, name: Name) -> Value {
    let text = || value_text(variable.max_length);
    let with_name = |mut members: Vec<(&str, Value)>| match name {
        Name::None => {
            members.push(("parameter_name", json!({"type": "null"})));
            object(&members, &["parameter_name"])
        }
        Name::Allowed => {
            members.push(("parameter_name", json!({"type": ["string", "null"]})));
            object(&members, &["parameter_name"])
        }
        Name::Needed => {
            members.push(("parameter_name", json!({"const": variable.name})));
            object(&members, &[])
        }
    };
    let amount = object(
        &[
            ("fallback_value", text()),
            ("code", json!({"type": "string", "pattern": "^[A-Z]{3}$"})),
            ("amount_1000", json!({"type": "integer"})),
        ],
        &[],
    );
    let time = object(&[("fallback_value", text())], &[]);
    let forms = [
        with_name(vec![("type", word("text")), ("text", text())]),
        with_name(vec![("type", word("currency")), ("currency", amount)]),
        with_name(vec![("type", word("date_time")), ("date_time", time)]),
    ];
    json!({ "anyOf": forms })
}

/// The value of a header that is no text.
pub(super) fn header_value(header: &HeaderSchema) -> Value {
    let kind = header.word();
    let content = match header {
        HeaderSchema::Location => {
            let degrees = |most: i32| {
                json!({"anyOf": [{"type": "number", "minimum": -most, "maximum": most},
                                 {"type": "string", "pattern": r"^[+-]?[0-9.]+$"}]})
            };
            let name =
                || json!({"type": ["string", "null"], "pattern": NOT_BLANK, "maxLength": 1000});
            let members = [
                ("latitude", degrees(90)),
                ("longitude", degrees(180)),
                ("name", name()),
                ("address", name()),
            ];
            object(&members, &["name", "address"])
        }
        HeaderSchema::Product => object(
            &[("catalog_id", id()), ("product_retailer_id", product())],
            &[],
        ),
        _ => medium(matches!(header, HeaderSchema::Document)),
    };
    object(&[("type", word(kind)), (kind, content)], &[])
}

pub(super) fn medium(has_name: bool) -> Value {
    let link = json!({"type": "string", "format": "uri", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://"});
    let none = || json!({"type": "null"});
    let forms = [(id(), none()), (none(), link)].map(|(id, link)| {
        let mut members = vec![("id", id), ("link", link)];
        if has_name {
            members.push((
                "filename",
                json!({"type": ["string", "null"], "pattern": NOT_BLANK,
                       "maxLength": MAX_FILE_NAME_CHARS}),
            ));
        }
        object(&members, &["id", "link", "filename"])
    });
    let [by_id, by_link] = forms;
    json!({"anyOf": [
        {"allOf": [by_id, {"required": ["id"]}]}, {"allOf": [by_link, {"required": ["link"]}]},
    ]})
}

/// Whether a button needs a value when it is named at all, and that value.
pub(super) fn button_value(value: &ButtonValue) -> (bool, Value) {
    let action = || {
        let values = json!({"type": "object"});
        object(&[("type", word("action")), ("action", values)], &[])
    };
    let of = |kind: &str| object(&[("type", word(kind)), (kind, button_text(value))], &[]);
    match value.kind {
        ButtonValueKind::UrlSuffix | ButtonValueKind::OneTimePassword => {
            let text = [
                ("type", word("text")),
                ("text", button_text(value)),
                ("parameter_name", json!({"type": ["string", "null"]})),
            ];
            (true, object(&text, &["parameter_name"]))
        }
        ButtonValueKind::CouponCode => (true, of("coupon_code")),
        ButtonValueKind::Payload => (true, of("payload")),
        ButtonValueKind::Flow | ButtonValueKind::Catalog => (false, action()),
        ButtonValueKind::Products => (true, action()),
    }
}

/// The text that a button takes.
pub(super) fn button_text(value: &ButtonValue) -> Value {
    let max = value.max_length.unwrap_or(usize::MAX);
    let mut text = match value.kind {
        ButtonValueKind::CouponCode => json!({"type": "string", "pattern": CODE, "maxLength": max}),
        ButtonValueKind::Payload => {
            json!({"type": "string", "pattern": NOT_BLANK, "maxLength": max})
        }
        _ => value_text(max),
    };
    if let (Some(example), Some(text)) = (&value.example, text.as_object_mut()) {
        text.insert("examples".to_owned(), json!([example]));
    }
    text
}

pub(super) fn value_text(max: usize) -> Value {
    json!({"type": "string", "maxLength": max, "pattern": VALUE, "not": {"pattern": BLANKS}})
}

pub(super) fn id() -> Value {
    json!({"type": "string", "maxLength": MAX_ID_CHARS, "pattern": ID})
}

pub(super) fn product() -> Value {
    json!({"type": "string", "maxLength": MAX_PRODUCT_CHARS, "pattern": NOT_BLANK})
}

pub(super) fn described(mut schema: Value, variable: &Variable) -> Value {
    if let Some(members) = schema.as_object_mut() {
        members.insert(
            "title".to_owned(),
            json!(format!("{{{{{}}}}}", variable.name)),
        );
        if let Some(example) = &variable.example {
            members.insert("examples".to_owned(), json!([example]));
        }
    }
    schema
}

/// Words of types are written in small letters or in capitals.
pub(super) fn word(word: &str) -> Value {
    json!({"enum": [word, word.to_ascii_uppercase()]})
}

/// The place of a button, as number or text.
pub(super) fn place(index: usize) -> Value {
    json!({"enum": [index, index.to_string()]})
}

/// An object of these members and no others, all of them needed but the `optional` ones.
pub(super) fn object(members: &[(&str, Value)], optional: &[&str]) -> Value {
    let required: Vec<_> = members
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !optional.contains(name))
        .collect();
    let members: Map<String, Value> = members
        .iter()
        .map(|(name, schema)| ((*name).to_owned(), schema.clone()))
        .collect();
    json!({"type": "object", "properties": members, "required": required,
           "additionalProperties": false})
}

/// A list of just these items.
pub(super) fn exactly(items: &[Value]) -> Value {
    let count = items.len();
    if items.is_empty() {
        return json!({"type": "array", "maxItems": 0});
    }
    json!({"type": "array", "prefixItems": items, "items": false, "minItems": count, "maxItems": count})
}

/// A list of items of these forms, of which the others tell how often.
pub(super) fn list_of(forms: &[Value], once: &[Value]) -> Value {
    if forms.is_empty() {
        return json!({"type": "array", "maxItems": 0});
    }
    json!({"type": "array", "items": {"anyOf": forms}, "allOf": once})
}

/// One such item; or none where it is not needed.
pub(super) fn contains(item: &Value, is_required: bool) -> Value {
    json!({"contains": item, "minContains": usize::from(is_required), "maxContains": 1})
}
