//! Accepting a message: after this it will be sent or be seen to fail, whatever stops meanwhile.

use chrono::Utc;
use opentelemetry::metrics::Counter;
use portal_auth::sha256;
use portal_db::{Db, DbError, Tx, outbox};
use portal_events::{
    EventContext, RelayWaker,
    catalogue::{MessageAccepted, SentBy},
    outbox_event, outbox_work,
};
use portal_service_kit::FieldErrors;
use portal_tenant_client::{TenantClient, TenantClientError, TenantStatus};
use portal_types::{ConversationId, MessageId, TenantId};
use serde::{Deserialize, Serialize};

use crate::{
    domain::{Draft, MessageStatus, conversation::conversation_id},
    events::{DELIVER, SOURCE},
    store::{
        idempotency::{self, NewKey},
        messages::{self, NewMessage, NewStatusEvent},
    },
    usecases::{media::bring::MediaDesk, policies::Policies},
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
    /// Always `accepted`.
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
    #[error("the tenant's configuration cannot be read")]
    Directory(#[from] TenantClientError),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// What accepting needs.
#[derive(Clone)]
pub(crate) struct Acceptor {
    pub(crate) db: Db,
    pub(crate) tenants: TenantClient,
    pub(crate) policies: Policies,
    pub(crate) relay: RelayWaker,
    pub(crate) media: MediaDesk,
    pub(crate) time_to_live: chrono::Duration,
    pub(crate) idempotency_window: chrono::Duration,
    pub(crate) content_in_events: bool,
    pub(crate) accepted: Counter<u64>,
}

impl Acceptor {
    /// Accepts a message: row, history, key, event and work are committed together.
    #[tracing::instrument(name = "usecase.accept_message", skip_all, fields(tenant.id = %command.tenant, message.id))]
    pub(crate) async fn accept(&self, command: AcceptMessage) -> Result<Acceptance, AcceptError> {
        if command.draft.is_raw() && !self.policies.of(&command.tenant).await?.allow_raw {
            return Err(AcceptError::RawNotAllowed);
        }
        let profile = self
            .tenants
            .sending_profile(&command.tenant)
            .await?
            .ok_or(AcceptError::UnknownTenant)?;
        if profile.status != TenantStatus::Active {
            return Err(AcceptError::TenantSuspended);
        }
        let whatsapp = profile
            .whatsapp
            .as_ref()
            .ok_or(AcceptError::WhatsappNotConfigured)?;
        let conversation = conversation_id(
            &command.tenant,
            &whatsapp.phone_number_id,
            &command.draft.to,
        );
        if command
            .draft
            .conversation_id
            .is_some_and(|given| given != conversation)
        {
            let mut errors = FieldErrors::new();
            errors.add(
                "conversation_id",
                "is not the conversation with this recipient: leave it out",
            );
            return Err(AcceptError::Invalid(errors));
        }

        let content = serde_json::to_value(&command.draft.content)
            .map_err(|error| DbError::Corrupt(error.to_string()))?;
        let files = self.media.check(&command.tenant, content).await?;
        if !files.is_empty() {
            return Err(AcceptError::Invalid(files));
        }

        let message_id = MessageId::generate();
        tracing::Span::current().record("message.id", tracing::field::display(message_id));
        let answer = Accepted {
            success: true,
            message_id,
            status: MessageStatus::Accepted.as_str().to_owned(),
            to: command.draft.to.as_str().to_owned(),
            from: whatsapp.display_phone_number.clone(),
            tenant_id: command.tenant.clone(),
            conversation_id: conversation,
        };
        let writer = Writer {
            answer,
            phone_number_id: whatsapp.phone_number_id.clone(),
            expires_at: Utc::now() + self.time_to_live,
            key_expires_at: Utc::now() + self.idempotency_window,
            content_in_events: self.content_in_events,
            command,
        };
        let tenant = writer.command.tenant.clone();
        let acceptance = self
            .db
            .write("accept_message", &tenant, move |tx| writer.write(tx))
            .await?;
        fail::fail_point!("accept.after-commit", |_| std::process::abort());
        if !acceptance.replayed {
            self.relay.wake();
            self.accepted.add(1, &[]);
        }
        Ok(acceptance)
    }
}

/// The one transaction of an acceptance.
struct Writer {
    command: AcceptMessage,
    answer: Accepted,
    phone_number_id: String,
    expires_at: chrono::DateTime<Utc>,
    key_expires_at: chrono::DateTime<Utc>,
    content_in_events: bool,
}

impl Writer {
    fn write(self, tx: &mut Tx<'_>) -> Result<Acceptance, AcceptError> {
        if let Some(earlier) = self.claim_key(tx)? {
            return Ok(Acceptance {
                answer: earlier,
                replayed: true,
            });
        }
        let AcceptMessage {
            tenant,
            sent_by,
            draft,
            context,
            ..
        } = self.command;
        let content = serde_json::to_value(&draft.content)
            .map_err(|error| DbError::Other(Box::new(error)))?;
        let now = Utc::now();
        let message_id = self.answer.message_id;
        messages::insert(
            tx,
            &NewMessage {
                message_id: message_id.as_uuid(),
                tenant_id: tenant.to_string(),
                conversation_id: self.answer.conversation_id.as_uuid(),
                phone_number_id: self.phone_number_id,
                from_number: self.answer.from.clone(),
                recipient: self.answer.to.clone(),
                type_: draft.content.type_name().to_owned(),
                content: content.clone(),
                reply_to: draft.reply_to,
                status: MessageStatus::Accepted.as_str(),
                sent_by_kind: match sent_by.kind.as_str() {
                    "api_key" => "api_key",
                    "service" => "service",
                    _ => "user",
                },
                sent_by: sent_by.id.clone(),
                request_id: context.request_id.clone(),
                traceparent: context.traceparent.clone(),
                expires_at: self.expires_at,
                accepted_at: now,
            },
        )?;
        messages::insert_status_event(tx, &NewStatusEvent::accepted(&tenant, message_id, now))?;
        let event = MessageAccepted {
            message_id,
            tenant_id: tenant.clone(),
            conversation_id: self.answer.conversation_id,
            to: self.answer.to.clone(),
            message_type: draft.content.type_name().to_owned(),
            sent_by,
            content: self.content_in_events.then_some(content),
        };
        let work = serde_json::json!({ "message_id": message_id, "tenant_id": tenant });
        let rows = [
            outbox_event(SOURCE, &tenant, &context, now, &event)?,
            outbox_work(
                SOURCE,
                &tenant,
                &context,
                DELIVER,
                message_id.to_string(),
                work,
            ),
        ];
        outbox::append(tx, &rows)?;
        fail::fail_point!("accept.before-commit", |_| std::process::abort());
        Ok(Acceptance {
            answer: self.answer,
            replayed: false,
        })
    }

    /// The answer that the key got before; `None` when the key is ours now or there is none.
    fn claim_key(&self, tx: &mut Tx<'_>) -> Result<Option<Accepted>, AcceptError> {
        let Some(idempotency) = &self.command.idempotency else {
            return Ok(None);
        };
        let response =
            serde_json::to_value(&self.answer).map_err(|error| DbError::Other(Box::new(error)))?;
        let new = NewKey {
            tenant_id: self.command.tenant.to_string(),
            key: idempotency.key.clone(),
            fingerprint: idempotency.fingerprint.clone(),
            status_code: 202,
            response,
            expires_at: self.key_expires_at,
        };
        let Some(stored) = idempotency::claim(tx, &new)? else {
            return Ok(None);
        };
        if stored.fingerprint != new.fingerprint {
            return Err(AcceptError::KeyReused);
        }
        let earlier = serde_json::from_value(stored.response)
            .map_err(|_unreadable| DbError::Corrupt("idempotency_keys.response".to_owned()))?;
        Ok(Some(earlier))
    }
}
