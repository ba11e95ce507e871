//! A message as a caller asks for it, checked before anything is stored.

mod request;
mod template_values;

use chrono::{DateTime, Duration, Utc};
use portal_service_kit::FieldErrors;
use portal_types::ConversationId;
use portal_whatsapp::{Content, Recipient};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) use request::{SendMessageRequest, SendTemplateRequest, SendTextRequest, read_content};

/// Meta's ids of messages are shorter than this, and so are Genesys' of conversations.
const MAX_ID_CHARS: usize = 255;
/// A message may be scheduled for so long.
const MAX_DELAY: Duration = Duration::days(365);
/// As long as Meta itself keeps trying (Cloud API, "Time-to-live").
const MAX_TTL_SECONDS: u32 = 30 * 24 * 60 * 60;

/// A message that may be accepted.
pub(crate) struct Draft {
    pub(crate) to: Recipient,
    pub(crate) content: Content,
    pub(crate) reply_to: Option<String>,
    /// The conversation of Genesys Cloud that it belongs to.
    pub(crate) genesys_conversation_id: Option<String>,
    pub(crate) conversation_id: Option<ConversationId>,
    pub(crate) class: SendClass,
    /// Not before this time; at once if there is none.
    pub(crate) send_at: Option<DateTime<Utc>>,
    /// How long it may wait from then on; as long as the type's default if there is none.
    pub(crate) time_to_live: Option<Duration>,
}

impl Draft {
    /// Whether it may leave within the customer service window only, as far as is known here.
    pub(crate) fn is_free_form(&self) -> bool {
        is_free_form(self.content.type_name())
    }
}

/// Content of this type may leave outside the customer service window.
const TEMPLATE: &str = "template";

/// Whether content of a type may leave within the customer service window only. Of types that are
/// not known here (raw content) nobody can say: Meta decides.
fn is_free_form(type_name: &str) -> bool {
    type_name != TEMPLATE && Content::TYPES.contains(&type_name)
}

/// The types of which [`Draft::is_free_form`] holds.
pub(crate) fn free_form_types() -> Vec<&'static str> {
    let types = Content::TYPES.iter().copied();
    types.filter(|name| is_free_form(name)).collect()
}

/// How urgent a message is.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::EnumString,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum SendClass {
    /// Somebody waits for it: sent before any bulk message.
    #[default]
    Reply,
    /// One of many: sent when nobody waits.
    Bulk,
}

/// What every request to send says besides the content.
pub(super) struct Envelope {
    pub(super) to: String,
    pub(super) reply_to: Option<String>,
    pub(super) genesys_conversation_id: Option<String>,
    pub(super) conversation_id: Option<ConversationId>,
    pub(super) class: SendClass,
    pub(super) send_at: Option<DateTime<Utc>>,
    pub(super) ttl_seconds: Option<u32>,
}

impl Envelope {
    /// Adds what is wrong with it to what is wrong with the content, and makes a draft of both.
    fn seal(
        self,
        content: impl FnOnce(&mut FieldErrors) -> Option<Content>,
        now: DateTime<Utc>,
    ) -> Result<Draft, FieldErrors> {
        let mut errors = FieldErrors::new();
        let to = errors.check("to", Recipient::parse(&self.to));
        let content = content(&mut errors);
        if self
            .reply_to
            .as_deref()
            .is_some_and(|wamid| !is_wamid(wamid))
        {
            errors.add(
                "reply_to",
                "must be the wamid of a message, as webhooks carry it",
            );
        }
        if self
            .genesys_conversation_id
            .as_deref()
            .is_some_and(|id| !is_foreign_id(id))
        {
            errors.add(
                "genesys_conversation_id",
                "must be the id of a conversation in Genesys Cloud: 1 to 255 characters without spaces",
            );
        }
        if self
            .send_at
            .is_some_and(|at| at <= now || at > now + MAX_DELAY)
        {
            errors.add("send_at", "must be a time to come, within a year");
        }
        if self
            .ttl_seconds
            .is_some_and(|ttl| !(1..=MAX_TTL_SECONDS).contains(&ttl))
        {
            errors.add(
                "ttl_seconds",
                format!("must be 1 to {MAX_TTL_SECONDS} (30 days)"),
            );
        }
        match (to, content) {
            (Some(to), Some(content)) if errors.is_empty() => Ok(Draft {
                to,
                content,
                reply_to: self.reply_to,
                genesys_conversation_id: self.genesys_conversation_id,
                conversation_id: self.conversation_id,
                class: self.class,
                send_at: self.send_at,
                time_to_live: self.ttl_seconds.map(|ttl| Duration::seconds(ttl.into())),
            }),
            _ => Err(errors),
        }
    }
}

/// Whether a text could be Meta's id of a message.
pub(crate) fn is_wamid(text: &str) -> bool {
    is_foreign_id(text)
}

/// Whether a text could be another system's id of something.
fn is_foreign_id(text: &str) -> bool {
    (1..=MAX_ID_CHARS).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
