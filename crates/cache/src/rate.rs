//! Token buckets that all replicas share.

use std::time::Duration;

use crate::{Cache, CacheError, Key};

/// The slowest refill that is kept, one token a day; slower or senseless values are raised to it.
const SLOWEST_REFILL_PER_SECOND: f64 = 1.0 / 86_400.0;

/// Takes one token. The clock is that of Redis, so replicas need not agree on the time.
/// Times are in microseconds; `%.0f` keeps all their digits, Lua's own conversion does not.
///
/// KEYS\[1\] bucket; ARGV\[1\] capacity, ARGV\[2\] tokens per second.
/// Answers {1, whole tokens left} or {0, microseconds until there is a token}.
pub(crate) const TAKE_TOKEN: &str = r"
local capacity = tonumber(ARGV[1])
local rate = tonumber(ARGV[2]) / 1000000
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local stored = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(stored[1]) or capacity
local at = tonumber(stored[2]) or now
tokens = math.min(capacity, tokens + math.max(0, now - at) * rate)
local answer
if tokens >= 1 then
  tokens = tokens - 1
  answer = {1, math.floor(tokens)}
else
  answer = {0, math.ceil((1 - tokens) / rate)}
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.9f', tokens), 'at', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil((capacity - tokens) / rate / 1000) + 1000)
return answer
";

/// A token bucket: it holds up to `capacity` tokens and regains `refill_per_second`.
///
/// A bucket that has not been used (or was lost with Redis) is full.
#[derive(Debug, Clone)]
pub struct RateBucket {
    key: Key<RateBucket>,
    capacity: u32,
    refill_per_second: f64,
}

/// What a bucket said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// A token was taken.
    Allowed {
        /// Whole tokens left.
        remaining: u32,
    },
    /// There was no token, and none was taken.
    Denied {
        /// When there will be one, if nobody else takes it.
        retry_after: Duration,
    },
}

impl RateBucket {
    /// A bucket of at least one token. A refill slower than one token a day, or not a number, is
    /// raised to one token a day.
    pub fn new(key: Key<RateBucket>, capacity: u32, refill_per_second: f64) -> Self {
        Self {
            key,
            capacity: capacity.max(1),
            refill_per_second: refill_per_second.max(SLOWEST_REFILL_PER_SECOND),
        }
    }
}

impl Cache {
    /// Takes one token out of `bucket`, if it has one.
    pub async fn take_token(&self, bucket: &RateBucket) -> Result<Rate, CacheError> {
        let arguments = [f64::from(bucket.capacity), bucket.refill_per_second];
        let (allowed, number): (bool, u64) = self
            .take_token_script(&self.full(&bucket.key), &arguments)
            .await?;
        Ok(if allowed {
            Rate::Allowed {
                remaining: u32::try_from(number).unwrap_or(u32::MAX),
            }
        } else {
            Rate::Denied {
                retry_after: Duration::from_micros(number),
            }
        })
    }
}
