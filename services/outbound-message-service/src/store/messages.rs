//! Messages: written at acceptance, read with their whole history.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use portal_db::{DbError, Tx};
use portal_db_schema::schema::{message_attempts, message_status_events, messages};
use portal_types::TenantId;
use uuid::Uuid;

use crate::domain::{MessageStatus, Source};

/// A message as it stands.
#[derive(Queryable, Selectable)]
#[diesel(table_name = messages)]
pub(crate) struct MessageRow {
    pub(crate) message_id: Uuid,
    pub(crate) tenant_id: String,
    pub(crate) conversation_id: Uuid,
    pub(crate) phone_number_id: String,
    pub(crate) from_number: String,
    pub(crate) recipient: String,
    pub(crate) type_: String,
    pub(crate) content: serde_json::Value,
    pub(crate) reply_to: Option<String>,
    pub(crate) status: String,
    pub(crate) wamid: Option<String>,
    pub(crate) attempts: i32,
    pub(crate) next_attempt_at: Option<DateTime<Utc>>,
    pub(crate) lease_until: Option<DateTime<Utc>>,
    pub(crate) error: Option<serde_json::Value>,
    pub(crate) pricing: Option<serde_json::Value>,
    pub(crate) sent_by_kind: String,
    pub(crate) sent_by: String,
    pub(crate) request_id: Option<String>,
    pub(crate) traceparent: Option<String>,
    pub(crate) send_at: Option<DateTime<Utc>>,
    pub(crate) possible_duplicate: bool,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) accepted_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

impl MessageRow {
    /// The tenant, typed.
    pub(crate) fn tenant(&self) -> Result<TenantId, DbError> {
        TenantId::parse(&self.tenant_id)
            .map_err(|_invalid| DbError::Corrupt("messages.tenant_id".to_owned()))
    }

    /// The state, typed.
    pub(crate) fn status(&self) -> Result<MessageStatus, DbError> {
        self.status
            .parse()
            .map_err(|_unknown| DbError::Corrupt(format!("messages.status of {}", self.message_id)))
    }
}

/// One request to Meta.
#[derive(Queryable, Selectable)]
#[diesel(table_name = message_attempts)]
pub(crate) struct AttemptRow {
    pub(crate) number: i32,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    pub(crate) outcome: Option<String>,
    pub(crate) error_class: Option<String>,
    pub(crate) error_code: Option<i64>,
    pub(crate) http_status: Option<i32>,
    pub(crate) provider_trace_id: Option<String>,
    pub(crate) wamid: Option<String>,
    pub(crate) traceparent: Option<String>,
}

/// One thing that was said about a message.
#[derive(Queryable, Selectable)]
#[diesel(table_name = message_status_events)]
pub(crate) struct StatusEventRow {
    pub(crate) status: String,
    pub(crate) source: String,
    pub(crate) changed_status: bool,
    pub(crate) occurred_at: DateTime<Utc>,
    pub(crate) recorded_at: DateTime<Utc>,
    pub(crate) wamid: Option<String>,
    pub(crate) error: Option<serde_json::Value>,
}

impl StatusEventRow {
    /// The beginning of every history, which the message's own row tells.
    pub(crate) fn accepted(at: DateTime<Utc>) -> Self {
        Self {
            status: MessageStatus::Accepted.to_string(),
            source: Source::Api.to_string(),
            changed_status: true,
            occurred_at: at,
            recorded_at: at,
            wamid: None,
            error: None,
        }
    }
}

/// Something that was said about a message, to be kept.
#[derive(Insertable)]
#[diesel(table_name = message_status_events)]
pub(crate) struct NewStatusEvent {
    pub(crate) status_event_id: Uuid,
    pub(crate) tenant_id: String,
    pub(crate) message_id: Uuid,
    pub(crate) status: &'static str,
    pub(crate) source: &'static str,
    pub(crate) changed_status: bool,
    pub(crate) occurred_at: DateTime<Utc>,
    pub(crate) wamid: Option<String>,
    pub(crate) error: Option<serde_json::Value>,
    pub(crate) pricing: Option<serde_json::Value>,
}

impl NewStatusEvent {
    /// A status that changed the message's state just now.
    pub(crate) fn change(
        message: &MessageRow,
        status: MessageStatus,
        source: Source,
        at: DateTime<Utc>,
    ) -> Self {
        Self {
            status_event_id: Uuid::now_v7(),
            tenant_id: message.tenant_id.clone(),
            message_id: message.message_id,
            status: status.as_str(),
            source: source.as_str(),
            changed_status: true,
            occurred_at: at,
            wamid: message.wamid.clone(),
            error: None,
            pricing: None,
        }
    }
}

/// Keeps what was said; what was said before is kept once.
pub(crate) fn insert_status_event(tx: &mut Tx<'_>, event: &NewStatusEvent) -> Result<(), DbError> {
    diesel::insert_into(message_status_events::table)
        .values(event)
        .on_conflict_do_nothing()
        .execute(tx.conn())?;
    Ok(())
}

/// A message of the transaction's tenant.
pub(crate) fn find(tx: &mut Tx<'_>, message_id: Uuid) -> Result<Option<MessageRow>, DbError> {
    Ok(messages::table
        .find(message_id)
        .select(MessageRow::as_select())
        .first(tx.conn())
        .optional()?)
}

/// As [`find`], locked until the transaction ends.
pub(crate) fn lock(tx: &mut Tx<'_>, message_id: Uuid) -> Result<Option<MessageRow>, DbError> {
    Ok(messages::table
        .find(message_id)
        .select(MessageRow::as_select())
        .for_update()
        .first(tx.conn())
        .optional()?)
}

/// All requests to Meta, oldest first.
pub(crate) fn list_attempts(tx: &mut Tx<'_>, message_id: Uuid) -> Result<Vec<AttemptRow>, DbError> {
    Ok(message_attempts::table
        .filter(message_attempts::message_id.eq(message_id))
        .order(message_attempts::number)
        .select(AttemptRow::as_select())
        .load(tx.conn())?)
}

/// All that was said, in the order in which we heard it.
pub(crate) fn list_status_events(
    tx: &mut Tx<'_>,
    message_id: Uuid,
) -> Result<Vec<StatusEventRow>, DbError> {
    Ok(message_status_events::table
        .filter(message_status_events::message_id.eq(message_id))
        .order((
            message_status_events::recorded_at,
            message_status_events::status_event_id,
        ))
        .select(StatusEventRow::as_select())
        .load(tx.conn())?)
}
