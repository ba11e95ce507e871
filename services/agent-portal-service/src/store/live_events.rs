//! `live_events` and `live_feeds`.

use chrono::{DateTime, Utc};
use diesel::{
    connection::SimpleConnection as _,
    prelude::*,
    sql_types::{Array, BigInt, Bool, Text, Timestamptz},
};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::{live_events as events, live_feeds as feeds};
use portal_types::{Role, TenantId, UserId};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::{Audience, LiveEvent, NewLiveEvent, Place, Reset};

/// Events that are numbered in one go.
pub(crate) const BATCH: i64 = 1_000;

/// Adds an event, which has no number yet.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    event: NewLiveEvent<'_>,
) -> Result<(), DbError> {
    let (user_id, min_role, lost_by) = match event.audience {
        Audience::User(user) => (Some(user), Role::Agent, None),
        Audience::AtLeast(role) => (None, role, None),
        Audience::UserOrAtLeast(user, role) => (Some(user), role, None),
        Audience::LostBy(user) => (Some(user), Role::Agent, Some("user")),
        Audience::LostByOthers(user) => (Some(user), Role::Agent, Some("others")),
    };
    diesel::insert_into(events::table)
        .values((
            events::tenant_id.eq(tenant.as_str()),
            events::user_id.eq(user_id.map(UserId::as_uuid)),
            events::min_role.eq(min_role.as_str()),
            events::lost_by.eq(lost_by),
            events::type_.eq(event.kind),
            events::data.eq(event.data),
        ))
        .execute(tx.conn())?;
    Ok(())
}

fn audience(user: Option<Uuid>, role: &str, lost_by: Option<&str>) -> Result<Audience, DbError> {
    let corrupt = |column: &str| DbError::Corrupt(format!("live_events.{column}"));
    let role = role.parse().map_err(|_word| corrupt("min_role"))?;
    match (user.map(UserId::from), lost_by) {
        (None, None) => Ok(Audience::AtLeast(role)),
        (Some(user), None) if role == Role::Agent => Ok(Audience::User(user)),
        (Some(user), None) => Ok(Audience::UserOrAtLeast(user, role)),
        (Some(user), Some("user")) => Ok(Audience::LostBy(user)),
        (Some(user), Some("others")) => Ok(Audience::LostByOthers(user)),
        (_, Some(_)) => Err(corrupt("lost_by")),
    }
}

fn place_of_feed(tx: &mut Tx<'_>, tenant: &TenantId) -> Result<Option<Place>, DbError> {
    let row: Option<(i64, DateTime<Utc>)> = feeds::table
        .filter(feeds::tenant_id.eq(tenant.as_str()))
        .select((feeds::last_sequence, feeds::last_numbered_at))
        .first(tx.conn())
        .optional()?;
    Ok(row.map(|(sequence, numbered_at)| Place {
        sequence,
        numbered_at,
    }))
}

/// The last number that was given, and when the next is.
#[derive(QueryableByName)]
struct Last {
    #[diesel(sql_type = BigInt)]
    last_sequence: i64,
    #[diesel(sql_type = Timestamptz)]
    numbered_at: DateTime<Utc>,
}

/// Numbers a batch of the tenant's events that are committed and have no number; answers how many
/// that were.
///
/// Whoever numbers holds the row of the feed until the end of the transaction, so numbers become
/// visible in their order and none is missing below one that is. The events are looked for by a
/// statement of their own, after the row is held: it sees all that the holder before committed.
pub(crate) fn number(tx: &mut Tx<'_>, tenant: &TenantId) -> Result<i64, DbError> {
    if !has_unnumbered(tx, tenant)? {
        return Ok(0);
    }
    ensure_feed(tx, tenant)?;
    let last: Last = diesel::sql_query(
        "SELECT last_sequence, greatest(last_numbered_at, clock_timestamp()) AS numbered_at \
         FROM live_feeds WHERE tenant_id = $1 FOR UPDATE",
    )
    .bind::<Text, _>(tenant.as_str())
    .get_result(tx.conn())?;
    let count = diesel::sql_query(
        "UPDATE live_events e SET sequence = $2 + n.place, numbered_at = $3 \
         FROM (SELECT event_seq, row_number() OVER (ORDER BY event_seq) AS place FROM live_events \
               WHERE tenant_id = $1 AND sequence IS NULL ORDER BY event_seq LIMIT $4) n \
         WHERE e.tenant_id = $1 AND e.event_seq = n.event_seq",
    )
    .bind::<Text, _>(tenant.as_str())
    .bind::<BigInt, _>(last.last_sequence)
    .bind::<Timestamptz, _>(last.numbered_at)
    .bind::<BigInt, _>(BATCH)
    .execute(tx.conn())?;
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    if count > 0 {
        diesel::update(feeds::table.filter(feeds::tenant_id.eq(tenant.as_str())))
            .set((
                feeds::last_sequence.eq(last.last_sequence + count),
                feeds::last_numbered_at.eq(last.numbered_at),
            ))
            .execute(tx.conn())?;
    }
    Ok(count)
}

fn has_unnumbered(tx: &mut Tx<'_>, tenant: &TenantId) -> Result<bool, DbError> {
    Ok(diesel::select(diesel::dsl::exists(
        events::table
            .filter(events::tenant_id.eq(tenant.as_str()))
            .filter(events::sequence.is_null()),
    ))
    .get_result(tx.conn())?)
}

fn ensure_feed(tx: &mut Tx<'_>, tenant: &TenantId) -> Result<(), DbError> {
    diesel::insert_into(feeds::table)
        .values(feeds::tenant_id.eq(tenant.as_str()))
        .on_conflict_do_nothing()
        .execute(tx.conn())?;
    Ok(())
}

/// Numbers all that is committed; answers the place of the last event.
pub(crate) fn number_all(tx: &mut Tx<'_>, tenant: &TenantId) -> Result<Place, DbError> {
    while number(tx, tenant)? >= BATCH {}
    if let Some(place) = place_of_feed(tx, tenant)? {
        return Ok(place);
    }
    ensure_feed(tx, tenant)?;
    place_of_feed(tx, tenant)?.ok_or(DbError::NotFound)
}

/// Shows the rest of the transaction one moment. To be called before anything is read.
pub(crate) fn hold_still(tx: &mut Tx<'_>) -> Result<(), DbError> {
    let sql = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ";
    Ok(tx.conn().batch_execute(sql)?)
}

/// The place of the tenant's last event; nothing when its feed has not begun.
pub(crate) fn last_place(tx: &mut Tx<'_>, tenant: &TenantId) -> Result<Option<Place>, DbError> {
    place_of_feed(tx, tenant)
}

/// The tenant's events after a place, in their order, at most so many; or why nobody can go on from
/// there.
pub(crate) fn list_after(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    place: Place,
    limit: i64,
) -> Result<Result<Vec<LiveEvent>, Reset>, DbError> {
    type Row = (
        Option<i64>,
        Option<DateTime<Utc>>,
        Option<Uuid>,
        String,
        Option<String>,
        String,
        Value,
    );
    let Some(last) = place_of_feed(tx, tenant)? else {
        return Ok(Err(Reset::Unknown));
    };
    if place == last {
        return Ok(Ok(Vec::new()));
    }
    if place.sequence >= last.sequence {
        return Ok(Err(Reset::Unknown));
    }
    // With the event of the place itself: while that is kept, so is all that came after it.
    let rows: Vec<Row> = events::table
        .filter(events::tenant_id.eq(tenant.as_str()))
        .filter(events::sequence.ge(place.sequence))
        .order(events::sequence)
        .limit(limit + 1)
        .select((
            events::sequence,
            events::numbered_at,
            events::user_id,
            events::min_role,
            events::lost_by,
            events::type_,
            events::data,
        ))
        .load(tx.conn())?;
    let mut found = Vec::with_capacity(rows.len());
    for (sequence, numbered_at, user, role, lost_by, kind, data) in rows {
        let place = sequence.zip(numbered_at);
        let place = place.ok_or_else(|| DbError::Corrupt("live_events.numbered_at".to_owned()))?;
        let place = Place {
            sequence: place.0,
            numbered_at: place.1,
        };
        let audience = audience(user, &role, lost_by.as_deref())?;
        found.push(LiveEvent::new(place, audience, &kind, &data));
    }
    let first = found.first().map(|event| event.place);
    if place.sequence == 0 {
        if !began_at(tx, tenant, place.numbered_at)? {
            return Ok(Err(Reset::Unknown));
        }
        let is_whole = first.is_some_and(|first| first.sequence == 1);
        return Ok(is_whole.then_some(found).ok_or(Reset::Expired));
    }
    match first {
        Some(first) if first == place => {
            found.remove(0);
            Ok(Ok(found))
        }
        Some(first) if first.sequence == place.sequence => Ok(Err(Reset::Unknown)),
        _ => Ok(Err(Reset::Expired)),
    }
}

fn began_at(tx: &mut Tx<'_>, tenant: &TenantId, at: DateTime<Utc>) -> Result<bool, DbError> {
    let began: DateTime<Utc> = feeds::table
        .filter(feeds::tenant_id.eq(tenant.as_str()))
        .select(feeds::began_at)
        .first(tx.conn())?;
    Ok(began == at)
}

/// How a tenant's feed stands.
#[derive(Debug, QueryableByName)]
pub(crate) struct FeedState {
    #[diesel(sql_type = Text)]
    pub(crate) tenant_id: String,
    #[diesel(sql_type = BigInt)]
    pub(crate) last_sequence: i64,
    /// Whether events have no number yet.
    #[diesel(sql_type = Bool)]
    pub(crate) has_unnumbered: bool,
}

/// How the feeds of these tenants stand.
pub(crate) fn list_states_any_tenant(
    tx: &mut Tx<'_>,
    tenants: &[String],
) -> Result<Vec<FeedState>, DbError> {
    Ok(diesel::sql_query(
        "SELECT f.tenant_id, f.last_sequence, EXISTS (SELECT FROM live_events e \
             WHERE e.tenant_id = f.tenant_id AND e.sequence IS NULL) AS has_unnumbered \
         FROM live_feeds f WHERE f.tenant_id = ANY ($1)",
    )
    .bind::<Array<Text>, _>(tenants)
    .load(tx.conn())?)
}

/// Tenants with events that have no number.
pub(crate) fn list_unnumbered_any_tenant(tx: &mut Tx<'_>) -> Result<Vec<String>, DbError> {
    Ok(events::table
        .filter(events::sequence.is_null())
        .select(events::tenant_id)
        .distinct()
        .load(tx.conn())?)
}

/// Forgets events that were numbered before `before`, of all tenants, the first ones first, and at
/// most so many; answers how many. The last one of a tenant stays: where nothing happens readers stand
/// there, and miss nothing.
pub(crate) fn delete_numbered_before_any_tenant(
    tx: &mut Tx<'_>,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<usize, DbError> {
    Ok(diesel::sql_query(
        "DELETE FROM live_events e USING (SELECT o.tenant_id, o.event_seq FROM live_events o \
             JOIN live_feeds f ON f.tenant_id = o.tenant_id AND o.sequence < f.last_sequence \
             WHERE o.numbered_at < $1 ORDER BY o.numbered_at, o.sequence LIMIT $2) old \
         WHERE e.tenant_id = old.tenant_id AND e.event_seq = old.event_seq",
    )
    .bind::<Timestamptz, _>(before)
    .bind::<BigInt, _>(limit)
    .execute(tx.conn())?)
}
