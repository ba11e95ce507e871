//! `erasures`.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::prelude::*;
use portal_db::{DbError, Tx};
use portal_db_schema::schema::{conversation_settings as settings, erasures};
use portal_types::{TenantId, UserId};
use serde_json::Value;
use uuid::Uuid;

/// An erasure.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = erasures)]
pub(crate) struct ErasureRow {
    pub(crate) erasure_id: Uuid,
    pub(crate) subject_hash: Vec<u8>,
    pub(crate) identities: Vec<Option<String>>,
    pub(crate) reason: String,
    pub(crate) requested_by: Option<Uuid>,
    pub(crate) requested_at: DateTime<Utc>,
    pub(crate) sent_counts: Option<Value>,
    pub(crate) kept_counts: Option<Value>,
    pub(crate) completed_at: Option<DateTime<Utc>>,
    pub(crate) receipt_hash: Option<Vec<u8>>,
}

/// An erasure that is to begin.
pub(crate) struct NewErasure<'a> {
    pub(crate) subject_hash: &'a [u8],
    pub(crate) hash_key: &'a str,
    pub(crate) identities: &'a [String],
    /// Nobody, where messages were kept for long enough.
    pub(crate) by: Option<UserId>,
    /// What was written up to here goes.
    pub(crate) at: DateTime<Utc>,
}

impl ErasureRow {
    /// Whether messages go because they were kept for long enough.
    pub(crate) fn is_of_age(&self) -> bool {
        self.reason == RETENTION
    }
}

const REQUEST: &str = "request";
const RETENTION: &str = "retention";

/// Begins an erasure; answers the one of this contact that is not over yet, if there is one.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    new: &NewErasure<'_>,
) -> Result<(ErasureRow, bool), DbError> {
    let id = Uuid::now_v7();
    diesel::insert_into(erasures::table)
        .values((
            erasures::tenant_id.eq(tenant.as_str()),
            erasures::erasure_id.eq(id),
            erasures::subject_hash.eq(new.subject_hash),
            erasures::hash_key.eq(new.hash_key),
            erasures::identities.eq(new.identities),
            erasures::reason.eq(new.by.map_or(RETENTION, |_| REQUEST)),
            erasures::requested_by.eq(new.by.map(UserId::as_uuid)),
            erasures::requested_at.eq(new.at),
        ))
        .on_conflict_do_nothing()
        .execute(tx.conn())?;
    let row: ErasureRow = erasures::table
        .filter(erasures::tenant_id.eq(tenant.as_str()))
        .filter(erasures::subject_hash.eq(new.subject_hash))
        .filter(erasures::completed_at.is_null())
        .select(ErasureRow::as_select())
        .first(tx.conn())?;
    let is_new = row.erasure_id == id;
    Ok((row, is_new))
}

/// An erasure of the tenant.
pub(crate) fn find(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    id: Uuid,
) -> Result<Option<ErasureRow>, DbError> {
    Ok(erasures::table
        .filter(erasures::tenant_id.eq(tenant.as_str()))
        .filter(erasures::erasure_id.eq(id))
        .select(ErasureRow::as_select())
        .first(tx.conn())
        .optional()?)
}

/// Locks an erasure that is this service's to go on with.
pub(crate) fn lock_due(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    id: Uuid,
) -> Result<Option<ErasureRow>, DbError> {
    Ok(erasures::table
        .filter(erasures::tenant_id.eq(tenant.as_str()))
        .filter(erasures::erasure_id.eq(id))
        .filter(erasures::completed_at.is_null())
        .filter(erasures::sent_done_at.is_not_null())
        .for_update()
        .skip_locked()
        .select(ErasureRow::as_select())
        .first(tx.conn())
        .optional()?)
}

/// Ends an erasure; what tells whom it was about goes.
pub(crate) fn complete(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    id: Uuid,
    counts: &Value,
    at: DateTime<Utc>,
    receipt_hash: &[u8],
) -> Result<(), DbError> {
    let own = erasures::table
        .filter(erasures::tenant_id.eq(tenant.as_str()))
        .filter(erasures::erasure_id.eq(id));
    diesel::update(own)
        .set((
            erasures::identities.eq(Vec::<String>::new()),
            erasures::kept_counts.eq(counts),
            erasures::completed_at.eq(at),
            erasures::receipt_hash.eq(receipt_hash),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Erasures of all tenants for which the messages were done before `before`.
pub(crate) fn due_any_tenant(
    tx: &mut Tx<'_>,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<(String, Uuid)>, DbError> {
    Ok(erasures::table
        .filter(erasures::sent_done_at.lt(before))
        .order(erasures::sent_done_at)
        .limit(limit)
        .select((erasures::tenant_id, erasures::erasure_id))
        .load(tx.conn())?)
}

/// Tenants whose old messages are still to be erased on this day, with how many days they keep them.
pub(crate) fn list_retaining_any_tenant(
    tx: &mut Tx<'_>,
    today: NaiveDate,
) -> Result<Vec<(String, Option<i32>)>, DbError> {
    let is_due = settings::retained_on
        .is_null()
        .or(settings::retained_on.lt(today));
    Ok(settings::table
        .filter(settings::retention_days.is_not_null())
        .filter(is_due)
        .select((settings::tenant_id, settings::retention_days))
        .load(tx.conn())?)
}

/// Notes that nothing older is left on this day.
pub(crate) fn note_retained(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    days: i32,
    today: NaiveDate,
) -> Result<(), DbError> {
    // A limit that was changed meanwhile is to be looked at anew.
    diesel::update(settings::table)
        .filter(settings::tenant_id.eq(tenant.as_str()))
        .filter(settings::retention_days.eq(days))
        .set(settings::retained_on.eq(today))
        .execute(tx.conn())?;
    Ok(())
}
