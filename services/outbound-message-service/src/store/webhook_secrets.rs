//! The secrets of tenants with a Meta app of their own, sealed.

use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::webhook_secrets;
use uuid::Uuid;

/// A secret to be kept.
#[derive(Insertable)]
#[diesel(table_name = webhook_secrets)]
pub(crate) struct NewSecretRow {
    pub(crate) secret_id: Uuid,
    pub(crate) tenant_id: String,
    pub(crate) kind: &'static str,
    pub(crate) secret: Vec<u8>,
    pub(crate) fingerprint: String,
    pub(crate) created_by: String,
}

/// A secret as it may be shown.
#[derive(Queryable, Selectable)]
#[diesel(table_name = webhook_secrets)]
pub(crate) struct SecretRow {
    pub(crate) secret_id: Uuid,
    pub(crate) kind: String,
    pub(crate) fingerprint: String,
    pub(crate) valid_from: DateTime<Utc>,
    pub(crate) retires_at: Option<DateTime<Utc>>,
    pub(crate) created_by: String,
}

/// Keeps a secret.
pub(crate) fn insert(tx: &mut Tx<'_>, row: &NewSecretRow) -> Result<SecretRow, DbError> {
    Ok(diesel::insert_into(webhook_secrets::table)
        .values(row)
        .returning(SecretRow::as_returning())
        .get_result(tx.conn())?)
}

/// The tenant's secrets, retired ones too, newest first; locked, so that two administrators do not
/// add a third one at once.
pub(crate) fn list_locked(tx: &mut Tx<'_>) -> Result<Vec<SecretRow>, DbError> {
    Ok(webhook_secrets::table
        .order((
            webhook_secrets::valid_from.desc(),
            webhook_secrets::secret_id.desc(),
        ))
        .select(SecretRow::as_select())
        .for_update()
        .load(tx.conn())?)
}

/// As [`list_locked`], only to read.
pub(crate) fn list(tx: &mut Tx<'_>) -> Result<Vec<SecretRow>, DbError> {
    Ok(webhook_secrets::table
        .order((
            webhook_secrets::valid_from.desc(),
            webhook_secrets::secret_id.desc(),
        ))
        .select(SecretRow::as_select())
        .load(tx.conn())?)
}

/// The secrets that are valid now: id, kind, sealed text.
pub(crate) fn list_valid(tx: &mut Tx<'_>) -> Result<Vec<(Uuid, String, Vec<u8>)>, DbError> {
    Ok(webhook_secrets::table
        .filter(
            webhook_secrets::retires_at
                .is_null()
                .or(webhook_secrets::retires_at.assume_not_null().gt(now)),
        )
        .select((
            webhook_secrets::secret_id,
            webhook_secrets::kind,
            webhook_secrets::secret,
        ))
        .load(tx.conn())?)
}

/// Lets the other valid secrets of a kind end at `at`, unless they end before.
pub(crate) fn retire_others(
    tx: &mut Tx<'_>,
    kind: &str,
    but: Uuid,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::update(
        webhook_secrets::table
            .filter(webhook_secrets::kind.eq(kind))
            .filter(webhook_secrets::secret_id.ne(but))
            .filter(
                webhook_secrets::retires_at
                    .is_null()
                    .or(webhook_secrets::retires_at.gt(at)),
            ),
    )
    .set(webhook_secrets::retires_at.eq(at))
    .execute(tx.conn())?;
    Ok(())
}

/// Forgets a secret; false when the tenant has none of this id.
pub(crate) fn delete(tx: &mut Tx<'_>, secret_id: Uuid) -> Result<bool, DbError> {
    let rows = diesel::delete(webhook_secrets::table.find(secret_id)).execute(tx.conn())?;
    Ok(rows == 1)
}
