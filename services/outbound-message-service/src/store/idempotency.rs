//! Idempotency keys whose time is over; they are written with their messages ([`super::acceptance`]).

use diesel::{dsl::now, prelude::*};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::idempotency_keys;

/// Forgets keys whose time is over.
pub(crate) fn delete_expired_any_tenant(tx: &mut Tx<'_>) -> Result<usize, DbError> {
    Ok(
        diesel::delete(idempotency_keys::table.filter(idempotency_keys::expires_at.lt(now)))
            .execute(tx.conn())?,
    )
}
