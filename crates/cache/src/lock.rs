//! Locks between replicas.

use std::time::Duration;

use deadpool_redis::redis;
use uuid::Uuid;

use crate::cache::millis;
use crate::link::Repeat;
use crate::{Cache, CacheError, Key};

/// Deletes the lock only while it is still ours.
///
/// KEYS\[1\] lock; ARGV\[1\] token of the holder. Answers the number of locks removed.
pub(crate) const UNLOCK: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
";

/// What a lock's key is bound to.
pub type LockKey = Key<LockGuard>;

/// A held lock. Dropping it without [`LockGuard::release`] leaves it held until it expires.
///
/// It saves work that is done twice; it must not be all that prevents wrong results, since it can
/// expire while its holder still works, and is lost with Redis.
#[must_use = "the lock stays held until it is released or expires"]
pub struct LockGuard {
    cache: Cache,
    key: String,
    token: String,
}

impl LockGuard {
    /// Gives the lock back; `false` if it had expired (and somebody else may hold it).
    pub async fn release(self) -> Result<bool, CacheError> {
        let removed: u64 = self.cache.unlock_script(&self.key, &self.token).await?;
        Ok(removed == 1)
    }
}

impl std::fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LockGuard").finish_non_exhaustive()
    }
}

impl Cache {
    /// Takes the lock for `ttl`, or answers `None` at once when somebody holds it.
    pub async fn try_lock(
        &self,
        key: &LockKey,
        ttl: Duration,
    ) -> Result<Option<LockGuard>, CacheError> {
        let (key, token) = (self.full(key), Uuid::new_v4().to_string());
        let mut command = redis::cmd("SET");
        command
            .arg(&key)
            .arg(&token)
            .arg("NX")
            .arg("PX")
            .arg(millis(ttl));
        let stored: Option<String> = self.command(Repeat::Never, &command).await?;
        Ok(stored.map(|_| LockGuard {
            cache: self.clone(),
            key,
            token,
        }))
    }
}
