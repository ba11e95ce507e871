//! Redis: values that may be lost at any moment, rate buckets and locks.
//!
//! Everything here is short-lived and can be rebuilt; the truth is in `PostgreSQL`. Every call
//! is bounded to [`DEADLINE`], connecting included, and a caller decides what an unreachable Redis
//! means for it ([`CacheError::Unavailable`], [`CacheError::Timeout`]).
//!
//! Keys are typed ([`Key`]): what is written under a key is what is read from it. All keys of a
//! process begin with its `redis.key_prefix`, those of a tenant go on with `t:<tenant>:`.

#![warn(missing_docs)]

mod cache;
mod error;
mod key;
mod limit;
mod link;
mod lock;
mod rate;

pub use cache::Cache;
pub use error::CacheError;
pub use key::Key;
pub use limit::{Counted, Limit, Limiter, Quota, Turn};
pub use link::DEADLINE;
pub use lock::{LockGuard, LockKey};
pub use rate::{Rate, RateBucket, Taken};
