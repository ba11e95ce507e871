//! Tokens that ended before their time: by session, by person, by tenant, by API key.
//!
//! The list lives in Redis, for as long as a token may still be valid; the truth (session rows,
//! tenant status) is in the database. A mark stands in Redis while the list there is whole: without
//! it, or without Redis, the list knows who has ended but not who has not.

use std::{fmt, time::Duration};

use moka::future::Cache as Remembered;
use opentelemetry::{KeyValue, metrics::Counter};
use portal_cache::{Cache, CacheError, Key};
use portal_types::{SessionId, TenantId, UserId};
use uuid::Uuid;

/// Everything that was ever issued.
const FOR_EVER: i64 = i64::MAX;

/// Whose tokens end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RevocationSubject {
    /// One session.
    Session(SessionId),
    /// All sessions of a person.
    User(UserId),
    /// All sessions of a tenant.
    Tenant(TenantId),
    /// An API key of a tenant.
    ApiKey(Uuid),
}

impl RevocationSubject {
    /// The key; its value is the second up to which issued tokens are refused.
    fn key(&self) -> Key<i64> {
        let (kind, id) = match self {
            Self::Session(id) => ("sid", id.to_string()),
            Self::User(id) => ("user", id.to_string()),
            Self::Tenant(id) => ("tenant", id.to_string()),
            Self::ApiKey(id) => ("api_key", id.to_string()),
        };
        Key::global("revoked", &[kind, &id])
    }
}

/// What the list says of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was not ended.
    Live,
    /// It was ended.
    Ended,
    /// The list cannot tell: Redis is away, or may have lost entries.
    Unknown,
}

/// How long the mark may stand; it falls with the list when Redis loses everything.
const MARK_LIFETIME: Duration = Duration::from_hours(24);
/// The mark of a list that is whole. Anything else there is a [`Rebuild`] under way.
const WHOLE: i64 = 1;

/// Stands in Redis from the beginning of a rebuild on, and as [`WHOLE`] while the list there is whole.
fn whole_mark() -> Key<i64> {
    Key::global("revocations-whole", &[])
}

/// A list that is being put together anew. What is lost meanwhile takes its sign in Redis along, so that
/// such a list is never called whole.
#[derive(Debug)]
#[must_use = "the list is not whole before the rebuild is finished"]
pub struct Rebuild(i64);

/// The revocation list; clones share it.
#[derive(Clone)]
pub struct Revocations {
    cache: Cache,
    keep: Duration,
    seen: Remembered<RevocationSubject, i64>,
    checks: Counter<u64>,
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations").finish_non_exhaustive()
    }
}

impl Revocations {
    /// `token_lifetime` is that of the longest-lived token the list is for.
    pub fn new(cache: Cache, token_lifetime: Duration) -> Self {
        // Longer than any token, with room for clocks that differ.
        let keep = token_lifetime + Duration::from_mins(1);
        Self {
            cache,
            keep,
            seen: Remembered::builder()
                .max_capacity(100_000)
                .time_to_live(keep)
                .build(),
            checks: opentelemetry::global::meter("portal-auth")
                .u64_counter("auth.revocation.checks")
                .with_description("Looks at the revocation list, by outcome")
                .build(),
        }
    }

    /// Ends one session.
    pub async fn revoke_session(&self, session: SessionId) -> Result<(), CacheError> {
        self.put(RevocationSubject::Session(session), FOR_EVER, self.keep)
            .await
    }

    /// Ends what was issued to a person up to and including the second `until`.
    pub async fn revoke_user(&self, user: UserId, until: i64) -> Result<(), CacheError> {
        self.put(RevocationSubject::User(user), until, self.keep)
            .await
    }

    /// Refuses an API key. What remembers valid keys forgets it meanwhile.
    pub async fn revoke_api_key(&self, key: Uuid) -> Result<(), CacheError> {
        self.put(RevocationSubject::ApiKey(key), FOR_EVER, self.keep)
            .await
    }

    /// Refuses a suspended or deleted tenant's tokens. New ones are not issued to such a tenant,
    /// so the entry need not outlive the old ones.
    pub async fn revoke_tenant(&self, tenant: &TenantId) -> Result<(), CacheError> {
        self.put(
            RevocationSubject::Tenant(tenant.clone()),
            FOR_EVER,
            self.keep,
        )
        .await
    }

    /// Takes a tenant's tokens again.
    pub async fn restore_tenant(&self, tenant: &TenantId) -> Result<(), CacheError> {
        let subject = RevocationSubject::Tenant(tenant.clone());
        self.cache.delete(&subject.key()).await?;
        self.seen.invalidate(&subject).await;
        Ok(())
    }

    /// Begins to put the list together anew: to be called before it is asked who has ended.
    pub async fn begin_rebuild(&self) -> Result<Rebuild, CacheError> {
        // Below zero: never the mark of a whole list, and never another's.
        let (random, _) = Uuid::new_v4().as_u64_pair();
        let sign = -i64::try_from(random >> 1).unwrap_or(i64::MAX) - 1;
        self.cache
            .set_with_ttl(&whole_mark(), &sign, self.keep)
            .await?;
        Ok(Rebuild(sign))
    }

    /// Says that everything that was ended and may still be presented was put on the list since the
    /// rebuild began. False when the list was lost meanwhile, or somebody else began to rebuild it.
    pub async fn mark_whole(&self, rebuild: Rebuild) -> Result<bool, CacheError> {
        let Rebuild(sign) = rebuild;
        self.cache
            .replace(&whole_mark(), &sign, &WHOLE, MARK_LIFETIME)
            .await
    }

    /// Whether the list is known to be whole.
    pub async fn is_whole(&self) -> bool {
        matches!(self.cache.get(&whole_mark()).await, Ok(Some(WHOLE)))
    }

    /// What the list says of a token issued at `issued_at` to these subjects; one round trip.
    pub async fn standing(&self, subjects: &[RevocationSubject], issued_at: u64) -> Standing {
        let issued_at = i64::try_from(issued_at).unwrap_or(i64::MAX);
        let mut keys: Vec<_> = subjects.iter().map(RevocationSubject::key).collect();
        keys.push(whole_mark());
        let (outcome, standing) = match self.cache.get_many(&keys).await {
            Ok(mut found) => {
                let is_whole = found.pop().flatten() == Some(WHOLE);
                let is_listed = self.note(subjects, found, issued_at, is_whole).await;
                match (is_listed, is_whole) {
                    (true, _) => ("ok", Standing::Ended),
                    (false, true) => ("ok", Standing::Live),
                    (false, false) => ("incomplete", Standing::Unknown),
                }
            }
            Err(error) => {
                tracing::warn!(%error, "revocations cannot be read");
                ("unavailable", Standing::Unknown)
            }
        };
        self.checks.add(1, &[KeyValue::new("outcome", outcome)]);
        standing
    }

    /// Remembers what was read; whether it ends the token.
    async fn note(
        &self,
        subjects: &[RevocationSubject],
        found: Vec<Option<i64>>,
        issued_at: i64,
        is_whole: bool,
    ) -> bool {
        let mut is_ended = false;
        for (subject, until) in subjects.iter().zip(found) {
            if let Some(until) = until {
                is_ended |= issued_at <= until;
                self.seen.insert(subject.clone(), until).await;
            } else if is_whole && self.seen.contains_key(subject) {
                self.seen.invalidate(subject).await;
            }
        }
        is_ended
    }

    /// Whether this process has seen the token's end on the list: the last resort, when neither
    /// the list nor the database can be asked.
    pub async fn has_seen_end(&self, subjects: &[RevocationSubject], issued_at: u64) -> bool {
        let issued_at = i64::try_from(issued_at).unwrap_or(i64::MAX);
        for subject in subjects {
            let until = self.seen.get(subject).await;
            if until.is_some_and(|until| issued_at <= until) {
                return true;
            }
        }
        false
    }

    async fn put(
        &self,
        subject: RevocationSubject,
        until: i64,
        keep: Duration,
    ) -> Result<(), CacheError> {
        let stored = self.cache.set_with_ttl(&subject.key(), &until, keep).await;
        // Also when Redis is down: this process at least keeps to it.
        self.seen.insert(subject, until).await;
        stored
    }
}
