//! Whether the database has the schema that this build was made for.

use std::collections::BTreeSet;

use diesel::{QueryableByName, RunQueryDsl as _, sql_types::Text};

use crate::{Db, DbError, Scope};

/// The database's schema, seen from this build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// Every migration that this build knows is applied. Later ones may be, too: a schema is only
    /// ever expanded under a running release.
    Current,
    /// These migrations are missing, oldest first.
    Behind(Vec<String>),
}

#[derive(QueryableByName)]
struct Applied {
    #[diesel(sql_type = Text)]
    version: String,
}

impl Db {
    /// Compares the applied migrations with those that this build was made for.
    pub async fn schema_state(&self) -> Result<SchemaState, DbError> {
        self.read("schema_state", Scope::Service, |tx| {
            let known = portal_db_schema::migration_versions()
                .map_err(|error| DbError::Other(Box::new(std::io::Error::other(error))))?;
            let exists = diesel::sql_query(
                "SELECT coalesce(to_regclass('__diesel_schema_migrations')::text, '') AS version",
            )
            .get_result::<Applied>(tx.conn())?;
            if exists.version.is_empty() {
                return Ok(SchemaState::Behind(known));
            }
            let applied: BTreeSet<String> =
                diesel::sql_query("SELECT version::text FROM __diesel_schema_migrations")
                    .load::<Applied>(tx.conn())?
                    .into_iter()
                    .map(|row| row.version)
                    .collect();
            let missing: Vec<String> = known
                .into_iter()
                .filter(|version| !applied.contains(version))
                .collect();
            Ok(if missing.is_empty() {
                SchemaState::Current
            } else {
                SchemaState::Behind(missing)
            })
        })
        .await
    }
}
