//! The way of a message through the service, as `GET /api/messages/{message_id}` shows it.

use chrono::{DateTime, Utc};
use portal_types::EventId;
use serde::Serialize;
use utoipa::ToSchema;

use super::messages::trace_id;
use crate::{
    store::{messages::StatusEventRow, trace::OutboxRow},
    usecases::get_message::MessageStory,
};

/// How long the outbox keeps what was published (the relay's housekeeping).
const PUBLISHED_DAYS: i64 = 7;

/// A message's way: the request, what was published and what was reported.
#[derive(Serialize, ToSchema)]
pub(crate) struct TraceView {
    request: RequestView,
    /// Events and hints about it, in the order of commits.
    published: Vec<PublishedView>,
    /// Whether `published` may lack what was published long ago: it is kept for 7 days.
    published_is_partial: bool,
    /// Everything that was ever said about it, also what changed nothing.
    reports: Vec<ReportView>,
}

/// The request that the message came with.
#[derive(Serialize, ToSchema)]
struct RequestView {
    request_id: Option<String>,
    trace_id: Option<String>,
}

/// Something that is published.
#[derive(Serialize, ToSchema)]
struct PublishedView {
    event_id: EventId,
    /// Such as `message.sent`.
    #[serde(rename = "type")]
    event_type: String,
    created_at: DateTime<Utc>,
    /// When the broker had confirmed it.
    published_at: Option<DateTime<Utc>>,
}

/// Something that was said about the message.
#[derive(Serialize, ToSchema)]
struct ReportView {
    status: String,
    /// `api`, `graph`, `webhook` or `policy`.
    source: String,
    /// By the clock of who says so: Meta's for webhooks.
    at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
    /// Whether it moved the message.
    changed_status: bool,
    /// The copy that it is about.
    wamid: Option<String>,
    error_code: Option<i64>,
}

impl TraceView {
    pub(super) fn new(story: &MessageStory) -> Self {
        let message = &story.message;
        let kept_since = Utc::now() - chrono::Duration::days(PUBLISHED_DAYS);
        Self {
            request: RequestView {
                request_id: message.request_id.clone(),
                trace_id: trace_id(message.traceparent.as_deref()),
            },
            published: story.published.iter().map(PublishedView::from).collect(),
            published_is_partial: message.accepted_at < kept_since,
            reports: story.history.iter().map(ReportView::from).collect(),
        }
    }
}

impl From<&OutboxRow> for PublishedView {
    fn from(row: &OutboxRow) -> Self {
        Self {
            event_id: row.event_id.into(),
            event_type: row.routing_key.clone(),
            created_at: row.created_at,
            published_at: row.published_at,
        }
    }
}

impl From<&StatusEventRow> for ReportView {
    fn from(event: &StatusEventRow) -> Self {
        let code = event.error.as_ref().and_then(|error| error.get("code"));
        Self {
            status: event.status.clone(),
            source: event.source.clone(),
            at: event.occurred_at,
            recorded_at: event.recorded_at,
            changed_status: event.changed_status,
            wamid: event.wamid.clone(),
            error_code: code.and_then(serde_json::Value::as_i64),
        }
    }
}
