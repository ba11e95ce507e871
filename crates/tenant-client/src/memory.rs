//! What tenant-service said, and for how long that holds.

use std::future::Future;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;

use crate::TenantClientError;

/// Tenants that are remembered; the least used make room.
const CAPACITY: u64 = 10_000;

/// How long answers hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachePolicy {
    /// An answer is given again without asking.
    pub fresh: Duration,
    /// The answer that there is no such tenant is given again without asking. Short: somebody may
    /// be about to create it.
    pub negative: Duration,
    /// An old answer serves for when tenant-service cannot be asked.
    pub stale: Duration,
    /// After a failed question an old answer is given without asking again.
    pub pause: Duration,
}

impl Default for CachePolicy {
    fn default() -> Self {
        Self {
            fresh: Duration::from_secs(30),
            negative: Duration::from_secs(5),
            stale: Duration::from_hours(1),
            pause: Duration::from_secs(5),
        }
    }
}

/// Answers by key, each with its own time to live. One caller asks, the others wait for it.
pub(crate) struct Memory<K, V> {
    policy: CachePolicy,
    answers: Cache<K, Answer<V>>,
    /// What was last known to exist.
    known: Cache<K, V>,
    /// Counts forgetting. An answer that was on its way meanwhile may be from before the change,
    /// and is forgotten as soon as it is here.
    forgotten: AtomicU64,
}

#[derive(Clone)]
struct Answer<V> {
    value: Option<V>,
    holds: Duration,
}

struct PerAnswer;

impl<K, V> Expiry<K, Answer<V>> for PerAnswer {
    fn expire_after_create(&self, _: &K, answer: &Answer<V>, _: Instant) -> Option<Duration> {
        Some(answer.holds)
    }
}

impl<K, V> Memory<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(crate) fn new(policy: CachePolicy) -> Self {
        Self {
            policy,
            answers: Cache::builder()
                .max_capacity(CAPACITY)
                .expire_after(PerAnswer)
                .build(),
            known: Cache::builder()
                .max_capacity(CAPACITY)
                .time_to_live(policy.stale)
                .build(),
            forgotten: AtomicU64::new(0),
        }
    }

    /// The answer for `key`: remembered, or asked for, or the last one known if asking fails.
    pub(crate) async fn get(
        &self,
        key: &K,
        ask: impl Future<Output = Result<Option<V>, TenantClientError>>,
    ) -> Result<Option<V>, TenantClientError> {
        let before = self.forgotten.load(Ordering::SeqCst);
        let answer = self
            .answers
            .try_get_with_by_ref(key, self.load(key, ask))
            .await;
        if self.forgotten.load(Ordering::SeqCst) != before {
            self.answers.invalidate(key).await;
            self.known.invalidate(key).await;
        }
        answer.map(|answer| answer.value).map_err(|error| *error)
    }

    /// What is remembered, also if it is old, and whether it is time to ask again.
    pub(crate) async fn peek(&self, key: &K) -> (Option<V>, bool) {
        match self.answers.get(key).await {
            Some(answer) => (answer.value, false),
            None => (self.known.get(key).await, true),
        }
    }

    async fn load(
        &self,
        key: &K,
        ask: impl Future<Output = Result<Option<V>, TenantClientError>>,
    ) -> Result<Answer<V>, TenantClientError> {
        let (value, holds) = match ask.await {
            Ok(Some(value)) => {
                self.known.insert(key.clone(), value.clone()).await;
                (Some(value), self.policy.fresh)
            }
            Ok(None) => {
                self.known.invalidate(key).await;
                (None, self.policy.negative)
            }
            Err(error) => {
                let value = self.known.get(key).await.ok_or(error)?;
                tracing::warn!(%error, "an old answer of tenant-service is used");
                (Some(value), self.policy.pause)
            }
        };
        Ok(Answer { value, holds })
    }

    /// Forgets the keys that `concerns` picks, old answers too: what is known to have changed must
    /// not serve again, not even while tenant-service cannot be asked.
    pub(crate) async fn forget(&self, concerns: impl Fn(&K, Option<&V>) -> bool) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        let answers = self.answers.iter().map(|(key, answer)| (key, answer.value));
        let known = self.known.iter().map(|(key, value)| (key, Some(value)));
        let keys: Vec<_> = answers
            .chain(known)
            .filter(|(key, value)| concerns(key, value.as_ref()))
            .map(|(key, _)| key)
            .collect();
        for key in keys {
            self.answers.invalidate(&*key).await;
            self.known.invalidate(&*key).await;
        }
    }
}
