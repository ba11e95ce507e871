//! Platform administrators: when an account is locked, and their sessions.

use chrono::{DateTime, Duration, Utc};
use portal_auth::RefreshState;
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

/// What a rotation has to know of a session.
#[derive(Debug, Clone)]
pub(crate) struct AdminSession {
    pub(crate) session_id: Uuid,
    pub(crate) admin_id: Uuid,
    pub(crate) refresh: RefreshState,
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
}
