//! One short transaction of the rotation.

use std::time::Duration;

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl as _,
    connection::SimpleConnection as _,
    sql_types::{Bytea, Integer, Nullable, Text},
};
use portal_operations::Limits;
use portal_vault::{
    Vault, VaultError,
    places::{PLATFORM, Place},
};
use secrecy::SecretString;

use crate::{connection, patience};

/// The services write the same rows, each in a short transaction.
const LIMITS: Limits = Limits {
    lock_timeout: Duration::from_secs(1),
    statement_timeout: Duration::ZERO,
    idle_timeout: Duration::from_mins(1),
    retry_for: Duration::from_secs(30),
};

/// Rows of one column, in the order of their ids.
pub(super) struct Batch<'a> {
    pub(super) place: &'a Place,
    pub(super) vault: &'a Vault,
    /// Of the connection.
    pub(super) url: &'a SecretString,
    /// The id of the last row of the batch before.
    pub(super) after: Option<&'a str>,
    pub(super) size: u32,
    pub(super) dry_run: bool,
}

/// A row that was looked at.
pub(super) struct Row {
    pub(super) row_id: String,
    pub(super) kept: Kept,
}

pub(super) enum Kept {
    Rewrapped,
    /// Somebody wrote another value meanwhile, which stays.
    Overtaken,
    Unusable(VaultError),
}

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = Text)]
    row_id: String,
    #[diesel(sql_type = Text)]
    tenant_id: String,
    #[diesel(sql_type = Bytea)]
    sealed: Vec<u8>,
}

/// The role of the path over all sealed columns; it sees them, ids and nothing else.
pub(super) fn enter(conn: &mut PgConnection) -> diesel::QueryResult<()> {
    conn.batch_execute("SET LOCAL ROLE vault_rotator")
}

impl Batch<'_> {
    /// The rows that were not sealed with the active key; empty at the end of the column.
    pub(super) fn run(&self, conn: &mut PgConnection) -> anyhow::Result<Vec<Row>> {
        patience::with_limits(conn, self.url, &LIMITS, |conn| {
            connection::transaction(conn, |conn| self.rewrap(conn))
        })
    }

    fn rewrap(&self, conn: &mut PgConnection) -> anyhow::Result<Vec<Row>> {
        enter(conn)?;
        let stored = self.stored(conn)?;
        stored
            .into_iter()
            .map(|stored| {
                let kept = self.rewrap_one(conn, &stored)?;
                Ok(Row {
                    row_id: stored.row_id,
                    kept,
                })
            })
            .collect()
    }

    fn rewrap_one(&self, conn: &mut PgConnection, stored: &Stored) -> anyhow::Result<Kept> {
        let binding = self.place.of(&stored.tenant_id, &stored.row_id);
        let new = match self.vault.rewrap(&binding, &stored.sealed) {
            Ok(Some(new)) => new,
            Ok(None) => return Ok(Kept::Overtaken),
            Err(error) => return Ok(Kept::Unusable(error)),
        };
        if self.dry_run {
            return Ok(Kept::Rewrapped);
        }
        let Place {
            table,
            column,
            row_id,
            row_id_type,
            ..
        } = self.place;
        // Only in place of what was read: a value that a service wrote meanwhile wins.
        let rows = diesel::sql_query(format!(
            "UPDATE {table} SET {column} = $1 WHERE {row_id} = $2::{row_id_type} AND {column} = $3"
        ))
        .bind::<Bytea, _>(new)
        .bind::<Text, _>(&stored.row_id)
        .bind::<Bytea, _>(&stored.sealed)
        .execute(conn)?;
        Ok(if rows == 1 {
            Kept::Rewrapped
        } else {
            Kept::Overtaken
        })
    }

    fn stored(&self, conn: &mut PgConnection) -> anyhow::Result<Vec<Stored>> {
        let Place {
            table,
            column,
            row_id,
            row_id_type,
            ..
        } = self.place;
        let tenant_id = if self.place.is_of_tenant {
            "tenant_id".to_owned()
        } else {
            format!("'{PLATFORM}'")
        };
        let stored = diesel::sql_query(format!(
            "SELECT {row_id}::text AS row_id, {tenant_id}::text AS tenant_id, {column} AS sealed FROM {table} \
             WHERE {} AND ($2 IS NULL OR {row_id} > $2::{row_id_type}) ORDER BY {row_id} LIMIT $3",
            is_of_another_key(column),
        ))
        .bind::<Bytea, _>(self.vault.active_prefix()?)
        .bind::<Nullable<Text>, _>(self.after)
        .bind::<Integer, _>(i32::try_from(self.size)?)
        .load(conn)?;
        Ok(stored)
    }
}

/// A condition; `$1` is how records of the active key begin.
pub(super) fn is_of_another_key(column: &str) -> String {
    format!("{column} IS NOT NULL AND substring({column} FROM 1 FOR octet_length($1)) <> $1")
}
