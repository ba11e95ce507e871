//! A signed-in session and the rules of its refresh tokens.

use std::fmt;

use chrono::{DateTime, Duration, Utc};
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
    /// SHA-256 of the secret of the token that is to be presented next.
    pub(crate) current_hash: Vec<u8>,
    /// SHA-256 of the one before.
    pub(crate) previous_hash: Option<Vec<u8>>,
    /// How many rotations there were.
    pub(crate) generation: i32,
    /// When the last one was.
    pub(crate) rotated_at: DateTime<Utc>,
    /// When it ends if nobody uses it.
    pub(crate) idle_expires_at: DateTime<Utc>,
    /// When it ends in any case.
    pub(crate) expires_at: DateTime<Utc>,
    /// When it was ended.
    pub(crate) revoked_at: Option<DateTime<Utc>>,
}

/// The limits of sessions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionTimes {
    /// Between two uses.
    pub(crate) idle: Duration,
    /// From the sign-in on.
    pub(crate) absolute: Duration,
    /// How long a rotated token still gets the same successor again: its answer may have been lost.
    pub(crate) repeat_grace: Duration,
}

impl SessionTimes {
    /// When a session that is used now ends if nobody uses it again.
    pub(crate) fn idle_expiry(
        &self,
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> DateTime<Utc> {
        (now + self.idle).min(expires_at)
    }
}

/// What a presented refresh token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefreshVerdict {
    /// The current one: rotate.
    Current,
    /// The one before, its answer may have been lost: the same successor again.
    Repeat,
    /// One that was used before: somebody has a copy.
    Reused,
    /// The session is over by time.
    Expired,
    /// The session was ended.
    Revoked,
}

impl Session {
    /// Judges a token of this session by the SHA-256 of its secret.
    pub(crate) fn judge(
        &self,
        hash: &[u8],
        times: &SessionTimes,
        now: DateTime<Utc>,
    ) -> RefreshVerdict {
        if self.revoked_at.is_some() {
            return RefreshVerdict::Revoked;
        }
        if now >= self.expires_at || now >= self.idle_expires_at {
            return RefreshVerdict::Expired;
        }
        if hash == self.current_hash {
            return RefreshVerdict::Current;
        }
        let is_previous = self.previous_hash.as_deref() == Some(hash);
        if is_previous && now - self.rotated_at <= times.repeat_grace {
            return RefreshVerdict::Repeat;
        }
        RefreshVerdict::Reused
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn times() -> SessionTimes {
        SessionTimes {
            idle: Duration::minutes(60),
            absolute: Duration::hours(12),
            repeat_grace: Duration::seconds(10),
        }
    }

    fn session(now: DateTime<Utc>) -> Session {
        Session {
            session_id: SessionId::generate(),
            tenant_id: TenantId::parse("acme").unwrap(),
            user_id: UserId::generate(),
            current_hash: vec![2],
            previous_hash: Some(vec![1]),
            generation: 1,
            rotated_at: now,
            idle_expires_at: now + Duration::minutes(60),
            expires_at: now + Duration::hours(12),
            revoked_at: None,
        }
    }

    #[test]
    fn tokens_are_judged_by_what_is_known_of_them() {
        let start = Utc::now();
        let session = session(start);
        let after = |seconds| start + Duration::seconds(seconds);
        for (hash, now, verdict) in [
            ([2], after(0), RefreshVerdict::Current),
            ([2], after(3_599), RefreshVerdict::Current),
            ([2], after(3_600), RefreshVerdict::Expired),
            ([1], after(0), RefreshVerdict::Repeat),
            ([1], after(10), RefreshVerdict::Repeat),
            ([1], after(11), RefreshVerdict::Reused),
            ([0], after(0), RefreshVerdict::Reused),
            ([1], after(3_600), RefreshVerdict::Expired),
        ] {
            assert_eq!(
                session.judge(&hash, &times(), now),
                verdict,
                "{hash:?} {now}"
            );
        }
    }

    #[test]
    fn an_ended_session_takes_nothing_and_an_old_one_ends_however_busy_it_is() {
        let now = Utc::now();
        let ended = Session {
            revoked_at: Some(now),
            ..session(now)
        };
        assert_eq!(ended.judge(&[2], &times(), now), RefreshVerdict::Revoked);

        let expires_at = now + Duration::minutes(5);
        assert_eq!(times().idle_expiry(now, expires_at), expires_at);
        let old = Session {
            expires_at,
            ..session(now)
        };
        assert_eq!(
            old.judge(&[2], &times(), expires_at),
            RefreshVerdict::Expired
        );
    }
}
