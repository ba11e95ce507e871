//! Table `signing_keys`: the service's own rows, which are all that row level security shows.

use diesel::{connection::SimpleConnection as _, prelude::*};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::signing_keys;

/// Table and column that a sealed key is bound to.
pub(crate) const KEY_PLACE: (&str, &str) = ("signing_keys", "private_key");

/// A key as it is stored.
#[derive(Queryable, Selectable)]
#[diesel(table_name = signing_keys)]
pub(crate) struct StoredKey {
    pub(crate) kid: String,
    pub(crate) private_key: Vec<u8>,
    pub(crate) status: String,
}

/// Keeps other replicas from making a first key at the same time.
pub(crate) fn lock(tx: &mut Tx<'_>) -> Result<(), DbError> {
    tx.conn().batch_execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('signing_keys:' || session_user, 0))",
    )?;
    Ok(())
}

/// All keys, the active one first, then the newest.
pub(crate) fn list(tx: &mut Tx<'_>) -> Result<Vec<StoredKey>, DbError> {
    Ok(signing_keys::table
        .order((signing_keys::status.asc(), signing_keys::created_at.desc()))
        .select(StoredKey::as_select())
        .load(tx.conn())?)
}

/// Adds the active key.
pub(crate) fn insert_active(
    tx: &mut Tx<'_>,
    kid: &str,
    public_key: &[u8],
    sealed: &[u8],
) -> Result<(), DbError> {
    diesel::insert_into(signing_keys::table)
        .values((
            signing_keys::kid.eq(kid),
            signing_keys::service.eq(crate::ROLE),
            signing_keys::algorithm.eq("EdDSA"),
            signing_keys::public_key.eq(public_key),
            signing_keys::private_key.eq(sealed),
            signing_keys::status.eq("active"),
        ))
        .execute(tx.conn())?;
    Ok(())
}
