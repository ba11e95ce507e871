//! The database itself.

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl as _, sql_query,
    sql_types::{Array, Integer, Nullable, Text},
};

use super::Finding;
use crate::db::{Standing, missing_roles};

/// Things of one kind at the most.
const MOST: usize = 100;

/// Who enters which role for a transaction, as deploy/postgres/roles.sql grants it.
const MEMBERS: [(&str, &[&str]); 4] = [
    (
        "tenant_service",
        &["portal_relay", "tenant_directory", "api_key_directory"],
    ),
    (
        "agent_portal_service",
        &[
            "portal_relay",
            "portal_identity",
            "session_sweeper",
            "user_sync_scheduler",
            "live_feed_watcher",
        ],
    ),
    (
        "outbound_message_service",
        &[
            "portal_relay",
            "webhook_router",
            "delivery_sweeper",
            "delivery_recorder",
            "message_acceptor",
            "account_scheduler",
        ],
    ),
    (
        "agent_portal_owner",
        &[
            "audit_reader",
            "vault_rotator",
            "tenant_directory",
            "webhook_router",
        ],
    ),
];

const ROLES_SQL: &str =
    "as a superuser: psql -v ON_ERROR_STOP=1 -d DATABASE -f deploy/postgres/roles.sql";

/// Looks for what is wrong with the database; a transaction is long when it is open for `minutes`.
pub(super) fn examine(
    conn: &mut PgConnection,
    standing: &Standing,
    minutes: u32,
) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    schema(standing, &mut findings);
    roles(conn, &mut findings)?;
    transactions(conn, minutes, &mut findings)?;
    for row in found(sql_query(INVALID_INDEXES).load(conn)?) {
        findings.push(Finding::new(
            "index_invalid",
            format!(
                "the index {} is not valid: it slows writers down and helps nobody",
                row.name
            ),
            row.fix,
        ));
    }
    for row in collations(conn)? {
        findings.push(Finding::new(
            "collation_changed",
            format!(
                "{} was made with another version of the operating system's collations: indexes may be in a wrong order",
                row.name
            ),
            row.fix,
        ));
    }
    Ok(findings)
}

/// A thing and what mends it.
#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    fix: String,
}

fn found(mut rows: Vec<Found>) -> Vec<Found> {
    rows.truncate(MOST);
    rows
}

fn schema(standing: &Standing, findings: &mut Vec<Finding>) {
    if !standing.missing.is_empty() {
        let text = format!("migrations are missing: {}", standing.missing.join(", "));
        findings.push(Finding::new(
            "migrations_pending",
            text,
            "portalctl db migrate",
        ));
    }
    if !standing.unknown.is_empty() {
        let text = format!(
            "it has migrations of a later release: {}",
            standing.unknown.join(", ")
        );
        findings.push(Finding::new(
            "schema_newer",
            text,
            "use that release's portalctl and services",
        ));
    }
    if !standing.edited.is_empty() {
        let text = format!(
            "migrations were edited after they were applied: {}",
            standing.edited.join(", ")
        );
        findings.push(Finding::new(
            "migrations_edited",
            text,
            "portalctl db drift",
        ));
    }
}

/// Without the roles and what they may, services cannot do their work.
fn roles(conn: &mut PgConnection, findings: &mut Vec<Finding>) -> anyhow::Result<()> {
    if let Some(names) = missing_roles(conn)? {
        let text = format!("the roles {names} do not exist");
        findings.push(Finding::new("roles_missing", text, ROLES_SQL));
        return Ok(());
    }
    for (member, roles) in MEMBERS {
        let lacks: Word = sql_query(
            "SELECT string_agg(role, ', ') AS value FROM unnest($1) role \
             WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = $2) AND NOT pg_has_role($2, role, 'MEMBER')",
        )
        .bind::<Array<Text>, _>(roles)
        .bind::<Text, _>(member)
        .get_result(conn)?;
        if let Some(lacks) = lacks.value {
            let text = format!("{member} is no member of {lacks}");
            findings.push(Finding::new("membership_missing", text, ROLES_SQL));
        }
    }
    for row in found(sql_query(CLOSED_SCHEMA).load(conn)?) {
        let text = format!("{} may not enter the schema", row.name);
        findings.push(Finding::new("privilege_missing", text, row.fix));
    }
    Ok(())
}

const CLOSED_SCHEMA: &str = "\
SELECT r.rolname::text AS name, \
    format('as the schema''s owner: GRANT USAGE ON SCHEMA %I TO %I;', current_schema(), r.rolname) AS fix \
FROM pg_roles r \
WHERE r.rolname IN ('tenant_service', 'agent_portal_service', 'outbound_message_service') \
  AND NOT has_schema_privilege(r.oid, current_schema(), 'USAGE') ORDER BY 1";

/// They keep dead rows from going, and whoever changes a table from getting its lock.
fn transactions(
    conn: &mut PgConnection,
    minutes: u32,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<()> {
    let minutes = i32::try_from(minutes).unwrap_or(i32::MAX);
    let rows = sql_query(TRANSACTIONS)
        .bind::<Integer, _>(minutes)
        .load(conn)?;
    for row in found(rows) {
        let text = format!("a transaction is open for long: {}", row.name);
        findings.push(Finding::new("transaction_long", text, row.fix));
    }
    let unseen: Word = sql_query(
        "SELECT CASE WHEN count(*) > 0 THEN format('GRANT pg_read_all_stats TO %I;', current_user) END AS value \
         FROM pg_stat_activity WHERE datname = current_database() AND query = '<insufficient privilege>'",
    )
    .get_result(conn)?;
    if let Some(grant) = unseen.value {
        let text = "what sessions of other roles do is not to be seen, and so no long transaction of theirs";
        let finding = Finding::new("sessions_unseen", text, format!("as a superuser: {grant}"));
        findings.push(finding.for_information());
    }
    Ok(())
}

const TRANSACTIONS: &str = "\
SELECT format('process %s of %s (%s), %s since %s', pid, usename, application_name, state, \
        date_trunc('second', xact_start)) AS name, \
    format('SELECT pg_terminate_backend(%s);', pid) AS fix \
FROM pg_stat_activity \
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' \
  AND xact_start <= clock_timestamp() - make_interval(mins => $1) \
UNION ALL \
SELECT format('prepared as %L by %s, since %s', gid, owner, date_trunc('second', prepared)), \
    format('ROLLBACK PREPARED %L;', gid) \
FROM pg_prepared_xacts \
WHERE database = current_database() AND prepared <= clock_timestamp() - make_interval(mins => $1) ORDER BY 1";

/// What a REINDEX CONCURRENTLY that failed left behind is dropped; others are made anew.
const INVALID_INDEXES: &str = "\
SELECT c.relname::text AS name, \
    CASE WHEN c.relname ~ '_cc(new|old)[0-9]*$' THEN format('DROP INDEX CONCURRENTLY %s;', c.oid::regclass) \
        ELSE format('REINDEX INDEX CONCURRENTLY %s;', c.oid::regclass) END AS fix \
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
WHERE NOT i.indisvalid AND c.relkind = 'i' AND c.relnamespace = current_schema()::regnamespace ORDER BY 1";

fn collations(conn: &mut PgConnection) -> anyhow::Result<Vec<Found>> {
    let mut rows: Vec<Found> = sql_query(COLLATIONS).load(conn)?;
    let has_own: Word = sql_query(
        "SELECT 'x' AS value WHERE EXISTS (SELECT FROM pg_attribute \
             WHERE attrelid = 'pg_catalog.pg_database'::regclass AND attname = 'datcollversion') \
         UNION ALL SELECT NULL LIMIT 1",
    )
    .get_result(conn)?;
    // Before PostgreSQL 15 a database has no version of its own.
    if has_own.value.is_some() {
        rows.extend(sql_query(DATABASE_COLLATION).load::<Found>(conn)?);
    }
    Ok(found(rows))
}

/// Those that an index of ours goes by.
const COLLATIONS: &str = "\
SELECT format('the collation %s', o.oid::regcollation) AS name, \
    format('REINDEX DATABASE CONCURRENTLY %I; ALTER COLLATION %s REFRESH VERSION;', current_database(), \
        o.oid::regcollation) AS fix \
FROM pg_collation o \
WHERE o.collversion <> pg_collation_actual_version(o.oid) AND EXISTS (SELECT FROM pg_index i \
    JOIN pg_class c ON c.oid = i.indexrelid AND c.relnamespace = current_schema()::regnamespace \
    WHERE o.oid = ANY (i.indcollation)) ORDER BY 1";

const DATABASE_COLLATION: &str = "\
SELECT 'the database'::text AS name, \
    format('REINDEX DATABASE CONCURRENTLY %I; ALTER DATABASE %I REFRESH COLLATION VERSION;', datname, datname) AS fix \
FROM pg_database \
WHERE datname = current_database() AND datcollversion <> pg_database_collation_actual_version(oid)";

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Nullable<Text>)]
    value: Option<String>,
}
