//! What can go wrong with the cache.

use deadpool_redis::PoolError;
use deadpool_redis::redis::{ErrorKind, RedisError};

/// Failure of a cache operation. No variant carries a key, a value or the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// The configuration cannot be used; the process should not start.
    #[error("{key}: {problem}")]
    Config {
        /// The configuration key to correct.
        key: &'static str,
        /// What is wrong and how to put it right.
        problem: &'static str,
    },
    /// Redis cannot be reached or refuses to work; whether a write took place is not known.
    #[error("redis is unavailable ({reason})")]
    Unavailable {
        /// A word for logs from a small closed set.
        reason: &'static str,
    },
    /// No answer within [`crate::DEADLINE`]; whether a write took place is not known.
    #[error("redis did not answer in time")]
    Timeout,
    /// The stored value is not of the type that the key promises, or cannot be written as JSON.
    #[error("a cached value has an unexpected form")]
    Decode,
}

impl From<RedisError> for CacheError {
    fn from(error: RedisError) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        match error.kind() {
            ErrorKind::UnexpectedReturnType | ErrorKind::Parse => Self::Decode,
            ErrorKind::AuthenticationFailed => Self::Unavailable {
                reason: "credentials refused",
            },
            _ if error.is_connection_refusal() => Self::Unavailable {
                reason: "connection refused",
            },
            _ if error.is_io_error() => Self::Unavailable {
                reason: "connection lost",
            },
            // The server's own text may repeat arguments of the command, so it goes no further.
            _ => Self::Unavailable {
                reason: "refused by the server",
            },
        }
    }
}

impl From<PoolError> for CacheError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Timeout(_) => Self::Timeout,
            PoolError::Backend(error) => error.into(),
            PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                Self::Unavailable {
                    reason: "connection pool closed",
                }
            }
        }
    }
}
