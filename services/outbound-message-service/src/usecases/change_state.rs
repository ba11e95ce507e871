//! The one way in which a message's state changes: row, history and event together.

use chrono::{DateTime, Utc};
use portal_db::{
    DbError, Tx,
    outbox::{self, NewOutboxEvent},
};
use portal_events::{
    EventContext,
    catalogue::{MessageDelivered, MessageError, MessageFailed, MessageRead, MessageSent},
    outbox_event,
};
use portal_types::{MessageId, TenantId};
use uuid::Uuid;

use crate::{
    domain::{MessageStatus, Source},
    events::SOURCE,
    store::{
        delivery,
        messages::{self, MessageRow, NewStatusEvent},
    },
};

/// Something that is known about a message now.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) status: MessageStatus,
    pub(crate) source: Source,
    /// When it happened, by the clock of who says so.
    pub(crate) at: DateTime<Utc>,
    pub(crate) wamid: Option<String>,
    pub(crate) pricing: Option<serde_json::Value>,
    pub(crate) error: Option<MessageError>,
}

/// Ends a message that Meta has not: by a rule of ours, not by Meta's word. `message` must be locked
/// and not settled yet.
pub(crate) fn fail(
    tx: &mut Tx<'_>,
    message: &MessageRow,
    at: DateTime<Utc>,
    error: MessageError,
) -> Result<(), DbError> {
    let report = Report {
        status: MessageStatus::Failed,
        source: Source::Policy,
        at,
        wamid: None,
        pricing: None,
        error: Some(error),
    };
    let error = to_json(report.error.as_ref())?;
    messages::insert_status_event(
        tx,
        &NewStatusEvent {
            wamid: None,
            error: error.clone(),
            ..NewStatusEvent::change(message, report.status, report.source, at)
        },
    )?;
    delivery::move_to(tx, message, report.status, error.as_ref())?;
    let event = announcement(message, &report)?;
    outbox::append(tx, event.as_slice())
}

/// What is told of a message that moved, if it is told of at all.
pub(crate) fn announcement(
    message: &MessageRow,
    report: &Report,
) -> Result<Option<NewOutboxEvent>, DbError> {
    let subject = Subject {
        message_id: message.message_id,
        tenant_id: &message.tenant_id,
        recipient: &message.recipient,
        wamid: message.wamid.as_deref(),
        attempts: message.attempts,
        traceparent: message.traceparent.as_deref(),
    };
    event_of(&subject, report)
}

/// A message, as far as its events tell of it.
pub(crate) struct Subject<'a> {
    pub(crate) message_id: Uuid,
    pub(crate) tenant_id: &'a str,
    pub(crate) recipient: &'a str,
    pub(crate) wamid: Option<&'a str>,
    pub(crate) attempts: i32,
    pub(crate) traceparent: Option<&'a str>,
}

/// The event that tells of a message's new state, if there is one for it.
pub(crate) fn event_of(
    message: &Subject<'_>,
    report: &Report,
) -> Result<Option<NewOutboxEvent>, DbError> {
    let tenant_id = TenantId::parse(message.tenant_id)
        .map_err(|_invalid| DbError::Corrupt("messages.tenant_id".to_owned()))?;
    // The whole life of a message is one trace: the request's.
    let context = EventContext {
        traceparent: message.traceparent.map(str::to_owned),
        request_id: None,
    };
    let message_id = MessageId::from(message.message_id);
    let to = message.recipient.to_owned();
    let wamid = report
        .wamid
        .clone()
        .or_else(|| message.wamid.map(str::to_owned));
    let (at, pricing) = (report.at, report.pricing.clone());
    let tenant = tenant_id.clone();
    let row = match report.status {
        MessageStatus::Sent => {
            let event = MessageSent {
                message_id,
                wamid,
                tenant_id,
                to,
                at,
                pricing,
            };
            outbox_event(SOURCE, &tenant, &context, at, &event)?
        }
        MessageStatus::Delivered => {
            let event = MessageDelivered {
                message_id,
                wamid,
                tenant_id,
                to,
                at,
                pricing,
            };
            outbox_event(SOURCE, &tenant, &context, at, &event)?
        }
        MessageStatus::Read => {
            let event = MessageRead {
                message_id,
                wamid,
                tenant_id,
                to,
                at,
                pricing,
            };
            outbox_event(SOURCE, &tenant, &context, at, &event)?
        }
        MessageStatus::Failed => {
            let error = report.error.clone().unwrap_or_else(|| MessageError {
                code: None,
                title: "The message failed".to_owned(),
                details: None,
                class: "permanent".to_owned(),
            });
            let attempts = message.attempts;
            let event = MessageFailed {
                message_id,
                tenant_id,
                to,
                error,
                attempts,
                reported: report.source == Source::Webhook,
            };
            outbox_event(SOURCE, &tenant, &context, at, &event)?
        }
        MessageStatus::Scheduled
        | MessageStatus::Accepted
        | MessageStatus::Sending
        | MessageStatus::RetryWait
        | MessageStatus::Unknown
        | MessageStatus::Canceled => return Ok(None),
    };
    Ok(Some(row))
}

/// Marks a message as one that Meta may have taken; its attempt must be finished already.
pub(crate) fn mark_unknown(tx: &mut Tx<'_>, message: &MessageRow) -> Result<(), DbError> {
    let at = delivery::database_now(tx)?;
    messages::insert_status_event(
        tx,
        &NewStatusEvent::change(message, MessageStatus::Unknown, Source::Policy, at),
    )?;
    delivery::move_to(tx, message, MessageStatus::Unknown, None)
}

/// The error as the message's row and history keep it.
pub(crate) fn to_json(error: Option<&MessageError>) -> Result<Option<serde_json::Value>, DbError> {
    error
        .map(serde_json::to_value)
        .transpose()
        .map_err(|error| DbError::Other(Box::new(error)))
}
