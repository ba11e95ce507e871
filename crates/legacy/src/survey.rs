//! What is in a legacy database, and what a migration would stumble over.

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl as _, sql_query,
    sql_types::{BigInt, Bool, Text},
};
use serde::Serialize;

use crate::{
    Catalog, LegacyError, Mapping, error::require_readable, identifier, subjects::SUBJECTS,
};

/// What is in the mapped tables.
#[derive(Debug, Serialize)]
pub struct Survey {
    /// The tables and their sizes.
    pub tables: Vec<Size>,
    /// What a migration would stumble over; without those that were looked for and not there.
    pub findings: Vec<Finding>,
}

/// How large a table is.
#[derive(Debug, Serialize)]
pub struct Size {
    /// The table.
    pub table: String,
    /// Rows, counted.
    pub rows: i64,
    /// Bytes on disk, with indexes.
    pub bytes: i64,
}

/// Something that a migration would stumble over.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// What it is, the same for ever.
    pub code: &'static str,
    /// What it is, for a reader.
    pub text: &'static str,
    /// How many of them there are.
    pub count: i64,
}

/// What is asked, with `{subject}` for its table and `{subject.meaning}` for a column.
const QUESTIONS: &[(&str, &str, &str)] = &[
    (
        "agents_without_tenant",
        "agents of no tenant that exists",
        "SELECT count(*) AS value FROM {agents} a WHERE NOT EXISTS (SELECT FROM {tenants} t \
         WHERE t.{tenants.key}::text = a.{agents.tenant}::text)",
    ),
    (
        "agents_with_one_email",
        "e-mail addresses that several agents of a tenant have, whatever the letters' case",
        "SELECT count(*) AS value FROM (SELECT FROM {agents} a \
         GROUP BY a.{agents.tenant}, lower(trim(a.{agents.email}::text)) HAVING count(*) > 1) x",
    ),
    (
        "accounts_without_agent",
        "agents' WhatsApp accounts of no agent that exists",
        "SELECT count(*) AS value FROM {accounts} a WHERE NOT EXISTS (SELECT FROM {agents} g \
         WHERE g.{agents.key}::text = a.{accounts.agent}::text)",
    ),
    (
        "tenants_with_several_wabas",
        "tenants whose agents have more than one WhatsApp Business Account and that have none of \
         their own: somebody has to choose",
        "SELECT count(*) AS value FROM (SELECT FROM {accounts} c JOIN {agents} g \
         ON g.{agents.key}::text = c.{accounts.agent}::text WHERE NOT EXISTS \
         (SELECT FROM {organization_accounts} o \
          WHERE o.{organization_accounts.tenant}::text = g.{agents.tenant}::text) \
         AND g.{agents.tenant} IS NOT NULL GROUP BY g.{agents.tenant} \
         HAVING count(DISTINCT c.{accounts.waba_id}) > 1) x",
    ),
    (
        "assignments_without_agent",
        "assignments to no agent that exists",
        "SELECT count(*) AS value FROM {assignments} a WHERE NOT EXISTS (SELECT FROM {agents} g \
         WHERE g.{agents.key}::text = a.{assignments.agent}::text)",
    ),
    (
        "assignments_without_tenant",
        "assignments to agents of no tenant that exists",
        "SELECT count(*) AS value FROM {assignments} a JOIN {agents} g \
         ON g.{agents.key}::text = a.{assignments.agent}::text WHERE NOT EXISTS \
         (SELECT FROM {tenants} t WHERE t.{tenants.key}::text = g.{agents.tenant}::text)",
    ),
    (
        "conversations_with_several_active",
        "conversations of a tenant with more than one active assignment",
        "SELECT count(*) AS value FROM (SELECT FROM {assignments} a JOIN {agents} g \
         ON g.{agents.key}::text = a.{assignments.agent}::text \
         WHERE lower(trim(a.{assignments.status}::text)) = 'active' \
         GROUP BY g.{agents.tenant}, a.{assignments.conversation_id} HAVING count(*) > 1) x",
    ),
    (
        "assignments_with_unknown_status",
        "assignments with a status other than active, released, transferred, closed",
        "SELECT count(*) AS value FROM {assignments} a \
         WHERE coalesce(lower(trim(a.{assignments.status}::text)), '') \
         NOT IN ('active', 'released', 'transferred', 'closed')",
    ),
    (
        "tenants_without_organization",
        "tenants without a Genesys organization",
        "SELECT count(*) AS value FROM {tenants} t \
         WHERE coalesce(trim(t.{tenants.genesys_org_id}::text), '') = ''",
    ),
];

/// Counts rows and findings. Call it in [`crate::read_only`], with a mapping that was checked.
pub fn survey(
    conn: &mut PgConnection,
    catalog: &Catalog,
    mapping: &Mapping,
) -> Result<Survey, LegacyError> {
    require_privileges(conn, catalog, mapping)?;
    require_time_zone(conn, mapping)?;
    let mut tables = Vec::new();
    for name in SUBJECTS
        .iter()
        .filter_map(|subject| mapping.table(subject.name))
    {
        let sql = format!("SELECT count(*) AS value FROM {}", from(mapping, name));
        tables.push(Size {
            table: name.to_owned(),
            rows: count(conn, &sql)?,
            bytes: catalog.tables.get(name).map_or(0, |table| table.bytes),
        });
    }
    let mut findings = Vec::new();
    for (code, text, template) in QUESTIONS {
        let Some(sql) = fill(mapping, template) else {
            continue;
        };
        let count = count(conn, &sql)?;
        if count > 0 {
            findings.push(Finding { code, text, count });
        }
    }
    Ok(Survey { tables, findings })
}

/// Puts names in a question's places; none when the mapping has not all of them.
fn fill(mapping: &Mapping, template: &str) -> Option<String> {
    let mut parts = template.split('{');
    let mut sql = parts.next()?.to_owned();
    for part in parts {
        let (place, rest) = part.split_once('}')?;
        match place.split_once('.') {
            Some((subject, meaning)) => {
                sql.push_str(&mapping.sql_column(subject, meaning)?);
            }
            None => sql.push_str(&mapping.sql_table(place)?),
        }
        sql.push_str(rest);
    }
    Some(sql)
}

fn from(mapping: &Mapping, table: &str) -> String {
    format!("{}.{}", identifier(&mapping.schema), identifier(table))
}

pub(crate) fn require_privileges(
    conn: &mut PgConnection,
    catalog: &Catalog,
    mapping: &Mapping,
) -> Result<(), LegacyError> {
    let closed: Vec<String> = SUBJECTS
        .iter()
        .filter_map(|subject| mapping.table(subject.name))
        .filter(|name| {
            catalog
                .tables
                .get(*name)
                .is_some_and(|table| !table.readable)
        })
        .map(|name| from(mapping, name))
        .collect();
    require_readable(conn, &closed)
}

fn require_time_zone(conn: &mut PgConnection, mapping: &Mapping) -> Result<(), LegacyError> {
    let known = sql_query("SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = $1) AS value")
        .bind::<Text, _>(&mapping.time_zone)
        .get_result::<Truth>(conn)?;
    if known.value {
        return Ok(());
    }
    Err(LegacyError::Mapping(vec![format!(
        "time_zone: PostgreSQL knows no zone {:?}; pg_timezone_names lists them, such as Europe/Berlin",
        mapping.time_zone
    )]))
}

fn count(conn: &mut PgConnection, sql: &str) -> Result<i64, LegacyError> {
    Ok(sql_query(sql).get_result::<Count>(conn)?.value)
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[derive(QueryableByName)]
struct Truth {
    #[diesel(sql_type = Bool)]
    value: bool,
}
