//! Platform administrators: when an account is locked, and what a refresh token is worth.

use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

const LONGEST_LOCK: Duration = Duration::hours(24);

/// When failures lock an account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LockRule {
    /// So many in a row.
    pub(crate) failures: i32,
    /// For so long the first time, twice as long each time after.
    pub(crate) first: Duration,
}

impl LockRule {
    /// How long the account is locked by the last one of so many failures in a row.
    pub(crate) fn lock_after(&self, failures: i32) -> Option<Duration> {
        let round = failures.checked_div(self.failures).unwrap_or(0);
        if round < 1 || failures % self.failures != 0 {
            return None;
        }
        let times = 2_i32.checked_pow(round.unsigned_abs() - 1);
        let lock = times.and_then(|times| self.first.checked_mul(times));
        Some(lock.unwrap_or(LONGEST_LOCK).min(LONGEST_LOCK))
    }
}

/// The limits of administrators' sessions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionTimes {
    /// Between two uses.
    pub(crate) idle: Duration,
    /// From the sign-in on.
    pub(crate) absolute: Duration,
    /// How long a rotated token still gets the same successor again: its answer may have been lost.
    pub(crate) repeat_grace: Duration,
}

/// What a rotation has to know of a session.
#[derive(Debug, Clone)]
pub(crate) struct AdminSession {
    pub(crate) session_id: Uuid,
    pub(crate) admin_id: Uuid,
    /// SHA-256 of the secret of the token that is to be presented next.
    pub(crate) current_hash: Vec<u8>,
    /// SHA-256 of the one before.
    pub(crate) previous_hash: Option<Vec<u8>>,
    pub(crate) rotated_at: DateTime<Utc>,
    pub(crate) idle_expires_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) revoked_at: Option<DateTime<Utc>>,
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

impl AdminSession {
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

/// A session as its owner may see it.
#[derive(Debug, Clone)]
pub(crate) struct LiveAdminSession {
    pub(crate) session_id: Uuid,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) last_used_at: DateTime<Utc>,
    /// When it ends at the latest.
    pub(crate) expires_at: DateTime<Utc>,
    /// What the browser called itself.
    pub(crate) user_agent: Option<String>,
}

/// Which of an administrator's sessions to end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which {
    One(Uuid),
    AllBut(Uuid),
    All,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_double_up_to_a_day() {
        let rule = LockRule {
            failures: 10,
            first: Duration::minutes(15),
        };
        for (failures, minutes) in [
            (1, None),
            (9, None),
            (10, Some(15)),
            (11, None),
            (20, Some(30)),
            (30, Some(60)),
            (70, Some(960)),
            (80, Some(1_440)),
            (100_000, Some(1_440)),
        ] {
            assert_eq!(
                rule.lock_after(failures),
                minutes.map(Duration::minutes),
                "{failures}"
            );
        }
    }

    #[test]
    fn tokens_are_judged_by_what_is_known_of_them() {
        let start = Utc::now();
        let after = |seconds| start + Duration::seconds(seconds);
        let times = SessionTimes {
            idle: Duration::minutes(60),
            absolute: Duration::hours(12),
            repeat_grace: Duration::seconds(10),
        };
        let session = AdminSession {
            session_id: Uuid::nil(),
            admin_id: Uuid::nil(),
            current_hash: vec![2],
            previous_hash: Some(vec![1]),
            rotated_at: start,
            idle_expires_at: after(3_600),
            expires_at: after(43_200),
            revoked_at: None,
        };
        for (hash, now, verdict) in [
            ([2], after(0), RefreshVerdict::Current),
            ([2], after(3_600), RefreshVerdict::Expired),
            ([1], after(10), RefreshVerdict::Repeat),
            ([1], after(11), RefreshVerdict::Reused),
            ([0], after(0), RefreshVerdict::Reused),
        ] {
            assert_eq!(session.judge(&hash, &times, now), verdict, "{hash:?} {now}");
        }
        let ended = AdminSession {
            revoked_at: Some(start),
            ..session
        };
        assert_eq!(ended.judge(&[2], &times, start), RefreshVerdict::Revoked);
    }
}
