//! `portalctl db decisions`: whose which WhatsApp account becomes, and what a person has to decide.

use std::path::PathBuf;

use clap::Args;
use diesel::PgConnection;
use portal_legacy::{Decisions, Ownership, Undecided, Verdict, ownership, read_only};

use super::{
    inspect::write_new,
    legacy::{Files, mapped},
};
use crate::Answer;

#[derive(Debug, Args)]
pub(crate) struct Decide {
    /// The confirmed mapping file.
    #[arg(long, value_name = "FILE")]
    mapping: PathBuf,
    /// Write to this new file what is to be decided, to be filled in.
    #[arg(long, value_name = "FILE", conflicts_with = "decisions")]
    write: Option<PathBuf>,
    #[command(flatten)]
    files: Files,
}

pub(super) fn run(arguments: &Decide, conn: &mut PgConnection) -> anyhow::Result<Answer> {
    let mapped = mapped(conn, &arguments.mapping)?;
    let (_, decisions) = arguments.files.decided()?;
    arguments.files.stage_agents(conn, &mapped)?;
    let said = arguments.files.said_agents(conn)?;
    let (catalog, mapping) = (&mapped.catalog, &mapped.mapping);
    let found = read_only(conn, |conn| {
        ownership(conn, catalog, mapping, &decisions, said.as_deref())
    })?;
    let mut lines = vec![summary(&found)];
    lines.extend(found.undecided.iter().map(undecided));
    if let Some(file) = &arguments.write {
        lines.push(if found.undecided.is_empty() {
            "There is nothing to decide; no file was written.".to_owned()
        } else {
            write_new(file, &Decisions::render(&found.undecided))?;
            format!("Wrote {}: fill it in.", file.display())
        });
    }
    Ok(Answer {
        text: lines.join("\n"),
        as_wanted: found.undecided.is_empty(),
        json: serde_json::to_value(&found)?,
    })
}

fn summary(found: &Ownership) -> String {
    let count = |verdict| {
        let accounts = found.accounts.iter();
        accounts.filter(|one| one.verdict == verdict).count()
    };
    let mut lines = vec![format!(
        "{} account(s): {} migrated, {} merged, {} skipped, {} rejected.",
        found.accounts.len(),
        count(Verdict::Migrated),
        count(Verdict::Merged),
        count(Verdict::Skipped),
        count(Verdict::Rejected),
    )];
    for kept in &found.lifted {
        let numbers: Vec<_> = kept
            .numbers
            .iter()
            .map(|one| one.phone_number_id.as_str())
            .collect();
        lines.push(format!(
            "{}: account {} with the numbers {}, by {} {}",
            kept.tenant_key,
            kept.waba_id,
            numbers.join(", "),
            kept.subject,
            kept.key
        ));
    }
    for one in &found.accounts {
        if one.verdict == Verdict::Rejected {
            lines.push(format!(
                "{} {} is rejected: {}",
                one.subject, one.key, one.reason
            ));
        }
    }
    lines.join("\n")
}

fn undecided(tenant: &Undecided) -> String {
    let candidates = tenant.candidates.iter();
    let ids: Vec<_> = candidates.map(|one| one.waba_id.as_str()).collect();
    format!(
        "{}: undecided between {}, none",
        tenant.tenant_key,
        ids.join(", ")
    )
}
