//! What people change about messages that are not sent: taken back, put off, tried again.

use chrono::{DateTime, Utc};
use diesel::{QueryableByName, dsl::now, prelude::*, sql_types};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::{message_attempts, messages, sending_policies};
use uuid::Uuid;

use super::{messages::MessageRow, tenant_of};

/// Whether Meta may have the message: an attempt was taken, runs, or its outcome is not known.
pub(crate) fn may_have_been_taken(tx: &mut Tx<'_>, message_id: Uuid) -> Result<bool, DbError> {
    let refused = message_attempts::outcome.is_not_distinct_from("not_accepted");
    Ok(diesel::select(diesel::dsl::exists(
        message_attempts::table
            .filter(message_attempts::message_id.eq(message_id))
            .filter(diesel::dsl::not(refused)),
    ))
    .get_result(tx.conn())?)
}

/// Whether the tenant wants a message sent again whose outcome stayed unknown.
pub(crate) fn wants_at_least_once(tx: &mut Tx<'_>) -> Result<bool, DbError> {
    let policy: Option<String> = sending_policies::table
        .find(tenant_of(tx))
        .select(sending_policies::unknown_policy)
        .first(tx.conn())
        .optional()?;
    Ok(policy.is_some_and(|policy| policy == "at_least_once"))
}

/// What changes about a scheduled message.
#[derive(AsChangeset)]
#[diesel(table_name = messages)]
pub(crate) struct Amendment {
    pub(crate) send_at: Option<DateTime<Utc>>,
    pub(crate) next_attempt_at: Option<DateTime<Utc>>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) content: Option<serde_json::Value>,
}

/// Changes a scheduled message.
pub(crate) fn amend(
    tx: &mut Tx<'_>,
    message_id: Uuid,
    amendment: &Amendment,
) -> Result<(), DbError> {
    diesel::update(messages::table.find(message_id))
        .set((amendment, messages::updated_at.eq(now)))
        .execute(tx.conn())?;
    Ok(())
}

/// Puts a message whose outcome stayed unknown to the end of its lane; it may arrive twice.
pub(crate) fn send_again(tx: &mut Tx<'_>, message: &MessageRow) -> Result<(), DbError> {
    diesel::sql_query(
        "UPDATE messages SET status = 'accepted', seq = nextval('messages_seq_seq'), retries = 0, \
             next_attempt_at = now(), unknown_since = NULL, error = NULL, wamid = NULL, \
             possible_duplicate = true, updated_at = now() \
         WHERE message_id = $1",
    )
    .bind::<sql_types::Uuid, _>(message.message_id)
    .execute(tx.conn())?;
    Ok(())
}

/// A number whose messages may go now.
#[derive(QueryableByName)]
pub(crate) struct Released {
    #[diesel(sql_type = sql_types::Text)]
    pub(crate) phone_number_id: String,
}

/// Scheduled messages of the tenant of these types that are due and whose customer service window
/// is known to be closed by now.
pub(crate) fn list_outside_window(
    tx: &mut Tx<'_>,
    types: &[&str],
    limit: i64,
) -> Result<Vec<Uuid>, DbError> {
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = sql_types::Uuid)]
        message_id: Uuid,
    }
    let rows: Vec<Id> = diesel::sql_query(concat!(
        "SELECT m.message_id FROM messages m \
         LEFT JOIN sending_policies p ON p.tenant_id = m.tenant_id \
         LEFT JOIN sending_numbers n ON n.tenant_id = m.tenant_id \
             AND n.phone_number_id = m.phone_number_id \
         LEFT JOIN contact_windows w ON w.tenant_id = m.tenant_id \
             AND w.phone_number_id = m.phone_number_id AND w.contact = m.recipient \
         WHERE m.status = 'scheduled' AND m.next_attempt_at <= now() AND m.type = ANY ($2) \
           AND COALESCE(p.window_policy, 'enforce') = 'enforce' AND ",
        window_is_closed!(),
        " ORDER BY m.next_attempt_at LIMIT $1"
    ))
    .bind::<sql_types::BigInt, _>(limit)
    .bind::<sql_types::Array<sql_types::Text>, _>(types)
    .load(tx.conn())?;
    Ok(rows.into_iter().map(|row| row.message_id).collect())
}

/// A scheduled template that is due.
#[derive(QueryableByName)]
pub(crate) struct DueTemplate {
    #[diesel(sql_type = sql_types::Uuid)]
    pub(crate) message_id: Uuid,
    #[diesel(sql_type = sql_types::Text)]
    pub(crate) phone_number_id: String,
    #[diesel(sql_type = sql_types::Jsonb)]
    pub(crate) content: serde_json::Value,
    /// Whether its contact wants no marketing.
    #[diesel(sql_type = sql_types::Bool)]
    pub(crate) has_stopped_marketing: bool,
}

/// The tenant's scheduled templates that are due at a time, as [`release_scheduled`] takes them.
pub(crate) fn list_due_templates(
    tx: &mut Tx<'_>,
    until: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<DueTemplate>, DbError> {
    Ok(diesel::sql_query(concat!(
        "SELECT m.message_id, m.phone_number_id, m.content, ",
        has_stopped_marketing!("m.tenant_id", "m.recipient"),
        " AS has_stopped_marketing FROM messages m \
         WHERE m.status = 'scheduled' AND m.next_attempt_at <= $1 AND m.type = 'template' \
         ORDER BY m.next_attempt_at, m.seq LIMIT $2"
    ))
    .bind::<sql_types::Timestamptz, _>(until)
    .bind::<sql_types::BigInt, _>(limit)
    .load(tx.conn())?)
}

/// Lets the tenant's scheduled messages that are due at a time enter their lanes, in the order of
/// their times; answers the number of each.
pub(crate) fn release_scheduled(
    tx: &mut Tx<'_>,
    until: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Released>, DbError> {
    Ok(diesel::sql_query(
        "WITH due AS MATERIALIZED ( \
             SELECT message_id FROM messages \
             WHERE status = 'scheduled' AND next_attempt_at <= $2 \
             ORDER BY next_attempt_at, seq LIMIT $1 FOR UPDATE SKIP LOCKED), \
         placed AS MATERIALIZED ( \
             SELECT message_id, nextval('messages_seq_seq') AS seq FROM due) \
         UPDATE messages m SET status = 'accepted', seq = placed.seq, next_attempt_at = now(), \
             updated_at = now() \
         FROM placed WHERE m.message_id = placed.message_id RETURNING m.phone_number_id",
    )
    .bind::<sql_types::BigInt, _>(limit)
    .bind::<sql_types::Timestamptz, _>(until)
    .load(tx.conn())?)
}
