//! Table `tenant_api_keys`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use portal_db::{DbError, Tx};
use portal_db_schema::schema::tenant_api_keys as keys;
use portal_types::{ApiScope, TenantId};
use uuid::Uuid;

use crate::domain::api_key::{NewApiKey, TenantApiKey};

#[derive(Queryable, Selectable)]
#[diesel(table_name = keys)]
struct Row {
    key_id: Uuid,
    name: String,
    prefix: String,
    last4: String,
    scopes: Vec<Option<String>>,
    created_by: String,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    replaced_by: Option<Uuid>,
}

impl Row {
    fn into_key(self) -> Result<TenantApiKey, DbError> {
        let unknown =
            || DbError::Corrupt("tenant_api_keys.scopes holds an unknown word".to_owned());
        let scope = |word: Option<String>| word?.parse::<ApiScope>().ok();
        Ok(TenantApiKey {
            key_id: self.key_id,
            name: self.name,
            prefix: self.prefix,
            last4: self.last4,
            scopes: self
                .scopes
                .into_iter()
                .map(|word| scope(word).ok_or_else(unknown))
                .collect::<Result<_, _>>()?,
            created_by: self.created_by,
            created_at: self.created_at,
            expires_at: self.expires_at,
            last_used_at: self.last_used_at,
            revoked_at: self.revoked_at,
            replaced_by: self.replaced_by,
        })
    }
}

/// What is kept of a key's text.
pub(crate) struct KeyText {
    pub(crate) digest: [u8; 32],
    pub(crate) prefix: String,
    pub(crate) last4: String,
}

/// Adds a key.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    key_id: Uuid,
    new: &NewApiKey,
    text: &KeyText,
    created_by: &str,
) -> Result<(), DbError> {
    let scopes: Vec<_> = new.scopes.iter().map(|scope| scope.as_str()).collect();
    diesel::insert_into(keys::table)
        .values((
            keys::key_id.eq(key_id),
            keys::tenant_id.eq(tenant.as_str()),
            keys::name.eq(&new.name),
            keys::prefix.eq(&text.prefix),
            keys::key_hash.eq(text.digest.as_slice()),
            keys::last4.eq(&text.last4),
            keys::scopes.eq(scopes),
            keys::created_by.eq(created_by),
            keys::expires_at.eq(new.expires_at),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// A tenant's keys, the newest first.
pub(crate) fn list(tx: &mut Tx<'_>, tenant: &TenantId) -> Result<Vec<TenantApiKey>, DbError> {
    let rows: Vec<Row> = keys::table
        .filter(keys::tenant_id.eq(tenant.as_str()))
        .order((keys::created_at.desc(), keys::key_id))
        .select(Row::as_select())
        .load(tx.conn())?;
    rows.into_iter().map(Row::into_key).collect()
}

/// A key of a tenant.
pub(crate) fn find(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    key_id: Uuid,
) -> Result<Option<TenantApiKey>, DbError> {
    let row: Option<Row> = keys::table
        .filter(
            keys::tenant_id
                .eq(tenant.as_str())
                .and(keys::key_id.eq(key_id)),
        )
        .select(Row::as_select())
        .first(tx.conn())
        .optional()?;
    row.map(Row::into_key).transpose()
}

/// The tenant and the id of the key with this digest; across tenants, because that is the question.
pub(crate) fn find_by_digest_any_tenant(
    tx: &mut Tx<'_>,
    digest: &[u8; 32],
) -> Result<Option<(TenantId, Uuid)>, DbError> {
    let found: Option<(String, Uuid)> = keys::table
        .filter(keys::key_hash.eq(digest.as_slice()))
        .select((keys::tenant_id, keys::key_id))
        .first(tx.conn())
        .optional()?;
    found
        .map(|(tenant, key_id)| {
            let tenant = TenantId::parse(&tenant);
            let tenant = tenant.map_err(|error| DbError::Corrupt(error.to_string()))?;
            Ok((tenant, key_id))
        })
        .transpose()
}

/// Ends a key.
pub(crate) fn revoke(tx: &mut Tx<'_>, key_id: Uuid, at: DateTime<Utc>) -> Result<(), DbError> {
    diesel::update(keys::table.find(key_id))
        .set(keys::revoked_at.eq(at))
        .execute(tx.conn())?;
    Ok(())
}

/// Gives a key a successor and an end.
pub(crate) fn replace(
    tx: &mut Tx<'_>,
    key_id: Uuid,
    successor: Uuid,
    end: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::update(keys::table.find(key_id))
        .set((keys::replaced_by.eq(successor), keys::expires_at.eq(end)))
        .execute(tx.conn())?;
    Ok(())
}

/// Notes that a key was used.
pub(crate) fn note_use(tx: &mut Tx<'_>, key_id: Uuid, at: DateTime<Utc>) -> Result<(), DbError> {
    diesel::update(keys::table.find(key_id))
        .set(keys::last_used_at.eq(at))
        .execute(tx.conn())?;
    Ok(())
}
