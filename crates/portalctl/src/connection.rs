//! The operator's connection.

use anyhow::Context as _;
use diesel::{Connection as _, PgConnection, connection::SimpleConnection as _};
use secrecy::{ExposeSecret as _, SecretString};

/// Connects; the error names the server's complaint and never the URL, which holds a password.
pub(crate) fn open(url: &SecretString) -> anyhow::Result<PgConnection> {
    let mut connection =
        PgConnection::establish(url.expose_secret()).context("cannot connect to the database")?;
    connection.batch_execute("SET application_name = 'portalctl'; SET timezone = 'UTC'")?;
    Ok(connection)
}

/// Runs `work` and commits what it did, or nothing of it.
#[expect(
    clippy::disallowed_methods,
    reason = "the operator's own connection, which serves no tenant"
)]
pub(crate) fn transaction<T>(
    conn: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    conn.transaction(work)
}
