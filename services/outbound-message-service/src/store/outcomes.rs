//! Recording what Meta answered: many outcomes, of all tenants, a statement for each table.

use chrono::{DateTime, Utc};
use diesel::{QueryableByName, prelude::*, sql_types};
use portal_db::{CrossTenantPath, DbError, Scope, Tx};
use portal_db_schema::schema::message_status_events;
use serde::Serialize;
use uuid::Uuid;

use super::messages::NewStatusEvent;
use crate::domain::MessageStatus;

/// The one who may.
pub(crate) const RECORDER: Scope = Scope::CrossTenant(CrossTenantPath::DeliveryRecorder);

/// A message under way, as far as recording needs it.
#[derive(Clone, QueryableByName)]
pub(crate) struct MessageUnderWay {
    #[diesel(sql_type = sql_types::Uuid)]
    pub(crate) message_id: Uuid,
    #[diesel(sql_type = sql_types::Text)]
    pub(crate) tenant_id: String,
    #[diesel(sql_type = sql_types::Text)]
    pub(crate) phone_number_id: String,
    #[diesel(sql_type = sql_types::Text)]
    pub(crate) recipient: String,
    #[diesel(sql_type = sql_types::Text)]
    pub(crate) status: String,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    pub(crate) wamid: Option<String>,
    #[diesel(sql_type = sql_types::Integer)]
    pub(crate) attempts: i32,
    #[diesel(sql_type = sql_types::Integer)]
    pub(crate) retries: i32,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    pub(crate) traceparent: Option<String>,
}

impl MessageUnderWay {
    /// The state, typed.
    pub(crate) fn status(&self) -> Result<MessageStatus, DbError> {
        self.status
            .parse()
            .map_err(|_unknown| DbError::Corrupt(format!("messages.status of {}", self.message_id)))
    }
}

/// The messages, locked in an order that all keep.
pub(crate) fn lock_any_tenant(
    tx: &mut Tx<'_>,
    ids: &[Uuid],
) -> Result<Vec<MessageUnderWay>, DbError> {
    Ok(diesel::sql_query(
        "SELECT message_id, tenant_id, phone_number_id, recipient, status, wamid, attempts, retries, \
             traceparent \
         FROM messages WHERE message_id = ANY ($1) ORDER BY message_id FOR UPDATE",
    )
    .bind::<sql_types::Array<sql_types::Uuid>, _>(ids)
    .load(tx.conn())?)
}

/// How an attempt ended.
#[derive(Debug, Serialize)]
pub(crate) struct EndedAttempt {
    pub(crate) attempt_id: Uuid,
    pub(crate) outcome: &'static str,
    pub(crate) error_class: Option<&'static str>,
    pub(crate) error_code: Option<i64>,
    pub(crate) http_status: Option<u16>,
    pub(crate) wamid: Option<String>,
    pub(crate) provider_trace_id: Option<String>,
}

/// Records how attempts ended; what was recorded once stays.
pub(crate) fn finish_attempts_any_tenant(
    tx: &mut Tx<'_>,
    ended: &[EndedAttempt],
) -> Result<(), DbError> {
    if ended.is_empty() {
        return Ok(());
    }
    diesel::sql_query(
        "UPDATE message_attempts a SET outcome = e.outcome, error_class = e.error_class, \
             error_code = e.error_code, http_status = e.http_status, wamid = e.wamid, \
             provider_trace_id = e.provider_trace_id, finished_at = now() \
         FROM jsonb_to_recordset($1) AS e(attempt_id uuid, outcome text, error_class text, \
             error_code bigint, http_status integer, wamid text, provider_trace_id text) \
         WHERE a.attempt_id = e.attempt_id AND a.outcome IS NULL",
    )
    .bind::<sql_types::Jsonb, _>(json(ended)?)
    .execute(tx.conn())?;
    Ok(())
}

/// Forgets attempts that were given up before their request.
pub(crate) fn forget_attempts_any_tenant(tx: &mut Tx<'_>, ids: &[Uuid]) -> Result<(), DbError> {
    if ids.is_empty() {
        return Ok(());
    }
    diesel::sql_query(
        "DELETE FROM message_attempts WHERE attempt_id = ANY ($1) AND outcome IS NULL",
    )
    .bind::<sql_types::Array<sql_types::Uuid>, _>(ids)
    .execute(tx.conn())?;
    Ok(())
}

/// A message's new state after an attempt.
#[derive(Debug, Serialize)]
pub(crate) struct Moved {
    pub(crate) message_id: Uuid,
    pub(crate) status: MessageStatus,
    pub(crate) wamid: Option<String>,
    pub(crate) next_attempt_at: Option<DateTime<Utc>>,
    pub(crate) retries: i32,
    pub(crate) attempts: i32,
    pub(crate) error: Option<serde_json::Value>,
    pub(crate) keeps_error: bool,
}

/// Moves messages. Columns that belong to a state follow from it; a wamid once known stays.
pub(crate) fn move_any_tenant(tx: &mut Tx<'_>, moved: &[Moved]) -> Result<(), DbError> {
    if moved.is_empty() {
        return Ok(());
    }
    diesel::sql_query(
        "UPDATE messages m SET status = c.status, next_attempt_at = c.next_attempt_at, \
             lease_until = NULL, wamid = COALESCE(m.wamid, c.wamid), retries = c.retries, \
             attempts = c.attempts, \
             error = CASE WHEN c.keeps_error THEN m.error ELSE c.error END, updated_at = now(), \
             unknown_since = CASE WHEN c.status = 'unknown' THEN now() END \
         FROM jsonb_to_recordset($1) AS c(message_id uuid, status text, wamid text, \
             next_attempt_at timestamptz, retries integer, attempts integer, error jsonb, \
             keeps_error boolean) \
         WHERE m.message_id = c.message_id",
    )
    .bind::<sql_types::Jsonb, _>(json(moved)?)
    .execute(tx.conn())?;
    Ok(())
}

/// Notes the wamids of messages that a webhook had moved before Meta's own answer came.
pub(crate) fn note_wamids_any_tenant(
    tx: &mut Tx<'_>,
    wamids: &[(Uuid, String)],
) -> Result<(), DbError> {
    if wamids.is_empty() {
        return Ok(());
    }
    let (ids, wamids): (Vec<Uuid>, Vec<&str>) = wamids
        .iter()
        .map(|(id, wamid)| (*id, wamid.as_str()))
        .unzip();
    diesel::sql_query(
        "UPDATE messages m SET wamid = c.wamid, updated_at = now() \
         FROM unnest($1, $2) AS c(message_id, wamid) \
         WHERE m.message_id = c.message_id AND m.wamid IS NULL",
    )
    .bind::<sql_types::Array<sql_types::Uuid>, _>(ids)
    .bind::<sql_types::Array<sql_types::Text>, _>(wamids)
    .execute(tx.conn())?;
    Ok(())
}

/// Keeps what was said; what was said before is kept once.
pub(crate) fn insert_status_events(
    tx: &mut Tx<'_>,
    events: &[NewStatusEvent],
) -> Result<(), DbError> {
    if events.is_empty() {
        return Ok(());
    }
    diesel::insert_into(message_status_events::table)
        .values(events)
        .on_conflict_do_nothing()
        .execute(tx.conn())?;
    Ok(())
}

/// A number that has messages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, QueryableByName)]
pub(crate) struct NumberOfTenant {
    #[diesel(sql_type = sql_types::Text)]
    pub(crate) tenant_id: String,
    #[diesel(sql_type = sql_types::Text)]
    pub(crate) phone_number_id: String,
}

/// Those of the numbers that have more to send now.
pub(crate) fn list_waiting_any_tenant(
    tx: &mut Tx<'_>,
    numbers: &[NumberOfTenant],
) -> Result<Vec<NumberOfTenant>, DbError> {
    let (tenants, ids): (Vec<&str>, Vec<&str>) = numbers
        .iter()
        .map(|number| (number.tenant_id.as_str(), number.phone_number_id.as_str()))
        .unzip();
    Ok(diesel::sql_query(
        "SELECT n.tenant_id, n.phone_number_id FROM unnest($1, $2) AS n(tenant_id, phone_number_id) \
         WHERE (SELECT true FROM messages m WHERE m.tenant_id = n.tenant_id \
             AND m.phone_number_id = n.phone_number_id \
             AND m.status IN ('accepted', 'retry_wait') AND m.next_attempt_at <= now() LIMIT 1)",
    )
    .bind::<sql_types::Array<sql_types::Text>, _>(tenants)
    .bind::<sql_types::Array<sql_types::Text>, _>(ids)
    .load(tx.conn())?)
}

fn json<T: Serialize>(rows: &[T]) -> Result<serde_json::Value, DbError> {
    serde_json::to_value(rows).map_err(|error| DbError::Other(Box::new(error)))
}
