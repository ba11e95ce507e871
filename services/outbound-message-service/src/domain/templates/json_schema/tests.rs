use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex},
};

use portal_service_kit::FieldErrors;
use portal_whatsapp::Content;
use regex::Regex;
use serde_json::{Value, json};

use super::*;
use crate::domain::{SendTemplateRequest, templates::check};

/// Whether a value satisfies a schema, for the keywords that are used here (JSON Schema, draft
/// 2020-12); any other keyword is a mistake.
pub(crate) fn satisfies(value: &Value, schema: &Value) -> bool {
    let Some(keywords) = schema.as_object() else {
        return schema
            .as_bool()
            .expect("a schema is an object or a boolean");
    };
    let each = |schemas: &Value| -> Vec<bool> {
        let schemas = schemas.as_array().unwrap();
        schemas
            .iter()
            .map(|schema| satisfies(value, schema))
            .collect()
    };
    let size = |limit: &Value| usize::try_from(limit.as_u64().unwrap()).unwrap();
    let known = |keyword: &str| keywords.get(keyword);
    keywords
        .iter()
        .all(|(keyword, limit)| match keyword.as_str() {
            // The last two are taken with `contains`.
            "$schema" | "title" | "examples" | "format" | "minContains" | "maxContains" => true,
            "type" => match limit {
                Value::Array(kinds) => kinds.iter().any(|kind| is_of(value, kind)),
                kind => is_of(value, kind),
            },
            "enum" => limit.as_array().unwrap().contains(value),
            "const" => limit == value,
            "anyOf" => each(limit).contains(&true),
            "allOf" => !each(limit).contains(&false),
            "oneOf" => each(limit).iter().filter(|fits| **fits).count() == 1,
            "not" => !satisfies(value, limit),
            "maxLength" => value
                .as_str()
                .is_none_or(|text| text.chars().count() <= size(limit)),
            "pattern" => value
                .as_str()
                .is_none_or(|text| matches(limit.as_str().unwrap(), text)),
            "minimum" => value
                .as_f64()
                .is_none_or(|number| number >= limit.as_f64().unwrap()),
            "maximum" => value
                .as_f64()
                .is_none_or(|number| number <= limit.as_f64().unwrap()),
            _ => match value {
                Value::Object(members) => members_fit(members, keyword, limit, known("properties")),
                Value::Array(items) => items_fit(items, keyword, limit, keywords),
                _ => OF_OBJECTS.contains(&keyword.as_str()) || OF_LISTS.contains(&keyword.as_str()),
            },
        })
}

fn matches(pattern: &str, text: &str) -> bool {
    static READ: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);
    let mut read = READ.lock().unwrap();
    let regex = read
        .entry(pattern.to_owned())
        .or_insert_with(|| Regex::new(pattern).unwrap());
    regex.is_match(text)
}

const OF_OBJECTS: [&str; 4] = [
    "required",
    "properties",
    "additionalProperties",
    "maxProperties",
];
const OF_LISTS: [&str; 5] = ["prefixItems", "items", "minItems", "maxItems", "contains"];

fn is_of(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the type {other}"),
    }
}

fn members_fit(
    members: &Map<String, Value>,
    keyword: &str,
    limit: &Value,
    properties: Option<&Value>,
) -> bool {
    match keyword {
        "required" => limit
            .as_array()
            .unwrap()
            .iter()
            .all(|name| members.contains_key(name.as_str().unwrap())),
        "properties" => limit.as_object().unwrap().iter().all(|(name, schema)| {
            members
                .get(name)
                .is_none_or(|value| satisfies(value, schema))
        }),
        "additionalProperties" => {
            assert_eq!(limit, false);
            let named = |name| properties.is_some_and(|all| all.get(name).is_some());
            members.keys().all(named)
        }
        "maxProperties" => members.len() as u64 <= limit.as_u64().unwrap(),
        other => OF_LISTS.contains(&other) || panic!("the keyword {other}"),
    }
}

fn items_fit(items: &[Value], keyword: &str, limit: &Value, keywords: &Map<String, Value>) -> bool {
    let prefix = keywords.get("prefixItems").and_then(Value::as_array);
    let bound = |name, default| {
        keywords
            .get(name)
            .and_then(Value::as_u64)
            .unwrap_or(default)
    };
    match keyword {
        "prefixItems" => items
            .iter()
            .zip(prefix.unwrap())
            .all(|(item, schema)| satisfies(item, schema)),
        "items" => items
            .iter()
            .skip(prefix.map_or(0, Vec::len))
            .all(|item| satisfies(item, limit)),
        "minItems" => items.len() as u64 >= limit.as_u64().unwrap(),
        "maxItems" => items.len() as u64 <= limit.as_u64().unwrap(),
        "contains" => {
            let found = items.iter().filter(|item| satisfies(item, limit)).count() as u64;
            (bound("minContains", 1)..=bound("maxContains", u64::MAX)).contains(&found)
        }
        other => OF_OBJECTS.contains(&other) || panic!("the keyword {other}"),
    }
}

/// What the door finds wrong with the values.
fn problems(schema: &TemplateSchema, values: &Value) -> Vec<String> {
    let mut body = values.clone();
    let envelope = json!({"to": "+1234567890", "template_name": "t", "language": "en_US"});
    body.as_object_mut()
        .unwrap()
        .extend(envelope.as_object().unwrap().clone());
    let request: SendTemplateRequest = match serde_json::from_value(body) {
        Ok(request) => request,
        Err(error) => return vec![error.to_string()],
    };
    let now = chrono::DateTime::from_timestamp(1_767_000_000, 0).unwrap();
    let draft = match request.into_draft(now) {
        Ok(draft) => draft,
        Err(errors) => return told(&errors),
    };
    let Content::Template(template) = draft.content else {
        panic!("a template is asked for");
    };
    let mut errors = FieldErrors::new();
    check::check(
        schema,
        &template.components,
        "c",
        now.timestamp_millis(),
        &mut errors,
    );
    told(&errors)
}

fn told(errors: &FieldErrors) -> Vec<String> {
    let fields = errors.fields().iter();
    fields
        .map(|bad| format!("{} {}", bad.field, bad.message))
        .collect()
}

/// Templates with values that fit them, in short form and whole.
fn texts_and_buttons() -> Vec<(Value, bool, Vec<Value>)> {
    let body = json!({"type": "BODY", "text": "Your order {{1}} ships on {{2}}."});
    let text = |text: &str| json!({"type": "text", "text": text});
    let named = |name: &str| json!({"type": "text", "parameter_name": name, "text": "x"});
    let image = json!({"type": "image", "image": {"link": "https://example.com/a.png"}});
    vec![
        (
            json!([body]),
            false,
            vec![
                json!({"parameters": ["4711", 12]}),
                json!({"parameters": [text("4711"), {"type": "date_time",
                    "date_time": {"fallback_value": "Monday"}}]}),
                json!({"components": [{"type": "body", "parameters": [text("1"), {
                    "type": "currency", "currency": {"fallback_value": "$1", "code": "USD",
                    "amount_1000": 1000}}]}]}),
            ],
        ),
        (
            json!([{"type": "HEADER", "format": "TEXT", "text": "Hello {{first_name}}"},
                   {"type": "BODY", "text": "{{day}} at {{hour}}"}]),
            true,
            vec![
                json!({"header": named("first_name"), "parameters": {"day": "Monday", "hour": 10}}),
                json!({"header": named("first_name"), "parameters": [named("hour"), named("day")]}),
                json!({"components": [{"type": "body", "parameters": [named("day"), named("hour")]},
                    {"type": "HEADER", "parameters": [named("first_name")]}]}),
            ],
        ),
        (
            json!([{"type": "HEADER", "format": "IMAGE"}, {"type": "BODY", "text": "Hello"},
                {"type": "BUTTONS", "buttons": [
                    {"type": "PHONE_NUMBER"}, {"type": "QUICK_REPLY", "text": "Yes"},
                    {"type": "URL", "url": "https://example.com/{{1}}"}, {"type": "COPY_CODE"}]}]),
            false,
            vec![
                json!({"header": image, "buttons": [{"index": 2, "url": "a"},
                    {"index": "3", "coupon_code": "SAVE25"}, {"index": 1, "payload": "yes"}]}),
                json!({"components": [
                    {"type": "header", "parameters": [image]},
                    {"type": "button", "sub_type": "url", "index": 2, "parameters": [text("a")]},
                    {"type": "button", "sub_type": "copy_code", "index": "3",
                     "parameters": [{"type": "coupon_code", "coupon_code": "SAVE25"}]}]}),
            ],
        ),
        (
            json!([{"type": "BODY", "add_security_recommendation": true},
                   {"type": "BUTTONS", "buttons": [{"type": "OTP"}]}]),
            false,
            vec![json!({"parameters": ["123456"], "buttons": [{"index": 0, "url": "123456"}]})],
        ),
    ]
}

/// As [`texts_and_buttons`]: what has no short form, or none of its own.
fn others() -> Vec<(Value, bool, Vec<Value>)> {
    let text = |text: &str| json!({"type": "text", "text": text});
    let image = json!({"type": "image", "image": {"link": "https://example.com/a.png"}});
    vec![
        (
            json!([{"type": "LIMITED_TIME_OFFER",
                    "limited_time_offer": {"text": "Soon", "has_expiration": true}},
                   {"type": "BODY", "text": "Now"},
                   {"type": "CAROUSEL", "cards": [
                       {"components": [{"type": "HEADER", "format": "IMAGE"},
                                       {"type": "BODY", "text": "{{1}}"}]},
                       {"components": [{"type": "BODY", "text": "plain"}, {"type": "BUTTONS",
                           "buttons": [{"type": "QUICK_REPLY", "text": "More"}]}]}]}]),
            false,
            vec![json!({"components": [
                {"type": "limited_time_offer", "parameters": [{"type": "limited_time_offer",
                    "limited_time_offer": {"expiration_time_ms": 4_102_444_800_000_i64}}]},
                {"type": "carousel", "cards": [
                    {"card_index": 0, "components": [{"type": "header", "parameters": [image]},
                        {"type": "body", "parameters": [text("a")]}]},
                    {"card_index": 1, "components": [{"type": "button", "sub_type": "quick_reply",
                        "index": "0", "parameters": [{"type": "payload", "payload": "p"}]}]}]}]})],
        ),
        (
            json!([{"type": "HEADER", "format": "LOCATION"}, {"type": "BODY", "text": "Here"},
                   {"type": "BUTTONS", "buttons": [{"type": "FLOW"}]}]),
            false,
            vec![
                json!({"header": {"type": "location", "location": {"latitude": 1.5, "longitude": -2,
                    "name": "Park"}}}),
                json!({"components": [
                    {"type": "header", "parameters": [{"type": "location", "location":
                        {"latitude": "1.5", "longitude": 2, "name": "n", "address": "a"}}]},
                    {"type": "button", "sub_type": "FLOW", "index": "0", "parameters": [
                        {"type": "action", "action": {"flow_token": "t"}}]}]}),
            ],
        ),
        (
            json!([{"type": "BODY", "text": "Look"},
                   {"type": "BUTTONS", "buttons": [{"type": "MPM"}]}]),
            false,
            vec![
                json!({"components": [{"type": "button", "sub_type": "mpm", "index": 0,
                "parameters": [{"type": "action", "action": {"thumbnail_product_retailer_id": "1",
                    "sections": [{"title": "a", "product_items": [{"product_retailer_id": "1"}]}]}}]}]}),
            ],
        ),
        (
            json!([{"type": "BODY", "text": "Hello"}]),
            false,
            vec![json!({})],
        ),
    ]
}

/// The paths of everything in a value.
fn paths(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                paths(member, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                paths(item, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// The value with one thing in it changed, in all ways.
fn changed(good: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    paths(good, "", &mut found);
    let mut all = vec![
        json!({}),
        json!({"parameters": ["a"]}),
        json!({"components": []}),
    ];
    for path in found.iter().filter(|path| !path.is_empty()) {
        for other in [
            json!(null),
            json!(""),
            json!("  "),
            json!("two\nlines"),
            json!("x".repeat(40)),
            json!("x".repeat(2500)),
            json!("a     b"),
            json!(7),
            json!(true),
            json!([]),
            json!({}),
        ] {
            let mut value = good.clone();
            *value.pointer_mut(path).unwrap() = other;
            all.push(value);
        }
        let (parent, name) = path.rsplit_once('/').unwrap();
        let mut value = good.clone();
        match value.pointer_mut(parent).unwrap() {
            Value::Object(members) => {
                members.remove(name);
                members.insert("of_tomorrow".to_owned(), json!(1));
                all.push(value.clone());
                let members = value.pointer_mut(parent).unwrap().as_object_mut().unwrap();
                members.remove("of_tomorrow");
            }
            Value::Array(items) => {
                items.remove(name.parse().unwrap());
            }
            _ => {}
        }
        all.push(value);
        let mut value = good.clone();
        if let Some(items) = value.pointer_mut(parent).and_then(Value::as_array_mut) {
            items.push(items[name.parse::<usize>().unwrap()].clone());
            all.push(value);
        }
    }
    all
}

#[test]
fn it_accepts_what_the_door_accepts_and_refuses_what_it_refuses() {
    let (mut accepted, mut refused) = (0, 0);
    for (template, is_named, good) in texts_and_buttons().into_iter().chain(others()) {
        let schema = TemplateSchema::read(&template, is_named);
        let formal = of(&schema);
        assert_eq!(formal["$schema"], DIALECT);
        for values in &good {
            assert_eq!(problems(&schema, values), [""; 0], "{values}");
            assert!(satisfies(values, &formal), "{values}\n{formal:#}");
            for values in changed(values) {
                // At the top stand the members of the request that hold no values, too.
                let is_strange = values.get("of_tomorrow").is_some();
                // What products and forms hold is Meta's.
                let is_deep = values.to_string().contains("\"action\"");
                if is_strange || is_deep {
                    continue;
                }
                let problems = problems(&schema, &values);
                assert_eq!(
                    satisfies(&values, &formal),
                    problems.is_empty(),
                    "{values} {problems:?}\n{formal:#}"
                );
                *if problems.is_empty() {
                    &mut accepted
                } else {
                    &mut refused
                } += 1;
            }
        }
    }
    assert!(accepted > 40 && refused > 1000, "{accepted} {refused}");
}

#[test]
fn examples_and_room_are_told() {
    let template = json!([{"type": "BODY", "text": "Order {{1}}.",
        "example": {"body_text": [["4711"]]}}]);
    let formal = of(&TemplateSchema::read(&template, false));
    let value = &formal["oneOf"][0]["properties"]["parameters"]["prefixItems"][0];
    assert_eq!(value["title"], "{{1}}");
    assert_eq!(value["examples"], json!(["4711"]));
    assert_eq!(value["anyOf"][0]["maxLength"], 1024 - 7);
    assert_eq!(formal["oneOf"][0]["required"], json!(["parameters"]));
}
