//! Changing what is not sent: taking a message back, putting it off, sending a failed one again.

use chrono::{DateTime, Utc};
use portal_db::{
    Db, DbError, Tx,
    audit::{self, Actor, AuditEntry},
    outbox,
    requeue::Requeue,
};
use portal_events::{
    EventContext, RelayWaker,
    catalogue::{MessageCanceled, SentBy},
    outbox_event,
};
use portal_types::{MessageId, TenantId};
use portal_whatsapp::Content;

use crate::{
    domain::{MessageStatus, Source},
    events::SOURCE,
    store::{
        amendments::{self, Amendment},
        contacts, delivery,
        messages::{self, MessageRow, NewStatusEvent},
    },
    usecases::{
        accept_message::AcceptError, dispatch::DispatchWaker, preflight::Preflight,
        requeue::requeue,
    },
};

/// Who asks, for one message.
#[expect(clippy::struct_field_names, reason = "as the header is called")]
pub(crate) struct Request {
    pub(crate) tenant: TenantId,
    pub(crate) message_id: MessageId,
    pub(crate) by: SentBy,
    pub(crate) request_id: Option<String>,
}

/// What is to change about a scheduled message.
pub(crate) struct Change {
    pub(crate) send_at: Option<DateTime<Utc>>,
    pub(crate) content: Option<NewContent>,
}

/// What a scheduled message is to say.
pub(crate) enum NewContent {
    /// The new text of a text message.
    Text(String),
    /// All of it, of the type that the message has.
    Whole(Box<Content>),
}

/// A content that nothing speaks against.
enum Replacement {
    Text(String),
    Whole {
        type_name: String,
        content: serde_json::Value,
        is_marketing: bool,
    },
}

/// Why a message stays as it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AmendError {
    #[error("there is no such message")]
    NotFound,
    #[error("the message is {0}, which cannot be taken back")]
    NotCancelable(MessageStatus),
    #[error("Meta may have the message")]
    MayBeSent,
    #[error("the message is {0} and no longer scheduled")]
    NotScheduled(MessageStatus),
    #[error("the message is no text message")]
    NotText,
    #[error("the message is of the type {0}")]
    OfAnotherType(String),
    #[error("the new content cannot be sent")]
    Refused(#[from] AcceptError),
    #[error("the message is {0} and did not fail")]
    NotFailed(MessageStatus),
    #[error("the message may have arrived")]
    MayHaveArrived,
    #[error(transparent)]
    Db(#[from] DbError),
}

/// What changing needs.
#[derive(Clone)]
pub(crate) struct Amender {
    pub(crate) db: Db,
    pub(crate) relay: RelayWaker,
    pub(crate) dispatch: DispatchWaker,
    pub(crate) preflight: Preflight,
}

impl Amender {
    /// Takes a message back that Meta cannot have. Repeating it changes nothing.
    #[tracing::instrument(name = "usecase.cancel_message", skip_all, fields(tenant.id = %request.tenant, message.id = %request.message_id))]
    pub(crate) async fn cancel(&self, request: Request) -> Result<(), AmendError> {
        let tenant = request.tenant.clone();
        let number = self
            .db
            .write("cancel_message", &tenant, move |tx| cancel(tx, &request))
            .await?;
        self.went_on(&tenant, &number);
        Ok(())
    }

    /// Changes a message that is scheduled.
    #[tracing::instrument(name = "usecase.amend_message", skip_all, fields(tenant.id = %request.tenant, message.id = %request.message_id))]
    pub(crate) async fn amend(&self, request: Request, change: Change) -> Result<(), AmendError> {
        let tenant = request.tenant.clone();
        let replacement = match change.content {
            None => None,
            Some(NewContent::Text(text)) => Some(Replacement::Text(text)),
            Some(NewContent::Whole(content)) => {
                let (written, is_marketing) =
                    self.preflight.check_change(&tenant, &content).await?;
                Some(Replacement::Whole {
                    type_name: content.type_name().to_owned(),
                    content: written,
                    is_marketing,
                })
            }
        };
        let send_at = change.send_at;
        self.db
            .write("amend_message", &tenant, move |tx| {
                amend(tx, &request, send_at, replacement)
            })
            .await
    }

    /// Sends a failed message again, at the end of its lane and with its time to live anew.
    ///
    /// `accept_duplicate` is needed where the message may have arrived.
    #[tracing::instrument(name = "usecase.retry_message", skip_all, fields(tenant.id = %request.tenant, message.id = %request.message_id))]
    pub(crate) async fn retry(
        &self,
        request: Request,
        accept_duplicate: bool,
    ) -> Result<(), AmendError> {
        let tenant = request.tenant.clone();
        let number = self
            .db
            .write("retry_message", &tenant, move |tx| {
                retry(tx, &request, accept_duplicate)
            })
            .await?;
        self.went_on(&tenant, &number);
        Ok(())
    }

    fn went_on(&self, tenant: &TenantId, phone_number_id: &str) {
        self.dispatch.wake(tenant, phone_number_id);
        self.relay.wake();
    }
}

fn find(tx: &mut Tx<'_>, request: &Request) -> Result<MessageRow, AmendError> {
    messages::lock(tx, request.message_id.as_uuid())?.ok_or(AmendError::NotFound)
}

fn cancel(tx: &mut Tx<'_>, request: &Request) -> Result<String, AmendError> {
    use MessageStatus::{Accepted, Canceled, RetryWait, Scheduled};
    let message = find(tx, request)?;
    match message.status()? {
        Canceled => return Ok(message.phone_number_id),
        Scheduled | Accepted | RetryWait => {}
        status => return Err(AmendError::NotCancelable(status)),
    }
    if amendments::may_have_been_taken(tx, message.message_id)? {
        return Err(AmendError::MayBeSent);
    }
    let at = delivery::database_now(tx)?;
    messages::insert_status_event(
        tx,
        &NewStatusEvent::change(&message, Canceled, Source::Api, at),
    )?;
    delivery::move_to(tx, &message, Canceled, None)?;
    let event = MessageCanceled {
        message_id: request.message_id,
        tenant_id: request.tenant.clone(),
        to: message.recipient.clone(),
        at,
        canceled_by: request.by.clone(),
    };
    let context = context(&message, request);
    let row = outbox_event(SOURCE, &request.tenant, &context, at, &event)?;
    outbox::append(tx, &[row])?;
    note(tx, request, "message.cancel")?;
    Ok(message.phone_number_id)
}

fn amend(
    tx: &mut Tx<'_>,
    request: &Request,
    send_at: Option<DateTime<Utc>>,
    replacement: Option<Replacement>,
) -> Result<(), AmendError> {
    let message = find(tx, request)?;
    let status = message.status()?;
    if status != MessageStatus::Scheduled {
        return Err(AmendError::NotScheduled(status));
    }
    // The time to live runs from the time at which it is to be sent.
    let shift = send_at
        .zip(message.next_attempt_at)
        .map(|(new, old)| new - old);
    let content = match replacement {
        Some(Replacement::Text(text)) => {
            let mut content = message.content;
            let body = content.pointer_mut("/text/body");
            *body.ok_or(AmendError::NotText)? = text.into();
            Some(content)
        }
        Some(Replacement::Whole { type_name, .. }) if type_name != message.type_ => {
            return Err(AmendError::OfAnotherType(message.type_));
        }
        Some(Replacement::Whole {
            content,
            is_marketing,
            ..
        }) => {
            if is_marketing && contacts::has_stopped_marketing(tx, &message.recipient)? {
                return Err(AcceptError::MarketingStopped.into());
            }
            Some(content)
        }
        None => None,
    };
    let amendment = Amendment {
        send_at,
        next_attempt_at: send_at,
        expires_at: shift.map(|shift| message.expires_at + shift),
        content,
    };
    amendments::amend(tx, message.message_id, &amendment)?;
    note(tx, request, "message.amend")?;
    Ok(())
}

fn retry(tx: &mut Tx<'_>, request: &Request, accept_duplicate: bool) -> Result<String, AmendError> {
    match requeue(tx, request.message_id.as_uuid(), accept_duplicate)? {
        Requeue::Back(back) => {
            note(tx, request, "message.retry")?;
            Ok(back.phone_number_id)
        }
        Requeue::NotFailed(status) => {
            let corrupt = |_unknown| DbError::Corrupt("messages.status".to_owned());
            Err(AmendError::NotFailed(status.parse().map_err(corrupt)?))
        }
        Requeue::MayHaveArrived => Err(AmendError::MayHaveArrived),
        Requeue::NotFound => Err(AmendError::NotFound),
    }
}

fn context(message: &MessageRow, request: &Request) -> EventContext {
    EventContext {
        traceparent: message.traceparent.clone(),
        request_id: request.request_id.clone(),
    }
}

fn note(tx: &mut Tx<'_>, request: &Request, action: &'static str) -> Result<(), DbError> {
    let id = request.by.id.clone();
    audit::append(
        tx,
        &AuditEntry {
            service: SOURCE.role,
            actor: match request.by.kind.as_str() {
                "api_key" => Actor::ApiKey(id),
                "service" => Actor::Service(id),
                _ => Actor::User(id),
            },
            action,
            target: Some(request.message_id.to_string()),
            outcome: audit::Outcome::Succeeded,
            details: serde_json::json!({}),
            request_id: request.request_id.clone(),
        },
    )
}
