//! A database beside the one that is worked on, for a while.

use anyhow::Context as _;
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl as _, connection::SimpleConnection as _,
    sql_types::Text,
};
use secrecy::SecretString;
use uuid::Uuid;

use crate::{address::Address, connection};

/// Dropped with the value.
pub(crate) struct Scratch {
    name: String,
    server: PgConnection,
    url: SecretString,
}

impl Scratch {
    /// Makes an empty database on the server that `url` leads to; `settings` are those of
    /// `CREATE DATABASE`.
    pub(crate) fn create(
        url: &SecretString,
        purpose: &str,
        settings: &str,
    ) -> anyhow::Result<Self> {
        let address = Address::parse(url)?;
        let mut server = connection::open(url)?;
        // Says of which database it is, should it be left behind.
        let own: Own = diesel::sql_query(
            "SELECT oid::text AS number FROM pg_database WHERE datname = current_database()",
        )
        .get_result(&mut server)?;
        let name = format!(
            "portal_{purpose}_{}_{}",
            own.number,
            Uuid::now_v7().simple()
        );
        server
            .batch_execute(&format!("CREATE DATABASE {name} {settings}"))
            .context(
                "a database of its own is needed beside this one, and cannot be created: \
                 ALTER ROLE agent_portal_owner CREATEDB, or use a login that may",
            )?;
        Ok(Self {
            url: address.of(&name).url(),
            name,
            server,
        })
    }

    pub(crate) const fn url(&self) -> &SecretString {
        &self.url
    }

    /// Connects to it, and looks into its schema `public`.
    pub(crate) fn open(&self) -> anyhow::Result<PgConnection> {
        let mut conn = connection::open(&self.url)?;
        connection::enter(&mut conn, "public")?;
        Ok(conn)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        if let Err(error) = self.server.batch_execute(&sql) {
            eprintln!("the database {} is left behind: {error}", self.name);
        }
    }
}

#[derive(QueryableByName)]
struct Own {
    #[diesel(sql_type = Text)]
    number: String,
}
