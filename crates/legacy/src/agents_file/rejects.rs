//! The rows that were rejected.

use std::{fs::File, path::Path};

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl as _, sql_query,
    sql_types::{BigInt, Integer, Nullable, Text},
};
use serde::Serialize;

use super::cells::{COLUMNS, is_formula};
use crate::LegacyError;

/// Rows that are held at once.
const PAGE: i64 = 1000;

/// A row that was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, QueryableByName)]
pub struct Rejected {
    /// Where it begins in the file; the header is line 1.
    #[diesel(sql_type = BigInt)]
    pub line: i64,
    /// Which column is wrong, counted from 1; none when the row as a whole is.
    #[diesel(sql_type = Nullable<Integer>)]
    pub place: Option<i32>,
    /// The name of that column.
    #[diesel(sql_type = Nullable<Text>)]
    pub column_name: Option<String>,
    /// `conflict`, `unknown_agent`, `unknown_tenant`, `duplicate` or `invalid`.
    #[diesel(sql_type = Text)]
    pub verdict: String,
    /// What is wrong, in words.
    #[diesel(sql_type = Text)]
    pub reason: String,
    #[diesel(sql_type = Text)]
    #[serde(skip)]
    agent_key: String,
    #[diesel(sql_type = Text)]
    #[serde(skip)]
    genesys_user_id: String,
    #[diesel(sql_type = Text)]
    #[serde(skip)]
    tenant_id: String,
    #[diesel(sql_type = Text)]
    #[serde(skip)]
    name: String,
    #[diesel(sql_type = Text)]
    #[serde(skip)]
    email: String,
}

impl std::fmt::Display for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}", self.line)?;
        if let (Some(place), Some(name)) = (self.place, &self.column_name) {
            write!(f, ", column {place} ({name})")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// The next rejected rows of the file that was staged last in this session, `most` of them after `line`.
///
/// # Errors
/// When the database fails.
pub fn rejected(
    conn: &mut PgConnection,
    line: i64,
    most: i64,
) -> Result<Vec<Rejected>, LegacyError> {
    Ok(sql_query(
        "SELECT line, place, column_name, verdict, reason, agent_key, genesys_user_id, tenant_id, name, email \
         FROM pg_temp.agent_file WHERE verdict NOT IN ('mapped', 'unchanged') AND line > $1 \
         ORDER BY line LIMIT $2",
    )
    .bind::<BigInt, _>(line)
    .bind::<BigInt, _>(most)
    .load(conn)?)
}

/// Writes the rejected rows of the file that was staged last in this session to a file of the same
/// columns, and `verdict` and `reason`, which are not looked at when the file is put right and staged.
///
/// What a spreadsheet would compute gets a `'` before it, and is rejected with that as well.
///
/// # Errors
/// When the file cannot be written, or the database fails.
pub fn write_rejects(conn: &mut PgConnection, path: &Path) -> Result<(), LegacyError> {
    let failed = |error: csv::Error| {
        LegacyError::File(format!("{} cannot be written: {error}", path.display()))
    };
    let file = File::create(path).map_err(|error| failed(error.into()))?;
    let mut writer = csv::Writer::from_writer(file);
    let header = COLUMNS.iter().map(|column| column.name);
    writer
        .write_record(header.chain(["verdict", "reason"]))
        .map_err(failed)?;
    let mut last = 0;
    loop {
        let page = rejected(conn, last, PAGE)?;
        let Some(end) = page.last() else { break };
        last = end.line;
        for row in &page {
            let told = row.to_string();
            let cells = [
                &row.agent_key,
                &row.genesys_user_id,
                &row.tenant_id,
                &row.name,
                &row.email,
                &row.verdict,
                &told,
            ];
            writer
                .write_record(cells.map(|cell| harmless(cell)))
                .map_err(failed)?;
        }
    }
    writer.flush().map_err(|error| failed(error.into()))
}

fn harmless(cell: &str) -> String {
    if is_formula(cell) && !cell.starts_with('\'') {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}
