//! What Meta tells of an account and its numbers. Words are open sets: what is not known here is
//! passed on and changes nothing.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::inbound::{Person, moment};
use crate::answer::text;

/// What a change means for sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountChange {
    /// Limits or throughput of a number, or of all numbers, are others now.
    Limit {
        /// Digits of the number; `None` for all.
        number: Option<String>,
        /// The new messaging limit, if Meta says it.
        limit: Option<String>,
    },
    /// Nothing can be sent until Meta or the organization does something.
    Stopped,
    /// It can be sent again.
    Restored,
    /// Something to know.
    Told,
}

impl AccountChange {
    /// Reads the value of a change of any field.
    pub fn read(field: &str, value: &Value) -> Self {
        match field {
            "phone_number_quality_update" => Self::Limit {
                number: display_digits(value.get("display_phone_number")),
                limit: text(value.get("current_limit"))
                    .or_else(|| limit(value.get("max_daily_conversations_per_business"))),
            },
            "business_capability_update" => Self::Limit {
                number: None,
                limit: limit(value.get("max_daily_conversations_per_business"))
                    .or_else(|| limit(value.get("max_daily_conversation_per_phone"))),
            },
            "account_update" => Self::of_update(value),
            _ => Self::Told,
        }
    }

    fn of_update(value: &Value) -> Self {
        let ban = value.pointer("/ban_info/waba_ban_state");
        match ban.and_then(Value::as_str) {
            Some("DISABLE") => return Self::Stopped,
            Some("REINSTATE") => return Self::Restored,
            _ => {}
        }
        match value.get("event").and_then(Value::as_str) {
            Some(
                "ACCOUNT_DELETED"
                | "ACCOUNT_OFFBOARDED"
                | "PARTNER_REMOVED"
                | "PARTNER_APP_UNINSTALLED",
            ) => Self::Stopped,
            Some("ACCOUNT_RECONNECTED") => Self::Restored,
            Some("ACCOUNT_RESTRICTION") if restricts_all(value) => Self::Stopped,
            _ => Self::Told,
        }
    }
}

/// Whether both kinds of conversations are forbidden; with one of them left, messages go on.
fn restricts_all(value: &Value) -> bool {
    let restrictions = value.get("restriction_info").and_then(Value::as_array);
    let has = |wanted: &str| {
        restrictions.is_some_and(|all| {
            all.iter()
                .any(|one| one.get("restriction_type").and_then(Value::as_str) == Some(wanted))
        })
    };
    has("RESTRICTED_BIZ_INITIATED_MESSAGING") && has("RESTRICTED_CUSTOMER_INITIATED_MESSAGING")
}

/// The digits of a number that is written for people.
fn display_digits(value: Option<&Value>) -> Option<String> {
    let digits: String = text(value)?.chars().filter(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

fn limit(value: Option<&Value>) -> Option<String> {
    crate::answer::id(value)
}

/// The account that a change is about: `PARTNER_*` events name the customer's inside.
pub fn waba_of(entry_id: &str, value: &Value) -> String {
    text(value.pointer("/waba_info/waba_id")).unwrap_or_else(|| entry_id.to_owned())
}

/// A person's choice about messages of a category.
#[derive(Clone, PartialEq, Eq)]
pub struct Preference {
    /// Whose choice.
    pub person: Person,
    /// `marketing_messages`.
    pub category: String,
    /// `stop` or `resume`.
    pub value: String,
    /// When it was made.
    pub timestamp: Option<DateTime<Utc>>,
}

impl Preference {
    /// Reads an item of `user_preferences`.
    pub(super) fn read(value: &Value, contacts: &[Value]) -> Option<Self> {
        let person = Person::read(value.get("wa_id"), value.get("user_id"), contacts);
        person.contact()?;
        Some(Self {
            person,
            category: text(value.get("category")).filter(|word| word.len() <= 64)?,
            value: text(value.get("value")).filter(|word| word.len() <= 32)?,
            timestamp: moment(value.get("timestamp")),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_change_is_known_for_what_it_means() {
        let told = |number: Option<&str>, limit: Option<&str>| AccountChange::Limit {
            number: number.map(str::to_owned),
            limit: limit.map(str::to_owned),
        };
        let both = json!([{"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING"},
            {"restriction_type": "RESTRICTED_CUSTOMER_INITIATED_MESSAGING"}]);
        for (field, value, expected) in [
            (
                "phone_number_quality_update",
                json!({"display_phone_number": "+1 555-078", "event": "ONBOARDING", "current_limit": "TIER_2K"}),
                told(Some("1555078"), Some("TIER_2K")),
            ),
            (
                "phone_number_quality_update",
                json!({"display_phone_number": "1555078", "event": "THROUGHPUT_UPGRADE"}),
                told(Some("1555078"), None),
            ),
            (
                "business_capability_update",
                json!({"max_daily_conversations_per_business": 2000}),
                told(None, Some("2000")),
            ),
            (
                "account_update",
                json!({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}}),
                AccountChange::Stopped,
            ),
            (
                "account_update",
                json!({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "SCHEDULE_FOR_DISABLE"}}),
                AccountChange::Told,
            ),
            (
                "account_update",
                json!({"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "REINSTATE"}}),
                AccountChange::Restored,
            ),
            (
                "account_update",
                json!({"event": "ACCOUNT_RESTRICTION", "restriction_info": both}),
                AccountChange::Stopped,
            ),
            (
                "account_update",
                json!({"event": "ACCOUNT_RESTRICTION", "restriction_info": [
                    {"restriction_type": "RESTRICTED_UTILITY_TEMPLATES"}]}),
                AccountChange::Told,
            ),
            (
                "account_update",
                json!({"event": "PARTNER_REMOVED"}),
                AccountChange::Stopped,
            ),
            (
                "account_update",
                json!({"event": "SOMETHING_NEW"}),
                AccountChange::Told,
            ),
            ("account_update", json!(7), AccountChange::Told),
            (
                "hologram_update",
                json!({"event": "DISABLED_UPDATE"}),
                AccountChange::Told,
            ),
        ] {
            assert_eq!(
                AccountChange::read(field, &value),
                expected,
                "{field} {value}"
            );
        }
    }
}
