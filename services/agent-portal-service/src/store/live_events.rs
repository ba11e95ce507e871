//! `live_events`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use portal_db::{DbError, Tx};
use portal_db_schema::schema::live_events as events;
use portal_types::{Role, TenantId, UserId};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::{Audience, LiveEvent};

/// Adds an event.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    audience: Audience,
    kind: &str,
    data: &Value,
) -> Result<(), DbError> {
    let (user_id, min_role) = match audience {
        Audience::User(user) => (Some(user.as_uuid()), Role::Agent),
        Audience::AtLeast(role) => (None, role),
        Audience::UserOrAtLeast(user, role) => (Some(user.as_uuid()), role),
    };
    diesel::insert_into(events::table)
        .values((
            events::tenant_id.eq(tenant_id.as_str()),
            events::user_id.eq(user_id),
            events::min_role.eq(min_role.as_str()),
            events::type_.eq(kind),
            events::data.eq(data),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// The tenant's events after `seq`, or made since `since`, in their order.
pub(crate) fn list_since(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    seq: i64,
    since: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<LiveEvent>, DbError> {
    type Row = (i64, Option<Uuid>, String, String, Value, DateTime<Utc>);
    let rows: Vec<Row> = events::table
        .filter(events::tenant_id.eq(tenant_id.as_str()))
        .filter(events::event_seq.gt(seq).or(events::created_at.gt(since)))
        .order(events::event_seq)
        .limit(limit)
        .select((
            events::event_seq,
            events::user_id,
            events::min_role,
            events::type_,
            events::data,
            events::created_at,
        ))
        .load(tx.conn())?;
    rows.into_iter()
        .map(|(seq, user, role, kind, data, created_at)| {
            let role = role
                .parse()
                .map_err(|_word| DbError::Corrupt("live_events.min_role".to_owned()))?;
            Ok(LiveEvent {
                seq,
                audience: match user.map(UserId::from) {
                    None => Audience::AtLeast(role),
                    Some(user) if role == Role::Agent => Audience::User(user),
                    Some(user) => Audience::UserOrAtLeast(user, role),
                },
                kind,
                data,
                created_at,
            })
        })
        .collect()
}

/// The number of the tenant's newest event.
pub(crate) fn newest(tx: &mut Tx<'_>, tenant_id: &TenantId) -> Result<i64, DbError> {
    let newest: Option<i64> = events::table
        .filter(events::tenant_id.eq(tenant_id.as_str()))
        .select(diesel::dsl::max(events::event_seq))
        .first(tx.conn())?;
    Ok(newest.unwrap_or(0))
}

/// Forgets events that no browser asks for any more, of all tenants; the path's policy shows it
/// those alone.
pub(crate) fn delete_old_any_tenant(tx: &mut Tx<'_>) -> Result<usize, DbError> {
    Ok(diesel::delete(events::table).execute(tx.conn())?)
}
