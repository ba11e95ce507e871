//! Reconciliation: what the legacy tables hold, against what became of it.

use std::collections::BTreeMap;

use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl as _, sql_query,
    sql_types::{Array, BigInt, Nullable, Text},
};
use portal_vault::Vault;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::{
    Legacy, MigrationError, ledger,
    query::{self, Count, Word},
    source::Source,
    whatsapp,
};

/// A rule that has to hold.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What it is, the same for ever.
    pub code: String,
    /// What has to hold, for a reader.
    pub text: String,
    /// How many rows break it: 0 when it holds.
    pub wrong: i64,
}

impl Check {
    fn new(code: impl Into<String>, text: impl Into<String>, wrong: i64) -> Self {
        Self {
            code: code.into(),
            text: text.into(),
            wrong,
        }
    }
}

/// Rules within one tenant, `$1`: what the ledger says is there.
const OF_TENANT: [(&str, &str, &str); 6] = [
    (
        "tenant_placed",
        "every migrated tenant is there",
        "SELECT (count(*) = 0)::int::bigint AS value FROM tenants WHERE tenant_id = $1",
    ),
    (
        "agents_placed",
        "every migrated agent is a person of the tenant",
        "SELECT count(*) AS value FROM __legacy_ledger l WHERE l.subject = 'agents' AND l.tenant_id = $1 \
         AND l.verdict IN ('migrated', 'merged') AND NOT EXISTS (SELECT FROM genesys_users u \
             WHERE u.tenant_id = $1 AND u.user_id = l.target_id)",
    ),
    (
        "assignments_placed",
        "every migrated assignment is there, of the same conversation and person",
        "SELECT count(*) AS value FROM __legacy_ledger l WHERE l.subject = 'assignments' AND l.tenant_id = $1 \
         AND l.verdict = 'migrated' AND NOT EXISTS (SELECT FROM conversation_assignments s \
             WHERE s.tenant_id = $1 AND s.assignment_id = l.target_id \
               AND s.conversation_id = l.conversation_id AND s.user_id = l.user_id \
               AND s.assigned_at = l.assigned_at)",
    ),
    (
        "active_stays_active",
        "a conversation that somebody had is that person's who was active in it last, unless people \
         changed it since",
        "SELECT count(*) AS value FROM (SELECT DISTINCT ON (conversation_id) conversation_id, user_id \
             FROM __legacy_ledger WHERE subject = 'assignments' AND tenant_id = $1 AND verdict = 'migrated' \
               AND state = 'active' ORDER BY conversation_id, active_at DESC, assigned_at DESC, key DESC) l \
         JOIN conversations c ON c.tenant_id = $1 AND c.conversation_id = l.conversation_id AND c.version = 1 \
         WHERE c.assigned_to IS DISTINCT FROM l.user_id OR NOT EXISTS (SELECT FROM conversation_assignments s \
             WHERE s.tenant_id = $1 AND s.conversation_id = l.conversation_id AND s.user_id = l.user_id \
               AND s.status = 'active')",
    ),
    (
        "nothing_else",
        "no assignment came from elsewhere, unless people made it since",
        "SELECT count(*) AS value FROM conversation_assignments s JOIN conversations c \
             ON c.tenant_id = $1 AND c.conversation_id = s.conversation_id AND c.version = 1 \
             AND c.last_message_id IS NULL \
         WHERE s.tenant_id = $1 AND NOT EXISTS (SELECT FROM __legacy_ledger l \
             WHERE l.subject = 'assignments' AND l.tenant_id = $1 \
               AND l.conversation_id = s.conversation_id AND l.target_id = s.assignment_id)",
    ),
    (
        "no_live_session",
        "no session was carried over",
        "SELECT count(*) AS value FROM genesys_user_sessions WHERE tenant_id = $1 \
         AND created_at < (SELECT began_at FROM __legacy_state)",
    ),
];

/// Looks whether everything is as it should be; changes nothing. `tell` hears of the tenant that is
/// looked at and of their number.
///
/// # Errors
/// When the database says so.
pub fn verify(
    conn: &mut PgConnection,
    legacy: &Legacy<'_>,
    vault: &Vault,
    tell: &dyn Fn(usize, usize),
) -> Result<Vec<Check>, MigrationError> {
    let source = Source::new(legacy.mapping, legacy.catalog);
    let mut checks = vec![Check::new(
        "changes_drained",
        "no change of a legacy writer waits to be read: run `portalctl db migrate` again",
        query::count(conn, "SELECT count(*) AS value FROM __legacy_changes")?,
    )];
    for subject in ledger::SUBJECTS {
        checks.extend(of_subject(conn, &source, subject)?);
    }
    let tokens = tokens(conn, &source)?;
    let tenants: Vec<Word> = sql_query(
        "SELECT key::text AS value FROM __legacy_ledger WHERE subject = 'tenants' \
         AND verdict = 'migrated' ORDER BY key",
    )
    .load(conn)?;
    let rules = rules();
    let exposed_rows = exposed_rows(&filled_tables(conn)?);
    let mut wrong = [0; OF_TENANT.len()];
    let mut exposed = 0;
    for (place, tenant) in tenants
        .iter()
        .filter_map(|word| word.value.as_deref())
        .enumerate()
    {
        tell(place + 1, tenants.len());
        let of_tenant = tokens.get(tenant).map_or(&[][..], Vec::as_slice);
        conn.build_transaction().read_only().run(|conn| {
            query::enter(conn, tenant)?;
            let counted: Counts = sql_query(&rules).bind::<Text, _>(tenant).get_result(conn)?;
            for (wrong, rows) in wrong.iter_mut().zip(counted.values) {
                *wrong += rows;
            }
            let tokens = of_tenant.iter().map(ExposeSecret::expose_secret);
            let found: Count = sql_query(&exposed_rows)
                .bind::<Text, _>(tenant)
                .bind::<Array<Text>, _>(tokens.collect::<Vec<&str>>())
                .get_result(conn)?;
            exposed += found.value;
            Ok::<_, diesel::result::Error>(())
        })?;
    }
    for (wrong, (code, text, _)) in wrong.into_iter().zip(OF_TENANT) {
        checks.push(Check::new(code, text, wrong));
    }
    checks.push(Check::new(
        "no_token_in_clear",
        "no column of the organization-level tables holds a token of the legacy ones, or the like of one",
        exposed,
    ));
    let ownership = legacy.owned(conn)?;
    checks.push(Check::new(
        "tokens_open",
        "the sealed token of each lifted account opens and is the legacy one",
        whatsapp::wrong(conn, &source, vault, &ownership)?,
    ));
    Ok(checks)
}

fn of_subject(
    conn: &mut PgConnection,
    source: &Source<'_>,
    subject: &str,
) -> QueryResult<Vec<Check>> {
    let Some(table) = source.table(subject) else {
        return Ok(Vec::new());
    };
    let (key, kind) = (source.column(subject, "key"), source.key_type(subject));
    let missing = format!(
        "SELECT count(*) AS value FROM {table} a WHERE NOT EXISTS (SELECT FROM __legacy_ledger l \
         WHERE l.subject = '{subject}' AND l.key = a.{key}::text)"
    );
    let superfluous = format!(
        "SELECT count(*) AS value FROM __legacy_ledger l WHERE l.subject = '{subject}' \
         AND NOT EXISTS (SELECT FROM {table} a WHERE a.{key} = l.key::{kind})"
    );
    let mut checks = vec![
        Check::new(
            format!("{subject}_in_ledger"),
            format!("every row of {table} has a verdict"),
            query::count(conn, &missing)?,
        ),
        Check::new(
            format!("{subject}_only"),
            format!("every verdict is of a row of {table}"),
            query::count(conn, &superfluous)?,
        ),
    ];
    if let Some(sql) = ledger::outdated(source, subject) {
        checks.push(Check::new(
            format!("{subject}_as_they_are"),
            format!("what was read of {table} is what it holds"),
            query::count(conn, &sql)?,
        ));
    }
    Ok(checks)
}

#[derive(QueryableByName)]
struct Token {
    #[diesel(sql_type = Nullable<Text>)]
    tenant: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    token: Option<String>,
}

/// Shorter texts are no tokens, and would be found in anything.
const SHORTEST_TOKEN: usize = 12;

/// The legacy tokens, by tenant.
fn tokens(
    conn: &mut PgConnection,
    source: &Source<'_>,
) -> QueryResult<BTreeMap<String, Vec<SecretString>>> {
    let mut found: BTreeMap<String, Vec<SecretString>> = BTreeMap::new();
    for (subject, whose) in [
        ("accounts", "agent"),
        ("sessions", "agent"),
        ("organization_accounts", "tenant"),
    ] {
        let column = source.column(subject, "access_token");
        let Some(table) = source.table(subject).filter(|_| !column.is_empty()) else {
            continue;
        };
        let of = source.column(subject, whose);
        let tenant = match whose {
            "agent" => format!(
                "(SELECT l.tenant_id FROM __legacy_ledger l WHERE l.subject = 'agents' AND l.key = a.{of}::text)"
            ),
            _ => format!("a.{of}"),
        };
        let rows: Vec<Token> = sql_query(format!(
            "SELECT {tenant}::text AS tenant, a.{column}::text AS token FROM {table} a"
        ))
        .load(conn)?;
        for row in rows {
            if let (Some(tenant), Some(token)) = (row.tenant, row.token)
                && token.len() >= SHORTEST_TOKEN
            {
                found.entry(tenant).or_default().push(token.into());
            }
        }
    }
    Ok(found)
}

/// The tenants' tables that have rows, and the tool's own.
fn filled_tables(conn: &mut PgConnection) -> QueryResult<Vec<String>> {
    let tables: Vec<Word> = sql_query(
        "SELECT c.relname::text AS value FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace \
         AND c.relkind = 'r' AND pg_relation_size(c.oid) > 0 AND EXISTS (SELECT FROM pg_attribute a \
             WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped) ORDER BY 1",
    )
    .load(conn)?;
    Ok(tables.into_iter().filter_map(|word| word.value).collect())
}

/// Asks for the rows of the tenant `$1` that show one of the tokens `$2`, as text or as bytes, or what
/// Meta's tokens and signed ones (JWT) look like:
/// <https://developers.facebook.com/docs/facebook-login/guides/access-tokens>, RFC 7519.
fn exposed_rows(tables: &[String]) -> String {
    let subjects = ledger::SUBJECTS.join("', '");
    let counts: Vec<_> = tables
        .iter()
        .map(|table| {
            // Its index begins with the subject.
            let and = match table.as_str() {
                "__legacy_ledger" => format!(" AND x.subject IN ('{subjects}')"),
                _ => String::new(),
            };
            // OFFSET: the row's text is made once, and not for each search in it.
            format!(
                "(SELECT count(*) FROM {table} x CROSS JOIN LATERAL (SELECT x::text AS row OFFSET 0) r \
                 WHERE x.tenant_id = $1{and} \
                   AND (r.row ~ '(\\mEAA[A-Za-z0-9]{{20,}}|\\meyJ[A-Za-z0-9_-]+\\.eyJ)' \
                     OR EXISTS (SELECT FROM unnest($2) t WHERE position(t IN r.row) > 0 \
                         OR position(encode(convert_to(t, 'UTF8'), 'hex') IN r.row) > 0)))"
            )
        })
        .collect();
    format!("SELECT {} AS value", counts.join(" + "))
}

/// Asks all of [`OF_TENANT`] at once.
fn rules() -> String {
    let counts: Vec<_> = OF_TENANT
        .iter()
        .map(|(_, _, sql)| format!("({sql})"))
        .collect();
    format!("SELECT ARRAY[{}] AS values", counts.join(", "))
}

/// Numbers of rows.
#[derive(QueryableByName)]
struct Counts {
    #[diesel(sql_type = Array<BigInt>)]
    values: Vec<i64>,
}

/// Rows that were rejected, which nobody will see again once the legacy tables are gone.
///
/// # Errors
/// When the database says so.
pub fn rejected(conn: &mut PgConnection) -> Result<i64, MigrationError> {
    Ok(query::count(
        conn,
        "SELECT count(*) AS value FROM __legacy_ledger WHERE verdict = 'rejected'",
    )?)
}
