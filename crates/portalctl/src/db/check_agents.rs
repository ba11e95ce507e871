//! `portalctl db check-agents`: what would become of each row of a list of agents.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;
use diesel::PgConnection;
use portal_legacy::{
    Catalog, Mapping,
    agents_file::{Staged, rejected, stage, write_rejects},
};

use crate::{Answer, RowsRejected};

/// Rejected rows that are named in words.
const NAMED: i64 = 50;
/// Rejected rows that `--json` names; `--rejects` has all.
const NAMED_IN_JSON: i64 = 10_000;

#[derive(Debug, Args)]
pub(crate) struct CheckAgents {
    /// The list: UTF-8 or UTF-16; comma, semicolon or tab.
    #[arg(value_name = "FILE.csv")]
    file: PathBuf,
    /// Which table and column of the legacy database means what, as `portalctl db inspect
    /// --write-mapping` writes it.
    #[arg(long, value_name = "FILE")]
    mapping: PathBuf,
    /// Write the rejected rows to this file, to be put right and checked again.
    #[arg(long, value_name = "FILE.csv")]
    rejects: Option<PathBuf>,
    /// Be content when some rows are good: the others are left out.
    #[arg(long)]
    partial: bool,
}

pub(super) fn run(arguments: &CheckAgents, conn: &mut PgConnection) -> anyhow::Result<Answer> {
    let name = arguments.mapping.display();
    let text = std::fs::read_to_string(&arguments.mapping)
        .with_context(|| format!("cannot read {name}"))?;
    let mapping = Mapping::read(&text).with_context(|| name.to_string())?;
    let catalog = Catalog::read(conn, &mapping.schema)?;
    mapping.check(&catalog)?;
    let list = List {
        file: &arguments.file,
        rejects: arguments.rejects.as_deref(),
        partial: arguments.partial,
    };
    list.stage(conn, &mapping, &catalog)
}

/// A list of agents, and what is to become of its bad rows.
pub(super) struct List<'a> {
    pub(super) file: &'a Path,
    pub(super) rejects: Option<&'a Path>,
    pub(super) partial: bool,
}

impl List<'_> {
    /// Decides the rows; the good ones are in this session's table `agent_mapping` then.
    ///
    /// [`RowsRejected`] when there are bad ones, unless some good ones are enough.
    pub(super) fn stage(
        &self,
        conn: &mut PgConnection,
        mapping: &Mapping,
        catalog: &Catalog,
    ) -> anyhow::Result<Answer> {
        if self.rejects.is_some_and(|path| is_same(path, self.file)) {
            bail!("--rejects names the list itself: give it another name");
        }
        let staged = stage(conn, mapping, catalog, self.file)?;
        if let Some(path) = self.rejects {
            write_rejects(conn, path)?;
        }
        let answer = self.answer(conn, &staged)?;
        let is_enough = self.partial && staged.rejected < staged.total;
        if staged.rejected > 0 && !is_enough {
            return Err(RowsRejected(answer).into());
        }
        Ok(answer)
    }

    fn answer(&self, conn: &mut PgConnection, staged: &Staged) -> anyhow::Result<Answer> {
        let mut text = format!("{} rows:", staged.total);
        for (verdict, rows) in &staged.verdicts {
            write!(text, " {rows} {verdict}")?;
        }
        let named = rejected(conn, 0, NAMED_IN_JSON)?;
        for row in named.iter().take(usize::try_from(NAMED)?) {
            write!(text, "\n{row} [{}]", row.verdict)?;
        }
        if staged.rejected > NAMED {
            let more = staged.rejected - NAMED;
            write!(text, "\nand {more} more, which --rejects FILE.csv has")?;
        }
        if let Some(path) = self.rejects.filter(|_| staged.rejected > 0) {
            let path = path.display();
            write!(
                text,
                "\nWrote {path}: put the rows right and check it as well."
            )?;
        }
        Ok(Answer {
            text,
            json: serde_json::json!({
                "total": staged.total, "verdicts": staged.verdicts, "rejected": staged.rejected,
                "rows": named,
            }),
            as_wanted: true,
        })
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}
