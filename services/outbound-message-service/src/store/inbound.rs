//! What contacts wrote.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use portal_db::{DbError, Tx};
use portal_db_schema::schema::inbound_messages;
use serde_json::Value;
use uuid::Uuid;

/// A message to be kept.
#[derive(Insertable)]
#[diesel(table_name = inbound_messages)]
pub(crate) struct NewInbound {
    pub(crate) inbound_id: Uuid,
    pub(crate) tenant_id: String,
    pub(crate) phone_number_id: String,
    pub(crate) wamid: String,
    pub(crate) origin: &'static str,
    pub(crate) conversation_id: Uuid,
    pub(crate) contact: String,
    pub(crate) wa_id: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) profile_name: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) type_: String,
    pub(crate) payload: Value,
    pub(crate) context_wamid: Option<String>,
    pub(crate) refers_to: Option<String>,
    pub(crate) media_id: Option<String>,
    pub(crate) sent_at: DateTime<Utc>,
    pub(crate) received_at: DateTime<Utc>,
}

/// A message as it is kept.
#[derive(Queryable, Selectable)]
#[diesel(table_name = inbound_messages)]
pub(crate) struct InboundRow {
    pub(crate) inbound_id: Uuid,
    pub(crate) conversation_id: Uuid,
    pub(crate) phone_number_id: String,
    pub(crate) wamid: String,
    pub(crate) origin: String,
    pub(crate) contact: String,
    pub(crate) wa_id: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) profile_name: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) type_: String,
    pub(crate) payload: Value,
    pub(crate) context_wamid: Option<String>,
    pub(crate) refers_to: Option<String>,
    pub(crate) media_id: Option<String>,
    pub(crate) sent_at: DateTime<Utc>,
    pub(crate) received_at: DateTime<Utc>,
}

/// Keeps messages; answers the ids of those that were not here yet.
pub(crate) fn insert(tx: &mut Tx<'_>, messages: &[NewInbound]) -> Result<Vec<Uuid>, DbError> {
    Ok(diesel::insert_into(inbound_messages::table)
        .values(messages)
        .on_conflict_do_nothing()
        .returning(inbound_messages::inbound_id)
        .get_results(tx.conn())?)
}

/// The message with this id.
pub(crate) fn find(tx: &mut Tx<'_>, inbound_id: Uuid) -> Result<Option<InboundRow>, DbError> {
    Ok(inbound_messages::table
        .find(inbound_id)
        .select(InboundRow::as_select())
        .first(tx.conn())
        .optional()?)
}

/// The message with this wamid; of several numbers of a tenant, the first that got it.
pub(crate) fn find_by_wamid(tx: &mut Tx<'_>, wamid: &str) -> Result<Option<InboundRow>, DbError> {
    Ok(inbound_messages::table
        .filter(inbound_messages::wamid.eq(wamid))
        .order(inbound_messages::seq)
        .select(InboundRow::as_select())
        .first(tx.conn())
        .optional()?)
}
