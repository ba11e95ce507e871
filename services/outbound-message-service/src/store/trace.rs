//! The way of a message: what was published about it.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use portal_db::{DbError, Tx};
use portal_db_schema::schema::outbox_events;
use uuid::Uuid;

use super::tenant_of;

/// Something that was to be published about a message.
#[derive(Queryable)]
pub(crate) struct OutboxRow {
    pub(crate) event_id: Uuid,
    pub(crate) routing_key: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) published_at: Option<DateTime<Utc>>,
}

/// What the outbox holds about the message, in the order of commits.
pub(crate) fn list_outbox(tx: &mut Tx<'_>, message_id: Uuid) -> Result<Vec<OutboxRow>, DbError> {
    let tenant = tenant_of(tx);
    Ok(outbox_events::table
        .filter(
            outbox_events::tenant_id
                .eq(tenant)
                .and(outbox_events::subject.eq(message_id.to_string())),
        )
        .order(outbox_events::seq)
        .select((
            outbox_events::event_id,
            outbox_events::routing_key,
            outbox_events::created_at,
            outbox_events::published_at,
        ))
        .load(tx.conn())?)
}
