//! What a schema is and what is in it, each in a word that can be compared: before and after, here and
//! in a copy that was made with `pg_dump`.

mod casts;
mod data;

use aws_lc_rs::digest::{SHA256, digest};
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl as _, connection::SimpleConnection as _, sql_query,
    sql_types::Text,
};

use crate::LegacyError;

pub use data::{DataHash, TableHash, data_hash};

const CATALOG: &str = include_str!("catalog.sql");

/// How values and definitions are written as text depends on these.
const SETTINGS: &str = "\
SET LOCAL search_path = ''; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; \
SET LOCAL IntervalStyle = 'postgres'; SET LOCAL extra_float_digits = 1; \
SET LOCAL bytea_output = 'hex'; SET LOCAL lc_monetary = 'C'; SET LOCAL xmlbinary = 'base64'; \
SET LOCAL quote_all_identifiers = off; SET LOCAL row_security = off";

/// A line for each thing of `schema`, sorted.
///
/// That is relations, columns in their order, constraints, indexes, triggers, functions, types,
/// sequences, views, rules, policies, owners, grants, comments, and the database's extensions. Names
/// that begin with two underscores are left out.
///
/// Call it in [`crate::read_only`] or another transaction. The lines of a restored dump are the
/// same, on a server of the same major version: how definitions are written changes between those.
pub fn catalog_lines(conn: &mut PgConnection, schema: &str) -> Result<Vec<String>, LegacyError> {
    let found: Vec<Line> = settled(conn, |conn| {
        sql_query(CATALOG).bind::<Text, _>(schema).load(conn)
    })?;
    let mut lines: Vec<String> = found
        .into_iter()
        .map(|found| casts::push_into_arrays(&found.line))
        .collect();
    lines.sort();
    Ok(lines)
}

/// The SHA-256 of [`catalog_lines`], in hexadecimal digits.
pub fn fingerprint(conn: &mut PgConnection, schema: &str) -> Result<String, LegacyError> {
    Ok(fingerprint_of(&catalog_lines(conn, schema)?))
}

/// The fingerprint of these lines.
pub fn fingerprint_of(lines: &[String]) -> String {
    sha256(&lines.join("\n"))
}

fn sha256(text: &str) -> String {
    hex::encode(digest(&SHA256, text.as_bytes()))
}

/// Runs `read` with [`SETTINGS`], and puts back what was set before: a savepoint that is rolled back
/// takes its settings along. An error ends the transaction, and the settings with it.
fn settled<T>(
    conn: &mut PgConnection,
    read: impl FnOnce(&mut PgConnection) -> Result<T, diesel::result::Error>,
) -> Result<T, LegacyError> {
    conn.batch_execute("SAVEPOINT settled")?;
    conn.batch_execute(SETTINGS)?;
    let found = read(conn)?;
    conn.batch_execute("ROLLBACK TO SAVEPOINT settled; RELEASE SAVEPOINT settled")?;
    Ok(found)
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}
