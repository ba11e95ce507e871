//! Which table and column of a legacy database means what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Catalog, LegacyError, Table,
    subjects::{Found, Meaning, SUBJECTS, Subject},
};

const VERSION: u32 = 1;

const HEAD: &str = "\
# Which table and column of the legacy database means what, as its keys and names suggest. Read it,
# put right what is wrong and fill in what is empty; then `portalctl db inspect --mapping FILE`
# tells whether it fits.
";

/// Which table and column means what. A file of it is TOML.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    version: u32,
    /// The schema that the tables are in.
    pub schema: String,
    /// Zone of the timestamps that are stored without one, as PostgreSQL names it.
    pub time_zone: String,
    /// For each subject its `table`, and the column of each meaning. Empty: not decided.
    tables: BTreeMap<String, BTreeMap<String, String>>,
}

impl Mapping {
    /// Suggests a mapping: keys and references from the catalog, the rest by names. What has no
    /// one answer stays empty.
    pub fn propose(catalog: &Catalog) -> Self {
        let mut tables = BTreeMap::new();
        for subject in SUBJECTS {
            let Some(table) = catalog.tables.get(subject.table) else {
                continue;
            };
            let mut columns = BTreeMap::from([("table".to_owned(), subject.table.to_owned())]);
            for meaning in subject.meanings {
                let found = candidates(table, meaning);
                if let [only] = found.as_slice() {
                    columns.insert(meaning.name.to_owned(), only.clone());
                } else if meaning.required {
                    columns.insert(meaning.name.to_owned(), String::new());
                }
            }
            tables.insert(subject.name.to_owned(), columns);
        }
        Self {
            version: VERSION,
            schema: catalog.schema.clone(),
            time_zone: "UTC".to_owned(),
            tables,
        }
    }

    /// Reads a mapping file; the error names the line.
    pub fn read(text: &str) -> Result<Self, LegacyError> {
        let mapping: Self = toml::from_str(text.trim_start_matches('\u{feff}'))
            .map_err(|error| LegacyError::Mapping(vec![error.to_string()]))?;
        if mapping.version != VERSION {
            return Err(LegacyError::Mapping(vec![format!(
                "version: this portalctl reads {VERSION}, the file has {}",
                mapping.version
            )]));
        }
        Ok(mapping)
    }

    /// The file, with the type of each column and what else it might have been.
    pub fn render(&self, catalog: &Catalog) -> String {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let mut lines = vec![format!(
            "{HEAD}version = {}\nschema = {}\n\n\
             # Zone of the timestamps that are stored without one.\ntime_zone = {}\n",
            self.version,
            quoted(&self.schema),
            quoted(&self.time_zone)
        )];
        for subject in SUBJECTS {
            let (Some(columns), Some(name)) =
                (self.tables.get(subject.name), self.table(subject.name))
            else {
                continue;
            };
            lines.push(format!(
                "\n[tables.{}]\ntable = {}\n",
                subject.name,
                quoted(name)
            ));
            let table = catalog.tables.get(name);
            for meaning in subject.meanings {
                let Some(column) = columns.get(meaning.name) else {
                    continue;
                };
                let remark = table.map_or_else(String::new, |t| remark(t, meaning, column));
                lines.push(format!("{} = {}{remark}\n", meaning.name, quoted(column)));
            }
        }
        lines.concat()
    }

    /// The table of a subject: `tenants`, `agents`, `accounts`, `sessions`, `assignments` or
    /// `organization_accounts`; none when the installation has no such table.
    pub fn table(&self, subject: &str) -> Option<&str> {
        self.column(subject, "table")
    }

    /// The column that means `meaning` in the subject's table.
    pub fn column(&self, subject: &str, meaning: &str) -> Option<&str> {
        let column = self.tables.get(subject)?.get(meaning)?.trim();
        (!column.is_empty()).then_some(column)
    }

    /// The subject's table with its schema, quoted for SQL.
    pub fn sql_table(&self, subject: &str) -> Option<String> {
        let table = self.table(subject)?;
        Some(format!(
            "{}.{}",
            identifier(&self.schema),
            identifier(table)
        ))
    }

    /// The column that means `meaning` in the subject's table, quoted for SQL.
    pub fn sql_column(&self, subject: &str, meaning: &str) -> Option<String> {
        self.column(subject, meaning).map(identifier)
    }

    /// Whether the mapping is complete and fits the catalog; all that is wrong with it is told at
    /// once, each with its place in the file.
    pub fn check(&self, catalog: &Catalog) -> Result<(), LegacyError> {
        let mut wrong = Vec::new();
        if self.schema != catalog.schema {
            wrong.push(format!(
                "schema: the file has {:?}, and {:?} was read (--schema)",
                self.schema, catalog.schema
            ));
        }
        for name in self.tables.keys() {
            if !SUBJECTS.iter().any(|subject| subject.name == name) {
                let known: Vec<_> = SUBJECTS.iter().map(|subject| subject.name).collect();
                wrong.push(format!("tables.{name}: not one of {}", known.join(", ")));
            }
        }
        for subject in SUBJECTS {
            self.check_subject(subject, catalog, &mut wrong);
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(LegacyError::Mapping(wrong))
        }
    }

    fn check_subject(&self, subject: &Subject, catalog: &Catalog, wrong: &mut Vec<String>) {
        let at = format!("tables.{}", subject.name);
        let Some(columns) = self.tables.get(subject.name) else {
            if subject.required || catalog.tables.contains_key(subject.table) {
                wrong.push(format!(
                    "{at}: missing; say which table holds the {}",
                    subject.name
                ));
            }
            return;
        };
        let name = self.table(subject.name).unwrap_or_default();
        let Some(table) = catalog.tables.get(name) else {
            wrong.push(format!(
                "{at}.table: there is no table {name:?} in schema {:?}",
                catalog.schema
            ));
            return;
        };
        let names: Vec<_> = table
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        let has = format!("{name:?} has the columns {}", names.join(", "));
        for meaning in columns.keys().filter(|meaning| *meaning != "table") {
            if !subject.meanings.iter().any(|known| known.name == meaning) {
                let known: Vec<_> = subject.meanings.iter().map(|known| known.name).collect();
                wrong.push(format!(
                    "{at}.{meaning}: not one of table, {}",
                    known.join(", ")
                ));
            }
        }
        for meaning in subject.meanings {
            let place = format!("{at}.{}", meaning.name);
            match self.column(subject.name, meaning.name) {
                None if meaning.required => wrong.push(format!("{place}: empty; {has}")),
                Some(column) if table.column(column).is_none() => {
                    wrong.push(format!("{place}: there is no column {column:?}; {has}"));
                }
                Some(column) if matches!(meaning.found, Found::Key) && !table.is_key(column) => {
                    wrong.push(format!(
                        "{place}: {column:?} does not find one row: it needs a primary key, or a \
                         unique constraint and NOT NULL, of its own"
                    ));
                }
                _ => {}
            }
        }
    }
}

/// A name, quoted for SQL.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn remark(table: &Table, meaning: &Meaning, column: &str) -> String {
    if let Some(found) = table.column(column) {
        return format!("  # {}", found.type_name);
    }
    match candidates(table, meaning).as_slice() {
        [] => "  # decide: no column looks like it".to_owned(),
        some => format!("  # decide: {}", some.join(", ")),
    }
}

/// The columns that might mean it: one when it is plain.
fn candidates(table: &Table, meaning: &Meaning) -> Vec<String> {
    match meaning.found {
        Found::Key => match table.primary_key.as_slice() {
            [key] => vec![key.clone()],
            _ => table
                .unique
                .iter()
                .filter(|column| table.is_key(column))
                .cloned()
                .collect(),
        },
        Found::Reference(subject, patterns) => {
            let target = SUBJECTS.iter().find(|known| known.name == subject);
            let references: Vec<String> = table
                .foreign_keys
                .iter()
                .filter(|key| target.is_some_and(|subject| subject.table == key.table))
                .filter_map(|key| match key.columns.as_slice() {
                    [column] => Some(column.clone()),
                    _ => None,
                })
                .collect();
            if references.is_empty() {
                by_name(table, patterns)
            } else {
                references
            }
        }
        Found::Name(patterns) => by_name(table, patterns),
    }
}

/// The columns of the first pattern that is a name of one; or all that have a pattern in theirs.
fn by_name(table: &Table, patterns: &[&str]) -> Vec<String> {
    let plain = |name: &str| name.to_lowercase().replace('_', "");
    let named = |fits: &dyn Fn(&str) -> bool| -> Vec<String> {
        let names = table.columns.iter().map(|column| &column.name);
        names.filter(|name| fits(&plain(name))).cloned().collect()
    };
    for pattern in patterns {
        let same = named(&|name| name == plain(pattern));
        if !same.is_empty() {
            return same;
        }
    }
    named(&|name| {
        patterns
            .iter()
            .any(|pattern| name.contains(&plain(pattern)))
    })
}
