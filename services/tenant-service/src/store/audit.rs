//! Table `audit_log`, read; entries are added by `portal_db::audit`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use portal_db::{DbError, Tx};
use portal_db_schema::schema::audit_log;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::audit::{AuditFilter, Place};

/// An entry as it is stored.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = audit_log)]
pub(crate) struct AuditRow {
    pub(crate) audit_id: Uuid,
    pub(crate) occurred_at: DateTime<Utc>,
    pub(crate) service: String,
    pub(crate) tenant_id: Option<String>,
    pub(crate) actor_kind: String,
    pub(crate) actor_id: Option<String>,
    pub(crate) action: String,
    pub(crate) target: Option<String>,
    pub(crate) outcome: String,
    pub(crate) details: Value,
    pub(crate) request_id: Option<String>,
    pub(crate) traceparent: Option<String>,
    pub(crate) seq: i64,
    pub(crate) entry_hash: Vec<u8>,
}

/// Entries of all tenants and of the platform, the newest first, after a place.
pub(crate) fn list_any_tenant(
    tx: &mut Tx<'_>,
    filter: &AuditFilter,
    after: Option<Place>,
    limit: u32,
) -> Result<Vec<AuditRow>, DbError> {
    let mut query = audit_log::table
        .select(AuditRow::as_select())
        .order((audit_log::occurred_at.desc(), audit_log::audit_id.desc()))
        .limit(limit.into())
        .into_boxed();
    if let Some(tenant) = &filter.tenant_id {
        query = query.filter(audit_log::tenant_id.eq(tenant));
    }
    if let Some(actor) = &filter.actor {
        query = query.filter(audit_log::actor_id.eq(actor));
    }
    if let Some(action) = &filter.action {
        query = query.filter(audit_log::action.eq(action));
    }
    if let Some(outcome) = filter.outcome {
        query = query.filter(audit_log::outcome.eq(outcome));
    }
    if let Some(since) = filter.since {
        query = query.filter(audit_log::occurred_at.ge(since));
    }
    if let Some(until) = filter.until {
        query = query.filter(audit_log::occurred_at.lt(until));
    }
    if let Some(Place { occurred_at, id }) = after {
        query = query.filter(
            audit_log::occurred_at
                .lt(occurred_at)
                .or(audit_log::occurred_at
                    .eq(occurred_at)
                    .and(audit_log::audit_id.lt(id))),
        );
    }
    Ok(query.load(tx.conn())?)
}
