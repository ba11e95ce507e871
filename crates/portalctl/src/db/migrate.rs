//! `portalctl db migrate`: applies the migrations of this release.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, anyhow};
use clap::Args;
use diesel::{
    PgConnection, RunQueryDsl as _,
    migration::{Migration, MigrationSource as _},
    pg::Pg,
    sql_types::{Array, Text},
};
use diesel_migrations::MigrationHarness as _;
use portal_legacy::{Catalog, LegacyError, Shape, read_only};
use portal_migration::MigrationError;
use portal_operations::Operation;
use secrecy::SecretString;

use super::{
    OptionalText, applied,
    legacy::{Files, How, Inputs, Legacy},
    refuse_unknown,
};
use crate::{Answer, checksums, connection, patience::Patience, vault_keys::VaultKeys};

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Migrate a legacy installation: which table and column means what, as `db inspect --write-mapping` wrote
    /// it and you read it. Legacy writers may go on meanwhile; run it again to follow what they did.
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    legacy: Legacy,
    /// Seconds to wait for another operation that is under way: 60, and 0 with --mapping.
    #[arg(long)]
    wait_seconds: Option<u64>,
    /// Apply the migrations in a transaction that is rolled back, and tell which they are. What they
    /// lock stays locked until the last one is through.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    patience: Patience,
}

type Pending = Box<dyn Migration<Pg>>;

pub(super) fn run(
    arguments: &Migrate,
    conn: &mut PgConnection,
    url: &SecretString,
    vault: &VaultKeys,
) -> anyhow::Result<Answer> {
    if let Some(mapping) = &arguments.mapping {
        let inputs = Inputs {
            mapping: mapping.clone(),
            files: arguments.files.clone(),
        };
        let how = How {
            wait: Duration::from_secs(arguments.wait_seconds.unwrap_or(0)),
            dry_run: arguments.dry_run,
            patience: arguments.patience,
        };
        return arguments
            .legacy
            .run(&inputs, conn, url, &vault.vault()?, how);
    }
    require_roles(conn)?;
    require_no_legacy(conn)?;
    let wait_seconds = arguments.wait_seconds.unwrap_or(60);
    let operation = Operation::here(
        "db migrate",
        serde_json::json!({
            "wait_seconds": wait_seconds,
            "dry_run": arguments.dry_run,
            "patience": arguments.patience.json(),
        }),
    );
    let wait = Duration::from_secs(wait_seconds);
    let tell = |holder: &str| eprintln!("waiting for another operation: {holder}");
    portal_operations::run(conn, &operation, wait, tell, |conn| {
        let answer = if arguments.dry_run {
            rehearse(arguments.patience, conn, url)?
        } else {
            apply(arguments.patience, conn, url)?
        };
        let details = answer.json.clone();
        anyhow::Ok((answer, details))
    })
}

/// `diesel_migrations` takes no lock of its own: whoever calls holds the one of operations.
pub(super) fn apply(
    patience: Patience,
    conn: &mut PgConnection,
    url: &SecretString,
) -> anyhow::Result<Answer> {
    let pending = patience.run(conn, url, |conn| connection::transaction(conn, missing))?;
    let mut done = Vec::with_capacity(pending.len());
    for migration in pending {
        let name = migration.name().to_string();
        eprintln!("applying {name}");
        let mut is_worked = false;
        patience
            .run(conn, url, |conn| {
                is_worked = false;
                connection::transaction(conn, |conn| {
                    apply_one(conn, &migration)?;
                    is_worked = true;
                    Ok(())
                })
            })
            .with_context(|| {
                // Whether a commit without an answer was one is not known.
                let left = if is_worked {
                    "was not confirmed: the whole of it is there, or nothing"
                } else {
                    "failed and left nothing behind"
                };
                format!(
                    "migration {name} {left}; run `portalctl db migrate` again when the cause is mended, \
                     and it goes on from there"
                )
            })?;
        done.push(name);
    }
    let text = match done.len() {
        0 => "The schema is current; nothing to do.".to_owned(),
        some => format!("Applied {some} migration(s); the schema is current."),
    };
    Ok(Answer {
        text,
        json: serde_json::json!({ "applied": done }),
        as_wanted: true,
    })
}

/// What is to be applied; refuses a database of a later release or with edited migrations.
fn missing(conn: &mut PgConnection) -> anyhow::Result<Vec<Pending>> {
    refuse_unknown(conn)?;
    let applied = applied(conn)?;
    checksums::hold(conn, &applied)?;
    pending(&applied)
}

fn apply_one(conn: &mut PgConnection, migration: &Pending) -> anyhow::Result<()> {
    conn.run_migration(migration)
        .map_err(|error| anyhow!("{error}"))?;
    checksums::note(conn, &migration.name().version().to_string())
}

/// What a rehearsal found.
struct Rehearsed {
    tried: Vec<String>,
    /// The first that cannot be rolled back, and what comes after it.
    untried: Vec<String>,
}

/// Ends the transaction of a rehearsal.
#[derive(Debug, thiserror::Error)]
#[error("rolled back")]
struct RolledBack;

fn rehearse(
    patience: Patience,
    conn: &mut PgConnection,
    url: &SecretString,
) -> anyhow::Result<Answer> {
    let found = patience.run(conn, url, |conn| {
        let mut found = None;
        match connection::transaction(conn, |conn| {
            found = Some(rehearse_all(conn)?);
            anyhow::bail!(RolledBack)
        }) {
            Err(error) if error.is::<RolledBack>() => {}
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        found.ok_or_else(|| anyhow!("the rehearsal found nothing"))
    })?;
    let lines = |title: &str, names: &[String]| match names {
        [] => String::new(),
        names => format!("\n{title}:\n  {}", names.join("\n  ")),
    };
    let text = match (found.tried.as_slice(), found.untried.as_slice()) {
        ([], []) => "The schema is current; nothing would be applied.".to_owned(),
        (tried, untried) => format!(
            "{} migration(s) would be applied; nothing was changed.{}{}",
            tried.len() + untried.len(),
            lines("Applied and rolled back", tried),
            lines(
                "Not tried, as it or one before it runs outside of a transaction",
                untried
            )
        ),
    };
    Ok(Answer {
        text,
        json: serde_json::json!({ "would_apply": found.tried, "untried": found.untried }),
        as_wanted: true,
    })
}

fn rehearse_all(conn: &mut PgConnection) -> anyhow::Result<Rehearsed> {
    let missing = missing(conn)?;
    let mut found = Rehearsed {
        tried: Vec::new(),
        untried: Vec::new(),
    };
    for migration in missing {
        let name = migration.name().to_string();
        if !found.untried.is_empty() || !migration.metadata().run_in_transaction() {
            found.untried.push(name);
            continue;
        }
        eprintln!("trying {name}");
        apply_one(conn, &migration)
            .with_context(|| format!("migration {name} would fail; nothing was changed"))?;
        found.tried.push(name);
    }
    Ok(found)
}

/// Applies all migrations to an empty database that nobody else uses.
pub(crate) fn apply_all(conn: &mut PgConnection) -> anyhow::Result<()> {
    // Makes the table of applied migrations, too.
    for migration in pending(&applied(conn)?)? {
        conn.run_migration(&migration)
            .map_err(|error| anyhow!("{error}"))?;
    }
    Ok(())
}

/// The roles of `deploy/postgres/roles.sql` that services and their paths use.
pub(super) const ROLES: [&str; 17] = [
    "tenant_service",
    "agent_portal_service",
    "outbound_message_service",
    "portal_relay",
    "tenant_directory",
    "portal_identity",
    "session_sweeper",
    "webhook_router",
    "delivery_sweeper",
    "delivery_recorder",
    "message_acceptor",
    "user_sync_scheduler",
    "live_feed_watcher",
    "account_scheduler",
    "api_key_directory",
    "audit_reader",
    "vault_rotator",
];

/// The roles that do not exist, with commas between them.
pub(crate) fn missing_roles(conn: &mut PgConnection) -> anyhow::Result<Option<String>> {
    let missing = diesel::sql_query(
        "SELECT string_agg(name, ', ') AS value FROM unnest($1) name \
         WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)",
    )
    .bind::<Array<Text>, _>(&ROLES[..])
    .get_result::<OptionalText>(conn)?;
    Ok(missing.value)
}

/// Grants and policies name the roles, so these come first.
pub(super) fn require_roles(conn: &mut PgConnection) -> anyhow::Result<()> {
    if let Some(names) = missing_roles(conn)? {
        anyhow::bail!(
            "the roles {names} do not exist: run deploy/postgres/roles.sql as a superuser first"
        );
    }
    Ok(())
}

/// Beside legacy tables of the same names the organization-level ones have no place in their schema.
fn require_no_legacy(conn: &mut PgConnection) -> anyhow::Result<()> {
    let shape = read_only(conn, |conn| {
        let schema = diesel::sql_query("SELECT current_schema()::text AS value")
            .get_result::<OptionalText>(conn)?;
        let schema = schema.value.unwrap_or_default();
        Ok::<_, LegacyError>(Shape::of(&Catalog::read(conn, &schema)?))
    })?;
    if matches!(shape, Shape::Legacy { .. }) {
        anyhow::bail!(MigrationError::State(format!(
            "{} Write its mapping with `portalctl db inspect --write-mapping FILE`, read it, and give it with \
             --mapping FILE; nothing was changed.",
            shape.explain()
        )));
    }
    Ok(())
}

fn pending(applied: &[String]) -> anyhow::Result<Vec<Pending>> {
    let mut all: Vec<Pending> = portal_db_schema::MIGRATIONS
        .migrations()
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    all.sort_by_key(|migration| migration.name().version().to_string());
    all.retain(|migration| !applied.contains(&migration.name().version().to_string()));
    Ok(all)
}
