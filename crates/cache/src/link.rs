//! The one connection that all callers of a process share, and its replacement.
//!
//! Small commands over one multiplexed connection are three times as fast as over a pool that
//! hands out and checks a connection for each of them (measured: 66,000 against 20,000 requests a
//! second on two cores). So the pool only makes the connections, within its time-outs; this module
//! takes one out for good, shares it, and drops it at the first sign that it is broken.

use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{AsyncConnectionConfig, RedisError};
use deadpool_redis::{Connection, Manager, Pool, Runtime};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use crate::CacheError;

/// Longest time that one operation may take, reconnecting included.
pub const DEADLINE: Duration = Duration::from_millis(500);

/// Whether a command may be sent again when its connection broke before the answer came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Doing it twice is the same as doing it once.
    Safe,
    /// The first try may have had its effect: the caller learns that it is unknown.
    Never,
}

pub(crate) struct Link {
    pool: Pool,
    /// A connection lives on the runtime that made it. Actix workers have one each and end it when
    /// they stop, so the connection is made on the runtime that the cache was made on.
    home: Option<Handle>,
    current: RwLock<Option<Arc<MultiplexedConnection>>>,
    /// Held while connecting, so that a broken connection is replaced once and not once per caller.
    connecting: Mutex<()>,
}

impl Link {
    pub(crate) fn new(url: &SecretString) -> Result<Self, CacheError> {
        let bad_url = CacheError::Config {
            key: "redis.url",
            problem: "not a Redis URL; write redis://[user:password@]host:port[/db] (rediss:// for TLS)",
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(DEADLINE))
            .set_response_timeout(Some(DEADLINE));
        // The library's error repeats the URL with its password.
        let manager =
            Manager::new_with_config(url.expose_secret(), config).or(Err(bad_url.clone()))?;
        let pool = Pool::builder(manager)
            .max_size(1)
            .wait_timeout(Some(DEADLINE))
            .create_timeout(Some(DEADLINE))
            .runtime(Runtime::Tokio1)
            .build()
            .or(Err(bad_url))?;
        Ok(Self {
            pool,
            home: Handle::try_current().ok(),
            current: RwLock::new(None),
            connecting: Mutex::new(()),
        })
    }

    /// Runs `operation` on the shared connection within [`DEADLINE`].
    pub(crate) async fn run<T, F, Fut>(&self, repeat: Repeat, operation: F) -> Result<T, CacheError>
    where
        F: Fn(MultiplexedConnection) -> Fut,
        Fut: Future<Output = Result<T, RedisError>>,
    {
        let mut at_work = None;
        let tries = async {
            let mut may_repeat = repeat == Repeat::Safe;
            loop {
                let connection = at_work.insert(self.connection().await?);
                match operation(MultiplexedConnection::clone(connection)).await {
                    Ok(value) => return Ok(value),
                    Err(error) if error.is_timeout() => return Err(CacheError::Timeout),
                    Err(error) if error.is_unrecoverable_error() => {
                        self.discard(connection, "lost");
                        if !may_repeat {
                            return Err(error.into());
                        }
                        may_repeat = false;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        let result = tokio::time::timeout(DEADLINE, tries).await;
        let result = result.unwrap_or(Err(CacheError::Timeout));
        // A connection that does not answer may be half open, and would cost every caller the
        // whole deadline for as long as it is kept.
        if let (Err(CacheError::Timeout), Some(silent)) = (&result, &at_work) {
            self.discard(silent, "silent");
        }
        result
    }

    async fn connection(&self) -> Result<Arc<MultiplexedConnection>, CacheError> {
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let _only_one = self.connecting.lock().await;
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let connection = Arc::new(self.connect().await?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) =
            Some(Arc::clone(&connection));
        Ok(connection)
    }

    async fn connect(&self) -> Result<MultiplexedConnection, CacheError> {
        let pool = self.pool.clone();
        let made = async move { pool.get().await.map(Connection::take) };
        let Some(home) = &self.home else {
            return Ok(made.await?);
        };
        match home.spawn(made).await {
            Ok(connection) => Ok(connection?),
            Err(_ended) => Err(CacheError::Unavailable {
                reason: "runtime shut down",
            }),
        }
    }

    fn current(&self) -> Option<Arc<MultiplexedConnection>> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes `broken` out of use, unless another caller has replaced it already.
    fn discard(&self, broken: &Arc<MultiplexedConnection>, why: &'static str) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|now| Arc::ptr_eq(now, broken)) {
            *current = None;
            tracing::warn!(why, "the connection to redis is replaced");
        }
    }
}
