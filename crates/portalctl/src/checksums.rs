//! What was applied of a migration, held against what its file says now: `diesel_migrations` knows versions
//! alone, and would call a database current that an edited file has never seen.

use anyhow::bail;
use diesel::{PgConnection, QueryableByName, RunQueryDsl as _, sql_types::Text};
use portal_auth::sha256_hex;
use portal_db_schema::MIGRATION_TEXTS;

/// Of `portalctl` alone, which is why no migration makes it.
const TABLE: &str = "__portal_migration_checksums";

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = Text)]
    checksum: String,
}

fn text_of(version: &str) -> Option<&'static str> {
    let found = MIGRATION_TEXTS.iter().find(|(known, _)| *known == version);
    found.map(|(_, text)| *text)
}

/// Makes the table if need be, and keeps the checksums of migrations that were applied before there was
/// one. Refuses to go on when a migration was edited after it was applied.
pub(crate) fn hold(conn: &mut PgConnection, applied: &[String]) -> anyhow::Result<()> {
    diesel::sql_query(format!(
        "CREATE TABLE IF NOT EXISTS {TABLE} (version varchar(50) PRIMARY KEY, checksum text NOT NULL, \
             noted_at timestamptz NOT NULL DEFAULT now())"
    ))
    .execute(conn)?;
    let edited = edited(conn)?;
    if !edited.is_empty() {
        bail!(
            "migrations were edited after they were applied: {}. Put their files back as they were, and \
             bring the change in a migration of its own; nothing was changed",
            edited.join(", ")
        );
    }
    for version in applied {
        note(conn, version)?;
    }
    Ok(())
}

/// Keeps the checksum of a migration that is applied in the same transaction, or was before.
pub(crate) fn note(conn: &mut PgConnection, version: &str) -> anyhow::Result<()> {
    let Some(text) = text_of(version) else {
        return Ok(());
    };
    diesel::sql_query(format!(
        "INSERT INTO {TABLE} (version, checksum) VALUES ($1, $2) ON CONFLICT DO NOTHING"
    ))
    .bind::<Text, _>(version)
    .bind::<Text, _>(sha256_hex(text))
    .execute(conn)?;
    Ok(())
}

/// Migrations that are not any more what was applied; none where no checksums are kept yet.
pub(crate) fn edited(conn: &mut PgConnection) -> anyhow::Result<Vec<String>> {
    let exists = diesel::sql_query(format!(
        "SELECT coalesce(to_regclass('{TABLE}')::text, '') AS version, '' AS checksum"
    ))
    .get_result::<Stored>(conn)?;
    if exists.version.is_empty() {
        return Ok(Vec::new());
    }
    let stored: Vec<Stored> = diesel::sql_query(format!(
        "SELECT version::text, checksum FROM {TABLE} ORDER BY version"
    ))
    .load(conn)?;
    let is_edited =
        |row: &Stored| text_of(&row.version).is_some_and(|text| sha256_hex(text) != row.checksum);
    let edited = stored.into_iter().filter(is_edited);
    Ok(edited.map(|row| row.version).collect())
}
