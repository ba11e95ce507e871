//! Who has which account, as the tables say it.

use std::collections::BTreeMap;

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl as _, sql_query,
    sql_types::{Array, BigInt, Bool, Nullable, Text},
};

use super::{ACCOUNTS, ORGANIZATION_ACCOUNTS, Undecided};
use crate::{LegacyError, Mapping};

/// A row of one of the two tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) subject: &'static str,
    pub(super) key: String,
    /// The agent that it names.
    pub(super) agent: Option<String>,
    /// Whether there is such an agent; true of an organization's.
    pub(super) has_agent: bool,
    pub(super) tenant: Option<String>,
    pub(super) waba_id: String,
    pub(super) phone_number_id: String,
    pub(super) display_phone_number: Option<String>,
    pub(super) business_id: Option<String>,
    pub(super) has_token: bool,
    pub(super) created: Option<String>,
    pub(super) last_login: Option<String>,
}

/// Names by key.
pub(super) fn tenants(
    conn: &mut PgConnection,
    mapping: &Mapping,
) -> Result<BTreeMap<String, String>, LegacyError> {
    let names = Names(mapping);
    let (Some(table), Some(key), Some(name)) = (
        mapping.sql_table("tenants"),
        names.get("tenants", "key"),
        names.get("tenants", "name"),
    ) else {
        return Ok(BTreeMap::new());
    };
    let rows: Vec<Tenant> = sql_query(format!(
        "SELECT x.{key}::text AS key, coalesce(x.{name}::text, '') AS name FROM {table} x"
    ))
    .load(conn)?;
    Ok(rows.into_iter().map(|row| (row.key, row.name)).collect())
}

/// The organizations' rows, then the agents', of these the newest first.
pub(super) fn read(
    conn: &mut PgConnection,
    mapping: &Mapping,
    agent_mapping: Option<&str>,
) -> Result<Vec<Claim>, LegacyError> {
    let mut claims = Vec::new();
    for (subject, sql) in [
        (ORGANIZATION_ACCOUNTS, of_organizations(mapping)),
        (ACCOUNTS, of_agents(mapping, agent_mapping)),
    ] {
        let Some(sql) = sql else { continue };
        let rows: Vec<Row> = sql_query(sql).load(conn)?;
        claims.extend(rows.into_iter().map(|row| row.claim(subject)));
    }
    Ok(claims)
}

/// A column of the mapping, or none.
struct Names<'a>(&'a Mapping);

impl Names<'_> {
    fn get(&self, subject: &str, meaning: &str) -> Option<String> {
        self.0.sql_column(subject, meaning)
    }

    /// As an expression on the alias `x`, which is NULL when there is no such column.
    fn optional(&self, alias: &str, subject: &str, meaning: &str) -> String {
        self.get(subject, meaning)
            .map_or_else(|| "NULL".to_owned(), |column| format!("{alias}.{column}"))
    }

    /// What both tables are asked for.
    fn shared(&self, subject: &str) -> Option<String> {
        let column = |meaning| self.get(subject, meaning);
        Some(format!(
            "x.{}::text AS key, coalesce(trim(x.{}::text), '') AS waba_id, \
             coalesce(trim(x.{}::text), '') AS phone_number_id, \
             coalesce(trim(x.{}::text), '') <> '' AS has_token, \
             nullif(trim({}::text), '') AS display_phone_number, \
             nullif(trim({}::text), '') AS business_id",
            column("key")?,
            column("waba_id")?,
            column("phone_number_id")?,
            column("access_token")?,
            self.optional("x", subject, "display_phone_number"),
            self.optional("x", subject, "business_id"),
        ))
    }
}

fn of_organizations(mapping: &Mapping) -> Option<String> {
    let names = Names(mapping);
    let table = mapping.sql_table(ORGANIZATION_ACCOUNTS)?;
    let shared = names.shared(ORGANIZATION_ACCOUNTS)?;
    let key = names.get(ORGANIZATION_ACCOUNTS, "key")?;
    let tenant = names.get(ORGANIZATION_ACCOUNTS, "tenant")?;
    Some(format!(
        "SELECT {shared}, NULL::text AS agent, true AS has_agent, x.{tenant}::text AS tenant, \
             NULL::text AS created, NULL::text AS last_login \
         FROM {table} x ORDER BY x.{tenant}::text COLLATE \"C\", x.{key}::text COLLATE \"C\""
    ))
}

/// Newest first: by when it was made, when its agent logged in last, and the agent's key.
fn of_agents(mapping: &Mapping, agent_mapping: Option<&str>) -> Option<String> {
    let names = Names(mapping);
    let table = mapping.sql_table(ACCOUNTS)?;
    let shared = names.shared(ACCOUNTS)?;
    let key = names.get(ACCOUNTS, "key")?;
    let agent = names.get(ACCOUNTS, "agent")?;
    let agents = mapping.sql_table("agents")?;
    let agents_key = names.get("agents", "key")?;
    let own_tenant = names.get("agents", "tenant")?;
    let created = names.optional("x", ACCOUNTS, "created");
    let last_login = names.optional("a", "agents", "last_login");
    let (tenant, join) = match agent_mapping {
        Some(mapped) => (
            format!("coalesce(nullif(m.tenant_id, ''), a.{own_tenant}::text)"),
            format!("LEFT JOIN {mapped} m ON m.agent_key = a.{agents_key}::text"),
        ),
        None => (format!("a.{own_tenant}::text"), String::new()),
    };
    // Not every type compares with NULL of none: the sort keys are columns or left out.
    let newest: Vec<_> = [created.as_str(), last_login.as_str()]
        .into_iter()
        .filter(|column| *column != "NULL")
        .map(|column| format!("{column} DESC NULLS LAST, "))
        .collect();
    let newest = newest.concat();
    Some(format!(
        "SELECT {shared}, x.{agent}::text AS agent, a.{agents_key} IS NOT NULL AS has_agent, \
             nullif(trim({tenant}), '') AS tenant, {created}::text AS created, \
             {last_login}::text AS last_login \
         FROM {table} x LEFT JOIN {agents} a ON a.{agents_key}::text = x.{agent}::text {join} \
         ORDER BY {newest}x.{agent}::text COLLATE \"C\" DESC, x.{key}::text COLLATE \"C\" DESC"
    ))
}

/// Tells how many conversations the agents of each candidate were assigned to.
pub(super) fn count_conversations(
    conn: &mut PgConnection,
    mapping: &Mapping,
    undecided: &mut [Undecided],
) -> Result<(), LegacyError> {
    let names = Names(mapping);
    let (Some(table), Some(agent), Some(conversation)) = (
        mapping.sql_table("assignments"),
        names.get("assignments", "agent"),
        names.get("assignments", "conversation_id"),
    ) else {
        return Ok(());
    };
    let sql = format!(
        "SELECT count(DISTINCT x.{conversation}) AS value FROM {table} x WHERE x.{agent}::text = ANY ($1)"
    );
    let candidates = undecided
        .iter_mut()
        .flat_map(|tenant| &mut tenant.candidates);
    for candidate in candidates {
        let found: Count = sql_query(&sql)
            .bind::<Array<Text>, _>(&candidate.agents)
            .get_result(conn)?;
        candidate.conversations = found.value;
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Tenant {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Nullable<Text>)]
    agent: Option<String>,
    #[diesel(sql_type = Bool)]
    has_agent: bool,
    #[diesel(sql_type = Nullable<Text>)]
    tenant: Option<String>,
    #[diesel(sql_type = Text)]
    waba_id: String,
    #[diesel(sql_type = Text)]
    phone_number_id: String,
    #[diesel(sql_type = Nullable<Text>)]
    display_phone_number: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    business_id: Option<String>,
    #[diesel(sql_type = Bool)]
    has_token: bool,
    #[diesel(sql_type = Nullable<Text>)]
    created: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    last_login: Option<String>,
}

impl Row {
    fn claim(self, subject: &'static str) -> Claim {
        Claim {
            subject,
            key: self.key,
            agent: self.agent,
            has_agent: self.has_agent,
            tenant: self.tenant,
            waba_id: self.waba_id,
            phone_number_id: self.phone_number_id,
            display_phone_number: self.display_phone_number,
            business_id: self.business_id,
            has_token: self.has_token,
            created: self.created,
            last_login: self.last_login,
        }
    }
}
