//! `portalctl db ledger`: what became of each legacy row.

use std::{
    fmt::Write as _,
    fs::OpenOptions,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use diesel::PgConnection;
use portal_migration::{Total, page, totals};

use crate::Answer;

/// Rows in memory at a time.
const PAGE: i64 = 10_000;

#[derive(Debug, Args)]
pub(crate) struct Ledger {
    /// Write every row to this new file, too.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

impl Ledger {
    pub(in crate::db) fn run(&self, conn: &mut PgConnection) -> anyhow::Result<Answer> {
        super::state(conn)?.ok_or_else(|| {
            portal_migration::MigrationError::State("nothing was migrated here".to_owned())
        })?;
        let totals = totals(conn)?;
        let mut text = table(&totals);
        if let Some(file) = &self.csv {
            let rows = write(conn, file)?;
            write!(text, "\nWrote {rows} rows to {}.", file.display())?;
        }
        Ok(Answer {
            text,
            json: serde_json::json!({ "totals": totals }),
            as_wanted: true,
        })
    }
}

fn write(conn: &mut PgConnection, file: &Path) -> anyhow::Result<usize> {
    let open = OpenOptions::new().write(true).create_new(true).open(file);
    let open = open.with_context(|| {
        format!(
            "cannot write {}, which has to be a new file",
            file.display()
        )
    })?;
    let mut csv = csv::Writer::from_writer(open);
    let mut rows = 0;
    let mut last: Option<(String, String)> = None;
    loop {
        let after = last
            .as_ref()
            .map(|(subject, key)| (subject.as_str(), key.as_str()));
        let entries = page(conn, after, PAGE)?;
        let Some(end) = entries.last() else {
            csv.flush()?;
            return Ok(rows);
        };
        last = Some((end.subject.clone(), end.key.clone()));
        for entry in &entries {
            csv.serialize(entry)?;
        }
        rows += entries.len();
    }
}

/// A line for each subject, verdict and reason.
pub(super) fn table(totals: &[Total]) -> String {
    let line = |total: &Total| {
        let reason = total.reason.as_deref().map(|why| format!("  {why}"));
        format!(
            "{:22} {:9} {:>9}{}",
            total.subject,
            total.verdict,
            total.rows,
            reason.unwrap_or_default()
        )
    };
    totals.iter().map(line).collect::<Vec<_>>().join("\n")
}
