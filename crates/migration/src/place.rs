//! What the ledger says is to be migrated, put into the tables of one tenant. The tenant is `$1`, and is
//! set for the transaction.

use crate::source::Source;

/// The tenant. What the organization-level side changed since stays.
pub(crate) fn tenant(source: &Source<'_>) -> Option<String> {
    let table = source.table("tenants")?;
    let (key, kind) = (source.column("tenants", "key"), source.key_type("tenants"));
    let name = source.text("tenants", "name");
    let status = source.text("tenants", "status");
    let organization = source.text("tenants", "genesys_org_id");
    // Two tenants of one organization: a person has to say whose it is.
    let shared = if source.column("tenants", "genesys_org_id").is_empty() {
        "false".to_owned()
    } else {
        let column = source.column("tenants", "genesys_org_id");
        format!(
            "(SELECT count(*) > 1 FROM {table} o WHERE btrim(o.{column}::text) = btrim(a.{column}::text))"
        )
    };
    Some(format!(
        "INSERT INTO tenants (tenant_id, name, status, genesys_org_id, deleted_at) \
         SELECT $1, left(coalesce({name}, $1), 255), s.status, \
             CASE WHEN NOT {shared} THEN left({organization}, 255) END, \
             CASE WHEN s.status = 'deleted' THEN now() END \
         FROM {table} a CROSS JOIN LATERAL (SELECT CASE \
             WHEN {status} IS NULL OR lower({status}) IN ('active', 'enabled', 'trial') THEN 'active' \
             WHEN lower({status}) IN ('deleted', 'removed') THEN 'deleted' ELSE 'suspended' END AS status) s \
         WHERE a.{key} = $1::{kind} \
         ON CONFLICT (tenant_id) DO UPDATE SET name = excluded.name, status = excluded.status, \
             deleted_at = excluded.deleted_at, updated_at = now(), \
             genesys_org_id = coalesce(tenants.genesys_org_id, excluded.genesys_org_id)"
    ))
}

/// Agents whose Genesys user has come by another way already: theirs is that user.
pub(crate) const MERGE_AGENTS: &str = "\
UPDATE __legacy_ledger l SET verdict = 'merged', target_id = u.user_id, \
    reason = 'the Genesys user was there already' \
FROM __legacy_agents m JOIN genesys_users u ON u.tenant_id = $1 AND u.genesys_user_id = m.genesys_user_id \
WHERE l.subject = 'agents' AND l.tenant_id = $1 AND l.verdict = 'migrated' AND m.agent_key = l.key \
  AND u.user_id <> l.target_id AND (cardinality($2) = 0 OR l.key = ANY ($2))";

/// The tenant's people; those of the keys `$2`, or all when there are none. What Genesys has told of
/// a person since stays.
pub(crate) fn agents(source: &Source<'_>) -> Option<String> {
    let table = source.table("agents")?;
    let (key, kind) = (source.column("agents", "key"), source.key_type("agents"));
    let (name, email) = (
        source.text("agents", "name"),
        source.text("agents", "email"),
    );
    let active = source.truth("agents", "active");
    let created = source.time("agents", "created");
    let login = source.time("agents", "last_login");
    Some(format!(
        "INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, genesys_email, \
             name, role, is_active, created_at, last_login_at, deactivated_at, deactivated_by, is_placeholder) \
         SELECT l.target_id, $1, coalesce(t.genesys_org_id, ''), \
             coalesce(m.genesys_user_id, 'legacy:' || left(l.key, 248)), \
             left(coalesce(m.email, {email}), 320), left(coalesce(m.name, {name}, l.key), 255), 'agent', \
             {active}, coalesce({created}, now()), {login}, \
             CASE WHEN NOT {active} THEN now() END, CASE WHEN NOT {active} THEN 'operator' END, \
             m.agent_key IS NULL \
         FROM __legacy_ledger l JOIN {table} a ON a.{key} = l.key::{kind} \
         JOIN tenants t ON t.tenant_id = $1 LEFT JOIN __legacy_agents m ON m.agent_key = l.key \
         WHERE l.subject = 'agents' AND l.tenant_id = $1 AND l.verdict = 'migrated' \
           AND (cardinality($2) = 0 OR l.key = ANY ($2)) \
         ON CONFLICT (user_id) DO UPDATE SET genesys_user_id = excluded.genesys_user_id, \
             genesys_org_id = excluded.genesys_org_id, genesys_email = excluded.genesys_email, \
             name = excluded.name, is_active = excluded.is_active, deactivated_at = excluded.deactivated_at, \
             deactivated_by = excluded.deactivated_by, is_placeholder = excluded.is_placeholder, \
             updated_at = now() \
         WHERE genesys_users.is_placeholder OR (genesys_users.genesys_version IS NULL \
             AND genesys_users.genesys_user_id = excluded.genesys_user_id)"
    ))
}

/// Which conversations of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conversations {
    /// Of ids above `$2` up to `$3`.
    Range,
    /// Of the ids `$2`.
    These,
}

/// The tenant's conversations and their assignments: the newest active assignment stays active, and
/// the others are history. A conversation that somebody worked on since is not touched, and gets
/// history alone.
pub(crate) fn conversations(which: Conversations) -> String {
    let condition = match which {
        Conversations::Range => "conversation_id > $2 AND conversation_id <= $3",
        Conversations::These => "conversation_id = ANY ($2)",
    };
    format!(
        "WITH l AS MATERIALIZED (SELECT * FROM __legacy_ledger WHERE subject = 'assignments' \
             AND verdict = 'migrated' AND tenant_id = $1 AND {condition}), {WRITE}"
    )
}

const WRITE: &str = "\
r AS MATERIALIZED (SELECT l.*, row_number() OVER w AS place, \
        max(active_at) OVER c AS last_at, min(assigned_at) OVER c AS first_at \
    FROM l WINDOW c AS (PARTITION BY conversation_id), \
        w AS (PARTITION BY conversation_id ORDER BY state = 'active' DESC, active_at DESC, \
              assigned_at DESC, key DESC)), \
k AS MATERIALIZED (SELECT r.*, r.state = 'active' AND r.place = 1 \
        AND NOT EXISTS (SELECT FROM conversations x WHERE x.conversation_id = r.conversation_id \
                        AND x.version > 1) AS holds FROM r), \
written AS (INSERT INTO conversations (conversation_id, tenant_id, phone_number_id, status, \
        last_activity_at, genesys_conversation_id, created_at, assigned_to, assigned_at, closed_at, free_since) \
    SELECT conversation_id, $1, coalesce((SELECT phone_number_id FROM tenant_whatsapp_numbers \
            WHERE tenant_id = $1 AND is_default), ''), \
        CASE WHEN state = 'closed' THEN 'closed' ELSE 'open' END, last_at, external_id, first_at, \
        CASE WHEN holds THEN user_id END, CASE WHEN holds THEN assigned_at END, \
        CASE WHEN state = 'closed' THEN last_at END, \
        CASE WHEN state NOT IN ('active', 'closed') THEN last_at END \
    FROM k WHERE place = 1 \
    ON CONFLICT (conversation_id) DO UPDATE SET status = excluded.status, \
        last_activity_at = excluded.last_activity_at, created_at = excluded.created_at, \
        assigned_to = excluded.assigned_to, assigned_at = excluded.assigned_at, \
        closed_at = excluded.closed_at, free_since = excluded.free_since, updated_at = now() \
    WHERE conversations.version = 1), \
told AS (UPDATE __legacy_ledger l SET reason = 'superseded: a newer assignment is active' FROM k \
    WHERE l.subject = 'assignments' AND l.key = k.key AND k.state = 'active' AND NOT k.holds) \
INSERT INTO conversation_assignments (assignment_id, tenant_id, conversation_id, user_id, status, \
        assigned_at, ended_at, end_reason) \
    SELECT target_id, $1, conversation_id, user_id, \
        CASE WHEN holds THEN 'active' WHEN state IN ('active', 'unknown') THEN 'released' ELSE state END, \
        assigned_at, CASE WHEN NOT holds THEN greatest(active_at, assigned_at) END, \
        CASE WHEN holds THEN NULL WHEN state = 'active' THEN 'superseded' ELSE 'migrated' END \
    FROM k ON CONFLICT (assignment_id) DO NOTHING";

/// Tells of the tenant's conversations, the same as in [`conversations`], whom they are with: the last one with
/// a contact is the one that goes on when the contact writes.
pub(crate) fn contacts(source: &Source<'_>, which: Conversations) -> Option<String> {
    let table = source.table("contacts")?;
    let conversation = source.column("contacts", "conversation_id");
    let wa_id = source.column("contacts", "wa_id");
    if conversation.is_empty() || wa_id.is_empty() {
        return None;
    }
    let condition = match which {
        Conversations::Range => "c.conversation_id > $2 AND c.conversation_id <= $3",
        Conversations::These => "c.conversation_id = ANY ($2)",
    };
    let name = source.text("contacts", "name");
    let active = source.time("contacts", "last_activity");
    Some(format!(
        "UPDATE conversations c SET contact = '+' || f.digits, wa_id = f.digits, contact_name = left(f.name, 255) \
         FROM (SELECT DISTINCT ON (c.phone_number_id, digits) c.conversation_id, d.digits, {name} AS name \
             FROM conversations c JOIN {table} a ON a.{conversation}::text = c.genesys_conversation_id \
             CROSS JOIN LATERAL (SELECT ltrim(btrim(a.{wa_id}::text), '+') AS digits) d \
             WHERE c.tenant_id = $1 AND {condition} AND c.version = 1 AND c.contact IS NULL \
               AND c.phone_number_id <> '' AND d.digits ~ '^[0-9]{{5,20}}$' \
             ORDER BY c.phone_number_id, digits, {active} DESC NULLS LAST, c.last_activity_at DESC) f \
         WHERE c.tenant_id = $1 AND c.conversation_id = f.conversation_id AND NOT EXISTS \
             (SELECT FROM conversations o WHERE o.tenant_id = $1 AND o.phone_number_id = c.phone_number_id \
              AND o.contact = '+' || f.digits)"
    ))
}

/// Takes the assignments of the tenant's conversations `$2` away, also those of the ids `$3`, to be put
/// anew; not those of a conversation that somebody worked on since.
pub(crate) const CLEAR_CONVERSATIONS: &str = "\
DELETE FROM conversation_assignments s USING conversations c WHERE s.tenant_id = $1 \
    AND s.conversation_id = ANY ($2) AND c.conversation_id = s.conversation_id AND c.version = 1 \
    AND (s.assignment_id = ANY ($3) OR EXISTS (SELECT FROM __legacy_ledger l WHERE l.subject = 'assignments' \
         AND l.tenant_id = $1 AND l.conversation_id = s.conversation_id AND l.target_id = s.assignment_id))";

/// Takes those of the tenant's conversations `$2` away that nothing is left of.
pub(crate) const DROP_EMPTY_CONVERSATIONS: &str = "\
DELETE FROM conversations c WHERE c.tenant_id = $1 AND c.conversation_id = ANY ($2) AND c.version = 1 \
    AND NOT EXISTS (SELECT FROM conversation_assignments s \
                    WHERE s.tenant_id = $1 AND s.conversation_id = c.conversation_id)";

/// Takes a person `$2` of the tenant out of what was migrated: deleted in the legacy database, or of
/// another tenant now.
pub(crate) const DROP_AGENT: [&str; 4] = [
    "DELETE FROM conversation_assignments WHERE tenant_id = $1 AND user_id = $2 \
         AND EXISTS (SELECT FROM genesys_users u WHERE u.user_id = $2 AND u.genesys_version IS NULL)",
    "UPDATE conversations SET assigned_to = NULL, assigned_at = NULL, free_since = now() \
         WHERE tenant_id = $1 AND assigned_to = $2 \
         AND EXISTS (SELECT FROM genesys_users u WHERE u.user_id = $2 AND u.genesys_version IS NULL)",
    "UPDATE genesys_users SET is_active = false, deactivated_at = now(), deactivated_by = 'operator' \
         WHERE tenant_id = $1 AND user_id = $2 AND genesys_version IS NOT NULL",
    "DELETE FROM genesys_users WHERE tenant_id = $1 AND user_id = $2 AND genesys_version IS NULL",
];

/// The last id of the next `$3` assignments of the tenant after the conversation `$2`, and their number.
pub(crate) const NEXT_CONVERSATIONS: &str = "\
SELECT max(conversation_id::text COLLATE \"C\") AS value, count(*) AS rows FROM (SELECT conversation_id \
    FROM __legacy_ledger WHERE subject = 'assignments' AND verdict = 'migrated' AND tenant_id = $1 \
    AND conversation_id > $2 ORDER BY conversation_id LIMIT $3) x";
