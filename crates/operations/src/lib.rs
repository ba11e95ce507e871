//! What operators do to a whole database: one operation at a time, each in a log.
//!
//! Works in any database, also one that has none of our tables: the log is a table of the tool's own,
//! [`TABLE`], which no migration makes. Whoever compares catalogues leaves tables out whose names begin
//! with two underscores.
#![warn(missing_docs)]

mod exit;
mod lock;
mod log;
mod patience;

use std::time::Duration;

use diesel::{PgConnection, RunQueryDsl as _, sql_types::Text};
use serde_json::Value;

pub use exit::Exit;
pub use log::{Outcome, Recorded, note, recent};
pub use patience::{Limits, patiently};

/// The log.
pub const TABLE: &str = "public.__portal_operations";

/// Why an operation did not begin, or gave up.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// Another operation is under way.
    #[error(
        "another operation is under way: {holder}; nothing was changed, try again when it has ended"
    )]
    Busy {
        /// Its command, operator, host, since when, and process of the server.
        holder: String,
    },
    /// Somebody held a lock for longer than was to be waited.
    #[error(
        "a lock was held for longer than was to be waited, by {holder}: wait until they have ended, or end \
         them with pg_terminate_backend, and try again ({error})"
    )]
    Locked {
        /// Application name, user, since when, and process of the server.
        holder: String,
        /// What the last try ended with.
        error: String,
    },
    /// The database refused the log.
    #[error(
        "the operation log cannot be written ({TABLE}; to make it the login needs CREATE on the schema public): {0}"
    )]
    Log(#[from] diesel::result::Error),
}

/// What is to be done, and by whom.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Such as `db migrate`.
    pub command: &'static str,
    /// Its arguments, without secrets.
    pub arguments: Value,
    /// The operator's name.
    pub operator: String,
    /// The machine that the operator works on.
    pub host: String,
}

impl Operation {
    /// An operation by whoever is logged in here.
    pub fn here(command: &'static str, arguments: Value) -> Self {
        let login = ["SUDO_USER", "USER", "LOGNAME"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()));
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .ok()
            .map(|name| name.trim().to_owned())
            .or_else(|| std::env::var("HOSTNAME").ok())
            .filter(|name| !name.is_empty());
        Self {
            command,
            arguments,
            operator: login.unwrap_or_else(|| "unknown".to_owned()),
            host: host.unwrap_or_else(|| "unknown".to_owned()),
        }
    }
}

/// Does `work` while no other operation does anything, and logs it: begun before, ended after.
///
/// `work` gives what it found and its details for the log, which hold no secrets. The lock is the connection's,
/// so the end of a killed process frees it; what such a process had begun is then logged as interrupted.
///
/// `wait` is how long to wait for another operation to end; `tell` hears once who that is.
pub fn run<T, E: From<OperationError> + std::fmt::Display>(
    conn: &mut PgConnection,
    operation: &Operation,
    wait: Duration,
    tell: impl FnOnce(&str),
    work: impl FnOnce(&mut PgConnection) -> Result<(T, Value), E>,
) -> Result<T, E> {
    introduce(conn, operation).map_err(OperationError::from)?;
    lock::take(conn, wait, tell)?;
    let id = match log::begin(conn, operation) {
        Ok(id) => id,
        Err(error) => {
            lock::release(conn);
            return Err(OperationError::Log(error).into());
        }
    };
    let done = work(conn);
    let ended = match &done {
        Ok((_, details)) => log::end(conn, id, Outcome::Succeeded, details),
        Err(error) => {
            let details = serde_json::json!({ "error": format!("{error:#}") });
            log::end(conn, id, Outcome::Failed, &details)
        }
    };
    lock::release(conn);
    let (found, _) = done?;
    // The work is done: a log that cannot say so shows it as interrupted, and the operator hears of it.
    ended.map_err(OperationError::from)?;
    Ok(found)
}

/// Lets the server tell others whose session it is; it keeps 63 bytes.
fn introduce(conn: &mut PgConnection, operation: &Operation) -> diesel::QueryResult<()> {
    let name = format!(
        "portalctl {} by {}@{}",
        operation.command, operation.operator, operation.host
    );
    diesel::sql_query("SELECT set_config('application_name', $1, false)")
        .bind::<Text, _>(name)
        .execute(conn)
        .map(drop)
}
