//! When a read of the API is tried again.

use std::time::Duration;

use crate::{ErrorKind, GenesysError};

/// How often and how long a read is tried. Codes, refreshes and revocations are never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, the first included.
    pub tries: u32,
    /// Wait before the second try; it doubles with each further one. What Genesys asks for in
    /// `Retry-After` is waited at least.
    pub first_wait: Duration,
    /// No try begins later than this after the first.
    pub budget: Duration,
}

impl Default for RetryPolicy {
    /// Somebody waits for the sign-in meanwhile: three tries within ten seconds.
    fn default() -> Self {
        Self {
            tries: 3,
            first_wait: Duration::from_secs(1),
            budget: Duration::from_secs(10),
        }
    }
}

impl RetryPolicy {
    /// How long to wait before the next try, if there is to be one.
    ///
    /// `failed` counts the tries so far, `elapsed` is the time since the first began, `jitter` is
    /// between 0 and 1 and adds up to half of the wait, so that callers do not come back together.
    pub(crate) fn wait(
        &self,
        error: &GenesysError,
        failed: u32,
        elapsed: Duration,
        jitter: f64,
    ) -> Option<Duration> {
        let asked = match (error.kind, error.status) {
            (ErrorKind::RateLimited { retry_after }, _) => retry_after.unwrap_or_default(),
            (ErrorKind::Unavailable, Some(502..=504)) => Duration::ZERO,
            _ => return None,
        };
        if failed >= self.tries {
            return None;
        }
        let doubled = self
            .first_wait
            .saturating_mul(1 << failed.saturating_sub(1).min(16));
        let wait = asked.max(doubled);
        let wait = wait.saturating_add(doubled.mul_f64(jitter.clamp(0.0, 1.0) / 2.0));
        (elapsed.saturating_add(wait) <= self.budget).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: ErrorKind, status: Option<u16>) -> GenesysError {
        GenesysError {
            status,
            ..GenesysError::new(kind)
        }
    }

    #[test]
    fn busy_servers_are_tried_again_with_growing_waits() {
        let (policy, busy) = (
            RetryPolicy::default(),
            error(ErrorKind::Unavailable, Some(503)),
        );
        let wait = |failed, jitter| policy.wait(&busy, failed, Duration::ZERO, jitter);
        assert_eq!(wait(1, 0.0), Some(Duration::from_secs(1)));
        assert_eq!(wait(1, 1.0), Some(Duration::from_millis(1500)));
        assert_eq!(wait(2, 0.0), Some(Duration::from_secs(2)));
        assert_eq!(wait(3, 0.0), None);
    }

    #[test]
    fn what_genesys_asks_for_is_waited_unless_it_is_too_long() {
        let policy = RetryPolicy::default();
        let wait = |asked: Option<u64>, elapsed| {
            let retry_after = asked.map(Duration::from_secs);
            let limited = error(ErrorKind::RateLimited { retry_after }, Some(429));
            policy.wait(&limited, 1, Duration::from_secs(elapsed), 0.0)
        };
        assert_eq!(wait(Some(4), 0), Some(Duration::from_secs(4)));
        assert_eq!(wait(Some(0), 0), Some(Duration::from_secs(1)));
        assert_eq!(wait(None, 0), Some(Duration::from_secs(1)));
        assert_eq!(wait(Some(4), 7), None);
        assert_eq!(wait(Some(60), 0), None);
    }

    #[test]
    fn other_failures_are_final() {
        for (kind, status) in [
            (ErrorKind::Unavailable, Some(500)),
            (ErrorKind::Unavailable, None),
            (ErrorKind::Unauthorized, Some(401)),
            (ErrorKind::Forbidden, Some(403)),
            (ErrorKind::Refused, Some(400)),
            (ErrorKind::Protocol, Some(200)),
        ] {
            let wait = RetryPolicy::default().wait(&error(kind, status), 1, Duration::ZERO, 0.0);
            assert_eq!(wait, None, "{kind:?}");
        }
    }
}
