//! How often somebody may ask. Shared by all replicas through Redis; while that is away each
//! process counts for itself, more roughly.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use portal_cache::{Cache, Key, Rate, RateBucket};

/// More strangers than this in one window, and the count begins anew: memory has a bound.
const MOST_COUNTED: usize = 100_000;

/// A limit: so many at once, and so many over time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// Names what is limited.
    pub(crate) space: &'static str,
    pub(crate) burst: u32,
    pub(crate) per_second: f64,
}

/// What is limited, and who.
type Counted = (&'static str, String);
/// When the window began, and how many were let through since.
type Window = (Instant, u32);

/// Counts.
#[derive(Clone)]
pub(crate) struct Limiter {
    cache: Cache,
    local: Arc<Mutex<HashMap<Counted, Window>>>,
}

impl Limiter {
    pub(crate) fn new(cache: Cache) -> Self {
        Self {
            cache,
            local: Arc::default(),
        }
    }

    /// Lets one more through, or tells when to come again.
    pub(crate) async fn take(&self, limit: Limit, who: &str) -> Result<(), Duration> {
        let key = Key::global(limit.space, &[who]);
        let bucket = RateBucket::new(key, limit.burst, limit.per_second);
        match self.cache.take_token(&bucket).await {
            Ok(Rate::Allowed { .. }) => Ok(()),
            Ok(Rate::Denied { retry_after }) => Err(retry_after),
            Err(error) => {
                tracing::warn!(%error, "limits are counted by this process alone");
                self.take_locally(limit, who, Instant::now())
            }
        }
    }

    /// A fixed window, as long as the bucket takes to fill.
    fn take_locally(&self, limit: Limit, who: &str, now: Instant) -> Result<(), Duration> {
        let window = Duration::from_secs_f64(f64::from(limit.burst) / limit.per_second);
        let mut counts = self.local.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST_COUNTED {
            counts.clear();
        }
        let (began, count) = counts
            .entry((limit.space, who.to_owned()))
            .or_insert((now, 0));
        if now.duration_since(*began) >= window {
            (*began, *count) = (now, 0);
        }
        if *count >= limit.burst {
            return Err(window.saturating_sub(now.duration_since(*began)));
        }
        *count += 1;
        Ok(())
    }
}

/// A client for counting: an IPv6 customer has a whole /64.
pub(crate) fn client_key(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit {
        space: "test",
        burst: 2,
        per_second: 1.0,
    };

    #[tokio::test]
    async fn without_redis_each_process_counts() {
        let nowhere = Cache::connect(&"redis://127.0.0.1:9/".into(), "").unwrap();
        let limiter = Limiter::new(nowhere);
        assert_eq!(limiter.take(LIMIT, "a").await, Ok(()));
        assert_eq!(limiter.take(LIMIT, "a").await, Ok(()));
        assert!(limiter.take(LIMIT, "a").await.is_err());
        assert_eq!(limiter.take(LIMIT, "b").await, Ok(()));
        let later = Instant::now() + Duration::from_secs(3);
        assert_eq!(limiter.take_locally(LIMIT, "a", later), Ok(()));
    }

    #[test]
    fn ipv6_customers_count_as_one() {
        let key = |text: &str| client_key(text.parse().unwrap());
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), key("2001:db8:1:2::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("203.0.113.7"), "203.0.113.7");
    }
}
