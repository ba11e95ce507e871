//! Message templates: what an account has, how it is listed and changed, and what a send is
//! compared with.

pub(crate) mod check;
pub(crate) mod edges;
pub(crate) mod seeds;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use crate::crypto::stable_digits;

/// One language version of a template.
#[derive(Debug, Clone, Serialize)]
pub struct Template {
    /// Digits; an integer in webhooks.
    pub id: String,
    /// Account that owns it.
    pub waba_id: String,
    /// Name, the same in all languages.
    pub name: String,
    /// Exact language code, such as `en_US`.
    pub language: String,
    /// `APPROVED`, `PAUSED`, ...
    pub status: String,
    /// `MARKETING`, `UTILITY` or `AUTHENTICATION`.
    pub category: String,
    /// `POSITIONAL` or `NAMED`.
    pub parameter_format: String,
    /// As Meta lists them.
    pub components: Value,
    /// `GREEN`, `YELLOW`, `RED` or `UNKNOWN`.
    pub quality: String,
    /// `NONE` or why it was rejected.
    pub rejected_reason: String,
    /// Category before a change by Meta.
    pub previous_category: Option<String>,
    /// When it was last changed.
    pub last_updated: DateTime<Utc>,
}

impl Template {
    pub(crate) fn new(waba_id: &str, name: &str, language: &str, category: &str) -> Self {
        Self {
            id: id_of(waba_id, name, language),
            waba_id: waba_id.to_owned(),
            name: name.to_owned(),
            language: language.to_owned(),
            status: "APPROVED".to_owned(),
            category: category.to_owned(),
            parameter_format: "POSITIONAL".to_owned(),
            components: json!([]),
            quality: "GREEN".to_owned(),
            rejected_reason: "NONE".to_owned(),
            previous_category: None,
            last_updated: DateTime::UNIX_EPOCH + chrono::Duration::seconds(1_750_000_000),
        }
    }

    /// Everything that can be asked for in `fields`.
    pub(crate) fn node(&self) -> Value {
        let mut node = json!({
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "category": self.category,
            "language": self.language,
            "components": self.components,
            "parameter_format": self.parameter_format,
            "quality_score": {"score": self.quality, "date": self.last_updated.timestamp()},
            "rejected_reason": self.rejected_reason,
            "last_updated_time": self.last_updated.format("%Y-%m-%dT%H:%M:%S+0000").to_string(),
        });
        if let (Some(previous), Some(members)) = (&self.previous_category, node.as_object_mut()) {
            members.insert("previous_category".to_owned(), json!(previous));
        }
        node
    }

    /// A component by its type.
    pub(crate) fn component(&self, kind: &str) -> Option<&Value> {
        let is_kind = |component: &&Value| component["type"].as_str() == Some(kind);
        self.components.as_array()?.iter().find(is_kind)
    }

    /// Buttons of the message itself, in order.
    pub(crate) fn buttons(&self) -> &[Value] {
        self.component("BUTTONS")
            .and_then(|component| component["buttons"].as_array())
            .map_or(&[], Vec::as_slice)
    }

    pub(crate) fn touch(&mut self) {
        self.last_updated = Utc::now();
    }
}

/// The same template has the same id in every run.
pub(crate) fn id_of(waba_id: &str, name: &str, language: &str) -> String {
    format!(
        "7{}",
        stable_digits(&format!("{waba_id}/{name}/{language}"), 14)
    )
}
