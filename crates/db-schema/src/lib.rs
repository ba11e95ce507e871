//! The shared diesel schema: tables and embedded migrations, nothing else.
//!
//! `schema.rs` is generated (`make schema`); a test compares it with a migrated database.
#![warn(missing_docs)]

use diesel::{
    migration::{Migration, MigrationSource as _},
    pg::Pg,
};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

#[rustfmt::skip]
#[expect(missing_docs, reason = "generated")]
pub mod schema;

/// The schema that the model has in a database that also holds a legacy installation's tables. Elsewhere it
/// is in the schema that `search_path` names first, which is `public` if nobody says otherwise.
pub const ORGANIZATION_SCHEMA: &str = "agent_portal";

/// All migrations, applied by `portalctl db migrate`.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// The versions of all migrations that this build knows, oldest first.
pub fn migration_versions() -> Result<Vec<String>, String> {
    let mut migrations: Vec<Box<dyn Migration<Pg>>> =
        MIGRATIONS.migrations().map_err(|error| error.to_string())?;
    migrations.sort_by_key(|migration| migration.name().version().to_string());
    Ok(migrations
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect())
}

/// The text of each migration (`up.sql`) by its version, oldest first.
pub const MIGRATION_TEXTS: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/migrations.in"));
