//! What people write to us, of every type, also of types that do not exist yet.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::answer::{number, text};

/// Longest `wamid` that is believed; Meta's have less than half of it.
const MAX_ID_BYTES: usize = 255;
/// Longest number (E.164 has 15 digits) and longest business-scoped user id (two letters, `ENT`,
/// dots and 128 characters) that are believed.
const MAX_DIGITS: usize = 20;
const MAX_USER_ID_BYTES: usize = 160;
/// What belongs to the envelope of a message and not to its content.
const ENVELOPE: [&str; 7] = [
    "from",
    "from_user_id",
    "from_parent_user_id",
    "to",
    "id",
    "timestamp",
    "type",
];

/// A message from a person to one of our numbers, or one that was written on the number's own
/// phone ([`InboundMessage::is_echo`]). `Debug` tells neither who nor what.
#[derive(Clone, PartialEq)]
pub struct InboundMessage {
    /// Meta's id of it.
    pub wamid: String,
    /// The type as Meta names it: an open set.
    pub kind: String,
    /// Who the person is.
    pub person: Person,
    /// When it was written, by Meta's clock, to the second.
    pub timestamp: Option<DateTime<Utc>>,
    /// `wamid` of the message that it answers.
    pub context_wamid: Option<String>,
    /// `wamid` of the message that it reacts to, edits or revokes.
    pub refers_to: Option<String>,
    /// Meta's id of its file, if it has one.
    pub media_id: Option<String>,
    /// The person's number or user id changed.
    pub identity: Option<IdentityChange>,
    /// Whether the organization itself wrote it, in the app on its phone.
    pub is_echo: bool,
    /// All of it, as it came.
    pub raw: Value,
}

/// Who somebody is; at least one of the two ids is known.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Person {
    /// The number, digits only; absent where the person hides it.
    pub wa_id: Option<String>,
    /// The business-scoped user id.
    pub user_id: Option<String>,
    /// The name that the person gave itself.
    pub name: Option<String>,
    /// The user name.
    pub username: Option<String>,
}

/// A person goes on under another number or user id.
#[derive(Clone, PartialEq, Eq)]
pub struct IdentityChange {
    /// The new number, digits only.
    pub wa_id: Option<String>,
    /// The new user id.
    pub user_id: Option<String>,
    /// The number before.
    pub previous_wa_id: Option<String>,
    /// The user id before.
    pub previous_user_id: Option<String>,
}

/// A person called one of our numbers, which opens the customer service window as a message does.
#[derive(Clone, PartialEq, Eq)]
pub struct UserCall {
    /// Who called.
    pub person: Person,
    /// When.
    pub timestamp: Option<DateTime<Utc>>,
}

impl InboundMessage {
    /// Reads an item of `messages`; `contacts` stand beside it. `None` when it does not say which
    /// message or who wrote it.
    pub(super) fn read(value: &Value, contacts: &[Value]) -> Option<Self> {
        Self::read_with(value, contacts, "from", "from_user_id")
    }

    /// Reads an item of `message_echoes`, whose person is the one it was written to.
    pub(super) fn read_echo(value: &Value, contacts: &[Value]) -> Option<Self> {
        let message = Self::read_with(value, contacts, "to", "to_user_id")?;
        Some(Self {
            is_echo: true,
            ..message
        })
    }

    fn read_with(value: &Value, contacts: &[Value], from: &str, user: &str) -> Option<Self> {
        let kind = text(value.get("type")).unwrap_or_else(|| "unknown".to_owned());
        let content = value.get(&kind);
        let identity = content.filter(|_| kind == "system").and_then(|system| {
            let change = IdentityChange {
                wa_id: digits(system.get("wa_id").or_else(|| system.get("new_wa_id"))),
                user_id: user_id(system.get("user_id")),
                previous_wa_id: digits(value.get(from)),
                previous_user_id: user_id(system.get("previous_user_id")),
            };
            (change.wa_id.is_some() || change.user_id.is_some()).then_some(change)
        });
        let mut person = Person::read(value.get(from), value.get(user), contacts);
        if person.contact().is_none()
            && let Some(change) = &identity
        {
            person.user_id = change
                .previous_user_id
                .clone()
                .or_else(|| change.user_id.clone());
        }
        person.contact()?;
        let refers_to = content.filter(|_| matches!(&*kind, "reaction" | "edit" | "revoke"));
        Some(Self {
            wamid: wamid(value.get("id"))?,
            person,
            timestamp: moment(value.get("timestamp")),
            context_wamid: wamid(value.pointer("/context/id")),
            refers_to: refers_to.and_then(|content| {
                wamid(
                    content
                        .get("message_id")
                        .or_else(|| content.get("original_message_id")),
                )
            }),
            media_id: content
                .filter(|_| is_file(&kind))
                .and_then(|content| text(content.get("id")).filter(|id| id.len() <= 64)),
            identity,
            is_echo: false,
            raw: value.clone(),
            kind: kind.chars().take(64).collect(),
        })
    }

    /// The content as it came, without the envelope: the object under the name of the type, and
    /// what else Meta says of the message (`context`, `referral`, `errors`).
    pub fn content(&self) -> Value {
        let mut content = self.raw.as_object().cloned().unwrap_or_default();
        content.retain(|name, _| !ENVELOPE.contains(&name.as_str()));
        Value::Object(content)
    }

    /// Whether it opens the customer service window: all that a person does itself.
    pub fn opens_window(&self) -> bool {
        !self.is_echo && self.kind != "system"
    }
}

impl Person {
    /// The person of this number or user id, with what `contacts` say of it: they are paired by id,
    /// not by place.
    pub(super) fn read(from: Option<&Value>, user: Option<&Value>, contacts: &[Value]) -> Self {
        let mut person = Self {
            wa_id: digits(from),
            user_id: user_id(user),
            ..Self::default()
        };
        let contact = contacts.iter().find(|contact| {
            let same =
                |own: &Option<String>, theirs: Option<String>| own.is_some() && *own == theirs;
            same(&person.wa_id, digits(contact.get("wa_id")))
                || same(&person.user_id, user_id(contact.get("user_id")))
        });
        if let Some(contact) = contact {
            person.wa_id = person.wa_id.or_else(|| digits(contact.get("wa_id")));
            person.user_id = person.user_id.or_else(|| user_id(contact.get("user_id")));
            person.name = text(contact.pointer("/profile/name"));
            person.username = text(contact.pointer("/profile/username"));
        }
        person
    }

    /// The person in the form of a recipient: the number with its plus if it is known, else the
    /// user id.
    pub fn contact(&self) -> Option<String> {
        let number = self.wa_id.as_ref().map(|digits| format!("+{digits}"));
        number.or_else(|| self.user_id.clone())
    }

    /// All forms in which the person can be a recipient.
    pub fn contacts(&self) -> impl Iterator<Item = String> {
        let number = self.wa_id.as_ref().map(|digits| format!("+{digits}"));
        number.into_iter().chain(self.user_id.clone())
    }
}

impl UserCall {
    /// Reads an item of `calls`; `None` unless a person called.
    pub(super) fn read(value: &Value, contacts: &[Value]) -> Option<Self> {
        let is_ours = value.get("direction").and_then(Value::as_str) == Some("BUSINESS_INITIATED");
        let person = Person::read(value.get("from"), value.get("from_user_id"), contacts);
        (!is_ours && person.contact().is_some()).then(|| Self {
            person,
            timestamp: moment(value.get("timestamp")),
        })
    }
}

impl fmt::Debug for InboundMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundMessage")
            .field("wamid", &self.wamid)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Types whose content is a file.
fn is_file(kind: &str) -> bool {
    matches!(
        kind,
        "image" | "video" | "audio" | "voice" | "document" | "sticker"
    )
}

pub(super) fn moment(value: Option<&Value>) -> Option<DateTime<Utc>> {
    number(value).and_then(|at| DateTime::from_timestamp(at, 0))
}

pub(super) fn wamid(value: Option<&Value>) -> Option<String> {
    text(value).filter(|id| id.len() <= MAX_ID_BYTES)
}

pub(super) fn digits(value: Option<&Value>) -> Option<String> {
    let written = text(value)?;
    let digits = written.strip_prefix('+').unwrap_or(&written);
    let fits = !digits.is_empty()
        && digits.len() <= MAX_DIGITS
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| digits.to_owned())
}

pub(super) fn user_id(value: Option<&Value>) -> Option<String> {
    text(value).filter(|id| id.len() <= MAX_USER_ID_BYTES && id.contains('.') && id.is_ascii())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value, contacts: &Value) -> Option<InboundMessage> {
        InboundMessage::read(value, contacts.as_array().unwrap())
    }

    #[test]
    fn contacts_are_paired_by_id_and_not_by_place() {
        let contacts = json!([
            {"profile": {"name": "Other"}, "wa_id": "1650", "user_id": "US.1"},
            {"profile": {"name": "Sheena", "username": "sheena"}, "wa_id": "1651", "user_id": "US.2"},
        ]);
        let by_number = json!({"from": "1651", "id": "wamid.a", "timestamp": "7", "type": "text"});
        let person = read(&by_number, &contacts).unwrap().person;
        assert_eq!(
            (
                person.name.as_deref(),
                person.username.as_deref(),
                person.user_id.as_deref()
            ),
            (Some("Sheena"), Some("sheena"), Some("US.2"))
        );
        let by_user = json!({"from_user_id": "US.1", "id": "wamid.a", "type": "text"});
        let person = read(&by_user, &contacts).unwrap().person;
        assert_eq!(
            (person.wa_id.as_deref(), person.contact().as_deref()),
            (Some("1650"), Some("+1650"))
        );
        let stranger = json!({"from_user_id": "US.3", "id": "wamid.a", "type": "text"});
        let person = read(&stranger, &contacts).unwrap().person;
        assert_eq!(
            (person.name.as_deref(), person.contact().as_deref()),
            (None, Some("US.3"))
        );
    }

    #[test]
    fn what_names_neither_message_nor_person_is_none() {
        for broken in [
            json!({"from": "1650", "type": "text"}),
            json!({"id": "wamid.a", "type": "text"}),
            json!({"id": "wamid.a", "from": "not digits", "type": "text"}),
            json!({"id": "x".repeat(256), "from": "1650", "type": "text"}),
        ] {
            assert_eq!(read(&broken, &json!([])), None, "{broken}");
        }
    }

    #[test]
    fn what_a_message_refers_to_is_known_by_its_type() {
        for (extra, refers_to, context, media) in [
            (
                json!({"type": "reaction", "reaction": {"message_id": "wamid.o", "emoji": "x"}}),
                Some("wamid.o"),
                None,
                None,
            ),
            (
                json!({"type": "edit", "edit": {"original_message_id": "wamid.o"}}),
                Some("wamid.o"),
                None,
                None,
            ),
            (
                json!({"type": "revoke", "revoke": {"original_message_id": "wamid.o"}}),
                Some("wamid.o"),
                None,
                None,
            ),
            (
                json!({"type": "text", "context": {"from": "1", "id": "wamid.q"}, "text": {"message_id": "wamid.no"}}),
                None,
                Some("wamid.q"),
                None,
            ),
            (
                json!({"type": "image", "image": {"id": "42", "mime_type": "image/png"}}),
                None,
                None,
                Some("42"),
            ),
            (
                json!({"type": "order", "order": {"id": "42"}}),
                None,
                None,
                None,
            ),
        ] {
            let mut value = json!({"from": "1650", "id": "wamid.a", "timestamp": "7"});
            value
                .as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            let message = read(&value, &json!([])).unwrap();
            assert_eq!(
                (
                    message.refers_to.as_deref(),
                    message.context_wamid.as_deref(),
                    message.media_id.as_deref()
                ),
                (refers_to, context, media),
                "{value}"
            );
            assert_eq!(message.raw, value, "kept as it came");
            assert!(message.content().get("from").is_none());
        }
    }

    #[test]
    fn changes_of_identity_are_read_in_both_spellings() {
        let new = json!({"from": "1650", "id": "wamid.a", "type": "system", "system": {
            "type": "user_changed_number", "wa_id": "1699", "user_id": "US.9", "previous_user_id": "US.1"}});
        let old = json!({"from": "1650", "id": "wamid.a", "type": "system", "system": {
            "type": "customer_changed_number", "new_wa_id": "1699", "customer": "1650"}});
        let hidden = json!({"id": "wamid.a", "type": "system", "system": {
            "type": "user_changed_user_id", "user_id": "US.9", "previous_user_id": "US.1"}});
        for (value, contact, wa_id, user_id) in [
            (new, "+1650", Some("1699"), Some("US.9")),
            (old, "+1650", Some("1699"), None),
            (hidden, "US.1", None, Some("US.9")),
        ] {
            let message = read(&value, &json!([])).unwrap();
            let change = message.identity.clone().unwrap();
            assert_eq!(
                (change.wa_id.as_deref(), change.user_id.as_deref()),
                (wa_id, user_id)
            );
            assert_eq!(message.person.contact().as_deref(), Some(contact));
            assert!(!message.opens_window());
        }
    }

    #[test]
    fn debug_tells_neither_who_nor_what() {
        let value =
            json!({"from": "1650555", "id": "wamid.a", "type": "text", "text": {"body": "Hello"}});
        let shown = format!("{:?}", read(&value, &json!([])).unwrap());
        assert!(
            !shown.contains("1650555") && !shown.contains("Hello"),
            "{shown}"
        );
    }
}
