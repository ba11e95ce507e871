//! portalctl: the operator's command line.
//!
//! Answers go to standard output (`--json` for scripts), everything else to standard error. Exit
//! codes: 0 done, 1 failed, 2 wrong usage, 3 the database is not in the state that was asked for.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line talks to its terminal"
)]

mod admin;
mod connection;
mod db;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use secrecy::SecretString;

/// Operates an Agent Portal installation.
#[derive(Debug, Parser)]
#[command(name = "portalctl", version)]
struct Cli {
    /// The database, as the role `agent_portal_owner`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true)]
    database_url: Option<SecretString>,
    /// Answer in JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The database's schema.
    #[command(subcommand)]
    Db(db::DbCommand),
    /// Administrators of the platform.
    #[command(subcommand)]
    Admin(admin::AdminCommand),
}

/// What a command found or did.
struct Answer {
    text: String,
    json: serde_json::Value,
    /// Whether the installation is in the state that was asked for.
    as_wanted: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(answer) => {
            if cli.json {
                println!("{}", answer.json);
            } else {
                println!("{}", answer.text);
            }
            if answer.as_wanted {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(3)
            }
        }
        Err(error) => {
            eprintln!("portalctl: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<Answer> {
    let url = cli.database_url.as_ref().ok_or_else(|| {
        anyhow::anyhow!(
            "no database: give --database-url or set DATABASE_URL (role agent_portal_owner)"
        )
    })?;
    match &cli.command {
        Command::Db(command) => db::run(command, url),
        Command::Admin(command) => admin::run(command, url),
    }
}
