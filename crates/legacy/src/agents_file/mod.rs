//! The file that says which legacy agent is which Genesys user:
//! `old_agent_id,genesys_user_id,tenant_id,name,email`.
//!
//! Its rows go as they come into a temporary table of the session, and are decided there, all at once:
//! what this process holds is one part of them, however many there are. Nothing else is written.

mod cells;
mod rejects;
mod sql;

use std::{collections::BTreeMap, fs::File, path::Path};

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl as _,
    connection::SimpleConnection as _,
    sql_query,
    sql_types::{Array, BigInt, Integer, Nullable, Text},
};
use portal_csv_file::{BadFile, Row, Rows};

pub use rejects::{Rejected, rejected, write_rejects};

use crate::{Catalog, LegacyError, Mapping, agents_file::cells::KeyType, error::require_readable};

/// Rows of a file at the most.
const MOST_ROWS: usize = 1_000_000;
/// Rows of one statement.
const BATCH: usize = 1000;

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// Its rows.
    pub total: i64,
    /// How many rows have which verdict: `mapped`, `unchanged`, `conflict`, `unknown_agent`,
    /// `unknown_tenant`, `duplicate` or `invalid`.
    pub verdicts: BTreeMap<String, i64>,
    /// Rows that are neither `mapped` nor `unchanged`.
    pub rejected: i64,
}

/// Reads the file and decides each of its rows.
///
/// The temporary table `agent_mapping (agent_key text PRIMARY KEY, genesys_user_id, tenant_id, name, email
/// text)` has the good ones afterwards, as long as the session lasts; whether they are to be taken when
/// others are rejected is the caller's to say. Keys are as PostgreSQL writes them.
///
/// # Errors
/// When the file is no such list, the mapping does not say where agents and tenants are, the role may not
/// read them or make temporary tables, or the database fails.
pub fn stage(
    conn: &mut PgConnection,
    mapping: &Mapping,
    catalog: &Catalog,
    path: &Path,
) -> Result<Staged, LegacyError> {
    let bad = |bad: BadFile| LegacyError::File(format!("{} {bad}", path.display()));
    let file = File::open(path).map_err(|error| bad(BadFile::Unreadable(error.to_string())))?;
    let mut rows = Rows::open(file, &cells::COLUMNS, MOST_ROWS).map_err(bad)?;
    let (agents, tenants) = (
        key_type(mapping, catalog, "agents")?,
        key_type(mapping, catalog, "tenants")?,
    );
    readable(conn, mapping, catalog)?;
    conn.batch_execute(sql::TABLES)?;
    let mut batch = Batch::default();
    let places: Vec<i32> = (0..cells::COLUMNS.len())
        .map(|column| i32::try_from(rows.place(column)).unwrap_or(i32::MAX))
        .collect();
    while let Some(row) = rows.next_row().map_err(bad)? {
        batch.add(&row, &places, agents, tenants);
        if batch.lines.len() == BATCH {
            batch.write(conn)?;
        }
    }
    batch.write(conn)?;
    let decide = sql::decide(mapping, &places, earlier(conn)?)?;
    conn.batch_execute(&decide)?;
    counts(conn)
}

fn key_type(mapping: &Mapping, catalog: &Catalog, subject: &str) -> Result<KeyType, LegacyError> {
    let table = mapping
        .table(subject)
        .and_then(|name| catalog.tables.get(name));
    let key = mapping.column(subject, "key");
    table
        .zip(key)
        .and_then(|(table, key)| table.column(key))
        .map(|column| KeyType::of(&column.type_name))
        .ok_or_else(|| {
            LegacyError::Mapping(vec![format!(
                "tables.{subject}.key: empty, or no such column"
            )])
        })
}

fn readable(
    conn: &mut PgConnection,
    mapping: &Mapping,
    catalog: &Catalog,
) -> Result<(), LegacyError> {
    let closed: Vec<String> = ["agents", "tenants"]
        .into_iter()
        .filter(|subject| {
            let table = mapping
                .table(subject)
                .and_then(|name| catalog.tables.get(name));
            table.is_some_and(|table| !table.readable)
        })
        .filter_map(|subject| mapping.sql_table(subject))
        .collect();
    require_readable(conn, &closed)?;
    let may: Word = sql_query(
        "SELECT CASE WHEN NOT has_database_privilege(current_database(), 'TEMP') \
             THEN format('GRANT TEMPORARY ON DATABASE %I TO %I;', current_database(), current_user) END AS value",
    )
    .get_result(conn)?;
    may.value
        .map_or(Ok(()), |grant| Err(LegacyError::Temporary(grant)))
}

/// The table of what earlier files said, if a migration has begun.
fn earlier(conn: &mut PgConnection) -> Result<Option<String>, LegacyError> {
    let found: Word =
        sql_query("SELECT to_regclass('agent_portal.__legacy_agents')::text AS value")
            .get_result(conn)?;
    Ok(found.value)
}

/// Rows on their way.
#[derive(Default)]
struct Batch {
    lines: Vec<i64>,
    cells: [Vec<String>; 5],
    /// What is wrong with them: the column's place in the file, its name, and why.
    places: Vec<Option<i32>>,
    columns: Vec<Option<String>>,
    reasons: Vec<Option<String>>,
}

impl Batch {
    fn add(&mut self, row: &Row<'_>, places: &[i32], agents: KeyType, tenants: KeyType) {
        let cells = [0, 1, 2, 3, 4].map(|column| row.cell(column));
        let read = if row.is_whole {
            cells::read(cells, agents, tenants).map_err(|(column, why)| (Some(column), why))
        } else {
            let why = "the row has not as many cells as the first line: is there a quote or a separator too many or too few?";
            Err((None, why.to_owned()))
        };
        let (kept, wrong) = match read {
            Ok(kept) => (kept, None),
            Err(wrong) => (cells.map(str::to_owned), Some(wrong)),
        };
        self.lines.push(i64::try_from(row.line).unwrap_or(i64::MAX));
        for (column, cell) in self.cells.iter_mut().zip(kept) {
            column.push(cell);
        }
        let column = wrong.as_ref().and_then(|(column, _)| *column);
        self.places
            .push(column.and_then(|column| places.get(column).copied()));
        let name = column.and_then(|column| cells::COLUMNS.get(column));
        self.columns.push(name.map(|column| column.name.to_owned()));
        self.reasons.push(wrong.map(|(_, why)| why));
    }

    fn write(&mut self, conn: &mut PgConnection) -> Result<(), LegacyError> {
        let [agents, users, tenants, names, emails] = std::mem::take(&mut self.cells);
        sql_query(sql::ADD)
            .bind::<Array<BigInt>, _>(std::mem::take(&mut self.lines))
            .bind::<Array<Text>, _>(agents)
            .bind::<Array<Text>, _>(users)
            .bind::<Array<Text>, _>(tenants)
            .bind::<Array<Text>, _>(names)
            .bind::<Array<Text>, _>(emails)
            .bind::<Array<Nullable<Integer>>, _>(std::mem::take(&mut self.places))
            .bind::<Array<Nullable<Text>>, _>(std::mem::take(&mut self.columns))
            .bind::<Array<Nullable<Text>>, _>(std::mem::take(&mut self.reasons))
            .execute(conn)?;
        Ok(())
    }
}

fn counts(conn: &mut PgConnection) -> Result<Staged, LegacyError> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = Text)]
        verdict: String,
        #[diesel(sql_type = BigInt)]
        rows: i64,
    }
    let found: Vec<Count> =
        sql_query("SELECT verdict, count(*) AS rows FROM pg_temp.agent_file GROUP BY verdict")
            .load(conn)?;
    let verdicts: BTreeMap<String, i64> = found
        .into_iter()
        .map(|found| (found.verdict, found.rows))
        .collect();
    let total = verdicts.values().sum();
    let good = |verdict: &str| verdicts.get(verdict).copied().unwrap_or_default();
    let rejected = total - good("mapped") - good("unchanged");
    Ok(Staged {
        total,
        verdicts,
        rejected,
    })
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Nullable<Text>)]
    value: Option<String>,
}
