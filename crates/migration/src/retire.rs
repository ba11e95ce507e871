//! The one step without a way back.

use diesel::{
    PgConnection, RunQueryDsl as _,
    connection::SimpleConnection as _,
    sql_query,
    sql_types::{Array, Text},
};
use portal_legacy::{Catalog, Mapping};

use crate::{
    Legacy, MigrationError, ledger,
    query::{self, Word},
    source::Source,
};

/// The legacy tables that the mapping names, and that go.
pub fn tables(catalog: &Catalog, mapping: &Mapping) -> Vec<String> {
    let source = Source::new(mapping, catalog);
    let mut tables: Vec<_> = ledger::SUBJECTS
        .iter()
        .filter_map(|subject| source.table(subject))
        .collect();
    tables.sort();
    tables.dedup();
    tables
}

/// Drops the legacy tables, or nothing of them. Writers that are at work are waited for as long as the
/// connection's `lock_timeout` says.
///
/// # Errors
/// When a change of theirs was not read yet, when another table refers to one of them, or when the login
/// does not own them.
pub fn retire(
    conn: &mut PgConnection,
    legacy: &Legacy<'_>,
    schema: &str,
) -> Result<(), MigrationError> {
    let tables = tables(legacy.catalog, legacy.mapping);
    let list = tables.join(", ");
    conn.build_transaction().run(|conn| {
        let referring: Vec<Word> = sql_query(
            "SELECT format('%s (%s)', conrelid::regclass, conname) AS value FROM pg_constraint \
             WHERE contype = 'f' AND confrelid = ANY (SELECT to_regclass(t) FROM unnest($1) t) \
             AND conrelid <> ALL (SELECT to_regclass(t) FROM unnest($1) t) ORDER BY 1",
        )
        .bind::<Array<Text>, _>(&tables)
        .load(conn)?;
        if !referring.is_empty() {
            let names: Vec<_> = referring.into_iter().filter_map(|word| word.value).collect();
            return Err(MigrationError::State(format!(
                "tables of other services refer to the legacy ones: {}; drop those constraints first",
                names.join(", ")
            )));
        }
        conn.batch_execute(&format!("LOCK TABLE {list} IN ACCESS EXCLUSIVE MODE"))?;
        let waiting = query::count(conn, "SELECT count(*) AS value FROM __legacy_changes")?;
        if waiting > 0 {
            return Err(MigrationError::State(format!(
                "legacy writers made {waiting} changes that were not read yet: stop them, run \
                 `portalctl db migrate` and `db verify`, and then this again"
            )));
        }
        let drops: Vec<_> = ledger::SUBJECTS
            .iter()
            .map(|subject| {
                format!("DROP FUNCTION IF EXISTS \"{schema}\".__legacy_capture_{subject}() CASCADE")
            })
            .collect();
        conn.batch_execute(&format!(
            "SET LOCAL client_min_messages = warning; {}; DROP TABLE {list}; \
             UPDATE __legacy_state SET retired_at = now()",
            drops.join("; ")
        ))?;
        Ok(())
    })
}
