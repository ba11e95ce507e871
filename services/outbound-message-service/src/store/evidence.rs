//! What Meta reported of a tenant's messages: many at once.

use std::collections::HashSet;

use diesel::{prelude::*, sql_types};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::{message_status_events, messages};
use serde_json::Value;
use uuid::Uuid;

use super::messages::{MessageRow, NewStatusEvent};
use crate::domain::MessageStatus;

/// Something that Meta reported before.
#[derive(QueryableByName)]
pub(crate) struct Known {
    #[diesel(sql_type = sql_types::Uuid)]
    pub(crate) message_id: Uuid,
    #[diesel(sql_type = sql_types::Text)]
    pub(crate) status: String,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    pub(crate) wamid: Option<String>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    pub(crate) error_code: Option<String>,
}

/// How a message moves.
pub(crate) struct Move {
    pub(crate) message_id: Uuid,
    /// The new state; `None` when only the rest is news.
    pub(crate) status: Option<MessageStatus>,
    pub(crate) wamid: Option<String>,
    pub(crate) pricing: Option<Value>,
    pub(crate) error: Option<Value>,
}

/// The tenant's messages with these ids, locked until the transaction ends, always in the same
/// order: two that apply at once wait for each other and never for ever.
pub(crate) fn lock_messages(tx: &mut Tx<'_>, ids: &[Uuid]) -> Result<Vec<MessageRow>, DbError> {
    Ok(messages::table
        .filter(messages::message_id.eq_any(ids))
        .order(messages::message_id)
        .select(MessageRow::as_select())
        .for_update()
        .load(tx.conn())?)
}

/// What Meta's webhooks said of these messages.
pub(crate) fn list_known(tx: &mut Tx<'_>, ids: &[Uuid]) -> Result<Vec<Known>, DbError> {
    Ok(diesel::sql_query(
        "SELECT message_id, status, wamid, error ->> 'code' AS error_code FROM message_status_events \
         WHERE tenant_id = app_tenant_id() AND message_id = ANY ($1) AND source = 'webhook'",
    )
    .bind::<sql_types::Array<sql_types::Uuid>, _>(ids)
    .load(tx.conn())?)
}

/// Those of these wamids that messages have already.
pub(crate) fn taken_wamids(tx: &mut Tx<'_>, wamids: &[String]) -> Result<HashSet<String>, DbError> {
    if wamids.is_empty() {
        return Ok(HashSet::new());
    }
    let taken: Vec<Option<String>> = messages::table
        .filter(messages::wamid.eq_any(wamids))
        .select(messages::wamid)
        .load(tx.conn())?;
    Ok(taken.into_iter().flatten().collect())
}

/// Keeps what was said.
pub(crate) fn insert(tx: &mut Tx<'_>, events: &[NewStatusEvent]) -> Result<(), DbError> {
    diesel::insert_into(message_status_events::table)
        .values(events)
        .on_conflict_do_nothing()
        .execute(tx.conn())?;
    Ok(())
}

/// Moves messages. Columns that belong to a state follow from it; a wamid once known stays.
pub(crate) fn move_all(tx: &mut Tx<'_>, moves: &[Move]) -> Result<(), DbError> {
    use sql_types::{Array, Jsonb, Nullable, Text};
    let ids: Vec<Uuid> = moves.iter().map(|m| m.message_id).collect();
    let statuses: Vec<_> = moves
        .iter()
        .map(|m| m.status.map(MessageStatus::as_str))
        .collect();
    let wamids: Vec<_> = moves.iter().map(|m| m.wamid.as_deref()).collect();
    let pricing: Vec<_> = moves.iter().map(|m| m.pricing.as_ref()).collect();
    let errors: Vec<_> = moves.iter().map(|m| m.error.as_ref()).collect();
    diesel::sql_query(
        "UPDATE messages m SET \
             status = COALESCE(n.status, m.status), \
             next_attempt_at = CASE WHEN n.status IS NULL THEN m.next_attempt_at END, \
             lease_until = CASE WHEN n.status IS NULL THEN m.lease_until END, \
             unknown_since = CASE WHEN n.status IS NULL THEN m.unknown_since END, \
             error = CASE WHEN n.status IS NULL THEN m.error ELSE n.error END, \
             wamid = COALESCE(m.wamid, n.wamid), \
             pricing = COALESCE(n.pricing, m.pricing), \
             updated_at = now() \
         FROM unnest($1, $2, $3, $4, $5) AS n (message_id, status, wamid, pricing, error) \
         WHERE m.message_id = n.message_id",
    )
    .bind::<Array<sql_types::Uuid>, _>(ids)
    .bind::<Array<Nullable<Text>>, _>(statuses)
    .bind::<Array<Nullable<Text>>, _>(wamids)
    .bind::<Array<Nullable<Jsonb>>, _>(pricing)
    .bind::<Array<Nullable<Jsonb>>, _>(errors)
    .execute(tx.conn())?;
    Ok(())
}
