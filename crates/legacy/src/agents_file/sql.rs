//! The staging table, and how its rows are decided.

use crate::{LegacyError, Mapping};

pub(super) const TABLES: &str = "
DROP TABLE IF EXISTS pg_temp.agent_file, pg_temp.agent_mapping;
CREATE TEMPORARY TABLE agent_file (
    line bigint PRIMARY KEY,
    agent_key text COLLATE \"C\" NOT NULL,
    genesys_user_id text COLLATE \"C\" NOT NULL,
    tenant_id text COLLATE \"C\" NOT NULL,
    name text NOT NULL,
    email text NOT NULL,
    place integer,
    column_name text,
    verdict text,
    reason text
);
CREATE TEMPORARY TABLE agent_mapping (
    agent_key text COLLATE \"C\" PRIMARY KEY,
    genesys_user_id text NOT NULL,
    tenant_id text NOT NULL,
    name text NOT NULL,
    email text NOT NULL
);";

/// The rows of a batch. What is wrong with a row itself is known already.
pub(super) const ADD: &str = "\
INSERT INTO pg_temp.agent_file (line, agent_key, genesys_user_id, tenant_id, name, email, place, column_name, \
    reason, verdict) \
SELECT *, CASE WHEN reason IS NOT NULL THEN 'invalid' END FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) \
    AS r (line, agent_key, genesys_user_id, tenant_id, name, email, place, column_name, reason)";

/// Decides the rows, those that contradict each other first: which of them is right cannot be told.
pub(super) fn decide(
    mapping: &Mapping,
    places: &[i32],
    earlier: Option<String>,
) -> Result<String, LegacyError> {
    let named = |subject: &str, meaning: &str| {
        mapping
            .sql_column(subject, meaning)
            .ok_or_else(|| LegacyError::Mapping(vec![format!("tables.{subject}.{meaning}: empty")]))
    };
    let table = |subject: &str| {
        mapping
            .sql_table(subject)
            .ok_or_else(|| LegacyError::Mapping(vec![format!("tables.{subject}: missing")]))
    };
    let (agents, agent) = (table("agents")?, named("agents", "key")?);
    let its_tenant = named("agents", "tenant")?;
    let (tenants, tenant) = (table("tenants")?, named("tenants", "key")?);
    let place = |column: usize| places.get(column).copied().unwrap_or_default();
    let at =
        |column: usize, name: &str| format!("place = {}, column_name = '{name}'", place(column));
    let (at_agent, at_user, at_tenant) = (
        at(0, "old_agent_id"),
        at(1, "genesys_user_id"),
        at(2, "tenant_id"),
    );
    let lines = "array_to_string((array_agg(line ORDER BY line))[1:5], ', ') \
        || CASE WHEN count(*) > 5 THEN ' and others' ELSE '' END";
    let mut all = format!(
        "ANALYZE pg_temp.agent_file;
WITH twice AS (SELECT agent_key, {lines} AS lines FROM pg_temp.agent_file WHERE verdict IS NULL
    GROUP BY agent_key HAVING count(*) > 1)
UPDATE pg_temp.agent_file f SET verdict = 'duplicate', {at_agent},
    reason = 'the agent is in lines ' || t.lines || ': leave one of them'
FROM twice t WHERE f.verdict IS NULL AND f.agent_key = t.agent_key;
WITH twice AS (SELECT tenant_id, genesys_user_id, {lines} AS lines FROM pg_temp.agent_file
    WHERE verdict IS NULL GROUP BY tenant_id, genesys_user_id HAVING count(*) > 1)
UPDATE pg_temp.agent_file f SET verdict = 'duplicate', {at_user},
    reason = 'the Genesys user is in lines ' || t.lines || ': an agent is one user, and a user one agent'
FROM twice t WHERE f.verdict IS NULL AND f.tenant_id = t.tenant_id AND f.genesys_user_id = t.genesys_user_id;
UPDATE pg_temp.agent_file f SET verdict = 'unknown_tenant', {at_tenant}, reason = 'there is no such tenant'
WHERE f.verdict IS NULL AND NOT EXISTS (SELECT FROM {tenants} t WHERE t.{tenant}::text = f.tenant_id);
UPDATE pg_temp.agent_file f SET verdict = 'unknown_agent', {at_agent}, reason = 'there is no such agent'
WHERE f.verdict IS NULL AND NOT EXISTS (SELECT FROM {agents} a WHERE a.{agent}::text = f.agent_key);
UPDATE pg_temp.agent_file f SET verdict = 'conflict', {at_tenant},
    reason = 'the agent is of tenant ' || a.{its_tenant}::text
FROM {agents} a WHERE f.verdict IS NULL AND a.{agent}::text = f.agent_key
    AND nullif(btrim(a.{its_tenant}::text), '') <> f.tenant_id;
"
    );
    if let Some(earlier) = earlier {
        all.push_str(&beside(&earlier, &at_user));
    }
    all.push_str(
        "UPDATE pg_temp.agent_file SET verdict = 'mapped' WHERE verdict IS NULL;
INSERT INTO pg_temp.agent_mapping SELECT agent_key, genesys_user_id, tenant_id, name, email
FROM pg_temp.agent_file WHERE verdict IN ('mapped', 'unchanged');
ANALYZE pg_temp.agent_mapping;",
    );
    Ok(all)
}

/// Holds the rows against what earlier files said.
fn beside(earlier: &str, at_user: &str) -> String {
    format!(
        "UPDATE pg_temp.agent_file f SET verdict = 'conflict', {at_user},
    reason = 'by an earlier file the Genesys user is agent ' || e.agent_key
FROM {earlier} e WHERE f.verdict IS NULL AND e.genesys_user_id = f.genesys_user_id
    AND e.tenant_id = f.tenant_id AND e.agent_key <> f.agent_key
    AND NOT EXISTS (SELECT FROM pg_temp.agent_file o WHERE o.agent_key = e.agent_key AND o.verdict IS NULL);
UPDATE pg_temp.agent_file f SET verdict = 'unchanged' FROM {earlier} e
WHERE f.verdict IS NULL AND e.agent_key = f.agent_key AND (e.genesys_user_id, e.tenant_id, e.name, e.email)
    IS NOT DISTINCT FROM (f.genesys_user_id, f.tenant_id, f.name, f.email);
"
    )
}
