//! Sessions after the sign-in: refreshing, listing, ending.

mod end;
mod keep;
mod recheck;
mod refresh;

use std::{sync::Arc, time::Duration};

use portal_auth::{IssueError, Issuer, Revocations};
use portal_db::{Db, DbError};
use portal_events::RelayWaker;
use portal_genesys::GenesysClient;
use portal_tenant_client::TenantClient;
use portal_types::{Clock, SessionId, TenantId, UserId};
use portal_vault::Vault;

pub(crate) use end::Ending;
pub(super) use end::tell_ended;
pub(crate) use refresh::Refreshed;

use super::{
    conversations::Asked,
    genesys_tokens::{GenesysTokens, TokenError},
    sign_in::{Refusal, SignInRules},
    token_keys::TokenKeys,
};
use crate::{domain::LiveSession, store};

/// Why a session was not refreshed, shown or ended. Variants are facts.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("the refresh token is not one of ours")]
    InvalidToken,
    #[error("the refresh token was used before")]
    TokenReused,
    #[error("the session is over by time")]
    Expired,
    #[error("the session was ended")]
    Revoked,
    #[error("the user was deactivated")]
    UserDeactivated,
    #[error("the tenant is not active")]
    TenantNotActive,
    #[error("Genesys says that the person may not go on")]
    Refused(#[from] Refusal),
    #[error("the user has no such session")]
    UnknownSession,
    #[error("there are no signing keys yet")]
    NotReady,
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("the session could not be handled")]
    Unexpected(#[source] anyhow::Error),
}

impl From<TokenError> for SessionError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Db(cause) => Self::Db(cause),
            TokenError::Vault(_) => Self::Unexpected(error.into()),
        }
    }
}

impl From<IssueError> for SessionError {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::NoKeys => Self::NotReady,
            IssueError::Sign(_) => Self::Unexpected(error.into()),
        }
    }
}

/// Keeps sessions.
#[derive(Clone)]
pub(crate) struct Sessions {
    pub(crate) db: Db,
    pub(crate) vault: Arc<Vault>,
    pub(crate) genesys: GenesysClient,
    pub(crate) genesys_tokens: GenesysTokens,
    /// How long it holds that Genesys vouched for a person; none: for the whole session.
    pub(crate) recheck_after: Option<chrono::Duration>,
    pub(crate) rules: Arc<SignInRules>,
    pub(crate) tenants: TenantClient,
    pub(crate) issuer: Issuer,
    pub(crate) token_keys: TokenKeys,
    pub(crate) revocations: Revocations,
    /// How long access tokens are valid: so long the revocation list must know of an ended session.
    pub(crate) token_lifetime: Duration,
    pub(crate) keep_ended: chrono::Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) waker: RelayWaker,
    /// Who has no session is offline.
    pub(crate) asked: Asked,
}

impl Sessions {
    /// The user's sessions that still live.
    pub(crate) async fn list(
        &self,
        tenant_id: &TenantId,
        user_id: UserId,
    ) -> Result<Vec<LiveSession>, SessionError> {
        let now = self.clock.now();
        let scope = tenant_id.clone();
        let tenant_id = tenant_id.clone();
        self.db
            .read("sessions.list", &scope, move |tx| {
                store::sessions::list_live_sessions(tx, &tenant_id, user_id, now)
            })
            .await
            .map_err(SessionError::Db)
    }
}

/// A signed-in user in one of their sessions.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
}
