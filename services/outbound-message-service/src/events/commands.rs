//! The command door: `message.send` from another internal system.
//!
//! The same checks as at the HTTP doors. The command's id is its idempotency key, so a command that
//! is delivered twice sends one message. A command that cannot be carried out is answered with the
//! event `message.rejected`.

use async_trait::async_trait;
use chrono::Utc;
use portal_db::{Db, DbError, outbox};
use portal_events::{
    Delivery, Envelope, EventContext, Handled, Handler, RelayWaker,
    catalogue::{MessageRejected, RejectionReason, SentBy},
    outbox_event,
    topology::{COMMANDS, QueueKind, QueueSpec},
};
use portal_service_kit::{ApiError, http::parse_json};
use portal_types::TenantId;
use serde::Deserialize;
use serde_json::Value;

use super::SOURCE;
use crate::{
    domain::SendMessageRequest,
    usecases::accept_message::{AcceptMessage, Acceptor, IdempotencyKey},
};

/// The one public command.
const SEND: &str = "message.send";
/// Longest name of a system that is kept.
const MAX_SOURCE_CHARS: usize = 255;

/// Commands to send a message.
pub(crate) fn command_queue() -> QueueSpec {
    QueueSpec {
        name: "outbound-message-service.commands",
        kind: QueueKind::Durable,
        bindings: vec![(COMMANDS, SEND)],
    }
}

/// Accepts the messages of commands.
pub(crate) struct SendCommands {
    pub(crate) acceptor: Acceptor,
    pub(crate) db: Db,
    pub(crate) relay: RelayWaker,
}

/// As much of a command as its refusal needs.
#[derive(Deserialize)]
struct Addressed {
    id: String,
    tenantid: TenantId,
}

#[async_trait]
impl Handler for SendCommands {
    async fn handle(&self, delivery: &Delivery) -> Handled {
        // Without an id and a tenant there is nobody to tell.
        let addressed: Addressed = match serde_json::from_slice(&delivery.body) {
            Ok(addressed) => addressed,
            Err(error) => return Handled::Reject(error.into()),
        };
        let refusal = match self.carry_out(&delivery.body).await {
            Ok(()) => return Handled::Done,
            // What is away comes back; what is broken here is no better the next time.
            Err(refusal) if matches!(refusal.status().as_u16(), 429 | 503) => {
                return Handled::Retry(failure(&refusal));
            }
            Err(refusal) if refusal.status().is_server_error() => {
                return Handled::Reject(failure(&refusal));
            }
            Err(refusal) => refusal,
        };
        tracing::info!(tenant.id = %addressed.tenantid, code = refusal.code(), "a command is refused");
        match self.tell(&addressed, &refusal).await {
            Ok(()) => {
                self.relay.wake();
                Handled::Done
            }
            Err(error) => Handled::Retry(error.into()),
        }
    }
}

impl SendCommands {
    async fn carry_out(&self, body: &[u8]) -> Result<(), ApiError> {
        let command: Envelope<Value> = parse_json(body)?;
        let data = command.data.to_string();
        let request: SendMessageRequest = parse_json(data.as_bytes())?;
        let idempotency = IdempotencyKey::of_command(command.id, &request);
        let mut source = command.source;
        source.truncate(source.floor_char_boundary(MAX_SOURCE_CHARS));
        self.acceptor
            .accept(AcceptMessage {
                tenant: command.tenantid,
                sent_by: SentBy {
                    kind: "service".to_owned(),
                    id: source,
                },
                draft: request.into_draft(Utc::now())?,
                idempotency: Some(idempotency.map_err(ApiError::internal)?),
                context: EventContext::current(command.requestid),
            })
            .await?;
        Ok(())
    }

    async fn tell(&self, command: &Addressed, refusal: &ApiError) -> Result<(), DbError> {
        let event = MessageRejected {
            command_id: command.id.clone(),
            tenant_id: command.tenantid.clone(),
            errors: reasons(refusal),
        };
        let tenant = command.tenantid.clone();
        self.db
            .write("command.reject", &command.tenantid, move |tx| {
                let context = EventContext::current(None);
                let row = outbox_event(SOURCE, &tenant, &context, Utc::now(), &event)?;
                outbox::append(tx, &[row])
            })
            .await
    }
}

fn failure(refusal: &ApiError) -> anyhow::Error {
    let cause = refusal.cause().unwrap_or_default();
    anyhow::anyhow!("{}: {cause}", refusal.code())
}

/// One reason for each bad field, or one for all.
fn reasons(refusal: &ApiError) -> Vec<RejectionReason> {
    let reason = |field: Option<&str>, message: &str| RejectionReason {
        code: refusal.code().to_owned(),
        field: field.map(str::to_owned),
        message: message.to_owned(),
    };
    let fields = refusal.details().and_then(|details| details.as_array());
    let named: Vec<_> = fields
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let text = |name| entry.get(name).and_then(Value::as_str);
            Some(reason(Some(text("field")?), text("message")?))
        })
        .collect();
    if named.is_empty() {
        vec![reason(None, refusal.message())]
    } else {
        named
    }
}
