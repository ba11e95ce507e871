//! What Meta posted, byte for byte.

use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::webhook_intake;
use uuid::Uuid;

/// A post that is to be applied.
#[derive(Queryable, Selectable)]
#[diesel(table_name = webhook_intake)]
pub(crate) struct IntakeRow {
    pub(crate) intake_id: Uuid,
    pub(crate) body: Vec<u8>,
    pub(crate) attempts: i32,
    pub(crate) received_at: DateTime<Utc>,
}

/// Keeps a post; false when the very same bytes are here already.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    body: &[u8],
    body_sha256: &[u8],
    traceparent: Option<&str>,
) -> Result<bool, DbError> {
    let rows = diesel::insert_into(webhook_intake::table)
        .values((
            webhook_intake::intake_id.eq(Uuid::now_v7()),
            webhook_intake::body_sha256.eq(body_sha256),
            webhook_intake::body.eq(body),
            webhook_intake::traceparent.eq(traceparent),
        ))
        .on_conflict_do_nothing()
        .execute(tx.conn())?;
    Ok(rows == 1)
}

/// Takes posts that are due, for `lease`: a worker that dies gives them back by that.
pub(crate) fn claim_due(
    tx: &mut Tx<'_>,
    limit: i64,
    lease: chrono::Duration,
    at: DateTime<Utc>,
) -> Result<Vec<IntakeRow>, DbError> {
    let rows: Vec<IntakeRow> = webhook_intake::table
        .filter(
            webhook_intake::state
                .eq("pending")
                .and(webhook_intake::next_attempt_at.le(now)),
        )
        .order(webhook_intake::received_at)
        .limit(limit)
        .select(IntakeRow::as_select())
        .for_update()
        .skip_locked()
        .load(tx.conn())?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.intake_id).collect();
    diesel::update(webhook_intake::table.filter(webhook_intake::intake_id.eq_any(ids)))
        .set((
            webhook_intake::next_attempt_at.eq(at + lease),
            webhook_intake::attempts.eq(webhook_intake::attempts + 1),
        ))
        .execute(tx.conn())?;
    Ok(rows)
}

/// Notes that a post is done with, as `applied`, `unmatched` or `unreadable`.
pub(crate) fn settle(tx: &mut Tx<'_>, id: Uuid, state: &'static str) -> Result<(), DbError> {
    diesel::update(webhook_intake::table.find(id))
        .set((
            webhook_intake::state.eq(state),
            webhook_intake::settled_at.eq(now),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Puts a post back until `at`.
pub(crate) fn postpone(tx: &mut Tx<'_>, id: Uuid, at: DateTime<Utc>) -> Result<(), DbError> {
    diesel::update(webhook_intake::table.find(id))
        .set(webhook_intake::next_attempt_at.eq(at))
        .execute(tx.conn())?;
    Ok(())
}

/// How many posts wait, and since when the oldest does.
pub(crate) fn backlog(tx: &mut Tx<'_>) -> Result<(i64, Option<DateTime<Utc>>), DbError> {
    use diesel::dsl::{count_star, min};
    Ok(webhook_intake::table
        .filter(webhook_intake::state.eq("pending"))
        .select((count_star(), min(webhook_intake::received_at)))
        .first(tx.conn())?)
}

/// Forgets applied posts from before `before`.
pub(crate) fn delete_settled(tx: &mut Tx<'_>, before: DateTime<Utc>) -> Result<usize, DbError> {
    Ok(diesel::delete(
        webhook_intake::table.filter(
            webhook_intake::state
                .eq("applied")
                .and(webhook_intake::settled_at.lt(before)),
        ),
    )
    .execute(tx.conn())?)
}
