//! Deliveries of the broker that no handler took.

use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::dead_letters;
use uuid::Uuid;

use super::tenant_of;
use crate::domain::{
    dead_letter::{LetterFilter, LetterState},
    place::{Place, first_id_since, last_id_until},
};

/// A letter to be kept.
#[derive(Clone, Insertable)]
#[diesel(table_name = dead_letters)]
pub(crate) struct NewLetter {
    pub(crate) dead_letter_id: Uuid,
    pub(crate) tenant_id: Option<String>,
    pub(crate) queue: &'static str,
    pub(crate) routing_key: String,
    pub(crate) broker_message_id: Option<String>,
    pub(crate) message_id: Option<Uuid>,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: serde_json::Value,
    pub(crate) error: String,
    pub(crate) traceparent: Option<String>,
}

/// A letter as it is kept.
#[derive(Queryable, Selectable)]
#[diesel(table_name = dead_letters)]
pub(crate) struct LetterRow {
    pub(crate) dead_letter_id: Uuid,
    pub(crate) queue: String,
    pub(crate) message_id: Option<Uuid>,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: serde_json::Value,
    pub(crate) error: String,
    pub(crate) traceparent: Option<String>,
    pub(crate) state: String,
    pub(crate) received_at: DateTime<Utc>,
}

impl LetterRow {
    /// The state, typed.
    pub(crate) fn state(&self) -> Result<LetterState, DbError> {
        let corrupt = |_unknown| DbError::Corrupt("dead_letters.state".to_owned());
        self.state.parse().map_err(corrupt)
    }
}

/// Keeps a letter; false when it is kept already.
pub(crate) fn insert(tx: &mut Tx<'_>, letter: &NewLetter) -> Result<bool, DbError> {
    let rows = diesel::insert_into(dead_letters::table)
        .values(letter)
        .on_conflict_do_nothing()
        .execute(tx.conn())?;
    Ok(rows == 1)
}

/// A page of the tenant's letters, the newest first.
pub(crate) fn list(
    tx: &mut Tx<'_>,
    filter: &LetterFilter,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<LetterRow>, DbError> {
    let tenant = tenant_of(tx);
    let mut query = dead_letters::table
        .filter(dead_letters::tenant_id.eq(tenant))
        .filter(dead_letters::state.eq(filter.state.as_str()))
        .order(dead_letters::dead_letter_id.desc())
        .limit(limit)
        .select(LetterRow::as_select())
        .into_boxed();
    if let Some(since) = filter.since {
        query = query
            .filter(dead_letters::dead_letter_id.ge(first_id_since(since)))
            .filter(dead_letters::received_at.ge(since));
    }
    if let Some(until) = filter.until {
        query = query
            .filter(dead_letters::dead_letter_id.lt(last_id_until(until)))
            .filter(dead_letters::received_at.lt(until));
    }
    if let Some(Place(id)) = after {
        query = query.filter(dead_letters::dead_letter_id.lt(id));
    }
    Ok(query.load(tx.conn())?)
}

/// A letter of the tenant.
pub(crate) fn find(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<LetterRow>, DbError> {
    Ok(dead_letters::table
        .find(id)
        .select(LetterRow::as_select())
        .first(tx.conn())
        .optional()?)
}

/// Settles an open letter; false when it was settled before.
pub(crate) fn settle(tx: &mut Tx<'_>, id: Uuid, state: LetterState) -> Result<bool, DbError> {
    let rows = diesel::update(
        dead_letters::table
            .find(id)
            .filter(dead_letters::state.eq("open")),
    )
    .set((
        dead_letters::state.eq(state.as_str()),
        dead_letters::settled_at.eq(now),
    ))
    .execute(tx.conn())?;
    Ok(rows == 1)
}

/// How many letters are open.
pub(crate) fn count_open_any_tenant(tx: &mut Tx<'_>) -> Result<i64, DbError> {
    Ok(dead_letters::table
        .filter(dead_letters::state.eq("open"))
        .count()
        .get_result(tx.conn())?)
}

/// Forgets letters that were settled before `before`.
pub(crate) fn delete_settled_any_tenant(
    tx: &mut Tx<'_>,
    before: DateTime<Utc>,
) -> Result<usize, DbError> {
    let settled = dead_letters::state
        .ne("open")
        .and(dead_letters::settled_at.lt(before));
    Ok(diesel::delete(dead_letters::table.filter(settled)).execute(tx.conn())?)
}
