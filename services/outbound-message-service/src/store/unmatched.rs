//! Statuses whose message is not found (yet).

use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::unmatched_statuses;
use uuid::Uuid;

/// A status to be kept until its message is found.
#[derive(Insertable)]
#[diesel(table_name = unmatched_statuses)]
pub(crate) struct NewUnmatched {
    pub(crate) unmatched_id: Uuid,
    pub(crate) digest: Vec<u8>,
    pub(crate) signed_for: Option<String>,
    pub(crate) phone_number_id: Option<String>,
    pub(crate) wamid: String,
    pub(crate) payload: serde_json::Value,
    pub(crate) next_attempt_at: DateTime<Utc>,
    pub(crate) received_at: DateTime<Utc>,
}

/// A status that waits.
#[derive(Queryable, Selectable)]
#[diesel(table_name = unmatched_statuses)]
pub(crate) struct UnmatchedRow {
    pub(crate) unmatched_id: Uuid,
    pub(crate) signed_for: Option<String>,
    pub(crate) phone_number_id: Option<String>,
    pub(crate) payload: serde_json::Value,
    pub(crate) attempts: i32,
    pub(crate) received_at: DateTime<Utc>,
}

/// Keeps them; the same one is kept once.
pub(crate) fn insert(tx: &mut Tx<'_>, rows: &[NewUnmatched]) -> Result<(), DbError> {
    diesel::insert_into(unmatched_statuses::table)
        .values(rows)
        .on_conflict_do_nothing()
        .execute(tx.conn())?;
    Ok(())
}

/// Takes those that are due, until `lease_until`.
pub(crate) fn claim_due(
    tx: &mut Tx<'_>,
    limit: i64,
    lease_until: DateTime<Utc>,
) -> Result<Vec<UnmatchedRow>, DbError> {
    let ids: Vec<Uuid> = unmatched_statuses::table
        .filter(
            unmatched_statuses::state
                .eq("pending")
                .and(unmatched_statuses::next_attempt_at.le(now)),
        )
        .order(unmatched_statuses::next_attempt_at)
        .limit(limit)
        .select(unmatched_statuses::unmatched_id)
        .for_update()
        .skip_locked()
        .load(tx.conn())?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(diesel::update(
        unmatched_statuses::table.filter(unmatched_statuses::unmatched_id.eq_any(ids)),
    )
    .set((
        unmatched_statuses::next_attempt_at.eq(lease_until),
        unmatched_statuses::attempts.eq(unmatched_statuses::attempts + 1),
    ))
    .returning(UnmatchedRow::as_returning())
    .get_results(tx.conn())?)
}

/// Puts one back until `at`.
pub(crate) fn postpone(tx: &mut Tx<'_>, id: Uuid, at: DateTime<Utc>) -> Result<(), DbError> {
    diesel::update(unmatched_statuses::table.find(id))
        .set(unmatched_statuses::next_attempt_at.eq(at))
        .execute(tx.conn())?;
    Ok(())
}

/// Gives up looking for their messages; they are kept.
pub(crate) fn quarantine(tx: &mut Tx<'_>, ids: &[Uuid]) -> Result<(), DbError> {
    diesel::update(unmatched_statuses::table.filter(unmatched_statuses::unmatched_id.eq_any(ids)))
        .set(unmatched_statuses::state.eq("quarantined"))
        .execute(tx.conn())?;
    Ok(())
}

/// Their messages were found, or they concern nobody here.
pub(crate) fn delete(tx: &mut Tx<'_>, ids: &[Uuid]) -> Result<(), DbError> {
    diesel::delete(unmatched_statuses::table.filter(unmatched_statuses::unmatched_id.eq_any(ids)))
        .execute(tx.conn())?;
    Ok(())
}

/// How many wait, and how many were given up.
pub(crate) fn count(tx: &mut Tx<'_>) -> Result<(i64, i64), DbError> {
    let states: Vec<(String, i64)> = unmatched_statuses::table
        .group_by(unmatched_statuses::state)
        .select((unmatched_statuses::state, diesel::dsl::count_star()))
        .load(tx.conn())?;
    let of = |state: &str| {
        states
            .iter()
            .find(|(name, _)| name == state)
            .map_or(0, |(_, count)| *count)
    };
    Ok((of("pending"), of("quarantined")))
}
