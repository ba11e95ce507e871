//! What is in a schema's tables.

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl as _, sql_query,
    sql_types::{BigInt, Bool, Text},
};
use serde::{Deserialize, Serialize};

use super::{settled, sha256};
use crate::{LegacyError, error::require_readable, identifier};

/// What is in the tables of a schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataHash {
    /// By name.
    pub tables: Vec<TableHash>,
    /// Of all of them: SHA-256, in hexadecimal digits.
    pub overall: String,
}

/// What is in a table, in whatever order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableHash {
    /// The table.
    pub table: String,
    /// Rows, counted.
    pub rows: i64,
    /// The sum of the rows' hashes (`hashtextextended` of their text), in decimal digits.
    pub hash: String,
}

/// Reads all rows of all tables of `schema` whose names do not begin with two underscores.
///
/// A partitioned table is one. What materialized views and foreign tables show is not part of it, nor
/// which number a sequence gives next. `tell` hears of each table before it is read: which, how many
/// were read, and how many there are.
///
/// Call it in [`crate::read_only`] or another transaction.
///
/// # Errors
/// [`LegacyError::Privileges`] when the role may not read all rows of all tables.
pub fn data_hash(
    conn: &mut PgConnection,
    schema: &str,
    mut tell: impl FnMut(&str, usize, usize),
) -> Result<DataHash, LegacyError> {
    let tables: Vec<TableRow> = sql_query(TABLES).bind::<Text, _>(schema).load(conn)?;
    let of = |table: &TableRow| format!("{}.{}", identifier(schema), identifier(&table.name));
    let closed = tables.iter().filter(|table| !table.readable).map(of);
    let closed: Vec<String> = closed.collect();
    require_readable(conn, &closed)?;
    let total = tables.len();
    let tables = settled(conn, |conn| {
        let mut found = Vec::with_capacity(total);
        for (done, table) in tables.iter().enumerate() {
            tell(&table.name, done, total);
            // Those of tables that inherit from it are theirs.
            let only = if table.partitioned { "" } else { "ONLY " };
            let hashed: Hashed = sql_query(format!(
                "SELECT count(*) AS rows, coalesce(sum(hashtextextended((x.*)::text COLLATE \"C\", 0)::numeric), 0)::text \
                 AS hash FROM {only}{} x",
                of(table)
            ))
            .get_result(conn)?;
            found.push(TableHash {
                table: table.name.clone(),
                rows: hashed.rows,
                hash: hashed.hash,
            });
        }
        Ok(found)
    })?;
    let lines: Vec<String> = tables
        .iter()
        .map(|table| format!("{} {} {}", identifier(&table.table), table.rows, table.hash))
        .collect();
    Ok(DataHash {
        overall: sha256(&lines.join("\n")),
        tables,
    })
}

/// A policy would hide rows from the role, and the hash would be of what is left.
const TABLES: &str = "\
SELECT c.relname::text AS name, c.relkind = 'p' AS partitioned, \
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') \
           AND NOT row_security_active(c.oid) AS readable \
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND left(c.relname, 2) <> '__' \
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass \
                  AND d.objid = c.oid AND d.deptype = 'e') ORDER BY c.relname COLLATE \"C\"";

#[derive(QueryableByName)]
struct TableRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Bool)]
    partitioned: bool,
    #[diesel(sql_type = Bool)]
    readable: bool,
}

#[derive(QueryableByName)]
struct Hashed {
    #[diesel(sql_type = BigInt)]
    rows: i64,
    #[diesel(sql_type = Text)]
    hash: String,
}
