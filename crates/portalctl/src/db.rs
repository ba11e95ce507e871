//! `portalctl db`: applies migrations and tells where the schema stands.

mod inspect;

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl as _,
    connection::SimpleConnection as _,
    migration::{Migration, MigrationSource as _},
    pg::Pg,
    sql_types::{Nullable, Text},
};
use diesel_migrations::MigrationHarness as _;
use portal_operations::{Operation, Recorded};
use secrecy::SecretString;

use crate::{Answer, checksums, connection, drift};

#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Applies the migrations that are missing. Safe to repeat and to run twice at once.
    Migrate {
        /// Seconds to wait for another migration that is running.
        #[arg(long, default_value_t = 60)]
        wait_seconds: u64,
        /// Seconds to wait for a table that somebody has locked.
        #[arg(long, default_value_t = 5)]
        lock_timeout_seconds: u64,
    },
    /// Tells which migrations are applied; exit code 3 when some are missing, were edited after they were
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
}

pub(crate) fn run(command: &DbCommand, url: &SecretString) -> anyhow::Result<Answer> {
    let mut conn = connection::open(url)?;
    match command {
        DbCommand::Migrate {
            wait_seconds,
            lock_timeout_seconds,
        } => {
            conn.batch_execute(&format!("SET lock_timeout = '{lock_timeout_seconds}s'"))?;
            require_roles(&mut conn)?;
            let arguments = serde_json::json!({
                "wait_seconds": wait_seconds, "lock_timeout_seconds": lock_timeout_seconds,
            });
            let operation = Operation::here("db migrate", arguments);
            let wait = Duration::from_secs(*wait_seconds);
            let tell = |holder: &str| eprintln!("waiting for another operation: {holder}");
            portal_operations::run(&mut conn, &operation, wait, tell, |conn| {
                let answer = migrate(conn)?;
                let details = answer.json.clone();
                anyhow::Ok((answer, details))
            })
        }
        DbCommand::Status => status(&mut conn),
        DbCommand::History { last } => history(&mut conn, *last),
        DbCommand::Drift => {
            refuse_unknown(&mut conn)?;
            drift::run(&mut conn, url)
        }
        DbCommand::Inspect(arguments) => inspect::run(arguments, &mut conn),
    }
}

/// `diesel_migrations` takes no lock of its own: whoever calls holds the one of operations.
fn migrate(conn: &mut PgConnection) -> anyhow::Result<Answer> {
    refuse_unknown(conn)?;
    let before = applied(conn)?;
    checksums::hold(conn, &before)?;
    let pending = pending(&before)?;
    let mut done = Vec::with_capacity(pending.len());
    for migration in pending {
        let name = migration.name().to_string();
        eprintln!("applying {name}");
        connection::transaction(conn, |conn| {
            conn.run_migration(&migration)
                .map_err(|error| anyhow::anyhow!("{error}"))?;
            checksums::note(conn, &migration.name().version().to_string())
        })
        .with_context(|| format!("migration {name} failed and left nothing behind"))?;
        done.push(name);
    }
    let text = if done.is_empty() {
        "The schema is current; nothing to do.".to_owned()
    } else {
        format!(
            "Applied {} migration(s); the schema is current.",
            done.len()
        )
    };
    Ok(Answer {
        text,
        json: serde_json::json!({ "applied": done }),
        as_wanted: true,
    })
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

/// Applies all migrations to an empty database that nobody else uses.
pub(crate) fn apply_all(conn: &mut PgConnection) -> anyhow::Result<()> {
    // Makes the table of applied migrations, too.
    for migration in pending(&applied(conn)?)? {
        conn.run_migration(&migration)
            .map_err(|error| anyhow::anyhow!("{error}"))?;
    }
    Ok(())
}

fn status(conn: &mut PgConnection) -> anyhow::Result<Answer> {
    let table =
        diesel::sql_query("SELECT to_regclass('__diesel_schema_migrations')::text AS value")
            .get_result::<OptionalText>(conn)?;
    let applied = if table.value.is_some() {
        applied(conn)?
    } else {
        Vec::new()
    };
    let known = portal_db_schema::migration_versions().map_err(anyhow::Error::msg)?;
    let missing: Vec<_> = known
        .iter()
        .filter(|v| !applied.contains(v))
        .cloned()
        .collect();
    let unknown: Vec<_> = applied
        .iter()
        .filter(|v| !known.contains(v))
        .cloned()
        .collect();
    let edited = checksums::edited(conn)?;
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
    let json = serde_json::json!({
        "applied": applied, "missing": missing, "unknown": unknown, "edited": edited,
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

/// Grants and policies name the roles, so these come first.
fn require_roles(conn: &mut PgConnection) -> anyhow::Result<()> {
    let missing = diesel::sql_query(
        "SELECT string_agg(name, ', ') AS value FROM unnest(ARRAY['tenant_service', \
             'agent_portal_service', 'outbound_message_service', 'portal_relay', 'tenant_directory', \
             'portal_identity', 'session_sweeper', 'webhook_router', 'delivery_sweeper', 'delivery_recorder', 'message_acceptor', \
             'user_sync_scheduler', 'live_feed_watcher', 'account_scheduler', 'api_key_directory', 'audit_reader', 'vault_rotator']) name \
         WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)",
    )
    .get_result::<OptionalText>(conn)?;
    if let Some(names) = missing.value {
        bail!("the roles {names} do not exist: run deploy/postgres/roles.sql as a superuser first");
    }
    Ok(())
}

fn refuse_unknown(conn: &mut PgConnection) -> anyhow::Result<()> {
    let known = portal_db_schema::migration_versions().map_err(anyhow::Error::msg)?;
    let unknown: Vec<_> = applied(conn)?
        .into_iter()
        .filter(|version| !known.contains(version))
        .collect();
    if !unknown.is_empty() {
        bail!(
            "the database has migrations of a later release ({}): use that release's portalctl",
            unknown.join(", ")
        );
    }
    Ok(())
}

fn pending(applied: &[String]) -> anyhow::Result<Vec<Box<dyn Migration<Pg>>>> {
    let mut all: Vec<Box<dyn Migration<Pg>>> = portal_db_schema::MIGRATIONS
        .migrations()
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    all.sort_by_key(|migration| migration.name().version().to_string());
    all.retain(|migration| !applied.contains(&migration.name().version().to_string()));
    Ok(all)
}

#[derive(QueryableByName)]
struct OptionalText {
    #[diesel(sql_type = Nullable<Text>)]
    value: Option<String>,
}
