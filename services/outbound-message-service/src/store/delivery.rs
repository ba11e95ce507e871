//! Changes of a single message's state.

use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::{message_attempts, messages};
use uuid::Uuid;

use super::messages::MessageRow;
use crate::domain::MessageStatus;

/// The database's time: leases of all workers are measured by one clock.
pub(crate) fn database_now(tx: &mut Tx<'_>) -> Result<DateTime<Utc>, DbError> {
    Ok(diesel::select(now.into_sql::<diesel::sql_types::Timestamptz>()).get_result(tx.conn())?)
}

/// How an attempt ended.
#[derive(Debug, Default, AsChangeset)]
#[diesel(table_name = message_attempts)]
pub(crate) struct AttemptOutcome {
    pub(crate) outcome: Option<&'static str>,
    pub(crate) error_class: Option<&'static str>,
    pub(crate) error_code: Option<i64>,
    pub(crate) http_status: Option<i32>,
    pub(crate) wamid: Option<String>,
    pub(crate) provider_trace_id: Option<String>,
}

/// Records how the attempt ended; what was recorded once stays.
pub(crate) fn finish_attempt(
    tx: &mut Tx<'_>,
    message_id: Uuid,
    number: i32,
    outcome: &AttemptOutcome,
) -> Result<(), DbError> {
    diesel::update(
        message_attempts::table
            .filter(message_attempts::message_id.eq(message_id))
            .filter(message_attempts::number.eq(number))
            .filter(message_attempts::outcome.is_null()),
    )
    .set((outcome, message_attempts::finished_at.eq(now)))
    .execute(tx.conn())?;
    Ok(())
}

/// Moves a message. Columns that belong to a state (lease, next attempt, since when unknown) follow
/// from it.
pub(crate) fn move_to(
    tx: &mut Tx<'_>,
    message: &MessageRow,
    status: MessageStatus,
    error: Option<&serde_json::Value>,
) -> Result<(), DbError> {
    let unknown = status == MessageStatus::Unknown;
    let unknown_since = unknown.then(|| database_now(tx)).transpose()?;
    diesel::update(messages::table.find(message.message_id))
        .set((
            messages::status.eq(status.as_str()),
            messages::next_attempt_at.eq(None::<DateTime<Utc>>),
            messages::lease_until.eq(None::<DateTime<Utc>>),
            messages::unknown_since.eq(unknown_since),
            messages::error.eq(error),
            messages::updated_at.eq(now),
        ))
        .execute(tx.conn())?;
    Ok(())
}
