//! What became of a list.

use std::{fmt::Write as _, io::Write as _};

use portal_tenant_orgs::{FileRow, Verdict, VerdictKind};
use serde::{Serialize, Serializer};

use super::live::{Asked, Live};
use crate::Answer;

/// Bad rows that are named in words; `--json` has all.
const NAMED: usize = 50;

/// What became of a list.
pub(super) struct Report<'a> {
    pub(super) rows: &'a [FileRow],
    pub(super) verdicts: &'a [Verdict],
    /// What Genesys said, if it was asked.
    pub(super) asked: Option<&'a Asked>,
    pub(super) dry_run: bool,
    pub(super) is_good: bool,
}

/// As `--json` tells it.
#[derive(Serialize)]
struct Told<'a> {
    applied: bool,
    dry_run: bool,
    total: usize,
    set: usize,
    unchanged: usize,
    errors: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmed: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unchecked: Option<usize>,
    rows: ToldRows<'a>,
}

struct ToldRows<'a>(&'a Report<'a>);

#[derive(Serialize)]
struct ToldRow<'a> {
    line: u64,
    tenant_id: &'a str,
    genesys_org_id: &'a str,
    result: &'static str,
    code: Option<&'static str>,
    message: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<&'a Live>,
}

impl Serialize for ToldRows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let report = self.0;
        let pairs = report.rows.iter().zip(report.verdicts).enumerate();
        serializer.collect_seq(pairs.map(|(place, (row, verdict))| {
            let reason = verdict.reason();
            ToldRow {
                line: row.line,
                tenant_id: &row.tenant_id,
                genesys_org_id: &row.genesys_org_id,
                result: verdict.kind().into(),
                code: reason.map(|reason| reason.code),
                message: reason.map(|reason| reason.message),
                live: report.asked.and_then(|asked| asked.of(place)),
            }
        }))
    }
}

impl Report<'_> {
    /// The answer. In JSON it is written as it is made: a long list would take much memory.
    pub(super) fn answer(&self, prefix: &str, json: bool) -> anyhow::Result<Answer> {
        let count = |kind| self.verdicts.iter().filter(|v| v.kind() == kind).count();
        let (set, unchanged) = (count(VerdictKind::Set), count(VerdictKind::Unchanged));
        let errors = self.verdicts.len() - set - unchanged;
        let text = if json {
            let told = Told {
                applied: self.is_good && !self.dry_run,
                dry_run: self.dry_run,
                total: self.rows.len(),
                set,
                unchanged,
                errors,
                confirmed: self.asked.map(Asked::confirmed),
                unchecked: self.asked.map(Asked::unchecked),
                rows: ToldRows(self),
            };
            let mut out = std::io::BufWriter::new(std::io::stdout().lock());
            serde_json::to_writer(&mut out, &told)?;
            writeln!(out)?;
            out.flush()?;
            String::new()
        } else {
            self.words(prefix, set, unchanged, errors)?
        };
        Ok(Answer {
            text,
            json: serde_json::Value::Null,
            as_wanted: self.is_good,
        })
    }

    fn words(
        &self,
        prefix: &str,
        set: usize,
        unchanged: usize,
        bad: usize,
    ) -> Result<String, std::fmt::Error> {
        let mut text = if self.is_good {
            format!(
                "{prefix}{set} tenants have their organization now, {unchanged} had it already."
            )
        } else {
            format!(
                "{bad} of {} rows are bad, and nothing was changed:",
                self.rows.len()
            )
        };
        let pairs = self.rows.iter().zip(self.verdicts);
        let named = pairs.filter_map(|(row, verdict)| Some((row, verdict.reason()?)));
        for (row, reason) in named.take(NAMED) {
            let (line, tenant) = (row.line, &row.tenant_id);
            write!(
                text,
                "\nline {line} ({tenant}): {} {}",
                reason.message, reason.code
            )?;
        }
        if bad > NAMED {
            write!(text, "\nand {} more; --json names all", bad - NAMED)?;
        }
        if let Some(asked) = self.asked {
            write!(
                text,
                "\nGenesys confirmed {}; {} could not be checked.",
                asked.confirmed(),
                asked.unchecked()
            )?;
            for (place, why) in asked.unanswered().take(NAMED) {
                if let Some(row) = self.rows.get(place) {
                    write!(text, "\nline {} ({}): {why}", row.line, row.tenant_id)?;
                }
            }
        }
        Ok(text)
    }
}
