//! `portalctl db plan`: what a migration will do, with its statements.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use clap::Args;
use diesel::{PgConnection, QueryableByName, RunQueryDsl as _, sql_types::BigInt};
use portal_auth::sha256_hex;
use portal_db_schema::{MIGRATION_TEXTS, ORGANIZATION_SCHEMA};
use portal_legacy::{fingerprint, read_only};
use portal_migration::{Step, plan, require_privileges, tables};
use serde_json::json;

use super::{
    Mapped, mapped,
    migrate::{Files, Inputs},
};
use crate::{Answer, db::inspect::write_new};

#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// Which legacy table and column means what, as `db inspect --write-mapping` wrote it and you read it.
    #[arg(long, value_name = "FILE")]
    mapping: PathBuf,
    #[command(flatten)]
    files: Files,
    /// Write it to this new file, too, as JSON.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The steps, and a hash of all that they go by.
pub(super) struct Planned {
    pub(super) steps: Vec<Step>,
    pub(super) hash: String,
    /// Of the legacy schema.
    pub(super) fingerprint: String,
}

impl Plan {
    pub(in crate::db) fn run(&self, conn: &mut PgConnection) -> anyhow::Result<Answer> {
        let inputs = Inputs {
            mapping: self.mapping.clone(),
            files: self.files.clone(),
        };
        let mapped = mapped(conn, &inputs.mapping)?;
        require_privileges(conn, &mapped.catalog, &mapped.mapping)?;
        let planned = planned(conn, &mapped, &inputs)?;
        let json = json!({
            "hash": planned.hash, "fingerprint": planned.fingerprint, "steps": planned.steps,
        });
        let mut text = describe(&planned)?;
        if let Some(file) = &self.output {
            write_new(file, &format!("{json:#}\n"))?;
            write!(text, "\nWrote {}.", file.display())?;
        }
        Ok(Answer {
            text,
            json,
            as_wanted: true,
        })
    }
}

/// Whoever migrates by the same hash does what was planned.
pub(super) fn planned(
    conn: &mut PgConnection,
    mapped: &Mapped,
    inputs: &Inputs,
) -> anyhow::Result<Planned> {
    let migrations: Vec<String> = MIGRATION_TEXTS
        .iter()
        .map(|(version, text)| format!("{version} (sha256 {})", sha256_hex(text)))
        .collect();
    let mut counts = BTreeMap::new();
    for table in tables(&mapped.catalog, &mapped.mapping) {
        let sql = format!("SELECT count(*) AS value FROM {table}");
        let found: Count = diesel::sql_query(sql).get_result(conn)?;
        counts.insert(table, found.value);
    }
    let rows = |table: &str| counts.get(table).copied().unwrap_or_default();
    let steps = plan(
        &mapped.catalog,
        &mapped.mapping,
        ORGANIZATION_SCHEMA,
        &migrations,
        &rows,
    );
    let fingerprint = read_only(conn, |conn| fingerprint(conn, &mapped.mapping.schema))?;
    // Rows come and go while legacy writers work; what is done to them does not change.
    let sql: Vec<_> = steps.iter().map(|step| (&step.step, &step.sql)).collect();
    let hash = sha256_hex(
        &json!({
            "sql": sql, "fingerprint": fingerprint, "mapping": mapped.text, "inputs": inputs.digests()?,
        })
        .to_string(),
    );
    Ok(Planned {
        steps,
        hash,
        fingerprint,
    })
}

fn describe(planned: &Planned) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for (place, step) in planned.steps.iter().enumerate() {
        let back = if step.is_reversible { "yes" } else { "no" };
        writeln!(
            text,
            "{}. {}: {}\n   rows {}, about {} s; lock on legacy tables: {}; taken back by db rollback: {back}",
            place + 1,
            step.step,
            step.text,
            step.rows,
            step.seconds,
            step.lock,
        )?;
        for sql in &step.sql {
            writeln!(
                text,
                "     {}",
                sql.split_whitespace().collect::<Vec<_>>().join(" ")
            )?;
        }
    }
    write!(
        text,
        "Fingerprint of the legacy schema: {}\nHash of the plan: {}",
        planned.fingerprint, planned.hash
    )?;
    Ok(text)
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    value: i64,
}
