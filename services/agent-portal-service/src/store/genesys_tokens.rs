//! The columns of `genesys_user_sessions` that hold Genesys' tokens.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use portal_db::{DbError, Tx};
use portal_db_schema::schema::genesys_user_sessions as sessions;
use portal_types::{SessionId, TenantId};

use crate::domain::GenesysTokenState;

/// The tokens of a session that has not ended, sealed.
#[expect(clippy::struct_field_names, reason = "named as in the table")]
#[derive(Queryable, Selectable)]
#[diesel(table_name = sessions)]
pub(crate) struct StoredTokens {
    /// The region that they belong to.
    pub(crate) genesys_region: String,
    /// The tenant's own client that they belong to; the deployment's if there is none.
    pub(crate) genesys_client_id: Option<String>,
    /// Sealed.
    pub(crate) genesys_access_token: Option<Vec<u8>>,
    /// Sealed.
    pub(crate) genesys_refresh_token: Option<Vec<u8>>,
    genesys_token_expires_at: Option<DateTime<Utc>>,
    /// When the access token came.
    pub(crate) genesys_token_issued_at: Option<DateTime<Utc>>,
    genesys_refresh_began_at: Option<DateTime<Utc>>,
}

impl StoredTokens {
    /// What decides whether the access token is renewed.
    pub(crate) fn state(&self) -> GenesysTokenState {
        GenesysTokenState {
            issued_at: self.genesys_token_issued_at,
            expires_at: self.genesys_token_expires_at.unwrap_or_default(),
            is_renewable: self.genesys_refresh_token.is_some(),
            refresh_began_at: self.genesys_refresh_began_at,
        }
    }
}

/// The tokens of a live session, locked until the end of the transaction.
pub(crate) fn lock_tokens(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    session_id: SessionId,
) -> Result<Option<StoredTokens>, DbError> {
    Ok(sessions::table
        .filter(sessions::tenant_id.eq(tenant_id.as_str()))
        .filter(sessions::session_id.eq(session_id.as_uuid()))
        .filter(sessions::revoked_at.is_null())
        .select(StoredTokens::as_select())
        .for_update()
        .first(tx.conn())
        .optional()?)
}

/// Notes that the refresh token is about to be sent, or (`None`) that it surely was not taken.
pub(crate) fn set_refresh_began(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    session_id: SessionId,
    began_at: Option<DateTime<Utc>>,
) -> Result<(), DbError> {
    let row = sessions::table
        .filter(sessions::tenant_id.eq(tenant_id.as_str()))
        .filter(sessions::session_id.eq(session_id.as_uuid()));
    diesel::update(row)
        .set(sessions::genesys_refresh_began_at.eq(began_at))
        .execute(tx.conn())?;
    Ok(())
}

/// Tokens that take the place of the session's.
pub(crate) struct RenewedTokens {
    /// Sealed.
    pub(crate) access: Vec<u8>,
    /// Sealed; the old one stays when Genesys gave no new one.
    pub(crate) refresh: Option<Vec<u8>>,
    /// When they came.
    pub(crate) issued_at: DateTime<Utc>,
    /// When the access token ends.
    pub(crate) expires_at: DateTime<Utc>,
}

/// Stores renewed tokens; false when the session has ended meanwhile.
pub(crate) fn store_renewed(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    session_id: SessionId,
    renewed: &RenewedTokens,
) -> Result<bool, DbError> {
    let row = sessions::table
        .filter(sessions::tenant_id.eq(tenant_id.as_str()))
        .filter(sessions::session_id.eq(session_id.as_uuid()))
        .filter(sessions::revoked_at.is_null());
    let rows = diesel::update(row)
        .set((
            sessions::genesys_access_token.eq(&renewed.access),
            renewed
                .refresh
                .as_ref()
                .map(|token| sessions::genesys_refresh_token.eq(token)),
            sessions::genesys_token_issued_at.eq(renewed.issued_at),
            sessions::genesys_token_expires_at.eq(renewed.expires_at),
            sessions::genesys_refresh_began_at.eq(None::<DateTime<Utc>>),
        ))
        .execute(tx.conn())?;
    Ok(rows == 1)
}
