//! `portalctl db`: applies migrations and tells where the schema stands.

mod backup;
mod check_agents;
mod decisions;
mod inspect;
mod legacy;
mod migrate;
mod programs;
mod restore;

use std::time::Instant;

use anyhow::bail;
use clap::Subcommand;
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl as _,
    sql_types::{Nullable, Text},
};
use diesel_migrations::MigrationHarness as _;
use portal_migration::MigrationError;
use portal_operations::{Operation, Recorded};
use secrecy::SecretString;

use crate::{Answer, checksums, connection, drift, vault_keys::VaultKeys};

pub(crate) use backup::BackupError;
pub(crate) use migrate::{apply_all, missing_roles};

#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Applies the migrations that are missing. Safe to repeat and to run twice at once.
    Migrate(migrate::Migrate),
    /// Tells which migrations are applied, and how far the migration of a legacy installation is; exit code 3 when some are missing, were edited after they were
    /// applied, or are of a later release.
    Status,
    /// Lists what operators did to the database, newest first.
    History {
        /// So many at the most.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
        last: u16,
    },
    /// Tells what the database has that no migration made, and what it lacks; exit code 3 when there is
    /// any. The migrations are applied in a database beside it, which is dropped afterwards.
    Drift,
    /// Tells what kind of database it is and what is in a legacy one; changes nothing. Exit code 3
    /// when it cannot be migrated as it is, 4 when the role may not read its tables, 5 when the
    /// mapping file does not fit.
    Inspect(inspect::Inspect),
    /// Tells whose which WhatsApp account becomes, and writes what a person has to decide; changes
    /// nothing. Exit code 3 when something is to be decided, 5 when a file does not fit.
    Decisions(decisions::Decide),
    /// Backs a legacy installation up while it works on, with counts and hashes of what is in it;
    /// `verify` proves by restoring it that it is a backup. Exit code 4 when the role may not read
    /// everything.
    Backup(backup::Backup),
    /// Restores a backup into the database that the URL names, which does not exist or is empty, and
    /// compares what is there then; exit code 3 when the backup is not whole, the database not empty,
    /// or something else than what was backed up is there, 4 when the role may not make it.
    Restore(restore::Restore),
    /// Tells what `db migrate --mapping` would do to a legacy installation: the steps with their statements,
    /// locks and estimates, and a hash to hold the migration to. Changes nothing.
    Plan(legacy::Plan),
    /// Does all of it on a copy that is restored from a backup, and tells how long each step takes and how
    /// long writers wait; the copy is dropped afterwards.
    Rehearse(legacy::Rehearse),
    /// Holds the legacy tables against what became of them; exit code 3 when something does not hold.
    /// Changes nothing.
    Verify,
    /// Tells what became of each legacy row.
    Ledger(legacy::Ledger),
    /// Takes a migration of a legacy installation back: the database is as it was before. Any time until
    /// `db retire`.
    Rollback(legacy::Rollback),
    /// Drops the legacy tables when everything is migrated and backed up. There is no way back but
    /// `db restore`.
    Retire(legacy::Retire),
    /// Checks a list of `old_agent_id,genesys_user_id,tenant_id,name,email`, which says what Genesys user each
    /// legacy agent is: a verdict for each row; changes nothing. Exit code 5 when rows are rejected.
    CheckAgents(check_agents::CheckAgents),
}

pub(crate) fn run(
    command: &DbCommand,
    url: &SecretString,
    vault: &VaultKeys,
) -> anyhow::Result<Answer> {
    // Its database may not be there yet.
    if let DbCommand::Restore(arguments) = command {
        return restore::run(arguments, url);
    }
    let mut conn = connection::open(url)?;
    match command {
        DbCommand::Migrate(arguments) => migrate::run(arguments, &mut conn, url, vault),
        DbCommand::Status => status(&mut conn),
        DbCommand::History { last } => history(&mut conn, *last),
        DbCommand::Drift => {
            refuse_unknown(&mut conn)?;
            drift::run(&mut conn, url)
        }
        DbCommand::Inspect(arguments) => noted(&mut conn, "db inspect", |conn| {
            inspect::run(arguments, conn)
        }),
        DbCommand::Decisions(arguments) => decisions::run(arguments, &mut conn),
        DbCommand::Backup(arguments) => backup::run(arguments, &mut conn, url),
        DbCommand::Restore(arguments) => restore::run(arguments, url),
        DbCommand::Plan(arguments) => noted(&mut conn, "db plan", |conn| arguments.run(conn)),
        DbCommand::Verify => {
            let vault = vault.vault()?;
            noted(&mut conn, "db verify", |conn| legacy::verify(conn, &vault))
        }
        DbCommand::Ledger(arguments) => arguments.run(&mut conn),
        DbCommand::Rollback(arguments) => arguments.run(&mut conn, url),
        DbCommand::Retire(arguments) => arguments.run(&mut conn, url, &vault.vault()?),
        DbCommand::Rehearse(arguments) => arguments.run(&mut conn, url, &vault.vault()?),
        DbCommand::CheckAgents(arguments) => check_agents::run(arguments, &mut conn),
    }
}

/// Logs what changes nothing, too: who asked, when, and with what outcome.
fn noted(
    conn: &mut PgConnection,
    command: &'static str,
    work: impl FnOnce(&mut PgConnection) -> anyhow::Result<Answer>,
) -> anyhow::Result<Answer> {
    let began = Instant::now();
    let answer = work(conn)?;
    let mut details = serde_json::json!({ "as_wanted": answer.as_wanted });
    for name in ["hash", "fingerprint"] {
        if let Some(value) = answer.json.get(name) {
            details[name] = value.clone();
        }
    }
    let operation = Operation::here(command, serde_json::json!({}));
    portal_operations::note(conn, &operation, began.elapsed(), &details)?;
    Ok(answer)
}

/// The versions of the applied migrations, oldest first.
fn applied(conn: &mut PgConnection) -> anyhow::Result<Vec<String>> {
    let found = conn
        .applied_migrations()
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut versions: Vec<_> = found.iter().map(ToString::to_string).collect();
    versions.sort();
    Ok(versions)
}

/// Where the schema stands, by the versions of migrations.
pub(crate) struct Standing {
    applied: Vec<String>,
    /// Not applied yet.
    pub(crate) missing: Vec<String>,
    /// Of a later release.
    pub(crate) unknown: Vec<String>,
    /// Changed after they were applied.
    pub(crate) edited: Vec<String>,
}

/// Where the schema stands; changes nothing.
pub(crate) fn standing(conn: &mut PgConnection) -> anyhow::Result<Standing> {
    let table =
        diesel::sql_query("SELECT to_regclass('__diesel_schema_migrations')::text AS value")
            .get_result::<OptionalText>(conn)?;
    let applied = if table.value.is_some() {
        applied(conn)?
    } else {
        Vec::new()
    };
    let known = portal_db_schema::migration_versions().map_err(anyhow::Error::msg)?;
    let without = |all: &[String], others: &[String]| -> Vec<String> {
        let rest = all.iter().filter(|version| !others.contains(version));
        rest.cloned().collect()
    };
    Ok(Standing {
        missing: without(&known, &applied),
        unknown: without(&applied, &known),
        edited: checksums::edited(conn)?,
        applied,
    })
}

fn status(conn: &mut PgConnection) -> anyhow::Result<Answer> {
    let Standing {
        applied,
        missing,
        unknown,
        edited,
    } = standing(conn)?;
    let text = match (missing.as_slice(), unknown.as_slice()) {
        _ if !edited.is_empty() => format!(
            "Edited after they were applied: {}. Put their files back, and bring the change in a migration of its own.",
            edited.join(", ")
        ),
        ([], []) => format!("The schema is current ({} migrations).", applied.len()),
        (missing, []) => {
            format!(
                "Missing: {}. Run `portalctl db migrate`.",
                missing.join(", ")
            )
        }
        (_, unknown) => format!(
            "The database has migrations of a later release: {}. Use that release's portalctl.",
            unknown.join(", ")
        ),
    };
    let as_wanted = missing.is_empty() && unknown.is_empty() && edited.is_empty();
    let legacy = portal_migration::status(conn)?;
    let text = match &legacy {
        Some(legacy) => format!("{text}\n{legacy}"),
        None => text,
    };
    let json = serde_json::json!({
        "applied": applied, "missing": missing, "unknown": unknown, "edited": edited, "legacy": legacy,
    });
    Ok(Answer {
        text,
        json,
        as_wanted,
    })
}

fn history(conn: &mut PgConnection, last: u16) -> anyhow::Result<Answer> {
    let found = portal_operations::recent(conn, last.into())?;
    let line = |entry: &Recorded| {
        format!(
            "{} - {}  {}  {}  {}@{}  {}",
            entry.began_at,
            entry.ended_at.as_deref().unwrap_or("?"),
            entry.command,
            entry.outcome,
            entry.operator,
            entry.host,
            entry.details
        )
    };
    let text = if found.is_empty() {
        "No operation was logged yet.".to_owned()
    } else {
        found.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    let entries: Vec<_> = found
        .iter()
        .map(|entry| {
            serde_json::json!({
                "operation_id": entry.operation_id, "command": entry.command,
                "arguments": entry.arguments, "operator": entry.operator, "host": entry.host,
                "began_at": entry.began_at, "ended_at": entry.ended_at,
                "outcome": entry.outcome, "details": entry.details,
            })
        })
        .collect();
    Ok(Answer {
        text,
        json: serde_json::json!({ "operations": entries }),
        as_wanted: true,
    })
}

fn refuse_unknown(conn: &mut PgConnection) -> anyhow::Result<()> {
    let known = portal_db_schema::migration_versions().map_err(anyhow::Error::msg)?;
    let unknown: Vec<_> = applied(conn)?
        .into_iter()
        .filter(|version| !known.contains(version))
        .collect();
    if !unknown.is_empty() {
        bail!(MigrationError::State(format!(
            "the database has migrations of a later release ({}): use that release's portalctl",
            unknown.join(", ")
        )));
    }
    Ok(())
}

#[derive(QueryableByName)]
struct OptionalText {
    #[diesel(sql_type = Nullable<Text>)]
    value: Option<String>,
}

/// Asks for one text.
fn text(conn: &mut PgConnection, sql: &str) -> anyhow::Result<Option<String>> {
    Ok(diesel::sql_query(sql)
        .get_result::<OptionalText>(conn)?
        .value)
}
