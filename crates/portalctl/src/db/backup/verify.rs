//! `portalctl db backup verify DIR`: a backup is one when it was restored.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use diesel::PgConnection;
use portal_operations::Operation;
use secrecy::SecretString;
use serde_json::json;

use super::{BackupError, Manifest, differences, proof};
use crate::{
    Answer,
    db::{
        programs::{Programs, is_refusal, server_version},
        restore,
    },
    scratch::Scratch,
};

/// Differences in the answer for readers; `--json` and the proof have all of them.
const MOST_LINES: usize = 50;

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The directory of the backup.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Seconds to wait for another operation that is under way.
    #[arg(long, default_value_t = 60)]
    wait_seconds: u64,
    #[command(flatten)]
    programs: Programs,
}

pub(super) fn run(
    arguments: &Verify,
    conn: &mut PgConnection,
    url: &SecretString,
) -> anyhow::Result<Answer> {
    let operation = Operation::here(
        "db backup verify",
        json!({ "directory": std::path::absolute(&arguments.directory)? }),
    );
    let wait = Duration::from_secs(arguments.wait_seconds);
    let tell = |holder: &str| eprintln!("waiting for another operation: {holder}");
    portal_operations::run(conn, &operation, wait, tell, |conn| {
        let answer = verify(arguments, conn, url)?;
        let details = answer.json.clone();
        anyhow::Ok((answer, details))
    })
}

fn verify(
    arguments: &Verify,
    conn: &mut PgConnection,
    url: &SecretString,
) -> anyhow::Result<Answer> {
    let directory = &arguments.directory;
    let (manifest, sha256) = Manifest::read(directory)?;
    let dump = manifest.hold_dump(directory)?;
    let server = server_version(conn)?;
    let program = arguments.programs.find("pg_restore", &server)?;
    let scratch = Scratch::create(url, "verify", &restore::settings(&manifest.database)).map_err(
        |error| {
            let told = format!("{error:#}");
            if is_refusal(&told) {
                return BackupError::NotPermitted(told).into();
            }
            error
        },
    )?;
    restore::fill(&program, scratch.url(), &dump)?;
    let found = differences(&mut scratch.open()?, &manifest)?;
    drop(scratch);
    proof::write(directory, &sha256, &server, &found)?;
    let legacy = manifest.legacy()?;
    let as_wanted = found.is_empty();
    let text = if as_wanted {
        let tables: usize = manifest.schemas.iter().map(|it| it.data.tables.len()).sum();
        format!(
            "Proven: a restored copy has the same catalog and the same rows in all {tables} tables. \
             Fingerprint {}, hash of all data {}, as of {}.",
            legacy.fingerprint, legacy.data.overall, manifest.created_at
        )
    } else {
        told(&found)
    };
    Ok(Answer {
        text,
        json: json!({
            "holds": as_wanted,
            "differences": found,
            "created_at": manifest.created_at,
            "schema": legacy.name,
            "fingerprint": legacy.fingerprint,
            "data_hash": legacy.data.overall,
            "manifest_sha256": sha256,
        }),
        as_wanted,
    })
}

/// The differences for a reader.
pub(in crate::db) fn told(found: &[String]) -> String {
    let mut lines: Vec<&str> = found.iter().take(MOST_LINES).map(String::as_str).collect();
    let more = format!(
        "and {} more (--json has all)",
        found.len().saturating_sub(MOST_LINES)
    );
    if found.len() > MOST_LINES {
        lines.push(&more);
    }
    format!(
        "What was restored is not what the manifest says:\n{}",
        lines.join("\n")
    )
}
