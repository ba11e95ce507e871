//! How long an operator's command waits for others, and others for it.

use std::time::Duration;

use clap::Args;
use diesel::{Connection as _, PgConnection};
use portal_operations::{Limits, OperationError, patiently};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Patience {
    /// Milliseconds to wait for a lock in one try; everybody who wants the table waits meanwhile.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=600_000))]
    lock_timeout_ms: u32,
    /// Seconds to try again when a lock is in the way, with rests between; 0: one try.
    #[arg(long, default_value_t = 60)]
    lock_retry_seconds: u32,
    /// Seconds for one statement; 0: without end.
    #[arg(long, default_value_t = 900)]
    statement_timeout_seconds: u32,
    /// Seconds until the server ends a transaction in which this command asks nothing; 0: never.
    #[arg(long, default_value_t = 60)]
    idle_timeout_seconds: u32,
}

impl Patience {
    /// For the log of operations.
    pub(crate) fn json(self) -> Value {
        json!({
            "lock_timeout_ms": self.lock_timeout_ms,
            "lock_retry_seconds": self.lock_retry_seconds,
            "statement_timeout_seconds": self.statement_timeout_seconds,
            "idle_timeout_seconds": self.idle_timeout_seconds,
        })
    }

    /// Does `work`, a transaction, again while a lock is in its way; waits are told on standard error.
    pub(crate) fn run<T, E: From<OperationError> + std::fmt::Display>(
        self,
        conn: &mut PgConnection,
        url: &SecretString,
        work: impl FnMut(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        with_limits(conn, url, &self.limits(), work)
    }

    pub(crate) fn limits(self) -> Limits {
        let seconds = |number: u32| Duration::from_secs(number.into());
        Limits {
            lock_timeout: Duration::from_millis(self.lock_timeout_ms.into()),
            statement_timeout: seconds(self.statement_timeout_seconds),
            idle_timeout: seconds(self.idle_timeout_seconds),
            retry_for: seconds(self.lock_retry_seconds),
        }
    }
}

/// As [`Patience::run`], with limits of the command's own.
pub(crate) fn with_limits<T, E: From<OperationError> + std::fmt::Display>(
    conn: &mut PgConnection,
    url: &SecretString,
    limits: &Limits,
    work: impl FnMut(&mut PgConnection) -> Result<T, E>,
) -> Result<T, E> {
    let another = || PgConnection::establish(url.expose_secret());
    patiently(conn, limits, &another, |wait| eprintln!("{wait}"), work)
}
