//! Signing in as a platform administrator. The answer and its time are the same for an unknown
//! account, a wrong password and a locked account.

use std::time::Duration;

use async_trait::async_trait;
use portal_auth::{
    AdminClaims, AdminStanding, AdminTruth, IssueError, IssuedToken, Issuer, PasswordError,
    Passwords, TruthUnavailable, random_token, sha256, sha256_hex,
};
use portal_db::{
    DbError, Scope,
    audit::{self, Actor, Outcome},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tracing::instrument;
use uuid::Uuid;

use super::{
    Deps, OpContext,
    limits::{Limit, Limiter},
};
use crate::store::{self, admin_sessions::NewAdminSession};

/// How long an administrator's session lives.
const SESSION_HOURS: i64 = 12;

/// What signing in needs besides the rest.
#[derive(Clone)]
pub(crate) struct LoginDesk {
    pub(crate) passwords: Passwords,
    pub(crate) issuer: Issuer,
    pub(crate) limiter: Limiter,
    pub(crate) per_account: Limit,
    pub(crate) per_address: Limit,
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    #[error("account and password do not fit")]
    Refused,
    #[error("too many attempts")]
    TooMany { retry_after: Duration },
    #[error("the database failed")]
    Db(#[from] DbError),
    #[error("the password could not be compared")]
    Password(#[from] PasswordError),
    #[error("no token could be made")]
    Token(#[from] IssueError),
    #[error("the machine gives no random numbers")]
    Random(#[source] anyhow::Error),
}

/// Signs an administrator in.
#[instrument(name = "usecase.admin_login", skip_all)]
pub(crate) async fn admin_login(
    deps: &Deps,
    desk: &LoginDesk,
    request_id: Option<String>,
    client: &str,
    email: String,
    password: SecretString,
) -> Result<IssuedToken, LoginError> {
    let limited = |retry_after| LoginError::TooMany { retry_after };
    // A digest: the count is no list of addresses.
    let account_key = sha256_hex(&email.to_lowercase());
    desk.limiter
        .take(desk.per_address, client)
        .await
        .map_err(limited)?;
    desk.limiter
        .take(desk.per_account, &account_key)
        .await
        .map_err(limited)?;

    let account = deps
        .db
        .read("find_admin", Scope::Service, move |tx| {
            store::admins::find_by_email(tx, &email)
        })
        .await?;
    let stored = account
        .as_ref()
        .map(|account| account.password_hash.clone());
    let verdict = desk.passwords.verify(password.clone(), stored).await?;
    let admin_id = account.as_ref().map(|account| account.admin_id);
    let actor = admin_id.map_or(Actor::Anonymous, |id| Actor::PlatformAdmin(id.to_string()));
    let ctx = OpContext { actor, request_id };

    let allowed = account.filter(|account| account.is_active && verdict.matches);
    let Some(account) = allowed else {
        let entry = ctx.audit("admin.login", &"platform", Outcome::Refused, json!({}));
        deps.db
            .write("refuse_admin_login", Scope::Service, move |tx| {
                audit::append(tx, &entry)
            })
            .await?;
        return Err(LoginError::Refused);
    };
    let new_hash = if verdict.needs_rehash {
        Some(desk.passwords.hash(password).await?)
    } else {
        None
    };
    let session_id = Uuid::now_v7();
    let token = desk.issuer.issue_admin(account.admin_id, session_id)?;
    let refresh = random_token("rta_").map_err(|error| LoginError::Random(error.into()))?;
    let expires_at = deps.clock.now() + chrono::Duration::hours(SESSION_HOURS);
    let session = NewAdminSession {
        session_id,
        admin_id: account.admin_id,
        refresh_token_hash: sha256(refresh.expose_secret()).to_vec(),
        idle_expires_at: expires_at,
        expires_at,
    };
    let details = json!({"session_id": session_id, "jti": token.jti});
    let entry = ctx.audit("admin.login", &"platform", Outcome::Succeeded, details);
    deps.db
        .write("record_admin_login", Scope::Service, move |tx| {
            store::admins::update_after_login(tx, account.admin_id, new_hash.as_deref())?;
            store::admin_sessions::insert(tx, &session)?;
            audit::append(tx, &entry)
        })
        .await?;
    Ok(token)
}

/// What the rows say of administrators' sessions.
pub(crate) struct AdminSessionRows(pub(crate) Deps);

#[async_trait]
impl AdminTruth for AdminSessionRows {
    async fn standing(&self, claims: &AdminClaims) -> Result<AdminStanding, TruthUnavailable> {
        let (session_id, admin_id) = (claims.sid, claims.sub);
        let now = self.0.clock.now();
        let lives = self
            .0
            .db
            .read("admin_session", Scope::Service, move |tx| {
                store::admin_sessions::lives(tx, session_id, admin_id, now)
            })
            .await;
        match lives {
            Ok(true) => Ok(AdminStanding::Live),
            Ok(false) => Ok(AdminStanding::Ended),
            Err(error) => {
                tracing::warn!(%error, "an administrator's session cannot be looked up");
                Err(TruthUnavailable)
            }
        }
    }
}
