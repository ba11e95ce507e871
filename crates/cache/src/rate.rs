//! Token buckets that all replicas share.

use std::time::Duration;

use crate::{Cache, CacheError, Key};

/// The slowest refill that is kept, one token a day; slower or senseless values are raised to it.
const SLOWEST_REFILL_PER_SECOND: f64 = 1.0 / 86_400.0;

/// Takes one token of every bucket, or none if one of them is empty. The clock is that of Redis, so
/// replicas need not agree on the time. Times are in microseconds; `%.0f` keeps all their digits,
/// Lua's own conversion does not.
///
/// KEYS buckets; ARGV capacity and tokens per second of each.
/// Answers two numbers for each: whole tokens left, microseconds until there is a token (0: there
/// was one).
pub(crate) const TAKE_TOKENS: &str = r"
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local buckets = {}
local take = 1
for i, key in ipairs(KEYS) do
  local capacity = tonumber(ARGV[2 * i - 1])
  local rate = tonumber(ARGV[2 * i]) / 1000000
  local stored = redis.call('HMGET', key, 'tokens', 'at')
  local tokens = tonumber(stored[1]) or capacity
  local at = tonumber(stored[2]) or now
  tokens = math.min(capacity, tokens + math.max(0, now - at) * rate)
  if tokens < 1 then take = 0 end
  buckets[i] = {capacity, rate, tokens}
end
local answer = {}
for i, key in ipairs(KEYS) do
  local capacity, rate, tokens = unpack(buckets[i])
  local wait = 0
  if tokens < 1 then wait = math.max(1, math.ceil((1 - tokens) / rate)) end
  tokens = tokens - take
  redis.call('HSET', key, 'tokens', string.format('%.9f', tokens), 'at', string.format('%.0f', now))
  redis.call('PEXPIRE', key, math.ceil((capacity - tokens) / rate / 1000) + 1000)
  answer[2 * i - 1] = math.floor(tokens)
  answer[2 * i] = wait
end
return answer
";

/// Takes up to the wanted number of tokens of each bucket, whatever the others have.
///
/// KEYS buckets; ARGV capacity, tokens per second and wanted tokens of each.
/// Answers two numbers for each: tokens taken, microseconds until there is one more (0: there is).
pub(crate) const TAKE_UP_TO: &str = r"
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local answer = {}
for i, key in ipairs(KEYS) do
  local capacity = tonumber(ARGV[3 * i - 2])
  local rate = tonumber(ARGV[3 * i - 1]) / 1000000
  local wanted = tonumber(ARGV[3 * i])
  local stored = redis.call('HMGET', key, 'tokens', 'at')
  local tokens = tonumber(stored[1]) or capacity
  local at = tonumber(stored[2]) or now
  tokens = math.min(capacity, tokens + math.max(0, now - at) * rate)
  local taken = math.min(wanted, math.floor(tokens))
  tokens = tokens - taken
  local wait = 0
  if tokens < 1 then wait = math.max(1, math.ceil((1 - tokens) / rate)) end
  redis.call('HSET', key, 'tokens', string.format('%.9f', tokens), 'at', string.format('%.0f', now))
  redis.call('PEXPIRE', key, math.ceil((capacity - tokens) / rate / 1000) + 1000)
  answer[2 * i - 1] = taken
  answer[2 * i] = wait
end
return answer
";

/// A token bucket: it holds up to `capacity` tokens and regains `refill_per_second`.
///
/// A bucket that has not been used (or was lost with Redis) is full.
#[derive(Debug, Clone)]
pub struct RateBucket {
    pub(crate) key: Key<RateBucket>,
    pub(crate) capacity: u32,
    pub(crate) refill_per_second: f64,
}

/// What a bucket said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// A token was there.
    Allowed {
        /// Whole tokens left.
        remaining: u32,
    },
    /// There was no token, and none was taken, of other buckets neither.
    Denied {
        /// When there will be one, if nobody else takes it.
        retry_after: Duration,
    },
}

/// What was taken out of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Tokens that the caller has now.
    pub tokens: u32,
    /// When there will be one more, if nobody else takes it; zero if there is one.
    pub next_in: Duration,
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
        let rates = self.take_tokens(std::slice::from_ref(bucket)).await?;
        rates.first().copied().ok_or(CacheError::Decode)
    }

    /// Takes one token out of each of `buckets`, in one round trip; if one of them is empty none is
    /// taken of any. Answers for each in their order.
    pub async fn take_tokens(&self, buckets: &[RateBucket]) -> Result<Vec<Rate>, CacheError> {
        let keys: Vec<String> = buckets
            .iter()
            .map(|bucket| self.full(&bucket.key))
            .collect();
        let arguments: Vec<f64> = buckets
            .iter()
            .flat_map(|bucket| [f64::from(bucket.capacity), bucket.refill_per_second])
            .collect();
        let numbers: Vec<u64> = self.take_tokens_script(&keys, &arguments).await?;
        let rates: Vec<Rate> = numbers
            .chunks_exact(2)
            .map(|pair| match *pair {
                [remaining, 0] => Rate::Allowed {
                    remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
                },
                [_, wait] => Rate::Denied {
                    retry_after: Duration::from_micros(wait),
                },
                _ => Rate::Allowed { remaining: 0 },
            })
            .collect();
        if rates.len() == buckets.len() {
            Ok(rates)
        } else {
            Err(CacheError::Decode)
        }
    }

    /// Takes up to the wanted number of tokens out of each bucket, in one round trip and each for
    /// itself. Answers in their order.
    pub async fn take_up_to(&self, wanted: &[(RateBucket, u32)]) -> Result<Vec<Taken>, CacheError> {
        let keys: Vec<String> = wanted
            .iter()
            .map(|(bucket, _)| self.full(&bucket.key))
            .collect();
        let arguments: Vec<f64> = wanted
            .iter()
            .flat_map(|(bucket, wanted)| {
                let capacity = f64::from(bucket.capacity);
                [capacity, bucket.refill_per_second, f64::from(*wanted)]
            })
            .collect();
        let numbers: Vec<u64> = self.take_up_to_script(&keys, &arguments).await?;
        let taken: Vec<Taken> = numbers
            .chunks_exact(2)
            .filter_map(|pair| {
                let (tokens, wait) = (pair.first()?, pair.get(1)?);
                Some(Taken {
                    tokens: u32::try_from(*tokens).ok()?,
                    next_in: Duration::from_micros(*wait),
                })
            })
            .collect();
        if taken.len() == wanted.len() {
            Ok(taken)
        } else {
            Err(CacheError::Decode)
        }
    }
}
