//! How often somebody may ask. Shared by all replicas through Redis; while that is away each
//! process counts for itself, more roughly.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry::{KeyValue, metrics::Counter};
use portal_types::TenantId;

use crate::{Cache, Key, Rate, RateBucket};

/// More strangers than this in one window, and the count begins anew: memory has a bound.
const MOST_COUNTED: usize = 100_000;
/// After a failure Redis is left alone for so long: a Redis that does not answer would otherwise
/// cost every request its whole deadline.
const PAUSE: Duration = Duration::from_secs(1);

/// A limit: so many at once, and so many over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// Names what is limited: in keys, in metrics and in `RateLimit` headers.
    pub name: &'static str,
    /// So many at once.
    pub burst: u32,
    /// So many come back each second.
    pub per_second: f64,
}

impl Limit {
    /// `count` a minute, all of them at once if need be.
    pub fn per_minute(name: &'static str, count: u32) -> Self {
        Self {
            name,
            burst: count,
            per_second: f64::from(count) / 60.0,
        }
    }

    /// The count of `who`.
    pub fn of(self, who: &str) -> Counted {
        self.counted(Key::global(self.name, &[who]))
    }

    /// The count of `who` within a tenant.
    pub fn of_tenant(self, tenant: &TenantId, who: &str) -> Counted {
        self.counted(Key::of_tenant(tenant, self.name, &[who]))
    }

    fn counted(self, key: Key<RateBucket>) -> Counted {
        Counted {
            limit: self,
            bucket: RateBucket::new(key, self.burst, self.per_second),
        }
    }
}

/// A limit and who is counted against it.
#[derive(Debug, Clone)]
pub struct Counted {
    limit: Limit,
    bucket: RateBucket,
}

/// Where somebody stands with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Which limit.
    pub name: &'static str,
    /// So many at once.
    pub limit: u32,
    /// As long as `limit` takes to come back.
    pub window: Duration,
    /// So many are left.
    pub remaining: u32,
    /// Until all are back, or after a refusal until there is one.
    pub reset: Duration,
    /// Whether this one refused.
    pub is_spent: bool,
}

impl Quota {
    fn of(bucket: &Counted, rate: Rate) -> Self {
        let RateBucket {
            capacity,
            refill_per_second,
            ..
        } = bucket.bucket;
        let time_for = |tokens: u32| Duration::from_secs_f64(f64::from(tokens) / refill_per_second);
        let (remaining, reset, is_spent) = match rate {
            Rate::Allowed { remaining } => {
                let missing = capacity.saturating_sub(remaining);
                (remaining, time_for(missing), false)
            }
            Rate::Denied { retry_after } => (0, retry_after, true),
        };
        Self {
            name: bucket.limit.name,
            limit: capacity,
            window: time_for(capacity),
            remaining,
            reset,
            is_spent,
        }
    }
}

/// What came of asking: where one stands with each limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn(pub Vec<Quota>);

impl Turn {
    /// When to come again, if one of the limits is spent.
    pub fn refused(&self) -> Option<Duration> {
        let spent = self.0.iter().filter(|quota| quota.is_spent);
        spent.map(|quota| quota.reset).max()
    }
}

/// Counts; clones count together.
#[derive(Clone)]
pub struct Limiter {
    cache: Cache,
    local: Arc<Mutex<Local>>,
    rejected: Counter<u64>,
}

#[derive(Default)]
struct Local {
    /// When the window began, and how many were let through since.
    windows: HashMap<String, (Instant, u32)>,
    away_until: Option<Instant>,
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").finish_non_exhaustive()
    }
}

impl Limiter {
    /// Counts in `cache`. Telemetry must be installed before.
    pub fn new(cache: Cache) -> Self {
        Self {
            cache,
            local: Arc::default(),
            rejected: opentelemetry::global::meter("portal-cache")
                .u64_counter("limits.rejected")
                .with_description("Requests refused because of a limit, by limit")
                .build(),
        }
    }

    /// Lets one more through, or tells when to come again.
    pub async fn take(&self, counted: Counted) -> Result<(), Duration> {
        self.take_all(&[counted])
            .await
            .refused()
            .map_or(Ok(()), Err)
    }

    /// Lets one more through all limits, or through none of them if one is spent; one round trip.
    pub async fn take_all(&self, counted: &[Counted]) -> Turn {
        let turn = match self.take_shared(counted).await {
            Some(turn) => turn,
            None => self.take_locally(counted, Instant::now()),
        };
        for quota in turn.0.iter().filter(|quota| quota.is_spent) {
            self.rejected.add(1, &[KeyValue::new("limit", quota.name)]);
        }
        turn
    }

    async fn take_shared(&self, counted: &[Counted]) -> Option<Turn> {
        let away_until = self.lock().away_until;
        if away_until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let buckets: Vec<_> = counted.iter().map(|one| one.bucket.clone()).collect();
        match self.cache.take_tokens(&buckets).await {
            Ok(rates) => Some(Turn(
                counted
                    .iter()
                    .zip(rates)
                    .map(|(one, rate)| Quota::of(one, rate))
                    .collect(),
            )),
            Err(error) => {
                tracing::warn!(%error, "limits are counted by this process alone");
                self.lock().away_until = Some(Instant::now() + PAUSE);
                None
            }
        }
    }

    /// Fixed windows, each as long as its bucket takes to fill.
    fn take_locally(&self, counted: &[Counted], now: Instant) -> Turn {
        let mut local = self.lock();
        if local.windows.len() >= MOST_COUNTED {
            local.windows.clear();
        }
        let rates: Vec<Rate> = counted
            .iter()
            .map(|one| {
                let RateBucket {
                    capacity,
                    refill_per_second,
                    ..
                } = one.bucket;
                let length = Duration::from_secs_f64(f64::from(capacity) / refill_per_second);
                let name = one.bucket.key.name();
                match local.windows.get(name) {
                    Some((began, count)) if now.duration_since(*began) < length => {
                        match capacity.checked_sub(count + 1) {
                            Some(remaining) => Rate::Allowed { remaining },
                            None => Rate::Denied {
                                retry_after: length.saturating_sub(now.duration_since(*began)),
                            },
                        }
                    }
                    _ => {
                        local.windows.insert(name.to_owned(), (now, 0));
                        Rate::Allowed {
                            remaining: capacity.saturating_sub(1),
                        }
                    }
                }
            })
            .collect();
        let is_refused = rates.iter().any(|rate| matches!(rate, Rate::Denied { .. }));
        if !is_refused {
            for one in counted {
                if let Some((_, count)) = local.windows.get_mut(one.bucket.key.name()) {
                    *count += 1;
                }
            }
        }
        let quotas = counted.iter().zip(rates);
        Turn(quotas.map(|(one, rate)| Quota::of(one, rate)).collect())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Local> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit {
        name: "test",
        burst: 2,
        per_second: 1.0,
    };

    fn without_redis() -> Limiter {
        Limiter::new(Cache::connect(&"redis://127.0.0.1:9/".into(), "").unwrap())
    }

    #[tokio::test]
    async fn without_redis_each_process_counts() {
        let limiter = without_redis();
        assert_eq!(limiter.take(LIMIT.of("a")).await, Ok(()));
        assert_eq!(limiter.take(LIMIT.of("a")).await, Ok(()));
        assert!(limiter.take(LIMIT.of("a")).await.is_err());
        assert_eq!(limiter.take(LIMIT.of("b")).await, Ok(()));
        let later = Instant::now() + Duration::from_secs(3);
        let turn = limiter.take_locally(&[LIMIT.of("a")], later);
        assert_eq!(turn.refused(), None);
        assert_eq!(turn.0[0].remaining, 1);
    }

    #[tokio::test]
    async fn who_is_refused_by_one_limit_spends_no_other() {
        let limiter = without_redis();
        let wide = Limit {
            name: "wide",
            ..Limit::per_minute("", 10)
        };
        for expected in [None, None, Some(()), Some(())] {
            let turn = limiter.take_all(&[LIMIT.of("a"), wide.of("a")]).await;
            assert_eq!(turn.refused().map(drop), expected, "{turn:?}");
        }
        let turn = limiter.take_all(&[wide.of("a")]).await;
        assert_eq!(turn.0[0].remaining, 7);
    }

    #[test]
    fn memory_has_a_bound() {
        let limiter = without_redis();
        let now = Instant::now();
        for n in 0..MOST_COUNTED + 10 {
            limiter.take_locally(&[LIMIT.of(&n.to_string())], now);
        }
        assert!(limiter.lock().windows.len() <= MOST_COUNTED);
    }
}
