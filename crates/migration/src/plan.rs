//! What a migration will do, before it does it.

use portal_legacy::{Catalog, Mapping};
use serde::Serialize;

use crate::{
    capture, ledger, place,
    source::{Source, Which},
    tables::{LEDGER_INDEX, TABLES},
};

/// Rows of a second, on two cores with the database on the same machine; an estimate is no more than that.
const READ: i64 = 40_000;
const PLACE: i64 = 12_000;

/// A step, in the order in which they are done.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// What it is called.
    pub step: String,
    /// What it does, for a reader.
    pub text: String,
    /// The statements; those with parameters are done batch by batch.
    pub sql: Vec<String>,
    /// The lock that it takes on legacy tables, as PostgreSQL names it.
    pub lock: &'static str,
    /// The legacy tables that it concerns.
    pub tables: Vec<String>,
    /// Rows, by the catalog's estimate.
    pub rows: i64,
    /// Seconds that it may take.
    pub seconds: i64,
    /// Whether it is taken back by `db rollback`.
    pub is_reversible: bool,
}

const NO_LOCK: &str = "none";
const READ_LOCK: &str = "ACCESS SHARE, which keeps no writer waiting";
const TRIGGER_LOCK: &str = "SHARE ROW EXCLUSIVE for a moment, asked for 200 ms at a time";

/// The steps. `rows` tells how many rows a legacy table has, by its quoted name; `migrations` are those that the
/// schema will get.
pub fn plan(
    catalog: &Catalog,
    mapping: &Mapping,
    schema: &str,
    migrations: &[String],
    rows: &dyn Fn(&str) -> i64,
) -> Vec<Step> {
    let source = Source::new(mapping, catalog);
    let mut steps = vec![Step {
        step: "expand".to_owned(),
        text: format!(
            "make the schema {schema} with the organization-level tables ({} migrations) and the ledger",
            migrations.len()
        ),
        sql: [format!("CREATE SCHEMA {schema}")]
            .into_iter()
            .chain(migrations.iter().map(|name| format!("-- migration {name}")))
            .chain([TABLES.trim().to_owned()])
            .collect(),
        lock: NO_LOCK,
        tables: Vec::new(),
        rows: 0,
        seconds: 5,
        is_reversible: true,
    }];
    for subject in ledger::SUBJECTS {
        steps.extend(capture::of(&source, subject, schema).map(|capture| Step {
            step: format!("capture {subject}"),
            text: format!(
                "log the key of each row of {} that is written",
                capture.table
            ),
            sql: vec![capture.function, capture.triggers],
            lock: TRIGGER_LOCK,
            tables: vec![capture.table],
            rows: 0,
            seconds: 1,
            is_reversible: true,
        }));
    }
    for subject in ledger::SUBJECTS {
        steps.extend(of_subject(&source, subject, rows));
    }
    steps.push(Step {
        step: "follow".to_owned(),
        text: "read anew what legacy writers changed meanwhile, until nothing is left".to_owned(),
        sql: Vec::new(),
        lock: READ_LOCK,
        tables: Vec::new(),
        rows: 0,
        seconds: 1,
        is_reversible: true,
    });
    steps
}

fn of_subject(source: &Source<'_>, subject: &str, rows: &dyn Fn(&str) -> i64) -> Vec<Step> {
    let Some(table) = source.table(subject) else {
        return Vec::new();
    };
    let rows = rows(&table);
    let step = |step: &str, text: String, sql: Vec<String>, speed: i64| Step {
        step: format!("{step} {subject}"),
        text,
        sql,
        lock: READ_LOCK,
        tables: vec![table.clone()],
        rows,
        seconds: 1 + rows / speed,
        is_reversible: true,
    };
    let read = ledger::fill(source, subject, Which::Range).map(|fill| {
        let sql = source.next(subject).into_iter().chain([fill]).collect();
        let text = format!("give each row of {table} a verdict in the ledger");
        step("read", text, sql, READ)
    });
    let (text, sql) = match subject {
        "tenants" => (
            "put the tenants in place",
            place::tenant(source).into_iter().collect(),
        ),
        "agents" => (
            "make them people of their tenants, or placeholders",
            [place::MERGE_AGENTS.to_owned()]
                .into_iter()
                .chain(place::agents(source))
                .collect(),
        ),
        "accounts" | "organization_accounts" => (
            "lift one WhatsApp account of each tenant to the organization, with its token sealed",
            Vec::new(),
        ),
        "assignments" => (
            "make the conversations, each with one active assignment at most and the others as history",
            [
                LEDGER_INDEX.to_owned(),
                place::conversations(place::Conversations::Range),
            ]
            .into_iter()
            .chain(place::contacts(source, place::Conversations::Range))
            .collect(),
        ),
        _ => return read.into_iter().collect(),
    };
    let placed = step("place", text.to_owned(), sql, PLACE);
    read.into_iter().chain([placed]).collect()
}
