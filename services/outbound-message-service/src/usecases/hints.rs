//! When workers are told that a number has something to send.
//!
//! A worker that is told looks at once and once more after [`LINGER`]: what is committed shortly after
//! a hint needs none of its own. At a thousand acceptances a second hints would otherwise be a good
//! part of all that the broker carries.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use portal_types::TenantId;
use tokio::time::Instant;

/// A hint stands for what is accepted for its number in this time after it.
const STANDS_FOR: Duration = Duration::from_millis(100);
/// After a hint a worker looks again: longer than [`STANDS_FOR`] and the commit of what came last. What
/// takes longer still is found by the sweep.
pub(crate) const LINGER: Duration = Duration::from_millis(500);
const MOST_REMEMBERED: usize = 10_000;
const _: () = assert!(LINGER.as_millis() > STANDS_FOR.as_millis());

/// The numbers that this process has told of lately; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Hints(Arc<Mutex<HashMap<Number, Instant>>>);

type Number = (TenantId, String);

impl Hints {
    /// Whether workers are to be told of the number, by a transaction that begins `now`.
    pub(crate) fn are_due(&self, number: &Number, now: Instant) -> bool {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.get(number)
            .is_none_or(|at| now.saturating_duration_since(*at) >= STANDS_FOR)
    }

    /// Hints of these numbers were committed by a transaction that began at `begun`.
    pub(crate) fn note(&self, numbers: impl IntoIterator<Item = Number>, begun: Instant) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= MOST_REMEMBERED {
            told.retain(|_, at| at.elapsed() < STANDS_FOR);
        }
        told.extend(numbers.into_iter().map(|number| (number, begun)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_stands_for_what_comes_shortly_after_it() {
        let (hints, now) = (Hints::default(), Instant::now());
        let number = |id: &str| (TenantId::parse("acme").unwrap(), id.to_owned());
        assert!(hints.are_due(&number("1"), now));
        hints.note([number("1")], now);
        assert!(!hints.are_due(&number("1"), now));
        assert!(hints.are_due(&number("2"), now));
        assert!(hints.are_due(&number("1"), now + STANDS_FOR));
    }
}
