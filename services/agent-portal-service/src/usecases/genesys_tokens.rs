//! Tokens of Genesys: sealed for the session's row, and revoked at Genesys when it ends.

use portal_genesys::{GenesysClient, Region, Tokens};
use portal_types::{SessionId, TenantId};
use portal_vault::{Vault, VaultError, places};
use secrecy::SecretString;

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
    let refresh = tokens.refresh_token.as_ref().map(|token| {
        vault.seal(
            &places::GENESYS_REFRESH_TOKEN.of(tenant.as_str(), &row),
            token,
        )
    });
    Ok(SealedTokens {
        access: vault.seal(
            &places::GENESYS_ACCESS_TOKEN.of(tenant.as_str(), &row),
            &tokens.access_token,
        )?,
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
    let row = session.to_string();
    vault.open(
        &places::GENESYS_ACCESS_TOKEN.of(tenant.as_str(), &row),
        sealed,
    )
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
