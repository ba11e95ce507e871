//! Tokens of Genesys: sealed for the session's row, renewed by one at a time, and revoked at Genesys
//! when the session ends.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, SubsecRound as _, Utc};
use portal_db::{Db, DbError};
use portal_genesys::{ErrorKind, GenesysClient, Region, Tokens};
use portal_types::{Clock, SessionId, TenantId};
use portal_vault::{Vault, VaultError, places};
use secrecy::SecretString;

use super::genesys_clients::GenesysClients;
use crate::{
    domain::TokenVerdict,
    store::genesys_tokens::{self as rows, RenewedTokens, StoredTokens},
};

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

/// How long to wait between looks at what somebody else is renewing.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Hands out the access tokens that Genesys gave for sessions, renewed in time.
///
/// A refresh token is sent once, by one replica: the row says that it was sent before it is, and
/// forgets that with the answer. If no answer came, nobody can tell whether the token still works,
/// and it is never sent again: the session has lost its tokens. The row is the lock, so this holds
/// with Redis, without it, and after a crash.
#[derive(Clone)]
pub(crate) struct GenesysTokens {
    pub(crate) db: Db,
    pub(crate) vault: Arc<Vault>,
    pub(crate) genesys: GenesysClient,
    pub(crate) clients: GenesysClients,
    /// How long an answer of Genesys may be on its way.
    pub(crate) lease: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What there is for somebody who needs a session's access token.
#[derive(Debug)]
pub(crate) enum Access {
    /// The token.
    Token(Box<GoodToken>),
    /// It has run out and nothing renews it: a public client's.
    RanOut,
    /// It cannot be had just now, or the session has ended.
    Away,
    /// Genesys took the tokens back, or they are lost.
    SignedOut,
}

/// An access token that can be used.
#[derive(Debug)]
pub(crate) struct GoodToken {
    pub(crate) token: SecretString,
    pub(crate) region: Region,
    /// When it came.
    pub(crate) issued_at: Option<DateTime<Utc>>,
}

/// Why a token cannot be handed out: faults of ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("a token of Genesys cannot be sealed or opened")]
    Vault(#[from] VaultError),
}

impl GenesysTokens {
    /// The access token of a session. `refused` is one that Genesys has just refused, by the moment
    /// when it came: it is renewed, unless somebody did that meanwhile.
    #[tracing::instrument(name = "usecase.genesys_access_token", skip_all)]
    pub(crate) async fn access_token(
        &self,
        tenant: &TenantId,
        session: SessionId,
        refused: Option<DateTime<Utc>>,
    ) -> Result<Access, TokenError> {
        loop {
            let Some((stored, verdict, now)) = self.look(tenant, session, refused).await? else {
                return Ok(Access::Away);
            };
            return match verdict {
                TokenVerdict::Wait => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                    continue;
                }
                TokenVerdict::Use => self.stored(tenant, session, &stored),
                TokenVerdict::RanOut => Ok(Access::RanOut),
                TokenVerdict::Lost => Ok(Access::SignedOut),
                TokenVerdict::Renew => self.renew(tenant, session, &stored, refused, now).await,
            };
        }
    }

    /// Reads the row and decides; whoever is to renew the token is noted in the same transaction.
    async fn look(
        &self,
        tenant: &TenantId,
        session: SessionId,
        refused: Option<DateTime<Utc>>,
    ) -> Result<Option<(StoredTokens, TokenVerdict, DateTime<Utc>)>, DbError> {
        // As the column keeps it.
        let now = self.clock.now().trunc_subsecs(6);
        let lease = chrono::Duration::from_std(self.lease).unwrap_or_default();
        let (scope, tenant) = (tenant.clone(), tenant.clone());
        self.db
            .write("genesys_tokens.look", &scope, move |tx| {
                let Some(stored) = rows::lock_tokens(tx, &tenant, session)? else {
                    return Ok(None);
                };
                let verdict = stored.state().judge(refused, lease, now);
                if verdict == TokenVerdict::Renew {
                    rows::set_refresh_began(tx, &tenant, session, Some(now))?;
                }
                Ok(Some((stored, verdict, now)))
            })
            .await
    }

    fn stored(
        &self,
        tenant: &TenantId,
        session: SessionId,
        stored: &StoredTokens,
    ) -> Result<Access, TokenError> {
        let (Some(sealed), Some(region)) = (
            &stored.genesys_access_token,
            self.clients.rules.known_region(&stored.genesys_region),
        ) else {
            return Ok(Access::Away);
        };
        let token = open(&self.vault, tenant, session, sealed)?;
        Ok(Access::Token(Box::new(GoodToken {
            token,
            region,
            issued_at: stored.genesys_token_issued_at,
        })))
    }

    /// Sends the refresh token, once.
    async fn renew(
        &self,
        tenant: &TenantId,
        session: SessionId,
        stored: &StoredTokens,
        refused: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Access, TokenError> {
        let own = stored.genesys_client_id.as_deref();
        let found = self
            .clients
            .find(Some(tenant), &stored.genesys_region, own)
            .await;
        let sealed = stored.genesys_refresh_token.as_deref();
        let (Ok(Some((region, client))), Some(sealed)) = (&found, sealed) else {
            // The client cannot be asked for, or is not there any more.
            self.not_sent(tenant, session).await?;
            return self.for_now(tenant, session, stored, refused, now);
        };
        let row = session.to_string();
        let token = self.vault.open(
            &places::GENESYS_REFRESH_TOKEN.of(tenant.as_str(), &row),
            sealed,
        );
        let token = match token {
            Ok(token) => token,
            Err(error) => {
                self.not_sent(tenant, session).await?;
                return Err(error.into());
            }
        };
        match self.genesys.refresh(region, client, &token).await {
            Ok(tokens) => self.keep(tenant, session, region, tokens).await,
            Err(error) if error.surely_did_nothing() => {
                tracing::info!(%error, "a token of Genesys is not renewed yet");
                self.not_sent(tenant, session).await?;
                self.for_now(tenant, session, stored, refused, now)
            }
            Err(error) => {
                tracing::warn!(session.id = %session, %error, "a session has lost its tokens of Genesys");
                match error.kind {
                    ErrorKind::InvalidGrant | ErrorKind::InvalidClient => Ok(Access::SignedOut),
                    // The row remembers that the token was sent: whoever needs it next is told.
                    _ => Ok(Access::Away),
                }
            }
        }
    }

    /// The old token while it is good and there is no new one.
    fn for_now(
        &self,
        tenant: &TenantId,
        session: SessionId,
        stored: &StoredTokens,
        refused: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Access, TokenError> {
        let state = stored.state();
        let is_refused = refused.is_some() && refused == state.issued_at;
        if is_refused || state.expires_at <= now {
            Ok(Access::Away)
        } else {
            self.stored(tenant, session, stored)
        }
    }

    async fn not_sent(&self, tenant: &TenantId, session: SessionId) -> Result<(), DbError> {
        let (scope, tenant) = (tenant.clone(), tenant.clone());
        self.db
            .write("genesys_tokens.not_sent", &scope, move |tx| {
                rows::set_refresh_began(tx, &tenant, session, None)
            })
            .await
    }

    async fn keep(
        &self,
        tenant: &TenantId,
        session: SessionId,
        region: &Region,
        tokens: Tokens,
    ) -> Result<Access, TokenError> {
        let sealed = seal(&self.vault, tenant, session, &tokens)?;
        let now = self.clock.now().trunc_subsecs(6);
        let lifetime = chrono::Duration::from_std(tokens.expires_in).unwrap_or_default();
        let renewed = RenewedTokens {
            access: sealed.access,
            refresh: sealed.refresh,
            issued_at: now,
            expires_at: now + lifetime,
        };
        let (scope, owner) = (tenant.clone(), tenant.clone());
        let is_kept = self
            .db
            .write("genesys_tokens.keep", &scope, move |tx| {
                rows::store_renewed(tx, &owner, session, &renewed)
            })
            .await?;
        if is_kept {
            Ok(Access::Token(Box::new(GoodToken {
                token: tokens.access_token,
                region: region.clone(),
                issued_at: Some(now),
            })))
        } else {
            // The session ended meanwhile, and could not revoke a token that was not there yet.
            revoke_later(&self.genesys, region, tokens.access_token);
            Ok(Access::Away)
        }
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
