//! `GET /api/messages/{message_id}`

use actix_web::{get, web};
use chrono::{DateTime, Utc};
use portal_auth::{Guarded, MessageReader};
use portal_db::DbError;
use portal_service_kit::{ApiError, http::ValidPath};
use portal_types::{ConversationId, MessageId, TenantId};
use serde::Serialize;
use utoipa::ToSchema;

use super::message_trace::TraceView;
use crate::{
    domain::MessageStatus,
    error::{from_db, message_not_found},
    routes::holds::HoldView,
    state::AppState,
    store::messages::{AttemptRow, MessageRow, StatusEventRow},
    usecases::get_message::{MessageStory, get_message as find_message},
};

/// A message as it stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageSummary {
    message_id: MessageId,
    tenant_id: TenantId,
    conversation_id: ConversationId,
    /// Always `outbound`.
    direction: &'static str,
    #[serde(rename = "type")]
    message_type: String,
    to: String,
    from: String,
    phone_number_id: String,
    /// The text of a text message.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The content as Meta gets it.
    payload: serde_json::Value,
    reply_to: Option<String>,
    status: MessageStatus,
    /// Meta's id, once Meta took the message.
    wamid: Option<String>,
    /// Why the last attempt or the message failed.
    error: Option<serde_json::Value>,
    /// What Meta charges.
    pricing: Option<serde_json::Value>,
    sent_by: SentByView,
    accepted_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// When it is to be sent, if it was accepted for later.
    send_at: Option<DateTime<Utc>>,
    /// Until when it may be sent.
    expires_at: DateTime<Utc>,
    /// Whether it was sent again although it may have arrived before.
    possible_duplicate: bool,
    /// When the next attempt is due.
    next_attempt_at: Option<DateTime<Utc>>,
    /// The trace that everything about the message belongs to.
    trace_id: Option<String>,
}

/// A message with everything that happened to it.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageView {
    #[serde(flatten)]
    message: MessageSummary,
    /// Why the number's sending waits, while the message waits with it.
    hold: Option<HoldView>,
    /// The states it went through, oldest first.
    history: Vec<HistoryView>,
    /// The requests to Meta, oldest first.
    attempts: Vec<AttemptView>,
    /// Its way through the service.
    trace: TraceView,
}

/// Who sent a message.
#[derive(Serialize, ToSchema)]
pub(crate) struct SentByView {
    /// `user`, `api_key` or `service`.
    kind: String,
    id: String,
}

/// A state that a message reached.
#[derive(Serialize, ToSchema)]
pub(crate) struct HistoryView {
    status: String,
    /// When it happened, by the clock of who says so.
    at: DateTime<Utc>,
    /// When we learned of it.
    recorded_at: DateTime<Utc>,
    /// `api`, `graph`, `webhook` or `policy`.
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<serde_json::Value>,
}

/// One request to Meta.
#[derive(Serialize, ToSchema)]
pub(crate) struct AttemptView {
    number: i32,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    duration_ms: Option<i64>,
    /// `accepted`, `not_accepted` or `unknown`; nothing while it runs.
    outcome: Option<String>,
    error_class: Option<String>,
    error_code: Option<i64>,
    http_status: Option<i32>,
    /// Meta's trace id, for its support.
    fbtrace_id: Option<String>,
    /// The id that Meta gave this copy.
    wamid: Option<String>,
    trace_id: Option<String>,
}

impl TryFrom<MessageRow> for MessageSummary {
    type Error = DbError;

    fn try_from(message: MessageRow) -> Result<Self, DbError> {
        let text = message
            .content
            .pointer("/text/body")
            .and_then(serde_json::Value::as_str);
        Ok(Self {
            message_id: message.message_id.into(),
            tenant_id: message.tenant()?,
            conversation_id: message.conversation_id.into(),
            direction: "outbound",
            status: message.status()?,
            text: text.map(str::to_owned),
            trace_id: trace_id(message.traceparent.as_deref()),
            message_type: message.type_,
            to: message.recipient,
            from: message.from_number,
            phone_number_id: message.phone_number_id,
            payload: message.content,
            reply_to: message.reply_to,
            wamid: message.wamid,
            error: message.error,
            pricing: message.pricing,
            sent_by: SentByView {
                kind: message.sent_by_kind,
                id: message.sent_by,
            },
            accepted_at: message.accepted_at,
            updated_at: message.updated_at,
            send_at: message.send_at,
            expires_at: message.expires_at,
            possible_duplicate: message.possible_duplicate,
            next_attempt_at: message.next_attempt_at,
        })
    }
}

/// The trace id of a W3C trace context.
pub(super) fn trace_id(traceparent: Option<&str>) -> Option<String> {
    traceparent?.split('-').nth(1).map(str::to_owned)
}

impl TryFrom<MessageStory> for MessageView {
    type Error = DbError;

    fn try_from(story: MessageStory) -> Result<Self, DbError> {
        let trace = TraceView::new(&story);
        let changes = story
            .history
            .into_iter()
            .filter(|event| event.changed_status);
        Ok(Self {
            message: story.message.try_into()?,
            hold: story.hold.map(HoldView::from),
            history: changes.map(HistoryView::from).collect(),
            attempts: story.attempts.into_iter().map(AttemptView::from).collect(),
            trace,
        })
    }
}

impl From<StatusEventRow> for HistoryView {
    fn from(event: StatusEventRow) -> Self {
        Self {
            status: event.status,
            at: event.occurred_at,
            recorded_at: event.recorded_at,
            source: event.source,
            error: event.error,
        }
    }
}

impl From<AttemptRow> for AttemptView {
    fn from(attempt: AttemptRow) -> Self {
        let took = attempt.finished_at.map(|end| end - attempt.started_at);
        Self {
            number: attempt.number,
            started_at: attempt.started_at,
            finished_at: attempt.finished_at,
            duration_ms: took.map(|took| took.num_milliseconds()),
            outcome: attempt.outcome,
            error_class: attempt.error_class,
            error_code: attempt.error_code,
            http_status: attempt.http_status,
            fbtrace_id: attempt.provider_trace_id,
            wamid: attempt.wamid,
            trace_id: trace_id(attempt.traceparent.as_deref()),
        }
    }
}

/// A message of the organization with its whole status history.
#[utoipa::path(
    tag = "messages",
    params(("message_id" = MessageId, Path, description = "The id that the acceptance answered")),
    responses(
        (status = 200, description = "The message", body = MessageView),
        (status = 400, description = "The id is not a UUID"),
        (status = 401, description = "The token or API key is missing, expired or revoked"),
        (status = 403, description = "The API key lacks the scope messages:read"),
        (status = 404, description = "The organization has no such message"),
        (status = 503, description = "The message cannot be read just now"),
    ),
    security(("bearer" = []))
)]
#[get("/api/messages/{message_id}")]
pub(crate) async fn get_message(
    Guarded(MessageReader(caller), ValidPath(id)): Guarded<MessageReader, ValidPath<MessageId>>,
    state: web::Data<AppState>,
) -> Result<web::Json<MessageView>, ApiError> {
    let story = find_message(&state.db, caller.tenant_id(), id)
        .await
        .map_err(from_db)?
        .ok_or_else(message_not_found)?;
    MessageView::try_from(story).map(web::Json).map_err(from_db)
}
