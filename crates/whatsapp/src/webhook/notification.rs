//! The envelope of a webhook.
//!
//! Read with tolerance: unknown fields, values and kinds of change are kept or passed over, and a
//! part that cannot be read costs nothing but itself ([`Notification::unreadable`]). A refusal
//! would make Meta send the same body again for 7 days.

use std::fmt;

use serde_json::Value;

use super::{
    account::Preference,
    inbound::{InboundMessage, UserCall},
    status::{Status, WebhookError},
};
use crate::answer::{id, number, text};

/// The body is not the JSON object that every webhook is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is not a webhook notification")]
pub struct NotANotification;

/// One body; it may tell of several accounts at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// `whatsapp_business_account` for all that concerns us.
    pub object: String,
    /// One per account and moment.
    pub entries: Vec<Entry>,
    /// Parts that should be there by their place, but could not be read.
    pub unreadable: usize,
}

/// What changed in one account.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Id of the `WhatsApp` Business Account; empty when it is missing.
    pub waba_id: String,
    /// Unix seconds; often absent.
    pub time: Option<i64>,
    /// The changes.
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What kind of change it is, for example `messages`.
    pub field: String,
    /// The change.
    pub value: ChangeValue,
}

/// A change by its field.
#[derive(Clone, PartialEq)]
pub enum ChangeValue {
    /// Of the field `messages`: what people wrote and what became of our messages.
    Messages(Box<MessagesValue>),
    /// Of any other field, as it came.
    Other(Value),
}

/// Messages and statuses of one of our numbers.
#[derive(Clone, PartialEq, Default)]
pub struct MessagesValue {
    /// Id of our number; everything here concerns it. `None` when it is missing.
    pub phone_number_id: Option<String>,
    /// Our number as Meta writes it.
    pub display_phone_number: Option<String>,
    /// Who wrote, as it came; [`MessagesValue::inbound`] pairs them.
    pub contacts: Vec<Value>,
    /// What they wrote, as it came.
    pub messages: Vec<Value>,
    /// What became of our messages.
    pub statuses: Vec<Status>,
    /// Problems of the number itself.
    pub errors: Vec<WebhookError>,
}

const ESCAPED_NUL: &[u8] = br"\u0000";

impl Notification {
    /// Reads a body whose signature has been checked.
    pub fn parse(raw: &[u8]) -> Result<Self, NotANotification> {
        let mut body: Value = serde_json::from_slice(raw).or(Err(NotANotification))?;
        if raw
            .windows(ESCAPED_NUL.len())
            .any(|part| part == ESCAPED_NUL)
        {
            replace_nul(&mut body);
        }
        let object = text(body.get("object")).ok_or(NotANotification)?;
        let mut unreadable = 0;
        let entries = items(&body, "entry", &mut unreadable, |entry, lost| {
            entry.as_object()?;
            Some(Entry {
                waba_id: id(entry.get("id")).unwrap_or_default(),
                time: number(entry.get("time")),
                changes: items(entry, "changes", lost, Change::read),
            })
        });
        Ok(Self {
            object,
            entries,
            unreadable,
        })
    }

    /// All statuses with the id of the number they belong to (if it came).
    pub fn statuses(&self) -> impl Iterator<Item = (Option<&str>, &Status)> {
        self.messages_values().flat_map(|value| {
            value
                .statuses
                .iter()
                .map(|status| (value.phone_number_id.as_deref(), status))
        })
    }

    /// All values of the field `messages`.
    pub fn messages_values(&self) -> impl Iterator<Item = &MessagesValue> {
        self.entries
            .iter()
            .flat_map(|entry| &entry.changes)
            .filter_map(|change| match &change.value {
                ChangeValue::Messages(value) => Some(&**value),
                ChangeValue::Other(_) => None,
            })
    }
}

impl Change {
    fn read(change: &Value, lost: &mut usize) -> Option<Self> {
        let field = text(change.get("field"))?;
        let value = change.get("value")?;
        let value = if field == "messages" && value.is_object() {
            ChangeValue::Messages(Box::new(MessagesValue::read(value, lost)))
        } else {
            ChangeValue::Other(value.clone())
        };
        Some(Self { field, value })
    }
}

impl MessagesValue {
    fn read(value: &Value, lost: &mut usize) -> Self {
        let object = |item: &Value, _: &mut usize| item.is_object().then(|| item.clone());
        Self {
            phone_number_id: id(value.pointer("/metadata/phone_number_id")),
            display_phone_number: text(value.pointer("/metadata/display_phone_number")),
            contacts: items(value, "contacts", lost, object),
            messages: items(value, "messages", lost, object),
            statuses: items(value, "statuses", lost, |item, _| Status::read(item)),
            errors: items(value, "errors", lost, |item, _| WebhookError::read(item)),
        }
    }
}

impl MessagesValue {
    /// What people wrote. What does not say who wrote it or which message it is, is counted.
    pub fn inbound(&self) -> (Vec<InboundMessage>, usize) {
        read_all(&self.messages, |item| {
            InboundMessage::read(item, &self.contacts)
        })
    }
}

impl Change {
    /// What was written on the number's own phone, of the field `smb_message_echoes`.
    pub fn echoes(&self) -> Vec<InboundMessage> {
        self.list("message_echoes", InboundMessage::read_echo)
    }

    /// Calls of people, of the field `calls`.
    pub fn calls(&self) -> Vec<UserCall> {
        self.list("calls", UserCall::read)
    }

    /// Choices of people, of the field `user_preferences`.
    pub fn preferences(&self) -> Vec<Preference> {
        self.list("user_preferences", Preference::read)
    }

    /// The number that the change is about, where it names one.
    pub fn phone_number_id(&self) -> Option<String> {
        match &self.value {
            ChangeValue::Messages(value) => value.phone_number_id.clone(),
            ChangeValue::Other(value) => id(value.pointer("/metadata/phone_number_id")),
        }
    }

    fn list<T>(&self, name: &str, read: impl Fn(&Value, &[Value]) -> Option<T>) -> Vec<T> {
        let ChangeValue::Other(value) = &self.value else {
            return Vec::new();
        };
        let array = |name: &str| {
            value
                .get(name)
                .and_then(Value::as_array)
                .map_or(&[][..], Vec::as_slice)
        };
        let contacts = array("contacts");
        read_all(array(name), |item| read(item, contacts)).0
    }
}

impl fmt::Debug for ChangeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Messages(value) => value.fmt(f),
            Self::Other(_) => f.write_str("Other(..)"),
        }
    }
}

impl fmt::Debug for MessagesValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessagesValue")
            .field("messages", &self.messages.len())
            .field("statuses", &self.statuses)
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}

/// What can be read of `items`, and how many cannot.
fn read_all<T>(items: &[Value], read: impl Fn(&Value) -> Option<T>) -> (Vec<T>, usize) {
    let found: Vec<T> = items.iter().filter_map(read).collect();
    let lost = items.len() - found.len();
    (found, lost)
}

/// PostgreSQL's texts cannot hold the character U+0000; a person can send it.
fn replace_nul(value: &mut Value) {
    match value {
        Value::String(text) => {
            if text.contains('\0') {
                *text = text.replace('\0', "\u{fffd}");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(replace_nul),
        Value::Object(fields) => {
            if fields.keys().any(|name| name.contains('\0')) {
                let kept = std::mem::take(fields).into_iter();
                fields.extend(kept.map(|(name, value)| (name.replace('\0', "\u{fffd}"), value)));
            }
            fields.values_mut().for_each(replace_nul);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The items of the array `name` that can be read; the others are counted. No array, no items.
fn items<T>(
    parent: &Value,
    name: &str,
    lost: &mut usize,
    read: impl Fn(&Value, &mut usize) -> Option<T>,
) -> Vec<T> {
    let array = match parent.get(name) {
        Some(Value::Array(array)) => array.as_slice(),
        None | Some(Value::Null) => &[],
        Some(_) => {
            *lost += 1;
            &[]
        }
    };
    let mut found = Vec::with_capacity(array.len());
    for item in array {
        match read(item, lost) {
            Some(item) => found.push(item),
            None => *lost += 1,
        }
    }
    found
}
