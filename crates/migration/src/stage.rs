//! Before the copy: the schema, the tool's own tables, and the triggers. And back.

use std::time::{Duration, Instant};

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl as _,
    connection::SimpleConnection as _,
    sql_query,
    sql_types::{Array, Bool, Nullable, Text},
};
use portal_legacy::{Catalog, Mapping, identifier};
use portal_operations::{Limits, patiently};
use serde::Serialize;

use crate::{
    Legacy, MigrationError, Pace, capture, ledger,
    query::{self, Word},
    retire,
    source::Source,
    tables::TABLES,
};

/// The owner of the organization-level tables.
const OWNER: &str = "agent_portal_owner";

/// Says whose schema it is; only such a one is ever dropped.
const MARK: &str = "Agent Portal: made by portalctl db migrate beside a legacy database";

/// The state of a migration.
#[derive(Debug, Clone, QueryableByName)]
pub struct State {
    /// The mapping file that it goes by.
    #[diesel(sql_type = Text)]
    pub mapping: String,
    /// The file of decisions that it goes by; empty when there is none.
    #[diesel(sql_type = Text)]
    pub decisions: String,
    /// The fingerprint of the legacy schema before anything was changed.
    #[diesel(sql_type = Text)]
    pub fingerprint: String,
    /// Whether the first copy is whole.
    #[diesel(sql_type = Bool)]
    pub is_copied: bool,
    /// Whether the legacy tables were retired.
    #[diesel(sql_type = Bool)]
    pub is_retired: bool,
}

/// Makes the schema, lets the `roles` use it, and goes into it as its owner.
///
/// # Errors
/// When the login may not, or when a schema of that name is somebody else's.
pub fn expand(conn: &mut PgConnection, schema: &str, roles: &[&str]) -> Result<(), MigrationError> {
    let name = identifier(schema);
    let mark = query::word(
        conn,
        &format!(
            "SELECT CASE WHEN n.oid IS NULL THEN 'none' ELSE obj_description(n.oid, 'pg_namespace') END AS value \
             FROM (VALUES ('{schema}')) v (name) LEFT JOIN pg_namespace n ON n.nspname = v.name"
        ),
    )?;
    match mark.as_deref() {
        Some("none") => {
            require_create(conn)?;
            conn.build_transaction().run(|conn| {
                conn.batch_execute(&format!(
                    "CREATE SCHEMA {name} AUTHORIZATION {OWNER}; COMMENT ON SCHEMA {name} IS '{MARK}'"
                ))
            })?;
        }
        Some(MARK) => {}
        _ => {
            return Err(MigrationError::State(format!(
                "there is a schema {schema} that is not of a migration: rename or drop it first"
            )));
        }
    }
    // Everything in it belongs to its owner, also when a superuser makes it.
    conn.batch_execute(&format!(
        "SET ROLE {OWNER}; SET search_path = {name}; \
         GRANT USAGE ON SCHEMA {name} TO {}",
        roles.join(", ")
    ))?;
    Ok(())
}

/// Whether the login may make a schema.
fn require_create(conn: &mut PgConnection) -> Result<(), MigrationError> {
    let denied = query::word(
        conn,
        "SELECT CASE WHEN NOT has_database_privilege(current_database(), 'CREATE') \
             THEN format('%I TO %I', current_database(), current_user) END AS value",
    )?;
    match denied {
        None => Ok(()),
        Some(whom) => Err(MigrationError::Privileges(format!(
            "a schema cannot be made in this database: as its owner, run deploy/postgres/roles.sql in it, or \
             GRANT CREATE ON DATABASE {whom};"
        ))),
    }
}

/// Makes the tool's tables and keeps what the migration goes by. The schema's own tables are there.
///
/// # Errors
/// When a migration is under way that goes by another mapping, or was retired.
pub fn prepare(
    conn: &mut PgConnection,
    mapping: &str,
    decisions: &str,
    fingerprint: &str,
) -> Result<(), MigrationError> {
    conn.build_transaction().run(|conn| {
        conn.batch_execute(&format!("SET LOCAL client_min_messages = warning; {TABLES}"))?;
        if let Some(state) = state(conn)? {
            if state.is_retired {
                return Err(MigrationError::State(
                    "the legacy tables were retired: there is nothing left to migrate".to_owned(),
                ));
            }
            if Mapping::read(&state.mapping)? != Mapping::read(mapping)? {
                return Err(MigrationError::State(
                    "a migration by another mapping is under way: give its mapping file, or begin anew after \
                     `portalctl db rollback`"
                        .to_owned(),
                ));
            }
        }
        sql_query(
            "INSERT INTO __legacy_state (mapping, decisions, fingerprint) VALUES ($1, $2, $3) \
             ON CONFLICT (is_only) DO UPDATE SET decisions = excluded.decisions",
        )
        .bind::<Text, _>(mapping)
        .bind::<Text, _>(decisions)
        .bind::<Text, _>(fingerprint)
        .execute(conn)?;
        Ok(())
    })
}

/// The state of the migration in the schema that the connection is in; none when there is none.
///
/// # Errors
/// When the database says so.
pub fn state(conn: &mut PgConnection) -> Result<Option<State>, MigrationError> {
    if query::word(conn, "SELECT to_regclass('__legacy_state')::text AS value")?.is_none() {
        return Ok(None);
    }
    let found = sql_query(
        "SELECT mapping, decisions, fingerprint, copied_at IS NOT NULL AS is_copied, \
             retired_at IS NOT NULL AS is_retired FROM __legacy_state",
    )
    .get_results::<State>(conn)?;
    Ok(found.into_iter().next())
}

/// For how long writers of a legacy table waited, at most.
#[derive(Debug, Clone, Serialize)]
pub struct Lock {
    /// The table, with its schema.
    pub table: String,
    /// Milliseconds.
    pub ms: u64,
}

/// How far a migration is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Status {
    /// The copy was begun and is not whole.
    Copying,
    /// Everything was copied once.
    Copied {
        /// Changes of legacy writers that were not read yet.
        changes: i64,
    },
    /// The legacy tables are gone.
    Retired,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Copying => f.write_str(
                "A legacy installation is being migrated and not all of it is copied: run \
                 `portalctl db migrate --mapping FILE` again.",
            ),
            Self::Copied { changes: 0 } => {
                f.write_str("A legacy installation is migrated, up to its writers' last change.")
            }
            Self::Copied { changes } => write!(
                f,
                "A legacy installation is migrated; {changes} changes of its writers wait for the next \
                 `portalctl db migrate --mapping FILE`."
            ),
            Self::Retired => {
                f.write_str("A legacy installation was migrated and its tables retired.")
            }
        }
    }
}

/// How far the migration in the schema that the connection is in is; none when there is none.
///
/// # Errors
/// When the database says so.
pub fn status(conn: &mut PgConnection) -> Result<Option<Status>, MigrationError> {
    let Some(state) = state(conn)? else {
        return Ok(None);
    };
    Ok(Some(if state.is_retired {
        Status::Retired
    } else if state.is_copied {
        let changes = query::count(conn, "SELECT count(*) AS value FROM __legacy_changes")?;
        Status::Copied { changes }
    } else {
        Status::Copying
    }))
}

/// Writers of a table wait behind the request for its lock.
const TRIGGER_LOCK: Duration = Duration::from_millis(200);

/// Makes the triggers that are missing, and gives the locks that were taken. Each waits for a table's writers for a moment at a time, for
/// writers wait behind it, and tries again.
///
/// # Errors
/// When a table was in use all the time, or the login may not.
pub fn begin_capture(
    conn: &mut PgConnection,
    legacy: &Legacy<'_>,
    schema: &str,
    pace: &Pace<'_>,
) -> Result<Vec<Lock>, MigrationError> {
    let mut locks = Vec::new();
    let source = Source::new(legacy.mapping, legacy.catalog);
    let limits = Limits {
        lock_timeout: TRIGGER_LOCK.min(pace.limits.lock_timeout),
        ..pace.limits
    };
    for subject in ledger::SUBJECTS {
        let Some(capture) = capture::of(&source, subject, schema) else {
            continue;
        };
        if is_captured(conn, &capture.table)? {
            continue;
        }
        conn.batch_execute(&format!(
            "SET ROLE {OWNER}; {}; RESET ROLE",
            capture.function
        ))?;
        // A try that fails keeps writers waiting for its time, too.
        let mut longest = Duration::ZERO;
        patiently(conn, &limits, pace.another, pace.tell_wait, |conn| {
            let began = Instant::now();
            let made = conn.build_transaction().run(|conn| {
                conn.batch_execute("SET LOCAL client_min_messages = warning")?;
                conn.batch_execute(&capture.triggers)?;
                Ok::<_, MigrationError>(())
            });
            longest = longest.max(began.elapsed());
            made
        })?;
        locks.push(Lock {
            table: capture.table,
            ms: u64::try_from(longest.as_millis()).unwrap_or(u64::MAX),
        });
    }
    Ok(locks)
}

fn is_captured(conn: &mut PgConnection, table: &str) -> Result<bool, MigrationError> {
    let found = sql_query(
        "SELECT count(*) AS value FROM pg_trigger WHERE tgrelid = to_regclass($1) AND tgname = $2",
    )
    .bind::<Text, _>(table)
    .bind::<Text, _>(capture::TRIGGER)
    .get_result::<query::Count>(conn)?;
    Ok(found.value > 0)
}

/// Whether the login may read the mapped tables, put triggers on them, and act for the schema's owner.
///
/// # Errors
/// When it may not; says who is to grant what.
pub fn require_privileges(
    conn: &mut PgConnection,
    catalog: &Catalog,
    mapping: &Mapping,
) -> Result<(), MigrationError> {
    let tables = retire::tables(catalog, mapping);
    let denied: Vec<Denied> = sql_query(
        "SELECT quote_ident(current_user) AS role, pg_has_role(current_user, $2, 'MEMBER') AS is_owner, \
             (SELECT string_agg(t, ', ') FROM unnest($1) t WHERE NOT (has_table_privilege(t, 'SELECT') \
              AND has_table_privilege(t, 'TRIGGER'))) AS tables",
    )
    .bind::<Array<Text>, _>(&tables)
    .bind::<Text, _>(OWNER)
    .load(conn)?;
    for Denied {
        role,
        is_owner,
        tables,
    } in denied
    {
        if !is_owner {
            return Err(MigrationError::Privileges(format!(
                "the role {role} may not act for {OWNER}: log in as {OWNER}, or as a superuser"
            )));
        }
        if let Some(tables) = tables {
            return Err(MigrationError::Privileges(format!(
                "the role {role} may not read {tables} or put triggers on them: as their owner, run \
                 GRANT SELECT, TRIGGER ON {tables} TO {role};"
            )));
        }
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Denied {
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Bool)]
    is_owner: bool,
    #[diesel(sql_type = Nullable<Text>)]
    tables: Option<String>,
}

/// Takes the triggers and the whole schema away again: the legacy tables are as before.
///
/// # Errors
/// When the schema is not of a migration, when the legacy tables were retired, or when somebody uses a
/// table for longer than the connection's `lock_timeout`.
pub fn rollback(conn: &mut PgConnection, schema: &str) -> Result<(), MigrationError> {
    let mark: Option<Word> = sql_query(
        "SELECT obj_description(oid, 'pg_namespace') AS value FROM pg_namespace WHERE nspname = $1",
    )
    .bind::<Text, _>(schema)
    .get_results(conn)?
    .into_iter()
    .next();
    match mark {
        None => {
            return Err(MigrationError::State(format!(
                "there is no schema {schema}: nothing was migrated, or it was rolled back already"
            )));
        }
        Some(Word { value }) if value.as_deref() != Some(MARK) => {
            return Err(MigrationError::State(format!(
                "the schema {schema} is not of a migration and is left alone"
            )));
        }
        Some(_) => {}
    }
    if state(conn)?.is_some_and(|state| state.is_retired) {
        return Err(MigrationError::State(
            "the legacy tables were retired: there is no way back but `portalctl db restore` of the backup"
                .to_owned(),
        ));
    }
    conn.build_transaction().run(|conn| {
        // The triggers go with the functions that they call.
        conn.batch_execute(&format!(
            "SET LOCAL client_min_messages = warning; SET LOCAL search_path = pg_catalog; \
             DROP SCHEMA {} CASCADE",
            identifier(schema)
        ))
    })?;
    Ok(())
}

/// Rows that people and services have made in the organization-level tables since; what a rollback
/// would lose, by table.
///
/// # Errors
/// When the database says so.
pub fn made_since(conn: &mut PgConnection) -> Result<Vec<(String, i64)>, MigrationError> {
    let mut found = Vec::new();
    for table in [
        "genesys_user_sessions",
        "messages",
        "inbound_messages",
        "conversation_actions",
    ] {
        let rows = made_in(conn, table)?;
        if rows > 0 {
            found.push((table.to_owned(), rows));
        }
    }
    Ok(found)
}

fn made_in(conn: &mut PgConnection, table: &str) -> Result<i64, MigrationError> {
    let tenants: Vec<Word> = sql_query(
        "SELECT key::text AS value FROM __legacy_ledger WHERE subject = 'tenants' AND verdict = 'migrated'",
    )
    .load(conn)?;
    let mut rows = 0;
    for tenant in tenants.into_iter().filter_map(|word| word.value) {
        rows += conn.build_transaction().run(|conn| {
            query::enter(conn, &tenant)?;
            query::count(conn, &format!("SELECT count(*) AS value FROM {table}"))
        })?;
    }
    Ok(rows)
}
