//! `portalctl db backup`: a dump of the legacy installation, with what proves that it is whole.

mod compare;
mod create;
mod directory;
mod facts;
mod manifest;
mod proof;
mod verify;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use diesel::PgConnection;
use secrecy::SecretString;

pub(super) use compare::differences;
pub(super) use directory::DUMP;
pub(super) use manifest::{Database, Manifest};
pub(super) use proof::verified;
pub(super) use verify::told;

use super::programs::Programs;
use crate::Answer;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Backup {
    /// A directory that is new or empty. What is in it afterwards holds the installation's tokens in
    /// clear; only you may read it.
    #[arg(long, value_name = "DIR", required = true)]
    out: Option<PathBuf>,
    /// The schema that the legacy tables are in. All others are backed up, too, except the one of the
    /// organization-level model.
    #[arg(long, default_value = "public")]
    schema: String,
    /// Seconds to wait for another operation that is under way.
    #[arg(long, default_value_t = 60)]
    wait_seconds: u64,
    #[command(flatten)]
    programs: Programs,
    #[command(subcommand)]
    command: Option<BackupCommand>,
}

#[derive(Debug, Subcommand)]
enum BackupCommand {
    /// Restores the backup into a database of its own beside this one, compares what is there with what
    /// was there, and drops it again; exit code 3 when they differ.
    Verify(verify::Verify),
}

/// Why a backup is none, or was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    /// It is not whole, not as it was made, or not proven.
    #[error("{0}")]
    NotWhole(String),
    /// The login lacks a privilege.
    #[error("{0}")]
    NotPermitted(String),
}

pub(super) fn run(
    arguments: &Backup,
    conn: &mut PgConnection,
    url: &SecretString,
) -> anyhow::Result<Answer> {
    match (&arguments.command, &arguments.out) {
        (Some(BackupCommand::Verify(verify)), _) => verify::run(verify, conn, url),
        (None, Some(out)) => create::run(arguments, out, conn, url),
        (None, None) => anyhow::bail!("where to? Give --out DIR"),
    }
}
