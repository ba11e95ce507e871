//! What callers see of dead letters: never a text, a name or a number.

use chrono::{DateTime, Utc};
use portal_db::DbError;
use portal_types::MessageId;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    domain::{
        dead_letter::{LetterSource, LetterState},
        redact::redacted,
    },
    routes::messages::trace_id,
    usecases::dead_letters::Letter,
};

/// A dead letter.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeadLetterView {
    /// For a failed message the message's id
    dead_letter_id: Uuid,
    source: LetterSource,
    state: LetterState,
    /// The message that it is about, if it names one
    message_id: Option<MessageId>,
    /// The type of the message
    #[serde(rename = "type")]
    message_type: Option<String>,
    /// The queue whose consumer did not take it
    queue: Option<String>,
    /// Why: `class`, `code`, `title`, `details` of a message; `title` of a delivery
    error: Value,
    /// Requests to Meta so far
    attempts: Option<i32>,
    /// When the message was accepted, or the delivery kept
    at: DateTime<Utc>,
    trace_id: Option<String>,
}

/// A dead letter with what its content looks like.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeadLetterDetail {
    #[serde(flatten)]
    letter: DeadLetterView,
    /// The structure, with lengths in place of texts
    content: Value,
    /// Bytes of the content
    size: usize,
    /// Why and when the broker gave a delivery up
    #[serde(skip_serializing_if = "Option::is_none")]
    x_death: Option<Value>,
}

/// A page of dead letters.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeadLetterPage {
    pub(super) dead_letters: Vec<DeadLetterView>,
    /// `null` on the last page
    pub(super) next_cursor: Option<String>,
}

impl TryFrom<&Letter> for DeadLetterView {
    type Error = DbError;

    fn try_from(letter: &Letter) -> Result<Self, DbError> {
        Ok(match letter {
            Letter::Message { row, discarded_at } => Self {
                dead_letter_id: row.message_id,
                source: LetterSource::Message,
                state: discarded_at.map_or(LetterState::Open, |_| LetterState::Discarded),
                message_id: Some(row.message_id.into()),
                message_type: Some(row.type_.clone()),
                queue: None,
                error: row.error.clone().unwrap_or(Value::Null),
                attempts: Some(row.attempts),
                at: row.accepted_at,
                trace_id: trace_id(row.traceparent.as_deref()),
            },
            Letter::Delivery(row) => Self {
                dead_letter_id: row.dead_letter_id,
                source: LetterSource::Queue,
                state: row.state()?,
                message_id: row.message_id.map(Into::into),
                message_type: None,
                queue: Some(row.queue.clone()),
                error: json!({ "title": row.error }),
                attempts: None,
                at: row.received_at,
                trace_id: trace_id(row.traceparent.as_deref()),
            },
        })
    }
}

impl TryFrom<&Letter> for DeadLetterDetail {
    type Error = DbError;

    fn try_from(letter: &Letter) -> Result<Self, DbError> {
        let (content, size, x_death) = match letter {
            Letter::Message { row, .. } => {
                (redacted(&row.content), row.content.to_string().len(), None)
            }
            Letter::Delivery(row) => {
                let body = serde_json::from_slice::<Value>(&row.body);
                let shape = body.map_or(json!("<not JSON>"), |body| redacted(&body));
                let deaths = row.headers.get("x-death").cloned();
                (shape, row.body.len(), deaths)
            }
        };
        Ok(Self {
            letter: DeadLetterView::try_from(letter)?,
            content,
            size,
            x_death,
        })
    }
}
