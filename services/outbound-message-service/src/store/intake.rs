//! What Meta posted, byte for byte.

use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::webhook_intake;
use portal_types::TenantId;
use uuid::Uuid;

diesel::define_sql_function! {
    /// The length of a value in bytes.
    fn octet_length(value: diesel::sql_types::Binary) -> diesel::sql_types::Integer;
}

/// A post that is to be applied.
#[derive(Queryable, Selectable)]
#[diesel(table_name = webhook_intake)]
pub(crate) struct IntakeRow {
    pub(crate) intake_id: Uuid,
    pub(crate) body: Vec<u8>,
    pub(crate) attempts: i32,
    pub(crate) received_at: DateTime<Utc>,
    pub(crate) traceparent: Option<String>,
    pub(crate) signed_for: Option<String>,
}

/// A post to be kept.
pub(crate) struct NewPost<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) body_sha256: &'a [u8],
    /// The tenant whose own app secret signed it.
    pub(crate) signed_for: Option<&'a TenantId>,
    pub(crate) traceparent: Option<&'a str>,
}

/// Keeps a post; false when the very same bytes are here already.
pub(crate) fn insert(tx: &mut Tx<'_>, post: &NewPost<'_>) -> Result<bool, DbError> {
    let rows = diesel::insert_into(webhook_intake::table)
        .values((
            webhook_intake::intake_id.eq(Uuid::now_v7()),
            webhook_intake::body_sha256.eq(post.body_sha256),
            webhook_intake::body.eq(post.body),
            webhook_intake::signed_for.eq(post.signed_for.map(TenantId::as_str)),
            webhook_intake::traceparent.eq(post.traceparent),
        ))
        .on_conflict_do_nothing()
        .execute(tx.conn())?;
    Ok(rows == 1)
}

/// Takes posts that are due, oldest first, for `lease`: a worker that dies gives them back by that.
/// At most `limit` of them and, unless one alone is larger, `max_bytes` together.
pub(crate) fn claim_due(
    tx: &mut Tx<'_>,
    limit: i64,
    max_bytes: i64,
    lease: chrono::Duration,
    at: DateTime<Utc>,
) -> Result<Vec<IntakeRow>, DbError> {
    let due: Vec<(Uuid, i32)> = webhook_intake::table
        .filter(
            webhook_intake::state
                .eq("pending")
                .and(webhook_intake::next_attempt_at.le(now)),
        )
        .order((webhook_intake::received_at, webhook_intake::intake_id))
        .limit(limit)
        .select((
            webhook_intake::intake_id,
            octet_length(webhook_intake::body),
        ))
        .for_update()
        .skip_locked()
        .load(tx.conn())?;
    let mut bytes = 0;
    let ids: Vec<Uuid> = due
        .iter()
        .take_while(|(_, size)| {
            let is_first = bytes == 0;
            bytes += i64::from(*size);
            is_first || bytes <= max_bytes
        })
        .map(|(id, _)| *id)
        .collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows: Vec<IntakeRow> =
        diesel::update(webhook_intake::table.filter(webhook_intake::intake_id.eq_any(ids)))
            .set((
                webhook_intake::next_attempt_at.eq(at + lease),
                webhook_intake::attempts.eq(webhook_intake::attempts + 1),
            ))
            .returning(IntakeRow::as_returning())
            .get_results(tx.conn())?;
    rows.sort_by_key(|row| (row.received_at, row.intake_id));
    Ok(rows)
}

/// Notes that posts are done with: `applied`, `unrouted`, `unreadable` or `failed`.
pub(crate) fn settle(tx: &mut Tx<'_>, ids: &[Uuid], state: &'static str) -> Result<(), DbError> {
    diesel::update(webhook_intake::table.filter(webhook_intake::intake_id.eq_any(ids)))
        .set((
            webhook_intake::state.eq(state),
            webhook_intake::settled_at.eq(now),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Puts posts back until `at`.
pub(crate) fn postpone(tx: &mut Tx<'_>, ids: &[Uuid], at: DateTime<Utc>) -> Result<(), DbError> {
    diesel::update(webhook_intake::table.filter(webhook_intake::intake_id.eq_any(ids)))
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
