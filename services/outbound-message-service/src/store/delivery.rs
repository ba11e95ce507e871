//! A worker's steps: take the head of a lane, write the attempt, record its outcome.
//!
//! A lane is all messages from one number to one recipient: they leave in the order of acceptance.

use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::{message_attempts, messages};
use uuid::Uuid;

use super::messages::MessageRow;
use crate::domain::MessageStatus;

const PENDING: [&str; 3] = ["accepted", "sending", "retry_wait"];

/// The database's time: leases of all workers are measured by one clock.
pub(crate) fn database_now(tx: &mut Tx<'_>) -> Result<DateTime<Utc>, DbError> {
    Ok(diesel::select(now.into_sql::<diesel::sql_types::Timestamptz>()).get_result(tx.conn())?)
}

/// The lane of a message: its number and its recipient.
pub(crate) fn find_lane(
    tx: &mut Tx<'_>,
    message_id: Uuid,
) -> Result<Option<(String, String)>, DbError> {
    Ok(messages::table
        .find(message_id)
        .select((messages::phone_number_id, messages::recipient))
        .first(tx.conn())
        .optional()?)
}

/// The first message of a lane that is not done, locked.
///
/// Waits for a worker that holds the lock instead of skipping it: the next message must not
/// overtake.
pub(crate) fn lock_lane_head(
    tx: &mut Tx<'_>,
    phone_number_id: &str,
    recipient: &str,
) -> Result<Option<MessageRow>, DbError> {
    Ok(messages::table
        .filter(messages::tenant_id.eq(tx.tenant().map_or("", |tenant| tenant.as_str()).to_owned()))
        .filter(messages::phone_number_id.eq(phone_number_id))
        .filter(messages::recipient.eq(recipient))
        .filter(messages::status.eq_any(PENDING))
        .order(messages::seq)
        .select(MessageRow::as_select())
        .for_update()
        .first(tx.conn())
        .optional()?)
}

/// Forgets that workers were told of the lane's messages: they were, and could do nothing. The
/// sweeper tells them again as soon as something can be done.
pub(crate) fn forget_hints(
    tx: &mut Tx<'_>,
    phone_number_id: &str,
    recipient: &str,
) -> Result<(), DbError> {
    diesel::update(
        messages::table
            .filter(messages::phone_number_id.eq(phone_number_id))
            .filter(messages::recipient.eq(recipient))
            .filter(messages::status.eq_any(PENDING)),
    )
    .set(messages::hinted_at.eq(None::<DateTime<Utc>>))
    .execute(tx.conn())?;
    Ok(())
}

/// Writes the attempt ahead of the request: what is sent is never unknown to us.
pub(crate) fn begin_attempt(
    tx: &mut Tx<'_>,
    message: &MessageRow,
    attempt_id: Uuid,
    lease_until: DateTime<Utc>,
    traceparent: Option<&str>,
) -> Result<i32, DbError> {
    let number = message.attempts + 1;
    diesel::insert_into(message_attempts::table)
        .values((
            message_attempts::attempt_id.eq(attempt_id),
            message_attempts::tenant_id.eq(&message.tenant_id),
            message_attempts::message_id.eq(message.message_id),
            message_attempts::number.eq(number),
            message_attempts::traceparent.eq(traceparent),
        ))
        .execute(tx.conn())?;
    diesel::update(messages::table.find(message.message_id))
        .set((
            messages::status.eq(MessageStatus::Sending.as_str()),
            messages::attempts.eq(number),
            messages::lease_until.eq(Some(lease_until)),
            messages::next_attempt_at.eq(None::<DateTime<Utc>>),
            messages::updated_at.eq(now),
        ))
        .execute(tx.conn())?;
    Ok(number)
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

/// A message's new state.
#[derive(Debug, Default)]
pub(crate) struct StateChange {
    pub(crate) status: Option<MessageStatus>,
    pub(crate) wamid: Option<String>,
    pub(crate) next_attempt_at: Option<DateTime<Utc>>,
    pub(crate) counts_retry: bool,
    pub(crate) error: Option<serde_json::Value>,
    pub(crate) pricing: Option<serde_json::Value>,
}

/// Moves a message. Columns that belong to a state (lease, next attempt, since when unknown) follow
/// from it; wamid and pricing once known stay.
pub(crate) fn update_state(
    tx: &mut Tx<'_>,
    message: &MessageRow,
    change: &StateChange,
) -> Result<(), DbError> {
    if let Some(status) = change.status {
        let unknown = status == MessageStatus::Unknown;
        let unknown_since = unknown.then(|| database_now(tx)).transpose()?;
        diesel::update(messages::table.find(message.message_id))
            .set((
                messages::status.eq(status.as_str()),
                messages::next_attempt_at.eq(change.next_attempt_at),
                messages::hinted_at.eq(None::<DateTime<Utc>>),
                messages::lease_until.eq(None::<DateTime<Utc>>),
                messages::unknown_since.eq(unknown_since),
                messages::retries.eq(message.retries + i32::from(change.counts_retry)),
                messages::error.eq(&change.error),
                messages::updated_at.eq(now),
            ))
            .execute(tx.conn())?;
    }
    let new_wamid = change.wamid.as_ref().filter(|_| message.wamid.is_none());
    if new_wamid.is_some() || change.pricing.is_some() {
        diesel::update(messages::table.find(message.message_id))
            .set((
                new_wamid.map(|wamid| messages::wamid.eq(wamid)),
                change
                    .pricing
                    .as_ref()
                    .map(|pricing| messages::pricing.eq(pricing)),
                Some(messages::updated_at.eq(now)),
            ))
            .execute(tx.conn())?;
    }
    Ok(())
}
