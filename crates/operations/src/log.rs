//! The log of operations.

use std::time::Duration;

use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl as _,
    connection::SimpleConnection as _,
    sql_types::{BigInt, Double, Jsonb, Nullable, Text, Uuid as SqlUuid},
};
use serde_json::Value;
use uuid::Uuid;

use crate::Operation;

const CREATE: &str = "
CREATE TABLE IF NOT EXISTS public.__portal_operations (
    operation_id uuid PRIMARY KEY,
    command text NOT NULL,
    arguments jsonb NOT NULL,
    operator text NOT NULL,
    host text NOT NULL,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    outcome text NOT NULL DEFAULT 'running'
        CHECK (outcome IN ('running', 'succeeded', 'failed', 'interrupted')),
    details jsonb NOT NULL DEFAULT '{}'
)";

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Succeeded,
    /// Told the operator why not.
    Failed,
}

impl Outcome {
    const fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// An operation, as it was logged.
#[derive(Debug, Clone, QueryableByName)]
pub struct Recorded {
    /// Its id.
    #[diesel(sql_type = SqlUuid)]
    pub operation_id: Uuid,
    /// Such as `db migrate`.
    #[diesel(sql_type = Text)]
    pub command: String,
    /// Without secrets.
    #[diesel(sql_type = Jsonb)]
    pub arguments: Value,
    /// Who did it.
    #[diesel(sql_type = Text)]
    pub operator: String,
    /// From which machine.
    #[diesel(sql_type = Text)]
    pub host: String,
    /// When it began, RFC 3339.
    #[diesel(sql_type = Text)]
    pub began_at: String,
    /// When it ended, RFC 3339.
    #[diesel(sql_type = Nullable<Text>)]
    pub ended_at: Option<String>,
    /// `running`, `succeeded`, `failed` or `interrupted`.
    #[diesel(sql_type = Text)]
    pub outcome: String,
    /// What it found or did.
    #[diesel(sql_type = Jsonb)]
    pub details: Value,
}

#[derive(QueryableByName)]
struct Exists {
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<String>,
}

fn exists(conn: &mut PgConnection) -> QueryResult<bool> {
    let table: Exists =
        diesel::sql_query("SELECT to_regclass('public.__portal_operations')::text AS name")
            .get_result(conn)?;
    Ok(table.name.is_some())
}

/// Logs the beginning. Whoever calls has the lock: what still runs by the log was interrupted.
pub(crate) fn begin(conn: &mut PgConnection, operation: &Operation) -> QueryResult<Uuid> {
    if !exists(conn)? {
        conn.batch_execute(CREATE)?;
    }
    diesel::sql_query(
        "UPDATE public.__portal_operations SET outcome = 'interrupted' WHERE outcome = 'running'",
    )
    .execute(conn)?;
    let id = Uuid::now_v7();
    diesel::sql_query(
        "INSERT INTO public.__portal_operations (operation_id, command, arguments, operator, host) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind::<SqlUuid, _>(id)
    .bind::<Text, _>(operation.command)
    .bind::<Jsonb, _>(&operation.arguments)
    .bind::<Text, _>(&operation.operator)
    .bind::<Text, _>(&operation.host)
    .execute(conn)?;
    Ok(id)
}

/// Logs the end.
pub(crate) fn end(
    conn: &mut PgConnection,
    id: Uuid,
    outcome: Outcome,
    details: &Value,
) -> QueryResult<()> {
    diesel::sql_query(
        "UPDATE public.__portal_operations SET ended_at = clock_timestamp(), outcome = $2, details = $3 \
         WHERE operation_id = $1",
    )
    .bind::<SqlUuid, _>(id)
    .bind::<Text, _>(outcome.word())
    .bind::<Jsonb, _>(details)
    .execute(conn)
    .map(drop)
}

/// Logs what changed nothing, when it has ended and `took` so long. Where there is no log yet, or the login
/// may not write it, there is nothing to log it beside.
///
/// # Errors
/// When the database says so.
pub fn note(
    conn: &mut PgConnection,
    operation: &Operation,
    took: Duration,
    details: &Value,
) -> QueryResult<()> {
    if !exists(conn)? {
        return Ok(());
    }
    let writable: Exists = diesel::sql_query(
        "SELECT CASE WHEN has_table_privilege('public.__portal_operations', 'INSERT') THEN 'yes' END AS name",
    )
    .get_result(conn)?;
    if writable.name.is_none() {
        return Ok(());
    }
    diesel::sql_query(
        "INSERT INTO public.__portal_operations (operation_id, command, arguments, operator, host, began_at, \
             ended_at, outcome, details) \
         VALUES ($1, $2, $3, $4, $5, clock_timestamp() - make_interval(secs => $6), clock_timestamp(), \
             'succeeded', $7)",
    )
    .bind::<SqlUuid, _>(Uuid::now_v7())
    .bind::<Text, _>(operation.command)
    .bind::<Jsonb, _>(&operation.arguments)
    .bind::<Text, _>(&operation.operator)
    .bind::<Text, _>(&operation.host)
    .bind::<Double, _>(took.as_secs_f64())
    .bind::<Jsonb, _>(details)
    .execute(conn)
    .map(drop)
}

/// The last operations, `most` of them at the most, newest first.
pub fn recent(conn: &mut PgConnection, most: i64) -> QueryResult<Vec<Recorded>> {
    if !exists(conn)? {
        return Ok(Vec::new());
    }
    diesel::sql_query(
        "SELECT operation_id, command, arguments, operator, host, outcome, details, \
             to_char(began_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS began_at, \
             to_char(ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS ended_at \
         FROM public.__portal_operations ORDER BY began_at DESC, operation_id DESC LIMIT $1",
    )
    .bind::<BigInt, _>(most)
    .load(conn)
}
