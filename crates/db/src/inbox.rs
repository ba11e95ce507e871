//! The inbox: which events a consumer has applied, so that a repeated delivery changes nothing.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use portal_db_schema::schema::inbox_events;
use uuid::Uuid;

use crate::{DbError, Tx};

/// Notes that `consumer` applies `event_id` in this transaction; false when it already did.
pub fn first_time(tx: &mut Tx<'_>, consumer: &str, event_id: Uuid) -> Result<bool, DbError> {
    let rows = diesel::insert_into(inbox_events::table)
        .values((
            inbox_events::consumer.eq(consumer),
            inbox_events::event_id.eq(event_id),
        ))
        .on_conflict_do_nothing()
        .execute(tx.conn())?;
    Ok(rows == 1)
}

/// As [`first_time`], for many events at once: those that `consumer` did not apply before.
pub fn first_times(
    tx: &mut Tx<'_>,
    consumer: &str,
    event_ids: &[Uuid],
) -> Result<HashSet<Uuid>, DbError> {
    // In one order, so that two that apply the same events wait for each other only.
    let mut ids = event_ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let rows: Vec<_> = ids
        .iter()
        .map(|id| {
            (
                inbox_events::consumer.eq(consumer),
                inbox_events::event_id.eq(id),
            )
        })
        .collect();
    let new: Vec<Uuid> = diesel::insert_into(inbox_events::table)
        .values(rows)
        .on_conflict_do_nothing()
        .returning(inbox_events::event_id)
        .get_results(tx.conn())?;
    Ok(new.into_iter().collect())
}

/// Forgets events received before `before`; answers how many.
pub fn delete_received_before(tx: &mut Tx<'_>, before: DateTime<Utc>) -> Result<usize, DbError> {
    Ok(
        diesel::delete(inbox_events::table.filter(inbox_events::received_at.lt(before)))
            .execute(tx.conn())?,
    )
}
