//! Work that several wait for and that one does.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use tokio::time::Instant;

type Flight<T, E> = Shared<BoxFuture<'static, Ended<T, E>>>;

/// How work ended, and when.
#[derive(Clone)]
struct Ended<T, E> {
    result: Result<T, E>,
    at: Instant,
}

/// Work under way, by what it is for. It goes on when those that wait have lost patience.
pub(crate) struct Flights<K, T, E> {
    under_way: Arc<Mutex<HashMap<K, Flight<T, E>>>>,
    remembered: Duration,
}

impl<K, T, E> Clone for Flights<K, T, E> {
    fn clone(&self) -> Self {
        Self {
            under_way: Arc::clone(&self.under_way),
            remembered: self.remembered,
        }
    }
}

impl<K, T, E> Flights<K, T, E>
where
    K: Eq + Hash,
    T: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// None yet. A failure is told to all that come within `remembered`: the work is not tried
    /// again for each of them.
    pub(crate) fn new(remembered: Duration) -> Self {
        Self {
            under_way: Arc::default(),
            remembered,
        }
    }

    /// Waits for the work of `key`, which begins unless it is under way or failed just now; `None`
    /// when it is not done by `until`.
    pub(crate) async fn join(
        &self,
        key: K,
        until: Instant,
        begin: impl FnOnce() -> BoxFuture<'static, Result<T, E>>,
    ) -> Option<Result<T, E>> {
        let flight = self.flight(key, begin);
        let ended = tokio::time::timeout_at(until, flight).await.ok()?;
        Some(ended.result)
    }

    fn flight(
        &self,
        key: K,
        begin: impl FnOnce() -> BoxFuture<'static, Result<T, E>>,
    ) -> Flight<T, E> {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // What succeeded is found in the database from then on.
        under_way.retain(|_, flight| {
            flight
                .peek()
                .is_none_or(|ended| ended.result.is_err() && ended.at.elapsed() < self.remembered)
        });
        under_way
            .entry(key)
            .or_insert_with(|| {
                let work = begin();
                let flight = async move {
                    Ended {
                        result: work.await,
                        at: Instant::now(),
                    }
                }
                .boxed()
                .shared();
                tokio::spawn(flight.clone());
                flight
            })
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    const LONG: Duration = Duration::from_hours(1);

    fn later() -> Instant {
        Instant::now() + LONG
    }

    #[tokio::test]
    async fn work_is_done_once_and_outlives_those_that_wait() {
        let flights: Flights<u8, u32, ()> = Flights::new(LONG);
        let (begun, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let work = || {
            let (begun, gate) = (Arc::clone(&begun), Arc::clone(&gate));
            async move {
                let count = begun.fetch_add(1, Ordering::SeqCst) + 1;
                gate.notified().await;
                Ok(count)
            }
            .boxed()
        };
        assert_eq!(flights.join(1, Instant::now(), work).await, None);
        let (one, two, ()) = tokio::join!(
            flights.join(1, later(), work),
            flights.join(1, later(), work),
            async { gate.notify_one() },
        );
        assert_eq!((one, two), (Some(Ok(1)), Some(Ok(1))));
        gate.notify_one();
        let again = flights.join(1, later(), work).await;
        assert_eq!(again, Some(Ok(2)), "success is remembered elsewhere");
    }

    #[tokio::test]
    async fn a_failure_is_remembered_for_a_while() {
        let begun = AtomicU32::new(0);
        let work = || {
            let count = begun.fetch_add(1, Ordering::SeqCst) + 1;
            async move { Err(count) }.boxed()
        };
        let flights: Flights<u8, (), u32> = Flights::new(LONG);
        for _ in 0..3 {
            assert_eq!(flights.join(1, later(), work).await, Some(Err(1)));
        }
        let forgetful: Flights<u8, (), u32> = Flights::new(Duration::ZERO);
        assert_eq!(forgetful.join(1, later(), work).await, Some(Err(2)));
        assert_eq!(forgetful.join(1, later(), work).await, Some(Err(3)));
    }
}
