//! Signing in as a platform administrator. The answer and its time are the same for an unknown
//! account, a wrong password and a locked account.

use std::time::Duration;

use portal_auth::{IssueError, IssuedToken, Issuer, PasswordError, Passwords, sha256_hex};
use portal_db::{
    DbError, Scope,
    audit::{self, Actor, Outcome},
};
use secrecy::SecretString;
use serde_json::json;
use tracing::instrument;

use super::{
    Deps, OpContext,
    limits::{Limit, Limiter},
};
use crate::store;

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
    let token = desk.issuer.issue_admin(account.admin_id)?;
    let details = json!({"jti": token.jti});
    let entry = ctx.audit("admin.login", &"platform", Outcome::Succeeded, details);
    deps.db
        .write("record_admin_login", Scope::Service, move |tx| {
            store::admins::update_after_login(tx, account.admin_id, new_hash.as_deref())?;
            audit::append(tx, &entry)
        })
        .await?;
    Ok(token)
}
