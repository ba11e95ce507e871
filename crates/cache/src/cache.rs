//! Reading and writing typed values.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::{self, Cmd, FromRedisValue, Script};
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::link::{Link, Repeat};
use crate::{CacheError, Key, lock, rate};

/// KEYS\[1\] key; ARGV\[1\] what must be there; ARGV\[2\] what takes its place; ARGV\[3\] for how many
/// milliseconds. Answers the number of keys written.
const REPLACE: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  return 1
end
return 0
";

/// The cache of a process. Cheap to clone; all clones share one connection.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

struct Inner {
    link: Link,
    prefix: String,
    take_tokens: Script,
    take_up_to: Script,
    unlock: Script,
    replace: Script,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

impl Cache {
    /// Makes a cache for `redis.url` whose keys all begin with `key_prefix` (may be empty).
    ///
    /// Nothing is connected yet, so this does not fail when Redis is down; the only error is
    /// [`CacheError::Config`] for a text that is no Redis URL. Call it on the main runtime: the
    /// connection will live there.
    pub fn connect(url: &SecretString, key_prefix: &str) -> Result<Self, CacheError> {
        Ok(Self {
            inner: Arc::new(Inner {
                link: Link::new(url)?,
                prefix: key_prefix.to_owned(),
                take_tokens: Script::new(rate::TAKE_TOKENS),
                take_up_to: Script::new(rate::TAKE_UP_TO),
                unlock: Script::new(lock::UNLOCK),
                replace: Script::new(REPLACE),
            }),
        })
    }

    /// Whether Redis answers; for health reports.
    pub async fn ping(&self) -> Result<(), CacheError> {
        self.command::<()>(Repeat::Safe, &redis::cmd("PING")).await
    }

    /// The value under `key`, if there is one.
    pub async fn get<V: DeserializeOwned>(&self, key: &Key<V>) -> Result<Option<V>, CacheError> {
        let mut command = redis::cmd("GET");
        command.arg(self.full(key));
        decode(self.command(Repeat::Safe, &command).await?)
    }

    /// The values under `keys`, in their order and in one round trip.
    pub async fn get_many<V: DeserializeOwned>(
        &self,
        keys: &[Key<V>],
    ) -> Result<Vec<Option<V>>, CacheError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("MGET");
        for key in keys {
            command.arg(self.full(key));
        }
        let stored: Vec<Option<Vec<u8>>> = self.command(Repeat::Safe, &command).await?;
        stored.into_iter().map(decode).collect()
    }

    /// Stores `value` under `key` for `ttl` (at least a millisecond), replacing what was there.
    pub async fn set_with_ttl<V: Serialize>(
        &self,
        key: &Key<V>,
        value: &V,
        ttl: Duration,
    ) -> Result<(), CacheError> {
        let mut command = redis::cmd("SET");
        command
            .arg(self.full(key))
            .arg(encode(value)?)
            .arg("PX")
            .arg(millis(ttl));
        self.command(Repeat::Safe, &command).await
    }

    /// Stores `value` under `key` for `ttl` if nothing is there; whether it was stored.
    pub async fn set_nx<V: Serialize>(
        &self,
        key: &Key<V>,
        value: &V,
        ttl: Duration,
    ) -> Result<bool, CacheError> {
        let mut command = redis::cmd("SET");
        command
            .arg(self.full(key))
            .arg(encode(value)?)
            .arg("NX")
            .arg("PX")
            .arg(millis(ttl));
        let stored: Option<String> = self.command(Repeat::Never, &command).await?;
        Ok(stored.is_some())
    }

    /// Puts `new` in the place of `old` for `ttl`; false if something else is there, or nothing.
    pub async fn replace<V: Serialize>(
        &self,
        key: &Key<V>,
        old: &V,
        new: &V,
        ttl: Duration,
    ) -> Result<bool, CacheError> {
        let millis = millis(ttl).to_string().into_bytes();
        let arguments = [encode(old)?, encode(new)?, millis];
        let keys = [self.full(key)];
        let written: u64 = self.script(&self.inner.replace, &keys, &arguments).await?;
        Ok(written == 1)
    }

    /// Removes the value under `key` and answers it; of several callers at once one gets it.
    pub async fn take<V: DeserializeOwned>(&self, key: &Key<V>) -> Result<Option<V>, CacheError> {
        let mut command = redis::cmd("GETDEL");
        command.arg(self.full(key));
        decode(self.command(Repeat::Never, &command).await?)
    }

    /// Removes `key`. It is no error if there is none.
    pub async fn delete<V>(&self, key: &Key<V>) -> Result<(), CacheError> {
        self.delete_many(std::slice::from_ref(key)).await
    }

    /// Removes all of `keys`, in one round trip.
    pub async fn delete_many<V>(&self, keys: &[Key<V>]) -> Result<(), CacheError> {
        if keys.is_empty() {
            return Ok(());
        }
        // UNLINK frees the memory in the background.
        let mut command = redis::cmd("UNLINK");
        for key in keys {
            command.arg(self.full(key));
        }
        self.command(Repeat::Safe, &command).await
    }

    /// Whether there is a value under `key`.
    pub async fn exists<V>(&self, key: &Key<V>) -> Result<bool, CacheError> {
        self.exists_any(std::slice::from_ref(key)).await
    }

    /// Whether there is a value under at least one of `keys`, in one round trip.
    pub async fn exists_any<V>(&self, keys: &[Key<V>]) -> Result<bool, CacheError> {
        if keys.is_empty() {
            return Ok(false);
        }
        let mut command = redis::cmd("EXISTS");
        for key in keys {
            command.arg(self.full(key));
        }
        let found: u64 = self.command(Repeat::Safe, &command).await?;
        Ok(found > 0)
    }

    pub(crate) fn full<V>(&self, key: &Key<V>) -> String {
        format!("{}{}", self.inner.prefix, key.name())
    }

    pub(crate) async fn command<T: FromRedisValue>(
        &self,
        repeat: Repeat,
        command: &Cmd,
    ) -> Result<T, CacheError> {
        self.inner
            .link
            .run(repeat, |mut connection| async move {
                command.query_async(&mut connection).await
            })
            .await
    }

    pub(crate) async fn take_tokens_script<T: FromRedisValue>(
        &self,
        keys: &[String],
        arguments: &[f64],
    ) -> Result<T, CacheError> {
        self.script(&self.inner.take_tokens, keys, arguments).await
    }

    pub(crate) async fn take_up_to_script<T: FromRedisValue>(
        &self,
        keys: &[String],
        arguments: &[f64],
    ) -> Result<T, CacheError> {
        self.script(&self.inner.take_up_to, keys, arguments).await
    }

    pub(crate) async fn unlock_script<T: FromRedisValue>(
        &self,
        key: &str,
        token: &str,
    ) -> Result<T, CacheError> {
        self.script(&self.inner.unlock, &[key], &[token]).await
    }

    async fn script<K: redis::ToRedisArgs, A: redis::ToRedisArgs, T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[K],
        arguments: &[A],
    ) -> Result<T, CacheError> {
        let mut invocation = script.prepare_invoke();
        for key in keys {
            invocation.key(key);
        }
        for argument in arguments {
            invocation.arg(argument);
        }
        let invocation = &invocation;
        self.inner
            .link
            .run(Repeat::Never, |mut connection| async move {
                invocation.invoke_async(&mut connection).await
            })
            .await
    }
}

fn encode<V: Serialize>(value: &V) -> Result<Vec<u8>, CacheError> {
    serde_json::to_vec(value).or(Err(CacheError::Decode))
}

fn decode<V: DeserializeOwned>(stored: Option<Vec<u8>>) -> Result<Option<V>, CacheError> {
    stored
        .map(|bytes| serde_json::from_slice(&bytes).or(Err(CacheError::Decode)))
        .transpose()
}

/// Redis refuses a time to live of zero.
pub(crate) fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis())
        .unwrap_or(u64::MAX)
        .clamp(1, i64::MAX.unsigned_abs() / 2)
}
