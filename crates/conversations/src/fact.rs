//! What one event says of one message.

use chrono::{DateTime, SubsecRound as _, Utc};
use portal_events::{
    Envelope,
    catalogue::{
        MessageAccepted, MessageCanceled, MessageDelivered, MessageEchoed, MessageFailed,
        MessageRead, MessageReceived, MessageSent, SentBy,
    },
};
use serde_json::Value;
use uuid::Uuid;

use crate::{Evidence, Identity, entry::Failure, preview::preview};

/// The database's clock has microseconds; so have all times here.
const DIGITS: u16 = 6;

/// What is known of one message.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// `messages.message_id` or `inbound_messages.inbound_id`.
    pub entry_id: Uuid,
    /// What.
    pub what: What,
}

/// What is known.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// The message itself.
    Message(Box<Message>),
    /// What became of one that we send.
    Report(Box<Report>),
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Person {
    /// The contact.
    Contact,
    /// The organization, on its phone.
    Phone,
    /// We.
    Us,
}

/// A message, with its content.
#[derive(Clone, PartialEq)]
pub struct Message {
    /// Who wrote it.
    pub from: Person,
    /// The tenant's number.
    pub phone_number_id: String,
    /// The contact: by user id if that was shown, else by number.
    pub identity: Identity,
    /// The contact's other identity, if it was shown, too.
    pub also: Option<Identity>,
    /// The contact's identity before it changed.
    pub formerly: Option<Identity>,
    /// The contact's name, as it gave itself.
    pub name: Option<String>,
    /// The type, as Meta names it.
    pub message_type: String,
    /// The content, if it is told at all.
    pub payload: Option<Value>,
    /// Meta's id of it.
    pub wamid: Option<String>,
    /// The wamid of the message that it answers.
    pub context_wamid: Option<String>,
    /// The wamid of the message that it reacts to, edits or revokes.
    pub refers_to: Option<String>,
    /// Who had it sent.
    pub sent_by: Option<SentBy>,
    /// The conversation of Genesys Cloud that the sender says it belongs to.
    pub genesys_conversation_id: Option<String>,
    /// When it was written.
    pub occurred_at: DateTime<Utc>,
    /// Until when it lets us write freely.
    pub window_expires_at: Option<DateTime<Utc>>,
}

/// Neither who nor what.
impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("from", &self.from)
            .field("message_type", &self.message_type)
            .finish_non_exhaustive()
    }
}

impl Message {
    /// Whether it counts as unread and as last message; a reaction does not.
    pub fn is_shown(&self) -> bool {
        self.refers_to.is_none()
            && !matches!(
                &*self.message_type,
                "reaction" | "edit" | "revoke" | "system"
            )
    }

    /// What a message of ours reacts to.
    pub(crate) fn reaction_to(message_type: &str, content: Option<&Value>) -> Option<String> {
        let to = content
            .filter(|_| message_type == "reaction")
            .and_then(|content| content.pointer("/reaction/message_id")?.as_str());
        to.map(str::to_owned)
    }

    /// Its text, for lists and searches.
    pub fn text(&self) -> Option<String> {
        self.payload
            .as_ref()
            .and_then(|payload| preview(&self.message_type, payload))
    }
}

/// What became of a message that we send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// What is proven.
    pub evidence: Evidence,
    /// Meta's id of it.
    pub wamid: Option<String>,
}

/// An event that does not say which of the tenant's numbers it is about, as those of older releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event does not name the number; `portalctl conversations rebuild` finds the message")]
pub struct UnplacedFact;

impl Fact {
    pub(crate) fn report(
        entry_id: impl Into<Uuid>,
        evidence: Evidence,
        wamid: Option<String>,
    ) -> Self {
        Self {
            entry_id: entry_id.into(),
            what: What::Report(Box::new(Report { evidence, wamid })),
        }
    }

    fn message(entry_id: Uuid, message: Message) -> Self {
        Self {
            entry_id,
            what: What::Message(Box::new(message)),
        }
    }

    /// A contact wrote.
    pub fn received(event: MessageReceived) -> Self {
        let shown = event.wa_id.as_deref().map(Identity::number);
        let from = Identity::of(event.from);
        let user = event.user_id.map(Identity::of);
        // Where the number is hidden, `from` is whom the user id was known to be.
        let other = shown.unwrap_or(from);
        let (identity, also) = match user {
            Some(user) => (user.clone(), Some(other).filter(|other| *other != user)),
            None => (other, None),
        };
        let formerly = event.identity_change.and_then(|change| {
            let user = change.previous_user_id.map(Identity::of);
            user.or_else(|| change.previous_wa_id.as_deref().map(Identity::number))
        });
        let message = Message {
            from: Person::Contact,
            phone_number_id: event.phone_number_id,
            formerly: formerly.filter(|former| *former != identity),
            identity,
            also,
            name: event.contact_name,
            message_type: event.message_type,
            payload: event.payload,
            wamid: Some(event.wamid),
            context_wamid: event.context_wamid,
            refers_to: event.refers_to,
            sent_by: None,
            genesys_conversation_id: None,
            occurred_at: event.sent_at.trunc_subsecs(DIGITS),
            window_expires_at: event
                .window_expires_at
                .map(|time| time.trunc_subsecs(DIGITS)),
        };
        Self::message(event.inbound_id, message)
    }

    /// The organization wrote on its phone.
    pub fn echoed(event: MessageEchoed) -> Self {
        let message = Message {
            from: Person::Phone,
            phone_number_id: event.phone_number_id,
            identity: Identity::of(event.to),
            also: None,
            formerly: None,
            name: None,
            message_type: event.message_type,
            payload: event.payload,
            wamid: Some(event.wamid),
            context_wamid: None,
            refers_to: None,
            sent_by: None,
            genesys_conversation_id: None,
            occurred_at: event.sent_at.trunc_subsecs(DIGITS),
            window_expires_at: None,
        };
        Self::message(event.inbound_id, message)
    }

    /// A message was accepted for sending.
    ///
    /// # Errors
    /// When the event does not name the number.
    pub fn accepted(event: Envelope<MessageAccepted>) -> Result<Self, UnplacedFact> {
        let (at, event) = (event.time, event.data);
        let refers_to = Message::reaction_to(&event.message_type, event.content.as_ref());
        let message = Message {
            from: Person::Us,
            phone_number_id: event.phone_number_id.ok_or(UnplacedFact)?,
            identity: Identity::of(event.to),
            also: None,
            formerly: None,
            name: None,
            message_type: event.message_type,
            payload: event.content,
            wamid: None,
            context_wamid: event.reply_to,
            refers_to,
            sent_by: Some(event.sent_by),
            genesys_conversation_id: event.genesys_conversation_id,
            occurred_at: at.trunc_subsecs(DIGITS),
            window_expires_at: None,
        };
        Ok(Self::message(event.message_id.as_uuid(), message))
    }

    /// Meta took it.
    pub fn sent(event: MessageSent) -> Self {
        let evidence = Evidence {
            sent_at: Some(event.at.trunc_subsecs(DIGITS)),
            ..Evidence::default()
        };
        Self::report(event.message_id.as_uuid(), evidence, event.wamid)
    }

    /// It reached the device.
    pub fn delivered(event: MessageDelivered) -> Self {
        let evidence = Evidence {
            delivered_at: Some(event.at.trunc_subsecs(DIGITS)),
            ..Evidence::default()
        };
        Self::report(event.message_id.as_uuid(), evidence, event.wamid)
    }

    /// It was read.
    pub fn read(event: MessageRead) -> Self {
        let evidence = Evidence {
            read_at: Some(event.at.trunc_subsecs(DIGITS)),
            ..Evidence::default()
        };
        Self::report(event.message_id.as_uuid(), evidence, event.wamid)
    }

    /// It failed.
    pub fn failed(event: &Envelope<MessageFailed>) -> Self {
        let failure = Failure {
            at: event.time.trunc_subsecs(DIGITS),
            error: serde_json::to_value(&event.data.error).unwrap_or_default(),
        };
        Self::failed_with(
            event.data.message_id.as_uuid(),
            failure,
            event.data.reported,
        )
    }

    /// It failed; `reported` by Meta after it had taken the message.
    pub(crate) fn failed_with(entry_id: Uuid, failure: Failure, reported: bool) -> Self {
        let failure = Some(failure);
        let evidence = if reported {
            Evidence {
                undelivered: failure,
                ..Evidence::default()
            }
        } else {
            Evidence {
                given_up: failure,
                ..Evidence::default()
            }
        };
        Self::report(entry_id, evidence, None)
    }

    /// It was taken back.
    pub fn canceled(event: &MessageCanceled) -> Self {
        let evidence = Evidence {
            canceled_at: Some(event.at.trunc_subsecs(DIGITS)),
            ..Evidence::default()
        };
        Self::report(event.message_id.as_uuid(), evidence, None)
    }
}
