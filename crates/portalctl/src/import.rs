//! `portalctl import`: lists that many rows come in with, all of a list or nothing.

use std::{fmt::Write as _, fs, path::PathBuf};

use anyhow::{Context as _, anyhow};
use chrono::Utc;
use clap::{Args, Subcommand};
use portal_db::{CrossTenantPath, Scope};
use portal_events::catalogue::TenantGenesysOrgMapped;
use portal_tenant_orgs::{FileRow, Overtaken, Present, Verdict, VerdictKind, apply, decide, read};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::{
    Answer,
    work::{Changing, Refusal, TENANTS, Work, note, tell, told},
};

/// Rows of one file at the most.
const MOST_ROWS: usize = 100_000;
/// Bad rows that are named in words; `--json` has all.
const NAMED: usize = 50;

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// Gives tenants their Genesys organizations by a file of `tenant_id,genesys_org_id`: all rows, or none
    /// when one is bad. UTF-8 or UTF-16; comma, semicolon or tab. The same file again changes nothing.
    TenantOrgs(TenantOrgs),
}

#[derive(Debug, Args)]
pub(crate) struct TenantOrgs {
    /// The file.
    #[arg(value_name = "FILE.csv")]
    file: PathBuf,
    #[command(flatten)]
    changing: Changing,
}

pub(crate) fn run(command: &ImportCommand, url: &SecretString) -> anyhow::Result<Answer> {
    match command {
        ImportCommand::TenantOrgs(import) => tenant_orgs(import, url),
    }
}

impl From<Overtaken> for Refusal {
    fn from(meanwhile: Overtaken) -> Self {
        told(format!(
            "{meanwhile}, and nothing was changed: run it again"
        ))
    }
}

fn tenant_orgs(import: &TenantOrgs, url: &SecretString) -> anyhow::Result<Answer> {
    let name = import.file.display();
    let file = fs::File::open(&import.file).with_context(|| format!("{name} cannot be read"))?;
    let rows = read(file, MOST_ROWS).map_err(|bad| anyhow!("{name} {bad}"))?;
    let work = Work::open(url)?;
    let ids: Vec<_> = rows.iter().map(|row| row.tenant_id.clone()).collect();
    let orgs: Vec<_> = rows.iter().map(|row| row.genesys_org_id.clone()).collect();
    let directory = Scope::CrossTenant(CrossTenantPath::TenantDirectory);
    let present = work.read(directory, move |tx| Ok(Present::of(tx, &ids, &orgs)?))?;
    let verdicts = decide(&rows, &present);
    let is_good = verdicts.iter().all(|verdict| verdict.reason().is_none());
    if is_good {
        let (actor, all) = (import.changing.actor(), verdicts.clone());
        work.change_many(&import.changing, move |tx| {
            apply(tx, &all, |tx, mapping| {
                let id = &mapping.tenant_id;
                let event = TenantGenesysOrgMapped {
                    tenant_id: id.clone(),
                    genesys_org_id: Some(mapping.org.clone()),
                    previous: mapping.previous.clone(),
                };
                tell(tx, TENANTS, id, Utc::now(), &event)?;
                let details = json!({
                    "genesys_org_id": mapping.org, "previous": mapping.previous, "by": "import",
                });
                Ok::<_, Refusal>(note(tx, &actor, "tenant.map_genesys_org", id, details)?)
            })
        })?;
    }
    answer_of(&rows, &verdicts, is_good, &import.changing)
}

fn answer_of(
    rows: &[FileRow],
    verdicts: &[Verdict],
    is_good: bool,
    changing: &Changing,
) -> anyhow::Result<Answer> {
    let count = |kind: VerdictKind| verdicts.iter().filter(|v| v.kind() == kind).count();
    let (set, unchanged) = (count(VerdictKind::Set), count(VerdictKind::Unchanged));
    let bad = verdicts.len() - set - unchanged;
    let mut text = if is_good {
        let prefix = changing.prefix();
        format!("{prefix}{set} tenants have their organization now, {unchanged} had it already.")
    } else {
        format!(
            "{bad} of {} rows are bad, and nothing was changed:",
            rows.len()
        )
    };
    let pairs = rows.iter().zip(verdicts);
    let named = pairs
        .clone()
        .filter_map(|(row, verdict)| Some((row, verdict.reason()?)));
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
    let rows: Vec<Value> = pairs
        .map(|(row, verdict)| {
            let reason = verdict.reason();
            json!({
                "line": row.line, "tenant_id": row.tenant_id, "genesys_org_id": row.genesys_org_id,
                "result": <&str>::from(verdict.kind()),
                "code": reason.map(|reason| reason.code),
                "message": reason.map(|reason| reason.message),
            })
        })
        .collect();
    Ok(Answer {
        text,
        json: json!({
            "applied": is_good && !changing.dry_run, "dry_run": changing.dry_run,
            "total": rows.len(), "set": set, "unchanged": unchanged, "errors": bad, "rows": rows,
        }),
        as_wanted: is_good,
    })
}
