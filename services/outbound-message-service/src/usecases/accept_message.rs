//! Accepting a message: after this it will be sent or be seen to fail, whatever stops meanwhile.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use opentelemetry::metrics::Counter;
use portal_auth::{sha256, sha256_hex};
use portal_db::DbError;
use portal_events::{
    EventContext,
    catalogue::{MessageAccepted, SentBy},
    outbox_event,
};
use portal_service_kit::FieldErrors;
use portal_tenant_client::TenantClientError;
use portal_types::{ConversationId, MessageId, TenantId};
use serde::{Deserialize, Serialize};

use super::{
    accept_batch::{BatchError, BatchQueue, OF_REQUEST, Outcome, Row},
    admission::{Admission, Overload},
    preflight::{Cleared, Preflight},
    templates::UsableTemplate,
};
use crate::{
    domain::{Draft, MessageStatus},
    events::SOURCE,
    store::acceptance::{NewKey, NewMessage},
    usecases::dispatch::DispatchWaker,
};

/// A caller's `Idempotency-Key` with the fingerprint of what was asked for under it.
#[derive(Debug, Clone)]
pub(crate) struct IdempotencyKey {
    pub(crate) key: String,
    pub(crate) fingerprint: Vec<u8>,
}

impl IdempotencyKey {
    /// The fingerprint covers the route and the request, so that a key stands for one call.
    pub(crate) fn new(
        key: String,
        route: &str,
        request: &impl Serialize,
    ) -> serde_json::Result<Self> {
        let canonical = serde_json::to_vec(&(route, serde_json::to_value(request)?))?;
        Ok(Self {
            key,
            fingerprint: sha256(&canonical).to_vec(),
        })
    }

    /// The key of one of many messages of a request, derived from the request's: it has a blank, which
    /// callers' keys cannot have. `body` is the whole request's, because the key stands for that.
    pub(crate) fn of_row(key: &str, index: usize, body: &[u8]) -> Self {
        Self {
            key: format!("{OF_REQUEST}{} {index}", sha256_hex(key)),
            fingerprint: sha256(body).to_vec(),
        }
    }

    /// The key of a command, which is its id.
    pub(crate) fn of_command(
        id: impl std::fmt::Display,
        request: &impl Serialize,
    ) -> serde_json::Result<Self> {
        Self::new(format!("command {id}"), "message.send", request)
    }
}

/// A request to send a message.
pub(crate) struct AcceptMessage {
    pub(crate) tenant: TenantId,
    pub(crate) sent_by: SentBy,
    pub(crate) draft: Draft,
    pub(crate) idempotency: Option<IdempotencyKey>,
    pub(crate) context: EventContext,
}

/// The answer to an accepted message, stored with its idempotency key.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct Accepted {
    /// Always true.
    pub(crate) success: bool,
    pub(crate) message_id: MessageId,
    /// `accepted`, or `scheduled` when it is to be sent later.
    pub(crate) status: String,
    /// The recipient: a phone number in E.164 form, or a business-scoped user id.
    pub(crate) to: String,
    /// The organization's number.
    pub(crate) from: String,
    pub(crate) tenant_id: TenantId,
    pub(crate) conversation_id: ConversationId,
}

/// An accepted message, or the answer that its key already got.
pub(crate) struct Acceptance {
    pub(crate) answer: Accepted,
    pub(crate) replayed: bool,
}

/// Why a message is not accepted. Nothing is stored then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AcceptError {
    #[error("the tenant does not exist")]
    UnknownTenant,
    #[error("the tenant is suspended")]
    TenantSuspended,
    #[error("the tenant has no WhatsApp configuration")]
    WhatsappNotConfigured,
    #[error("some fields cannot be used")]
    Invalid(FieldErrors),
    #[error("the tenant does not allow raw content")]
    RawNotAllowed,
    #[error("the idempotency key was used for another request")]
    KeyReused,
    #[error("the customer service window is closed")]
    WindowClosed(ClosedWindow),
    #[error("the contact stopped marketing messages")]
    MarketingStopped,
    #[error(transparent)]
    Overloaded(#[from] Overload),
    #[error("the tenant's configuration cannot be read")]
    Directory(#[from] TenantClientError),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// What a message is sent from.
struct Sender {
    waba_id: String,
    phone_number_id: String,
}

impl Sender {
    fn of(cleared: &Cleared) -> Self {
        Self {
            waba_id: cleared.whatsapp.waba_id.clone(),
            phone_number_id: cleared.whatsapp.phone_number_id.clone(),
        }
    }
}

/// A window that is closed, and what can be sent all the same.
#[derive(Debug, Clone)]
pub(crate) struct ClosedWindow {
    /// Since when, if it was ever open.
    pub(crate) expired_at: Option<DateTime<Utc>>,
    pub(crate) usable_templates: Arc<[UsableTemplate]>,
}

/// What accepting needs.
#[derive(Clone)]
pub(crate) struct Acceptor {
    pub(crate) preflight: Preflight,
    pub(crate) admission: Arc<Admission>,
    pub(crate) queue: BatchQueue,
    pub(crate) dispatch: DispatchWaker,
    pub(crate) time_to_live: chrono::Duration,
    pub(crate) idempotency_window: chrono::Duration,
    pub(crate) content_in_events: bool,
    pub(crate) accepted: Counter<u64>,
}

impl Acceptor {
    /// Accepts a message: row, key, event and work are committed together.
    #[tracing::instrument(name = "usecase.accept_message", skip_all, fields(tenant.id = %command.tenant, message.id))]
    pub(crate) async fn accept(&self, command: AcceptMessage) -> Result<Acceptance, AcceptError> {
        self.admission.admit(&command.tenant, 1)?;
        let cleared = self
            .preflight
            .check(&command.tenant, &command.draft)
            .await?;
        let sender = Sender::of(&cleared);
        let (answer, row) = self.prepare(command, cleared)?;
        tracing::Span::current().record("message.id", tracing::field::display(answer.message_id));
        let outcomes = self.queue.commit(vec![row]).await?;
        let usable = self.usable(&answer.tenant_id, &sender, &outcomes).await;
        let outcome = outcomes.into_iter().next().ok_or(BatchError::Full)?;
        self.settle(answer, &sender, outcome, &usable)
    }

    /// Accepts many messages of a tenant, each with an outcome of its own, in one transaction.
    /// Fails as a whole when none of them can be accepted for a reason that is not theirs.
    #[tracing::instrument(name = "usecase.accept_messages", skip_all, fields(tenant.id = %tenant))]
    pub(crate) async fn accept_many(
        &self,
        tenant: &TenantId,
        commands: Vec<AcceptMessage>,
    ) -> Result<Vec<Result<Acceptance, AcceptError>>, AcceptError> {
        self.admission.admit(tenant, commands.len() as u64)?;
        let mut refusals = Vec::with_capacity(commands.len());
        let (mut answers, mut rows) = (Vec::new(), Vec::new());
        for command in commands {
            match self.preflight.check(&command.tenant, &command.draft).await {
                Ok(cleared) => {
                    let sender = Sender::of(&cleared);
                    let (answer, row) = self.prepare(command, cleared)?;
                    answers.push((answer, sender));
                    rows.push(row);
                    refusals.push(None);
                }
                Err(error @ (AcceptError::Invalid(_) | AcceptError::RawNotAllowed)) => {
                    refusals.push(Some(error));
                }
                Err(error) => return Err(error),
            }
        }
        let is_of_request: Vec<_> = rows.iter().map(Row::has_key_of_request).collect();
        let outcomes = if rows.is_empty() {
            Vec::new()
        } else {
            self.queue.commit(rows).await?
        };
        let is_reused = |(outcome, of_request): (&Outcome, &bool)| {
            *of_request && matches!(outcome, Outcome::KeyReused)
        };
        if outcomes.iter().zip(&is_of_request).any(is_reused) {
            return Err(AcceptError::KeyReused);
        }
        let usable = match answers.first() {
            Some((_, sender)) => self.usable(tenant, sender, &outcomes).await,
            None => [].into(),
        };
        let mut settled = answers
            .into_iter()
            .zip(outcomes)
            .map(|((answer, sender), outcome)| self.settle(answer, &sender, outcome, &usable));
        Ok(refusals
            .into_iter()
            .filter_map(|refusal| refusal.map(Err).or_else(|| settled.next()))
            .collect())
    }

    /// The templates that can be sent, if somebody is to be told of them.
    async fn usable(
        &self,
        tenant: &TenantId,
        sender: &Sender,
        outcomes: &[Outcome],
    ) -> Arc<[UsableTemplate]> {
        let is_closed = |outcome: &Outcome| matches!(outcome, Outcome::WindowClosed(_));
        if !outcomes.iter().any(is_closed) {
            return [].into();
        }
        self.preflight.usable(tenant, &sender.waba_id).await
    }

    fn settle(
        &self,
        answer: Accepted,
        sender: &Sender,
        outcome: Outcome,
        usable: &Arc<[UsableTemplate]>,
    ) -> Result<Acceptance, AcceptError> {
        match outcome {
            Outcome::Accepted => {
                self.dispatch
                    .wake(&answer.tenant_id, &sender.phone_number_id);
                self.admission.count(&answer.tenant_id, 1);
                self.accepted.add(1, &[]);
                Ok(Acceptance {
                    answer,
                    replayed: false,
                })
            }
            Outcome::Replayed(earlier) => Ok(Acceptance {
                answer: serde_json::from_value(earlier).map_err(|_unreadable| {
                    DbError::Corrupt("idempotency_keys.response".to_owned())
                })?,
                replayed: true,
            }),
            Outcome::KeyReused => Err(AcceptError::KeyReused),
            Outcome::MarketingStopped => Err(AcceptError::MarketingStopped),
            Outcome::WindowClosed(expired_at) => Err(AcceptError::WindowClosed(ClosedWindow {
                expired_at,
                usable_templates: Arc::clone(usable),
            })),
        }
    }

    /// What is to be committed, and the answer once it is.
    fn prepare(
        &self,
        command: AcceptMessage,
        cleared: Cleared,
    ) -> Result<(Accepted, Row), AcceptError> {
        let AcceptMessage {
            tenant,
            sent_by,
            draft,
            idempotency,
            context,
        } = command;
        let Cleared {
            whatsapp,
            conversation,
            content,
            is_marketing,
        } = cleared;
        let now = Utc::now();
        let message_id = MessageId::generate();
        let status = match draft.send_at {
            Some(_) => MessageStatus::Scheduled,
            None => MessageStatus::Accepted,
        };
        let answer = Accepted {
            success: true,
            message_id,
            status: status.as_str().to_owned(),
            to: draft.to.as_str().to_owned(),
            from: whatsapp.display_phone_number,
            tenant_id: tenant.clone(),
            conversation_id: conversation,
        };
        let key = idempotency
            .map(|idempotency| self.new_key(&tenant, idempotency, &answer, now))
            .transpose()?;
        // A scheduled message is looked at when it is due.
        let needs_window = draft.send_at.is_none() && draft.is_free_form();
        let message = NewMessage {
            message_id: message_id.as_uuid(),
            tenant_id: tenant.to_string(),
            conversation_id: conversation.as_uuid(),
            phone_number_id: whatsapp.phone_number_id,
            from_number: answer.from.clone(),
            recipient: answer.to.clone(),
            type_: draft.content.type_name().to_owned(),
            content: content.to_string(),
            reply_to: draft.reply_to,
            send_class: draft.class.into(),
            sent_by_kind: kind_of(&sent_by),
            sent_by: sent_by.id.clone(),
            request_id: context.request_id.clone(),
            traceparent: context.traceparent.clone(),
            send_at: draft.send_at,
            expires_at: draft.send_at.unwrap_or(now)
                + draft.time_to_live.unwrap_or(self.time_to_live),
            accepted_at: now,
            needs_window,
            is_marketing,
        };
        let event = MessageAccepted {
            message_id,
            tenant_id: tenant.clone(),
            conversation_id: conversation,
            to: answer.to.clone(),
            message_type: message.type_.clone(),
            sent_by,
            content: self.content_in_events.then_some(content),
            phone_number_id: Some(message.phone_number_id.clone()),
            reply_to: message.reply_to.clone(),
            genesys_conversation_id: draft.genesys_conversation_id,
        };
        let row = Row {
            event: outbox_event(SOURCE, &tenant, &context, now, &event)?,
            tenant,
            message,
            key,
        };
        Ok((answer, row))
    }

    fn new_key(
        &self,
        tenant: &TenantId,
        idempotency: IdempotencyKey,
        answer: &Accepted,
        now: DateTime<Utc>,
    ) -> Result<NewKey, AcceptError> {
        Ok(NewKey {
            tenant_id: tenant.to_string(),
            key: idempotency.key,
            fingerprint: idempotency.fingerprint,
            response: serde_json::to_string(answer).map_err(unwritable)?,
            expires_at: now + self.idempotency_window,
        })
    }
}

fn kind_of(sent_by: &SentBy) -> &'static str {
    match sent_by.kind.as_str() {
        "api_key" => "api_key",
        "service" => "service",
        _ => "user",
    }
}

fn unwritable(error: serde_json::Error) -> DbError {
    DbError::Other(Box::new(error))
}
