//! What became of each legacy row.

use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl as _, sql_query,
    sql_types::{BigInt, Nullable, Text},
};
use serde::Serialize;

use crate::source::{Source, Which};

/// In the order in which later ones need earlier ones.
pub(crate) const SUBJECTS: [&str; 6] = [
    "tenants",
    "agents",
    "organization_accounts",
    "accounts",
    "sessions",
    "assignments",
];

/// What `tenants.tenant_id` takes.
const TENANT_ID: &str = "'^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$'";

/// The columns of [`rows`].
const COLUMNS: &str = "subject, key, verdict, reason, tenant_id, target_id, conversation_id, user_id, \
    state, assigned_at, active_at, external_id";

/// The places that the rows should have in the ledger, by what is in the legacy tables now. Accounts of
/// WhatsApp are [`crate::whatsapp`]'s.
fn rows(source: &Source<'_>, subject: &str) -> Option<String> {
    match subject {
        "tenants" => tenants(source),
        "agents" => agents(source),
        "sessions" => sessions(source),
        "assignments" => assignments(source),
        _ => None,
    }
}

/// Counts the rows whose places say something else than the legacy row does now.
pub(crate) fn outdated(source: &Source<'_>, subject: &str) -> Option<String> {
    let rows = rows(source, subject)?;
    Some(format!(
        "SELECT count(*) AS value FROM ({rows}) s ({COLUMNS}) \
         JOIN __legacy_ledger l ON l.subject = '{subject}' AND l.key = s.key \
         WHERE (s.tenant_id, s.conversation_id, s.state, s.assigned_at, s.active_at, s.external_id) \
             IS DISTINCT FROM (l.tenant_id, l.conversation_id, l.state, l.assigned_at, l.active_at, l.external_id) \
            OR (s.verdict = 'rejected') <> (l.verdict = 'rejected')"
    ))
}

/// Writes the rows' places in the ledger, anew when they have some.
pub(crate) fn fill(source: &Source<'_>, subject: &str, which: Which) -> Option<String> {
    let rows = rows(source, subject)?;
    let condition = source.condition(subject, which);
    Some(format!(
        "INSERT INTO __legacy_ledger ({COLUMNS}) {rows} WHERE {condition} \
         ON CONFLICT (subject, key) DO UPDATE SET verdict = excluded.verdict, reason = excluded.reason, \
             tenant_id = excluded.tenant_id, target_id = excluded.target_id, \
             conversation_id = excluded.conversation_id, user_id = excluded.user_id, \
             state = excluded.state, assigned_at = excluded.assigned_at, \
             active_at = excluded.active_at, external_id = excluded.external_id"
    ))
}

fn tenants(source: &Source<'_>) -> Option<String> {
    let (table, key) = (source.table("tenants")?, source.key("tenants"));
    Some(format!(
        "SELECT 'tenants', {key}, CASE WHEN {key} ~ {TENANT_ID} THEN 'migrated' ELSE 'rejected' END, \
             CASE WHEN {key} !~ {TENANT_ID} THEN 'its id has characters that an id may not have, or too many' END, \
             CASE WHEN {key} ~ {TENANT_ID} THEN {key} END, NULL::uuid, \
             NULL::uuid, NULL::uuid, NULL, NULL::timestamptz, NULL::timestamptz, NULL \
         FROM {table} a"
    ))
}

fn agents(source: &Source<'_>) -> Option<String> {
    let table = source.table("agents")?;
    let (key, id) = (source.key("agents"), source.id("agents"));
    let tenant = source.text("agents", "tenant");
    Some(format!(
        "SELECT 'agents', {key}, CASE WHEN t.tenant_id IS NULL THEN 'rejected' ELSE 'migrated' END, \
             CASE WHEN coalesce(m.tenant_id, {tenant}) IS NULL \
                      THEN 'no tenant: name one in the agents file' \
                  WHEN t.tenant_id IS NULL THEN 'its tenant does not exist or was rejected' \
                  WHEN m.agent_key IS NULL THEN 'not in the agents file: a placeholder until the first sign-in' END, \
             t.tenant_id, CASE WHEN t.tenant_id IS NOT NULL THEN {id} END, \
             NULL::uuid, NULL::uuid, NULL, NULL::timestamptz, NULL::timestamptz, m.genesys_user_id \
         FROM {table} a LEFT JOIN __legacy_agents m ON m.agent_key = {key} \
         LEFT JOIN __legacy_ledger t ON t.subject = 'tenants' \
             AND t.key = coalesce(m.tenant_id, {tenant})"
    ))
}

fn sessions(source: &Source<'_>) -> Option<String> {
    let (table, key) = (source.table("sessions")?, source.key("sessions"));
    Some(format!(
        "SELECT 'sessions', {key}, 'skipped', 'sessions are not carried over: people sign in again', \
             NULL, NULL::uuid, NULL::uuid, NULL::uuid, NULL, NULL::timestamptz, NULL::timestamptz, NULL \
         FROM {table} a"
    ))
}

/// Names of states, as installations write them.
const STATE: &str = "CASE \
    WHEN s.status IN ('active', 'assigned', 'open', 'in_progress') THEN 'active' \
    WHEN s.status IN ('closed', 'resolved', 'completed', 'done', 'ended', 'finished') THEN 'closed' \
    WHEN s.status IN ('transferred', 'reassigned') THEN 'transferred' \
    WHEN s.status IN ('released', 'unassigned', 'returned') THEN 'released' ELSE 'unknown' END";

fn assignments(source: &Source<'_>) -> Option<String> {
    let table = source.table("assignments")?;
    let (key, id) = (source.key("assignments"), source.id("assignments"));
    let conversation = source.text("assignments", "conversation_id");
    let agent = source.column("assignments", "agent");
    let status = source.text("assignments", "status");
    let assigned = source.time("assignments", "assigned");
    let active = source.time("assignments", "last_activity");
    Some(format!(
        "SELECT 'assignments', {key}, CASE WHEN s.reason IS NULL THEN 'migrated' ELSE 'rejected' END, \
             coalesce(s.reason, CASE WHEN {STATE} = 'unknown' THEN \
                 'unknown status ' || coalesce(quote_literal(s.status), 'null') || ': kept as released' END), \
             g.tenant_id, {id}, \
             CASE WHEN s.reason IS NULL THEN md5(g.tenant_id || chr(31) || s.conversation)::uuid END, \
             g.target_id, {STATE}, coalesce(s.assigned_at, s.active_at), coalesce(s.active_at, s.assigned_at), \
             s.conversation \
         FROM {table} a LEFT JOIN __legacy_ledger g ON g.subject = 'agents' AND g.key = a.{agent}::text \
         CROSS JOIN LATERAL (SELECT {conversation} AS conversation, lower({status}) AS status, \
             {assigned} AS assigned_at, {active} AS active_at, \
             CASE WHEN g.key IS NULL THEN 'its agent does not exist' \
                  WHEN g.target_id IS NULL THEN 'its agent was rejected' \
                  WHEN {conversation} IS NULL THEN 'it names no conversation' \
                  WHEN length({conversation}) > 255 THEN 'the id of its conversation is too long' \
                  WHEN {assigned} IS NULL AND {active} IS NULL THEN 'it says no time' END AS reason) s"
    ))
}

/// How many rows of a legacy table ended in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, QueryableByName)]
pub struct Total {
    /// `tenants`, `agents`, `organization_accounts`, `accounts`, `sessions` or `assignments`.
    #[diesel(sql_type = Text)]
    pub subject: String,
    /// `migrated`, `merged`, `skipped` or `rejected`.
    #[diesel(sql_type = Text)]
    pub verdict: String,
    /// Why, when there is something to say.
    #[diesel(sql_type = Nullable<Text>)]
    pub reason: Option<String>,
    /// The number of them.
    #[diesel(sql_type = BigInt)]
    pub rows: i64,
}

/// The ledger's totals, by subject, verdict and reason.
///
/// # Errors
/// When the database says so; also when nothing was migrated yet.
pub fn totals(conn: &mut PgConnection) -> QueryResult<Vec<Total>> {
    sql_query(
        "SELECT subject::text AS subject, verdict, reason, count(*) AS rows FROM __legacy_ledger \
         GROUP BY subject, verdict, reason ORDER BY subject, verdict, reason",
    )
    .load(conn)
}

/// A row of the ledger.
#[derive(Debug, Clone, Serialize, QueryableByName)]
pub struct Entry {
    /// As in [`Total`].
    #[diesel(sql_type = Text)]
    pub subject: String,
    /// The legacy row's key.
    #[diesel(sql_type = Text)]
    pub key: String,
    /// As in [`Total`].
    #[diesel(sql_type = Text)]
    pub verdict: String,
    /// Why, when there is something to say.
    #[diesel(sql_type = Nullable<Text>)]
    pub reason: Option<String>,
    /// Whose it is.
    #[diesel(sql_type = Nullable<Text>)]
    pub tenant_id: Option<String>,
    /// The id of what became of it.
    #[diesel(sql_type = Nullable<diesel::sql_types::Uuid>)]
    pub target_id: Option<uuid::Uuid>,
}

/// The next `most` rows of the ledger after the one given, in the order of subject and key.
///
/// # Errors
/// When the database says so.
pub fn page(
    conn: &mut PgConnection,
    after: Option<(&str, &str)>,
    most: i64,
) -> QueryResult<Vec<Entry>> {
    let (subject, key) = after.unwrap_or_default();
    sql_query(
        "SELECT subject::text AS subject, key::text AS key, verdict, reason, tenant_id::text AS tenant_id, \
             target_id FROM __legacy_ledger WHERE (subject, key) > ($1, $2) ORDER BY subject, key LIMIT $3",
    )
    .bind::<Text, _>(subject)
    .bind::<Text, _>(key)
    .bind::<BigInt, _>(most)
    .load(conn)
}
