//! Table `tenant_credentials`.

use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::tenant_credentials as credentials;
use portal_types::TenantId;
use uuid::Uuid;

use crate::domain::genesys_credentials::{Credentials, Grant, NewCredentials};

/// Table and column that a sealed secret is bound to.
pub(crate) const SECRET_PLACE: (&str, &str) = ("tenant_credentials", "client_secret");

#[derive(Queryable, Selectable)]
#[diesel(table_name = credentials)]
struct Row {
    credential_id: Uuid,
    kind: String,
    region: String,
    client_id: String,
    client_secret: Option<Vec<u8>>,
    client_secret_last4: Option<String>,
    version: i64,
    verified_at: Option<DateTime<Utc>>,
    last_error: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// A sealed secret and what may be shown of it.
pub(crate) struct SealedSecret {
    pub(crate) sealed: Vec<u8>,
    pub(crate) last4: String,
}

/// A client and its secret as it was sealed, if it has one.
pub(crate) type WithSecret = (Credentials, Option<Vec<u8>>);

/// A tenant's clients, each with its sealed secret.
pub(crate) fn list(tx: &mut Tx<'_>, tenant: &TenantId) -> Result<Vec<WithSecret>, DbError> {
    let rows: Vec<Row> = credentials::table
        .filter(credentials::tenant_id.eq(tenant.as_str()))
        .order(credentials::kind)
        .select(Row::as_select())
        .load(tx.conn())?;
    rows.into_iter()
        .map(|row| {
            let unknown = || DbError::Corrupt("tenant_credentials.kind".to_owned());
            let shown = Credentials {
                credential_id: row.credential_id,
                grant: Grant::of_kind(&row.kind).ok_or_else(unknown)?,
                region: row.region,
                client_id: row.client_id,
                secret_last4: row.client_secret_last4,
                version: row.version,
                verified_at: row.verified_at,
                last_error: row.last_error,
                created_at: row.created_at,
                updated_at: row.updated_at,
            };
            Ok((shown, row.client_secret))
        })
        .collect()
}

/// Writes a client, new or in place of the one with this id.
pub(crate) fn upsert(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    credential_id: Uuid,
    new: &NewCredentials,
    secret: Option<&SealedSecret>,
) -> Result<(), DbError> {
    let values = (
        credentials::region.eq(&new.region),
        credentials::client_id.eq(&new.client_id),
        credentials::client_secret.eq(secret.map(|secret| &secret.sealed)),
        credentials::client_secret_last4.eq(secret.map(|secret| &secret.last4)),
        credentials::verified_at.eq(None::<DateTime<Utc>>),
        credentials::last_error.eq(None::<&str>),
    );
    diesel::insert_into(credentials::table)
        .values((
            credentials::credential_id.eq(credential_id),
            credentials::tenant_id.eq(tenant.as_str()),
            credentials::kind.eq(new.grant.kind()),
            values,
        ))
        .on_conflict(credentials::credential_id)
        .do_update()
        .set((
            values,
            credentials::version.eq(credentials::version + 1),
            credentials::updated_at.eq(now),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Removes the client of a grant; its region, or `None` when there was none.
pub(crate) fn delete(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    grant: Grant,
) -> Result<Option<String>, DbError> {
    let own = credentials::tenant_id
        .eq(tenant.as_str())
        .and(credentials::kind.eq(grant.kind()));
    Ok(diesel::delete(credentials::table.filter(own))
        .returning(credentials::region)
        .get_result(tx.conn())
        .optional()?)
}

/// Notes what Genesys said of a client, unless it was written anew meanwhile. When Genesys took it
/// last stays known while it does not.
pub(crate) fn update_verdict(
    tx: &mut Tx<'_>,
    client: &Credentials,
    verified_at: Option<DateTime<Utc>>,
    error: Option<&str>,
) -> Result<(), DbError> {
    let same = credentials::credential_id
        .eq(client.credential_id)
        .and(credentials::version.eq(client.version));
    diesel::update(credentials::table.filter(same))
        .set((
            credentials::verified_at.eq(verified_at.or(client.verified_at)),
            credentials::last_error.eq(error),
        ))
        .execute(tx.conn())?;
    Ok(())
}
