//! A signed-in session, and why it ends.

use std::fmt;

use chrono::{DateTime, Utc};
use portal_auth::RefreshState;
use portal_types::{SessionId, TenantId, UserId};

/// A session as its owner may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LiveSession {
    /// The session.
    pub(crate) session_id: SessionId,
    /// When it began.
    pub(crate) created_at: DateTime<Utc>,
    /// When its tokens were last rotated.
    pub(crate) last_used_at: DateTime<Utc>,
    /// When it ends at the latest.
    pub(crate) expires_at: DateTime<Utc>,
    /// What the browser called itself.
    pub(crate) user_agent: Option<String>,
}

/// What a rotation has to know of a session.
#[expect(
    clippy::struct_field_names,
    reason = "named as in the table and in the API"
)]
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// The session.
    pub(crate) session_id: SessionId,
    /// Its tenant.
    pub(crate) tenant_id: TenantId,
    /// Whose it is.
    pub(crate) user_id: UserId,
    /// How many rotations there were.
    pub(crate) generation: i32,
    /// What is known of its refresh tokens.
    pub(crate) refresh: RefreshState,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RevokeReason {
    /// Its owner signed out.
    Logout,
    /// Its owner signed out everywhere.
    LogoutAll,
    /// Its owner ended it from another session.
    EndedByUser,
    /// A refresh token was used twice.
    TokenReused,
    /// It was not used for too long, or is too old.
    Expired,
    /// Genesys no longer knows the person's tokens.
    GenesysSignedOut,
    /// Genesys says that the person may not go on.
    GenesysRefused,
    /// An administrator or Genesys switched the person off.
    UserDeactivated,
    /// The tenant was suspended.
    TenantSuspended,
    /// The tenant was deleted.
    TenantDeleted,
}

impl RevokeReason {
    /// The word in rows, events and audit.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::LogoutAll => "logout_all",
            Self::EndedByUser => "ended_by_user",
            Self::TokenReused => "token_reused",
            Self::Expired => "expired",
            Self::GenesysSignedOut => "genesys_signed_out",
            Self::GenesysRefused => "genesys_refused",
            Self::UserDeactivated => "user_deactivated",
            Self::TenantSuspended => "tenant_suspended",
            Self::TenantDeleted => "tenant_deleted",
        }
    }
}

impl fmt::Display for RevokeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
