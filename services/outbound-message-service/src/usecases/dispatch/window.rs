//! At most so many requests of a number in any second, as Meta counts them.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
/// An answer that came later than usual is taken to have been late on its way there by so much at
/// most; the rest of a longer answer is Meta's own work.
const LONGEST_DELAY: Duration = Duration::from_millis(80);
/// After so long the quickest answer is measured anew.
const MEMORY: Duration = Duration::from_mins(1);

/// The requests of the last second and those under way.
///
/// A request counts from its beginning until a second after it must have been counted by Meta:
/// its beginning and what its answer was late. So whatever the delays on the way there, Meta sees no
/// second with more than the limit.
#[derive(Debug)]
pub(super) struct Window {
    under_way: usize,
    leaving: VecDeque<Instant>,
    quickest: Option<(Duration, Instant)>,
}

impl Window {
    pub(super) const fn new() -> Self {
        Self {
            under_way: 0,
            leaving: VecDeque::new(),
            quickest: None,
        }
    }

    /// Takes a place; or answers when there may be one (`None`: when a request ends).
    pub(super) fn enter(&mut self, limit: usize, now: Instant) -> Result<(), Option<Instant>> {
        while self.leaving.front().is_some_and(|at| *at <= now) {
            self.leaving.pop_front();
        }
        if self.under_way + self.leaving.len() < limit {
            self.under_way += 1;
            return Ok(());
        }
        Err(self.leaving.front().copied())
    }

    /// A request that began at `begun` has ended now.
    pub(super) fn leave(&mut self, begun: Instant, now: Instant) {
        self.under_way = self.under_way.saturating_sub(1);
        let took = now.saturating_duration_since(begun);
        let quickest = match self.quickest {
            Some((quickest, at))
                if quickest <= took && now.saturating_duration_since(at) < MEMORY =>
            {
                quickest
            }
            _ => {
                self.quickest = Some((took, now));
                took
            }
        };
        let late = took.saturating_sub(quickest).min(LONGEST_DELAY);
        let at = (begun + SECOND + late).max(now);
        let place = self.leaving.partition_point(|other| *other <= at);
        self.leaving.insert(place, at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_has_more_than_the_limit() {
        let start = Instant::now();
        let ms = |n| start + Duration::from_millis(n);
        let mut window = Window::new();
        for _ in 0..3 {
            assert!(window.enter(3, ms(0)).is_ok());
        }
        assert_eq!(window.enter(3, ms(1)), Err(None), "all are under way");
        window.leave(ms(0), ms(2));
        window.leave(ms(0), ms(12));
        assert_eq!(window.enter(3, ms(20)), Err(Some(ms(1000))));
        assert!(window.enter(3, ms(1000)).is_ok());
        // The second one was 10 ms later than the quickest: Meta may have counted it as late.
        assert_eq!(window.enter(3, ms(1001)), Err(Some(ms(1010))));
    }
}
