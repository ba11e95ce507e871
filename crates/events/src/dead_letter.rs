//! Deliveries that no handler took.

use async_trait::async_trait;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Map, Value};

/// A delivery that no handler took, with all that is known of it.
#[derive(Clone)]
pub struct DeadLetter {
    /// The queue that it was in, without the deployment's namespace.
    pub queue: &'static str,
    /// Its routing key, as it was published.
    pub routing_key: String,
    /// The broker message's id.
    pub broker_message_id: Option<String>,
    /// Its headers, `x-death` among them if the broker gave it up.
    pub headers: Value,
    /// W3C trace context of the cause.
    pub traceparent: Option<String>,
    /// Its body, byte for byte.
    pub body: Vec<u8>,
    /// Why nobody took it; holds nothing of the body.
    pub error: String,
}

/// Where dead letters are kept.
#[async_trait]
pub trait DeadLetters: Send + Sync + 'static {
    /// Keeps a letter; may be called again for the same one.
    async fn keep(&self, letter: DeadLetter) -> anyhow::Result<()>;
}

/// Why a handler does not take a delivery, without what stands in the delivery: parsers quote it.
pub(crate) fn reason(error: &anyhow::Error) -> String {
    let parser = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<serde_json::Error>());
    parser.map_or_else(
        || format!("{error:#}"),
        |json| {
            let (line, column) = (json.line(), json.column());
            format!(
                "it cannot be read: {:?} error at line {line}, column {column}",
                json.classify()
            )
        },
    )
}

/// What the broker says of a letter that it gave up: why, and the routing key that it had.
pub(crate) fn death(headers: &Value) -> (String, Option<String>) {
    let latest = headers.pointer("/x-death/0");
    let word = latest.and_then(|death| death.get("reason")?.as_str());
    let key = latest.and_then(|death| death.pointer("/routing-keys/0")?.as_str());
    let reason = match word {
        Some("delivery_limit") => "its consumers went away too often without an answer".to_owned(),
        Some(word) => format!("the broker gave it up: {word}"),
        None => "the broker gave it up".to_owned(),
    };
    (reason, key.map(str::to_owned))
}

/// Headers as JSON; what has no counterpart there is left out.
pub(crate) fn headers_json(table: Option<&FieldTable>) -> Value {
    let Some(table) = table else {
        return Value::Object(Map::new());
    };
    let entries = table.inner().iter();
    entries
        .filter_map(|(name, value)| Some((name.to_string(), json(value)?)))
        .collect()
}

fn json(value: &AMQPValue) -> Option<Value> {
    Some(match value {
        AMQPValue::Boolean(value) => (*value).into(),
        AMQPValue::ShortShortInt(value) => (*value).into(),
        AMQPValue::ShortShortUInt(value) => (*value).into(),
        AMQPValue::ShortInt(value) => (*value).into(),
        AMQPValue::ShortUInt(value) => (*value).into(),
        AMQPValue::LongInt(value) => (*value).into(),
        AMQPValue::LongUInt(value) => (*value).into(),
        AMQPValue::LongLongInt(value) => (*value).into(),
        AMQPValue::Timestamp(value) => (*value).into(),
        AMQPValue::ShortString(value) => value.to_string().into(),
        AMQPValue::LongString(value) => value.to_string().into(),
        AMQPValue::FieldArray(values) => values.as_slice().iter().filter_map(json).collect(),
        AMQPValue::FieldTable(table) => headers_json(Some(table)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parsers_complaint_quotes_nothing() {
        let error = serde_json::from_str::<u64>(r#""a text of somebody""#).unwrap_err();
        let error = anyhow::Error::new(error).context("no hint");
        let told = reason(&error);
        assert!(!told.contains("somebody"), "{told}");
        assert!(told.contains("Data error at line 1"), "{told}");
        assert_eq!(reason(&anyhow::anyhow!("unknown major")), "unknown major");
    }

    #[test]
    fn the_brokers_headers_tell_of_the_death() {
        let mut death = FieldTable::default();
        death.insert(
            "reason".into(),
            AMQPValue::LongString("delivery_limit".into()),
        );
        let keys = vec![AMQPValue::LongString("message.deliver".into())];
        death.insert("routing-keys".into(), AMQPValue::FieldArray(keys.into()));
        let mut table = FieldTable::default();
        let deaths = vec![AMQPValue::FieldTable(death)];
        table.insert("x-death".into(), AMQPValue::FieldArray(deaths.into()));
        let headers = headers_json(Some(&table));
        let (reason, key) = super::death(&headers);
        assert!(reason.contains("too often"), "{reason}");
        assert_eq!(key.as_deref(), Some("message.deliver"));
        assert_eq!(super::death(&headers_json(None)).1, None);
    }
}
