//! What became of a message.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::inbound::{digits, moment, user_id, wamid};
use crate::ErrorClass;
use crate::answer::{number, text};

/// A status of one of our messages. `Debug` does not tell whose.
#[derive(Clone, PartialEq)]
pub struct Status {
    /// `wamid` of the message.
    pub id: String,
    /// What happened.
    pub status: StatusKind,
    /// When it happened, by Meta's clock, to the second.
    pub timestamp: Option<DateTime<Utc>>,
    /// Digits of the recipient's number; absent when the recipient hides it.
    pub recipient_id: Option<String>,
    /// The recipient's business-scoped user id.
    pub recipient_user_id: Option<String>,
    /// Our note, as it came: [`crate::callback::CallbackData::verify`] tells whether it is ours.
    pub biz_opaque_callback_data: Option<String>,
    /// What Meta charges, as it came.
    pub pricing: Option<Value>,
    /// Why it failed; usually one.
    pub errors: Vec<WebhookError>,
    /// All of it, as it came; [`Status::from_raw`] reads it again.
    pub raw: Value,
}

/// What happened to a message. Order of arrival means nothing; [`StatusKind::rank`] orders them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusKind {
    /// Left Meta's servers.
    Sent,
    /// Arrived at the recipient's device. Skipped when the message is read at once.
    Delivered,
    /// Was read; never comes when the recipient has receipts switched off.
    Read,
    /// A voice note was played.
    Played,
    /// Will not arrive.
    Failed,
    /// A value that this version does not know.
    Other(String),
}

impl StatusKind {
    fn parse(value: String) -> Self {
        match value.as_str() {
            "sent" => Self::Sent,
            "delivered" => Self::Delivered,
            "read" => Self::Read,
            "played" => Self::Played,
            "failed" => Self::Failed,
            _ => Self::Other(value),
        }
    }

    /// How far the message came; a higher rank implies the lower ones. `None` for failures and
    /// unknown values, which are no step on that way.
    pub const fn rank(&self) -> Option<u8> {
        match self {
            Self::Sent => Some(1),
            Self::Delivered => Some(2),
            Self::Read => Some(3),
            Self::Played => Some(4),
            Self::Failed | Self::Other(_) => None,
        }
    }
}

/// An error inside a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookError {
    /// Meta's code.
    pub code: Option<i64>,
    /// A short name for people.
    pub title: String,
    /// What is wrong in detail, for people.
    pub details: Option<String>,
}

impl WebhookError {
    /// What the error means; [`ErrorClass::Permanent`] for codes that are unknown.
    pub fn class(&self) -> ErrorClass {
        self.code
            .map_or(ErrorClass::Permanent, ErrorClass::of_webhook_code)
    }

    pub(super) fn read(value: &Value) -> Option<Self> {
        value.as_object()?;
        let message = text(value.get("message"));
        Some(Self {
            code: number(value.get("code")),
            title: text(value.get("title"))
                .or_else(|| message.clone())
                .unwrap_or_default(),
            details: text(value.pointer("/error_data/details")).or(message),
        })
    }
}

impl Status {
    /// `None` when it does not say which message or what happened.
    pub(super) fn read(value: &Value) -> Option<Self> {
        Some(Self {
            id: wamid(value.get("id"))?,
            status: StatusKind::parse(text(value.get("status"))?),
            timestamp: moment(value.get("timestamp")),
            recipient_id: digits(value.get("recipient_id")),
            recipient_user_id: user_id(value.get("recipient_user_id")),
            biz_opaque_callback_data: text(value.get("biz_opaque_callback_data")),
            pricing: value
                .get("pricing")
                .filter(|pricing| pricing.is_object())
                .cloned(),
            errors: value
                .get("errors")
                .and_then(Value::as_array)
                .map(|errors| errors.iter().filter_map(WebhookError::read).collect())
                .unwrap_or_default(),
            raw: value.clone(),
        })
    }

    /// Reads a status that was kept as it came.
    pub fn from_raw(raw: &Value) -> Option<Self> {
        Self::read(raw)
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status")
            .field("id", &self.id)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}
