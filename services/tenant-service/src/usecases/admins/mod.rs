//! Platform administrators: who they are, how they sign in, stay signed in and leave.

mod password;
mod proof;
mod sessions;
mod sign_in;
mod tokens;
mod totp;

use std::time::Duration;

use portal_auth::{
    IssueError, IssuedToken, Issuer, PasswordError, Passwords, SessionTimes, TotpError,
};
use portal_cache::{Limit, Limiter};
use portal_db::{DbError, Scope};
use portal_vault::VaultError;
use secrecy::SecretString;
use uuid::Uuid;

pub(crate) use self::{
    sessions::AdminSessionRows,
    sign_in::{Client, Credentials},
    tokens::TokenKeys,
};
use super::Deps;
use crate::{
    domain::admin::LockRule,
    store::{self, admins::AdminAccount},
};

/// Where administrators sign in and look after their account; clones share everything.
#[derive(Clone)]
pub(crate) struct AdminDesk {
    pub(crate) deps: Deps,
    pub(crate) passwords: Passwords,
    pub(crate) issuer: Issuer,
    pub(crate) tokens: TokenKeys,
    pub(crate) limiter: Limiter,
    pub(crate) limits: SignInLimits,
    pub(crate) rules: Rules,
}

/// How often somebody may try to sign in.
#[derive(Clone, Copy)]
pub(crate) struct SignInLimits {
    pub(crate) per_account: Limit,
    pub(crate) per_address: Limit,
    /// How often the audit log says that somebody is limited.
    pub(crate) lines: Limit,
}

/// What the settings say of administrators.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) require_totp: bool,
    pub(crate) lock: LockRule,
    pub(crate) times: SessionTimes,
}

/// An administrator, as shown to himself.
#[derive(Clone)]
pub(crate) struct Profile {
    pub(crate) admin_id: Uuid,
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) totp_enrolled: bool,
    pub(crate) last_login_at: Option<chrono::DateTime<chrono::Utc>>,
}

impl From<AdminAccount> for Profile {
    fn from(account: AdminAccount) -> Self {
        Self {
            admin_id: account.admin_id,
            totp_enrolled: account.is_enrolled(),
            email: account.email,
            name: account.name,
            last_login_at: account.last_login_at,
        }
    }
}

/// A session's tokens and whose they are.
pub(crate) struct SignedIn {
    pub(crate) access: IssuedToken,
    pub(crate) refresh: SecretString,
    pub(crate) profile: Profile,
}

/// Why something about an administrator was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    #[error("account and proofs do not fit")]
    Refused,
    #[error("too many attempts")]
    TooMany { retry_after: Duration },
    #[error("not a refresh token of a session")]
    InvalidToken,
    #[error("the refresh token was used before")]
    TokenReused,
    #[error("the session is over")]
    SessionExpired,
    #[error("the session was ended")]
    SessionRevoked,
    #[error("the administrator has no such session")]
    UnknownSession,
    #[error("the administrator is not there")]
    UnknownAdmin,
    #[error("there is a second factor already")]
    AlreadyEnrolled,
    #[error("there is no second factor")]
    NotEnrolled,
    #[error("the code does not fit the new second factor")]
    WrongCode,
    #[error("the database failed")]
    Db(#[from] DbError),
    #[error("the password could not be compared")]
    Password(#[from] PasswordError),
    #[error("no token could be made")]
    Token(#[from] IssueError),
    #[error("a second factor could not be made or read")]
    Totp(#[from] TotpError),
    #[error("a second factor could not be sealed or opened")]
    Vault(#[from] VaultError),
    #[error("the machine gives no random numbers")]
    Random,
}

impl AdminDesk {
    /// Whether administrators need a second factor.
    pub(crate) const fn requires_totp(&self) -> bool {
        self.rules.require_totp
    }

    /// An administrator.
    pub(crate) async fn profile(&self, admin_id: Uuid) -> Result<Profile, AdminError> {
        let found = self
            .deps
            .db
            .read("get_admin", Scope::Service, move |tx| {
                store::admins::find(tx, admin_id)
            })
            .await?;
        found.map(Profile::from).ok_or(AdminError::UnknownAdmin)
    }
}
