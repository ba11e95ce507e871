//! `portalctl import`: lists that many rows come in with, all of a list or nothing.

mod live;
mod report;

use std::{fs, path::PathBuf, sync::Arc};

use anyhow::{Context as _, anyhow};
use chrono::Utc;
use clap::{Args, Subcommand};
use portal_db::{CrossTenantPath, Scope};
use portal_events::catalogue::TenantGenesysOrgMapped;
use portal_tenant_orgs::{Overtaken, Present, apply, decide, read};
use secrecy::SecretString;
use serde_json::json;

use crate::{
    Answer,
    vault_keys::VaultKeys,
    work::{Changing, Refusal, TENANTS, Work, note, tell, told},
};
use live::LiveCheck;
use report::Report;

/// Rows of one file at the most.
const MOST_ROWS: usize = 100_000;

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
    live: LiveCheck,
    #[command(flatten)]
    changing: Changing,
}

/// Runs a command; `json` says whether the answer is wanted so.
pub(crate) fn run(
    command: &ImportCommand,
    url: &SecretString,
    vault: &VaultKeys,
    json: bool,
) -> anyhow::Result<Answer> {
    match command {
        ImportCommand::TenantOrgs(import) => tenant_orgs(import, url, vault, json),
    }
}

impl From<Overtaken> for Refusal {
    fn from(meanwhile: Overtaken) -> Self {
        told(format!(
            "{meanwhile}, and nothing was changed: run it again"
        ))
    }
}

fn tenant_orgs(
    import: &TenantOrgs,
    url: &SecretString,
    vault: &VaultKeys,
    json: bool,
) -> anyhow::Result<Answer> {
    let name = import.file.display();
    let file = fs::File::open(&import.file).with_context(|| format!("{name} cannot be read"))?;
    let rows = Arc::new(read(file, MOST_ROWS).map_err(|bad| anyhow!("{name} {bad}"))?);
    let work = Work::open(url)?;
    let directory = Scope::CrossTenant(CrossTenantPath::TenantDirectory);
    let all = Arc::clone(&rows);
    let present = work.read(directory, move |tx| Ok(Present::of(tx, &all)?))?;
    let mut verdicts = decide(&rows, &present);
    drop(present);
    let asked = import.live.run(&work, vault, &rows, &mut verdicts)?;
    let verdicts = Arc::new(verdicts);
    let is_good = verdicts.iter().all(|verdict| verdict.reason().is_none());
    if is_good {
        let actor = import.changing.actor();
        let (rows, verdicts) = (Arc::clone(&rows), Arc::clone(&verdicts));
        work.change_many(&import.changing, move |tx| {
            apply(tx, &rows, &verdicts, |tx, mapping| {
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
    let report = Report {
        rows: &rows,
        verdicts: &verdicts,
        asked: asked.as_ref(),
        dry_run: import.changing.dry_run,
        is_good,
    };
    report.answer(import.changing.prefix(), json)
}
