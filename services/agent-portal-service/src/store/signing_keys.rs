//! `signing_keys`: the rows of this service.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use portal_db::{DbError, Tx};
use portal_db_schema::schema::signing_keys;

use crate::ROLE;

/// A stored key; the private part is sealed.
#[derive(Queryable, Selectable)]
#[diesel(table_name = signing_keys)]
pub(crate) struct StoredKey {
    /// The key's id.
    pub(crate) kid: String,
    /// PKCS#8, sealed by the vault.
    pub(crate) private_key: Vec<u8>,
    /// `active` or `retired`.
    pub(crate) status: String,
}

/// The key that signs, first, and those that stopped signing after `retired_after`: tokens that
/// they signed may still be valid.
pub(crate) fn list_usable_keys(
    tx: &mut Tx<'_>,
    retired_after: DateTime<Utc>,
) -> Result<Vec<StoredKey>, DbError> {
    Ok(signing_keys::table
        .filter(signing_keys::service.eq(ROLE))
        .filter(
            signing_keys::status
                .eq("active")
                .or(signing_keys::retired_at.gt(retired_after)),
        )
        .order((signing_keys::status, signing_keys::retired_at.desc()))
        .select(StoredKey::as_select())
        .load(tx.conn())?)
}

/// Adds the key that signs; false when there is one already, which then is the one to use.
pub(crate) fn insert_active_key(
    tx: &mut Tx<'_>,
    kid: &str,
    public_key: &[u8],
    private_key: &[u8],
) -> Result<bool, DbError> {
    let rows = diesel::insert_into(signing_keys::table)
        .values((
            signing_keys::kid.eq(kid),
            signing_keys::service.eq(ROLE),
            signing_keys::algorithm.eq("EdDSA"),
            signing_keys::public_key.eq(public_key),
            signing_keys::private_key.eq(private_key),
            signing_keys::status.eq("active"),
        ))
        // The unique index allows one active key a service: of two replicas that start at once,
        // the second waits here and then finds the first one's key.
        .on_conflict_do_nothing()
        .execute(tx.conn())?;
    Ok(rows == 1)
}
