//! What tables there are, by PostgreSQL's own catalog.

use std::collections::BTreeMap;

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl as _,
    connection::SimpleConnection as _,
    sql_query,
    sql_types::{Array, BigInt, Bool, Text},
};

use crate::LegacyError;

/// The tables of one schema, by name.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// The schema's name.
    pub schema: String,
    /// The tables, by name; those of extensions are left out.
    pub tables: BTreeMap<String, Table>,
}

/// A table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// The columns, in their order.
    pub columns: Vec<Column>,
    /// Its primary key's columns; empty when it has none.
    pub primary_key: Vec<String>,
    /// Columns that are unique on their own, without a condition.
    pub unique: Vec<String>,
    /// What it refers to.
    pub foreign_keys: Vec<ForeignKey>,
    /// Bytes on disk, with indexes.
    pub bytes: i64,
    /// Whether the role that is connected may read it.
    pub readable: bool,
}

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as PostgreSQL writes it.
    pub type_name: String,
    /// Whether it is declared NOT NULL.
    pub not_null: bool,
}

/// A reference to another table of the same schema.
#[derive(Debug, Clone)]
pub struct ForeignKey {
    /// The columns that refer.
    pub columns: Vec<String>,
    /// The table that is referred to.
    pub table: String,
    /// The columns that are referred to.
    pub target: Vec<String>,
}

impl Table {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether the column finds one row at most, and every row.
    pub fn is_key(&self, column: &str) -> bool {
        self.primary_key == [column]
            || (self.unique.iter().any(|name| name == column)
                && self.column(column).is_some_and(|found| found.not_null))
    }
}

/// Runs `work` on one snapshot, in a transaction that cannot write and does not wait for a lock
/// longer than half a second.
pub fn read_only<T, E: From<diesel::result::Error>>(
    conn: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection) -> Result<T, E>,
) -> Result<T, E> {
    conn.build_transaction()
        .repeatable_read()
        .read_only()
        .run(|conn| {
            conn.batch_execute("SET LOCAL lock_timeout = '500ms'")?;
            work(conn)
        })
}

impl Catalog {
    /// Reads the catalog of `schema`.
    pub fn read(conn: &mut PgConnection, schema: &str) -> Result<Self, LegacyError> {
        let mut tables: BTreeMap<String, Table> = sql_query(TABLES)
            .bind::<Text, _>(schema)
            .load::<TableRow>(conn)?
            .into_iter()
            .map(|row| {
                let table = Table {
                    bytes: row.bytes,
                    readable: row.readable,
                    ..Table::default()
                };
                (row.name, table)
            })
            .collect();
        for row in sql_query(COLUMNS)
            .bind::<Text, _>(schema)
            .load::<ColumnRow>(conn)?
        {
            if let Some(table) = tables.get_mut(&row.table_name) {
                table.columns.push(Column {
                    name: row.name,
                    type_name: row.type_name,
                    not_null: row.not_null,
                });
            }
        }
        for row in sql_query(KEYS)
            .bind::<Text, _>(schema)
            .load::<KeyRow>(conn)?
        {
            let Some(table) = tables.get_mut(&row.table_name) else {
                continue;
            };
            if row.is_primary {
                table.primary_key = row.columns;
            } else if let [column] = row.columns.as_slice() {
                table.unique.push(column.clone());
            }
        }
        for row in sql_query(REFERENCES)
            .bind::<Text, _>(schema)
            .load::<ReferenceRow>(conn)?
        {
            if let Some(table) = tables.get_mut(&row.table_name) {
                table.foreign_keys.push(ForeignKey {
                    columns: row.columns,
                    table: row.target_name,
                    target: row.target,
                });
            }
        }
        Ok(Self {
            schema: schema.to_owned(),
            tables,
        })
    }
}

const TABLES: &str = "\
SELECT c.relname::text AS name, pg_total_relation_size(c.oid) AS bytes, \
       has_table_privilege(c.oid, 'SELECT') AS readable \
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition \
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass \
                  AND d.objid = c.oid AND d.deptype = 'e')";

const COLUMNS: &str = "\
SELECT c.relname::text AS table_name, a.attname::text AS name, \
       format_type(a.atttypid, a.atttypmod) AS type_name, a.attnotnull AS not_null \
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
JOIN pg_namespace n ON n.oid = c.relnamespace \
WHERE n.nspname = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum";

const KEYS: &str = "\
SELECT c.relname::text AS table_name, i.indisprimary AS is_primary, \
       array_agg(a.attname::text ORDER BY k.place) AS columns \
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
JOIN pg_namespace n ON n.oid = c.relnamespace \
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place) \
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum \
WHERE n.nspname = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL \
  AND i.indexprs IS NULL AND k.place <= i.indnkeyatts \
GROUP BY c.relname, i.indexrelid, i.indisprimary ORDER BY c.relname, i.indexrelid";

const REFERENCES: &str = "\
SELECT c.relname::text AS table_name, t.relname::text AS target_name, \
       ARRAY(SELECT a.attname::text FROM unnest(o.conkey) WITH ORDINALITY AS k (attnum, place) \
             JOIN pg_attribute a ON a.attrelid = o.conrelid AND a.attnum = k.attnum \
             ORDER BY k.place) AS columns, \
       ARRAY(SELECT a.attname::text FROM unnest(o.confkey) WITH ORDINALITY AS k (attnum, place) \
             JOIN pg_attribute a ON a.attrelid = o.confrelid AND a.attnum = k.attnum \
             ORDER BY k.place) AS target \
FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid JOIN pg_class t ON t.oid = o.confrelid \
JOIN pg_namespace n ON n.oid = c.relnamespace \
WHERE n.nspname = $1 AND t.relnamespace = n.oid AND o.contype = 'f' \
ORDER BY c.relname, o.conname";

#[derive(QueryableByName)]
struct TableRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    bytes: i64,
    #[diesel(sql_type = Bool)]
    readable: bool,
}

#[derive(QueryableByName)]
struct ColumnRow {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    type_name: String,
    #[diesel(sql_type = Bool)]
    not_null: bool,
}

#[derive(QueryableByName)]
struct KeyRow {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Bool)]
    is_primary: bool,
    #[diesel(sql_type = Array<Text>)]
    columns: Vec<String>,
}

#[derive(QueryableByName)]
struct ReferenceRow {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    target_name: String,
    #[diesel(sql_type = Array<Text>)]
    columns: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    target: Vec<String>,
}
