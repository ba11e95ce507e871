//! `portalctl db`: applies migrations and tells where the schema stands.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl as _,
    connection::SimpleConnection as _,
    migration::{Migration, MigrationSource as _},
    pg::Pg,
    sql_types::{Bool, Nullable, Text},
};
use diesel_migrations::MigrationHarness as _;
use secrecy::SecretString;

use crate::{Answer, checksums, connection, drift};

/// One number for all portalctl processes that change the schema.
const MIGRATION_LOCK: i64 = 0x0061_6765_6e74_7001;

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
    /// Tells what the database has that no migration made, and what it lacks; exit code 3 when there is
    /// any. The migrations are applied in a database beside it, which is dropped afterwards.
    Drift,
}

pub(crate) fn run(command: &DbCommand, url: &SecretString) -> anyhow::Result<Answer> {
    let mut conn = connection::open(url)?;
    match command {
        DbCommand::Migrate {
            wait_seconds,
            lock_timeout_seconds,
        } => {
            conn.batch_execute(&format!("SET lock_timeout = '{lock_timeout_seconds}s'"))?;
            migrate(&mut conn, Duration::from_secs(*wait_seconds))
        }
        DbCommand::Status => status(&mut conn),
        DbCommand::Drift => {
            refuse_unknown(&mut conn)?;
            drift::run(&mut conn, url)
        }
    }
}

fn migrate(conn: &mut PgConnection, wait: Duration) -> anyhow::Result<Answer> {
    require_roles(conn)?;
    lock(conn, wait)?;
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

/// `diesel_migrations` takes no lock of its own: two jobs at once would apply the same migration.
fn lock(conn: &mut PgConnection, wait: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + wait;
    let mut told = false;
    loop {
        let locked = diesel::sql_query(format!(
            "SELECT pg_try_advisory_lock({MIGRATION_LOCK}) AS value"
        ))
        .get_result::<Truth>(conn)?;
        if locked.value {
            return Ok(());
        }
        let holder = diesel::sql_query(format!(
            "SELECT string_agg(format('%s from %s since %s (pid %s)', a.application_name, \
                 coalesce(host(a.client_addr), 'a local socket'), a.backend_start::timestamptz(0), a.pid), ', ') AS value \
             FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
             WHERE l.locktype = 'advisory' AND l.granted \
               AND (l.classid::bigint << 32 | l.objid::bigint) = {MIGRATION_LOCK}"
        ))
        .get_result::<OptionalText>(conn)?
        .value
        .unwrap_or_else(|| "somebody".to_owned());
        if Instant::now() >= deadline {
            bail!("another migration is running: {holder}; try again when it has ended");
        }
        if !told {
            eprintln!("waiting for another migration: {holder}");
            told = true;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
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

#[derive(QueryableByName)]
struct Truth {
    #[diesel(sql_type = Bool)]
    value: bool,
}
