//! Tokens of Genesys: sealed for the session's row, and revoked at Genesys when it ends.

use portal_genesys::{GenesysClient, Region, Tokens};
use portal_types::{SessionId, TenantId};
use portal_vault::{Binding, Vault, VaultError};
use secrecy::SecretString;

const TABLE: &str = "genesys_user_sessions";
const ACCESS: &str = "genesys_access_token";
const REFRESH: &str = "genesys_refresh_token";

/// The two tokens as the table keeps them.
pub(crate) struct SealedTokens {
    pub(crate) access: Vec<u8>,
    pub(crate) refresh: Option<Vec<u8>>,
}

/// Seals the tokens for the session's row.
pub(crate) fn seal(
    vault: &Vault,
    tenant: &TenantId,
    session: SessionId,
    tokens: &Tokens,
) -> Result<SealedTokens, VaultError> {
    let row = session.to_string();
    let refresh = tokens
        .refresh_token
        .as_ref()
        .map(|token| vault.seal(&binding(REFRESH, tenant, &row), token));
    Ok(SealedTokens {
        access: vault.seal(&binding(ACCESS, tenant, &row), &tokens.access_token)?,
        refresh: refresh.transpose()?,
    })
}

/// Opens the access token of the session's row.
pub(crate) fn open(
    vault: &Vault,
    tenant: &TenantId,
    session: SessionId,
    sealed: &[u8],
) -> Result<SecretString, VaultError> {
    vault.open(&binding(ACCESS, tenant, &session.to_string()), sealed)
}

fn binding<'a>(column: &'a str, tenant: &'a TenantId, row: &'a str) -> Binding<'a> {
    Binding {
        table: TABLE,
        column,
        tenant_id: tenant.as_str(),
        row_id: row,
    }
}

/// Asks Genesys to forget the token, without waiting for it: the answer changes nothing here.
pub(crate) fn revoke_later(genesys: &GenesysClient, region: &Region, token: SecretString) {
    let (genesys, region) = (genesys.clone(), region.clone());
    tokio::spawn(async move {
        if let Err(error) = genesys.revoke(&region, &token).await {
            tracing::info!(%error, "Genesys did not revoke a token; it ends by itself");
        }
    });
}
