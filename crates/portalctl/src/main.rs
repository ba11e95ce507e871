//! portalctl: the operator's command line.
//!
//! Answers go to standard output (`--json` for scripts), everything else to standard error. Exit
//! codes: [`Exit`].
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line talks to its terminal"
)]

mod address;
mod admin;
mod audit;
mod audit_entry;
mod checksums;
mod connection;
mod conversations;
mod db;
mod dead_letters;
mod doctor;
mod drift;
mod import;
mod message;
mod operator;
mod patience;
mod progress;
mod scratch;
mod signing_keys;
mod tenant;
mod user;
mod vault;
mod vault_keys;
mod work;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use db::BackupError;
use portal_legacy::LegacyError;
use portal_migration::MigrationError;
use portal_operations::{Exit, OperationError};
use secrecy::SecretString;

/// Operates an Agent Portal installation.
#[derive(Debug, Parser)]
#[command(name = "portalctl", version, after_help = Exit::HELP)]
struct Cli {
    /// The database, as the role `agent_portal_owner`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true)]
    database_url: Option<SecretString>,
    /// Read the database's URL from this file, such as a mounted secret.
    #[arg(
        long,
        env = "DATABASE_URL_FILE",
        value_name = "FILE",
        conflicts_with = "database_url",
        global = true
    )]
    database_url_file: Option<PathBuf>,
    #[command(flatten)]
    vault: vault_keys::VaultKeys,
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
    /// The audit log.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Tenants, and which Genesys organization is theirs.
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Lists that are brought in from outside.
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Looks for what keeps people from signing in or sending and for what is wrong with the database, and
    /// tells the command that mends it; changes nothing. Exit code 3 when something needs a hand.
    Doctor(doctor::Doctor),
    /// People of a tenant.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Messages of a tenant.
    #[command(subcommand)]
    Message(message::MessageCommand),
    /// What failed for good and waits for a decision.
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLettersCommand),
    /// Conversations, as agent-portal-service keeps them.
    #[command(subcommand)]
    Conversations(conversations::ConversationsCommand),
    /// Keys that sign tokens.
    #[command(subcommand)]
    SigningKeys(signing_keys::SigningKeysCommand),
    /// Keys that seal stored secrets.
    #[command(subcommand)]
    Vault(vault::VaultCommand),
}

/// What a command found or did.
#[derive(Debug)]
struct Answer {
    text: String,
    /// Nothing where a long answer was written as it was made.
    json: serde_json::Value,
    /// Whether the installation is in the state that was asked for.
    as_wanted: bool,
}

/// What was found is an answer, and why the command does not go on: rows of a list are rejected.
#[derive(Debug, thiserror::Error)]
#[error("rows are rejected, and nothing was changed")]
struct RowsRejected(Answer);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let print = |answer: &Answer| {
        if cli.json {
            if !answer.json.is_null() {
                println!("{}", answer.json);
            }
        } else {
            println!("{}", answer.text);
        }
    };
    match run(&cli) {
        Ok(answer) => {
            print(&answer);
            if answer.as_wanted {
                Exit::Done.into()
            } else {
                Exit::NotAsWanted.into()
            }
        }
        Err(error) => {
            if let Some(RowsRejected(answer)) = error.downcast_ref() {
                print(answer);
            }
            eprintln!("portalctl: {error:#}");
            exit_of(&error).into()
        }
    }
}

fn exit_of(error: &anyhow::Error) -> Exit {
    if let Some(OperationError::Busy { .. } | OperationError::Locked { .. }) = error.downcast_ref()
    {
        return Exit::Busy;
    }
    if error.is::<RowsRejected>() {
        return Exit::Mapping;
    }
    match error.downcast_ref() {
        Some(BackupError::NotWhole(_)) => return Exit::NotAsWanted,
        Some(BackupError::NotPermitted(_)) => return Exit::Privileges,
        None => {}
    }
    if let Some(error) = error.downcast_ref::<MigrationError>() {
        return match error {
            MigrationError::State(_) => Exit::NotAsWanted,
            MigrationError::Privileges(_) => Exit::Privileges,
            MigrationError::Operation(
                OperationError::Busy { .. } | OperationError::Locked { .. },
            ) => Exit::Busy,
            MigrationError::Legacy(error) => exit_of_legacy(error),
            MigrationError::Operation(OperationError::Log(_))
            | MigrationError::Vault { .. }
            | MigrationError::Database(_) => Exit::Failed,
        };
    }
    error.downcast_ref().map_or(Exit::Failed, exit_of_legacy)
}

fn exit_of_legacy(error: &LegacyError) -> Exit {
    match error {
        LegacyError::Privileges { .. } | LegacyError::Temporary(_) => Exit::Privileges,
        LegacyError::Mapping(_) | LegacyError::File(_) => Exit::Mapping,
        LegacyError::Database(_) => Exit::Failed,
    }
}

fn run(cli: &Cli) -> anyhow::Result<Answer> {
    let url = database_url(cli)?;
    match &cli.command {
        Command::Db(command) => db::run(command, &url, &cli.vault),
        Command::Admin(command) => admin::run(command, &url, &cli.vault),
        Command::Audit(command) => audit::run(command, &url),
        Command::Tenant(command) => tenant::run(command, &url),
        Command::Import(command) => import::run(command, &url, &cli.vault, cli.json),
        Command::Doctor(arguments) => doctor::run(arguments, &url),
        Command::User(command) => user::run(command, &url),
        Command::Message(command) => message::run(command, &url),
        Command::DeadLetters(command) => dead_letters::run(command, &url),
        Command::Conversations(command) => conversations::run(command, &url),
        Command::SigningKeys(command) => signing_keys::run(command, &url, &cli.vault),
        Command::Vault(command) => vault::run(command, &url, &cli.vault),
    }
}

fn database_url(cli: &Cli) -> anyhow::Result<SecretString> {
    if let Some(url) = &cli.database_url {
        return Ok(url.clone());
    }
    let file = cli.database_url_file.as_ref().ok_or_else(|| {
        anyhow::anyhow!(
            "no database: give --database-url or set DATABASE_URL or DATABASE_URL_FILE \
             (role agent_portal_owner)"
        )
    })?;
    let url =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(SecretString::from(url.trim()))
}
