//! Tokens that ended before their time: by session, by person, by tenant, by administrator.
//!
//! The list lives in Redis, for as long as a token may still be valid; the truth (session rows,
//! tenant status) is in the database. When Redis is down, requests go on with what this process
//! already knows: tokens live for minutes only.

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
    /// All sessions of a platform administrator.
    Admin(Uuid),
}

impl RevocationSubject {
    /// The key; its value is the second up to which issued tokens are refused.
    fn key(&self) -> Key<i64> {
        let (kind, id) = match self {
            Self::Session(id) => ("sid", id.to_string()),
            Self::User(id) => ("user", id.to_string()),
            Self::Tenant(id) => ("tenant", id.to_string()),
            Self::Admin(id) => ("admin", id.to_string()),
        };
        Key::global("revoked", &[kind, &id])
    }
}

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

    /// Ends what was issued to a platform administrator up to and including the second `until`.
    pub async fn revoke_admin(&self, admin: Uuid, until: i64) -> Result<(), CacheError> {
        self.put(RevocationSubject::Admin(admin), until, self.keep)
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

    /// Whether a token issued at `issued_at` to these subjects has been ended; one round trip.
    pub async fn is_revoked(&self, subjects: &[RevocationSubject], issued_at: u64) -> bool {
        let issued_at = i64::try_from(issued_at).unwrap_or(i64::MAX);
        let keys: Vec<_> = subjects.iter().map(RevocationSubject::key).collect();
        match self.cache.get_many(&keys).await {
            Ok(found) => {
                self.checks.add(1, &[KeyValue::new("outcome", "ok")]);
                let mut revoked = false;
                for (subject, until) in subjects.iter().zip(found) {
                    if let Some(until) = until {
                        revoked |= issued_at <= until;
                        self.seen.insert(subject.clone(), until).await;
                    } else if self.seen.contains_key(subject) {
                        self.seen.invalidate(subject).await;
                    }
                }
                revoked
            }
            Err(error) => {
                self.checks
                    .add(1, &[KeyValue::new("outcome", "unavailable")]);
                tracing::warn!(%error, "revocations cannot be read; using what is known here");
                self.is_known_revoked(subjects, issued_at).await
            }
        }
    }

    async fn is_known_revoked(&self, subjects: &[RevocationSubject], issued_at: i64) -> bool {
        for subject in subjects {
            if self
                .seen
                .get(subject)
                .await
                .is_some_and(|until| issued_at <= until)
            {
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
