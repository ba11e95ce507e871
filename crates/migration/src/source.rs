//! The legacy tables, as expressions of SQL.

use portal_legacy::{Catalog, Mapping};

/// Rows of the legacy tables; `a` stands for a row in every expression.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    mapping: &'a Mapping,
    catalog: &'a Catalog,
}

/// Which rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// After the key `$1`, or from the first one when that is null, up to the key `$2`.
    Range,
    /// With one of the keys of `$1`.
    Keys,
}

impl<'a> Source<'a> {
    /// The mapping has been checked against the catalog.
    pub(crate) const fn new(mapping: &'a Mapping, catalog: &'a Catalog) -> Self {
        Self { mapping, catalog }
    }

    /// The table, with its schema.
    pub(crate) fn table(&self, subject: &str) -> Option<String> {
        self.mapping.sql_table(subject)
    }

    /// The column; empty for a meaning that every checked mapping has, and has not.
    pub(crate) fn column(&self, subject: &str, meaning: &str) -> String {
        self.mapping
            .sql_column(subject, meaning)
            .unwrap_or_default()
    }

    /// The key's type without its length, which a cast would cut to.
    pub(crate) fn key_type(&self, subject: &str) -> &'a str {
        let name = self.type_of(subject, "key").unwrap_or("text");
        name.split_once('(').map_or(name, |(base, _)| base)
    }

    fn type_of(&self, subject: &str, meaning: &str) -> Option<&'a str> {
        let table = self.catalog.tables.get(self.mapping.table(subject)?)?;
        let column = table.column(self.mapping.column(subject, meaning)?)?;
        Some(&column.type_name)
    }

    /// The key, as text.
    pub(crate) fn key(&self, subject: &str) -> String {
        format!("a.{}::text", self.column(subject, "key"))
    }

    /// An id that follows from the key: the key itself when it is a uuid.
    pub(crate) fn id(&self, subject: &str) -> String {
        if self.key_type(subject) == "uuid" {
            format!("a.{}", self.column(subject, "key"))
        } else {
            format!("md5('{subject}:' || {})::uuid", self.key(subject))
        }
    }

    /// Without spaces around it; null when nothing is left, or when there is no such column.
    pub(crate) fn text(&self, subject: &str, meaning: &str) -> String {
        match self.mapping.sql_column(subject, meaning) {
            Some(column) => format!("nullif(btrim(a.{column}::text), '')"),
            None => "NULL::text".to_owned(),
        }
    }

    /// A time; what is stored without a zone is in the mapping's, and numbers are seconds or
    /// milliseconds since 1970.
    pub(crate) fn time(&self, subject: &str, meaning: &str) -> String {
        let Some(column) = self.mapping.sql_column(subject, meaning) else {
            return "NULL::timestamptz".to_owned();
        };
        let zone = self.mapping.time_zone.replace('\'', "''");
        let time = match self.type_of(subject, meaning).unwrap_or_default() {
            kind if kind == "timestamp with time zone" || kind.ends_with(") with time zone") => {
                format!("a.{column}")
            }
            "bigint" | "integer" | "numeric" | "double precision" => format!(
                "to_timestamp(a.{column} / CASE WHEN a.{column} > 100000000000 THEN 1000.0 ELSE 1.0 END)"
            ),
            "date" => format!("a.{column}::timestamp AT TIME ZONE '{zone}'"),
            kind if kind.starts_with("timestamp") => format!("a.{column} AT TIME ZONE '{zone}'"),
            _ => format!("nullif(btrim(a.{column}::text), '')::timestamp AT TIME ZONE '{zone}'"),
        };
        // For ever is no time that a service could read.
        format!("CASE WHEN isfinite({time}) THEN {time} END")
    }

    /// Whether it is so; true when nothing is known.
    pub(crate) fn truth(&self, subject: &str, meaning: &str) -> String {
        let text = self.text(subject, meaning);
        format!(
            "coalesce(lower({text}) IN ('true', 't', '1', 'yes', 'y', 'active', 'enabled'), true)"
        )
    }

    /// The condition for `which` rows.
    pub(crate) fn condition(&self, subject: &str, which: Which) -> String {
        let (key, kind) = (self.column(subject, "key"), self.key_type(subject));
        match which {
            Which::Range => {
                format!("($1 IS NULL OR a.{key} > $1::{kind}) AND a.{key} <= $2::{kind}")
            }
            Which::Keys => format!("a.{key} = ANY ($1::{kind}[])"),
        }
    }

    /// Asks for the last key of the next `$2` rows after the key `$1`.
    pub(crate) fn next(&self, subject: &str) -> Option<String> {
        let (key, kind) = (self.column(subject, "key"), self.key_type(subject));
        let table = self.table(subject)?;
        Some(format!(
            "SELECT x.{key}::text AS value FROM (SELECT a.{key} FROM {table} a \
             WHERE $1 IS NULL OR a.{key} > $1::{kind} ORDER BY a.{key} LIMIT $2) x \
             ORDER BY x.{key} DESC LIMIT 1"
        ))
    }
}
