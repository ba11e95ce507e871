//! Idempotency keys: committed with the message, so that a key without a message cannot be.

use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*};
use portal_db::{CrossTenantPath, DbError, Scope, Tx};
use portal_db_schema::schema::idempotency_keys;

/// The one who may delete expired keys of all tenants.
pub(crate) const SWEEPER: Scope = Scope::CrossTenant(CrossTenantPath::DeliverySweeper);

/// A key with the answer that belongs to it.
#[derive(Insertable)]
#[diesel(table_name = idempotency_keys)]
pub(crate) struct NewKey {
    pub(crate) tenant_id: String,
    pub(crate) key: String,
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) status_code: i32,
    pub(crate) response: serde_json::Value,
    pub(crate) expires_at: DateTime<Utc>,
}

/// What is stored under a key.
#[derive(Queryable, Selectable)]
#[diesel(table_name = idempotency_keys)]
pub(crate) struct StoredKey {
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) response: serde_json::Value,
}

/// Claims a key; `None` when it is ours now, what stands there when it was taken.
///
/// A concurrent request with the same key waits here until the first one has committed.
pub(crate) fn claim(tx: &mut Tx<'_>, new: &NewKey) -> Result<Option<StoredKey>, DbError> {
    diesel::delete(
        idempotency_keys::table.filter(
            idempotency_keys::key
                .eq(&new.key)
                .and(idempotency_keys::expires_at.lt(now)),
        ),
    )
    .execute(tx.conn())?;
    let rows = diesel::insert_into(idempotency_keys::table)
        .values(new)
        .on_conflict_do_nothing()
        .execute(tx.conn())?;
    if rows == 1 {
        return Ok(None);
    }
    Ok(Some(
        idempotency_keys::table
            .filter(idempotency_keys::key.eq(&new.key))
            .select(StoredKey::as_select())
            .first(tx.conn())?,
    ))
}

/// Forgets keys whose time is over.
pub(crate) fn delete_expired_any_tenant(tx: &mut Tx<'_>) -> Result<usize, DbError> {
    Ok(
        diesel::delete(idempotency_keys::table.filter(idempotency_keys::expires_at.lt(now)))
            .execute(tx.conn())?,
    )
}
