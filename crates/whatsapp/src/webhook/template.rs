//! What Meta tells of a template: its status, quality, category or content.

use serde_json::Value;

use crate::answer::{id, text};
use crate::templates::{language, word};

/// News of one template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateUpdate {
    /// Meta's id; a whole number on the wire.
    pub template_id: String,
    /// Its name.
    pub name: String,
    /// Its language as lists write it (`en_US`).
    pub language: String,
    /// What is new.
    pub change: TemplateChange,
}

/// What is new about a template. Words are open sets, in capitals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateChange {
    /// An event of its life: `APPROVED`, `PAUSED`, `FLAGGED`, `REINSTATED`, …
    Status {
        /// The event.
        event: String,
        /// Why, if Meta says so.
        reason: Option<String>,
        /// `FIRST_PAUSE`, `SECOND_PAUSE`, `RATE_LIMITING_PAUSE`, `UNPAUSE` or `DISABLED`.
        title: Option<String>,
        /// Its category.
        category: Option<String>,
    },
    /// Its quality.
    Quality {
        /// `GREEN`, `YELLOW`, `RED` or `UNKNOWN`.
        quality: String,
    },
    /// Its category.
    Category {
        /// What it is now.
        category: String,
        /// What it will be soon, if a change is announced.
        upcoming: Option<String>,
    },
    /// Its content; what it is now must be asked for.
    Components,
}

impl TemplateUpdate {
    /// Reads the value of a change by its field; `None` when it does not tell of a template or
    /// lacks what it must have.
    pub fn read(field: &str, value: &Value) -> Option<Self> {
        let change = match field {
            "message_template_status_update" => TemplateChange::Status {
                event: word(value.get("event"))?,
                reason: text(value.get("reason")).filter(|reason| reason != "NONE"),
                title: word(value.pointer("/other_info/title")),
                category: word(value.get("message_template_category")),
            },
            "message_template_quality_update" => TemplateChange::Quality {
                quality: word(value.get("new_quality_score"))?,
            },
            "template_category_update" => TemplateChange::Category {
                category: word(value.get("new_category"))?,
                upcoming: word(value.get("correct_category")),
            },
            "message_template_components_update" => TemplateChange::Components,
            _ => return None,
        };
        Some(Self {
            template_id: id(value.get("message_template_id"))?,
            name: value.get("message_template_name")?.as_str()?.to_owned(),
            language: language(value.get("message_template_language"))?,
            change,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(field: &str, extra: &Value) -> Option<TemplateChange> {
        let mut value = json!({"message_template_id": 594_425_479_261_596_i64,
            "message_template_name": "order", "message_template_language": "en-US"});
        let fields = extra.as_object().unwrap().clone();
        value.as_object_mut().unwrap().extend(fields);
        let update = TemplateUpdate::read(field, &value)?;
        assert_eq!(update.template_id, "594425479261596");
        assert_eq!(
            (update.name.as_str(), &*update.language),
            ("order", "en_US")
        );
        Some(update.change)
    }

    #[test]
    fn each_field_is_read() {
        let status = |event: &str, reason: Option<&str>, title: Option<&str>| {
            Some(TemplateChange::Status {
                event: event.to_owned(),
                reason: reason.map(str::to_owned),
                title: title.map(str::to_owned),
                category: None,
            })
        };
        let field = "message_template_status_update";
        for (extra, expected) in [
            (
                json!({"event": "APPROVED", "reason": null}),
                status("APPROVED", None, None),
            ),
            (
                json!({"event": "approved", "reason": "NONE"}),
                status("APPROVED", None, None),
            ),
            (
                json!({"event": "REJECTED", "reason": "SCAM"}),
                status("REJECTED", Some("SCAM"), None),
            ),
            (
                json!({"event": "PAUSED", "other_info": {"title": "FIRST_PAUSE", "description": "x"}}),
                status("PAUSED", None, Some("FIRST_PAUSE")),
            ),
            (json!({}), None),
        ] {
            assert_eq!(read(field, &extra), expected, "{extra}");
        }
        assert_eq!(
            read(
                "message_template_quality_update",
                &json!({"new_quality_score": "RED"})
            ),
            Some(TemplateChange::Quality {
                quality: "RED".to_owned()
            })
        );
        assert_eq!(
            read(
                "template_category_update",
                &json!({"new_category": "UTILITY", "correct_category": "MARKETING"})
            ),
            Some(TemplateChange::Category {
                category: "UTILITY".to_owned(),
                upcoming: Some("MARKETING".to_owned()),
            })
        );
        assert_eq!(
            read("message_template_components_update", &json!({})),
            Some(TemplateChange::Components)
        );
        assert_eq!(read("account_update", &json!({"event": "x"})), None);
    }

    #[test]
    fn a_template_without_identity_is_none() {
        let field = "message_template_components_update";
        for bad in [
            json!({"message_template_name": "a", "message_template_language": "de"}),
            json!({"message_template_id": 1, "message_template_language": "de"}),
            json!({"message_template_id": 1, "message_template_name": "a"}),
            json!(null),
        ] {
            assert_eq!(TemplateUpdate::read(field, &bad), None, "{bad}");
        }
    }
}
