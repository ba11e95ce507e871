//! What follows from a conversation's messages.

use diesel::{prelude::*, sql_types};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::conversation_settings as settings_table;
use portal_types::TenantId;
use strum::{EnumString, IntoStaticStr};
use uuid::Uuid;

use crate::words;

/// What a contact who writes after a close begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ReopenAs {
    /// The same conversation again.
    #[default]
    Same,
    /// A new episode of it, with nothing of the old one but its messages.
    New,
}

/// How the tenant wants its conversations kept.
///
/// # Errors
/// When the database fails.
pub fn settings(tx: &mut Tx<'_>, tenant: &TenantId) -> Result<ReopenAs, DbError> {
    let word: Option<String> = settings_table::table
        .filter(settings_table::tenant_id.eq(tenant.as_str()))
        .select(settings_table::reopen_as)
        .first(tx.conn())
        .optional()?;
    match word {
        None => Ok(ReopenAs::default()),
        Some(word) => word
            .parse()
            .map_err(|_word| DbError::Corrupt("conversation_settings.reopen_as".to_owned())),
    }
}

/// All of it is looked up by an index: the number of messages of a conversation costs nothing, those
/// that are unread are counted.
const REFRESH: &str = "
WITH state AS (
    SELECT c.conversation_id, c.contact_name AS former_name, coalesce(u.n, 0)::int AS unread, l.entry_id, l.occurred_at, w.window_expires_at,
        w.inbound_at, wa.digits, us.user_id, na.name,
        CASE WHEN c.status = 'open' AND c.assigned_to IS NULL AND c.merged_into IS NULL
            THEN greatest(c.first_inbound_at, CASE WHEN c.first_inbound_at IS NOT NULL THEN c.free_since END)
        END AS waiting_since
    FROM conversations c
    LEFT JOIN LATERAL (
        SELECT sum((SELECT count(*) FROM conversation_messages m
            WHERE m.tenant_id = t.tenant_id AND m.thread_id = t.thread_id AND m.direction = 'inbound' AND m.shown
              AND m.seq > t.read_seq)) AS n
        FROM conversation_threads t
        WHERE t.tenant_id = c.tenant_id AND t.conversation_id = c.conversation_id) u ON true
    LEFT JOIN LATERAL (
        SELECT m.entry_id, m.occurred_at FROM conversation_messages m
        WHERE m.tenant_id = c.tenant_id AND m.conversation_id = c.conversation_id AND m.shown
        ORDER BY m.occurred_at DESC, m.entry_id DESC LIMIT 1) l ON true
    LEFT JOIN LATERAL (
        SELECT m.window_expires_at, m.occurred_at AS inbound_at FROM conversation_messages m
        WHERE m.tenant_id = c.tenant_id AND m.conversation_id = c.conversation_id AND m.window_expires_at IS NOT NULL
        ORDER BY m.window_expires_at DESC LIMIT 1) w ON true
    LEFT JOIN LATERAL (
        SELECT substr(i.identity, 2) AS digits FROM contact_identities i
        WHERE i.tenant_id = c.tenant_id AND i.contact = c.contact AND i.identity LIKE '+%'
        ORDER BY i.shown_at DESC NULLS LAST, i.identity LIMIT 1) wa ON true
    LEFT JOIN LATERAL (
        SELECT i.identity AS user_id FROM contact_identities i
        WHERE i.tenant_id = c.tenant_id AND i.contact = c.contact AND i.identity NOT LIKE '+%'
        ORDER BY i.shown_at DESC NULLS LAST, i.identity LIMIT 1) us ON true
    LEFT JOIN LATERAL (
        SELECT i.name FROM contact_identities i
        WHERE i.tenant_id = c.tenant_id AND i.contact = c.contact AND i.name IS NOT NULL
        ORDER BY i.name_at DESC, i.name DESC LIMIT 1) na ON true
    WHERE c.tenant_id = app_tenant_id() AND c.conversation_id = ANY ($1)
)
UPDATE conversations c SET unread_count = s.unread, last_message_id = s.entry_id,
    last_activity_at = coalesce(s.occurred_at, c.created_at), window_expires_at = s.window_expires_at,
    last_inbound_at = s.inbound_at, wa_id = coalesce(s.digits, CASE WHEN c.contact IS NULL THEN c.wa_id END),
    user_id = s.user_id, contact_name = coalesce(s.name, CASE WHEN c.contact IS NULL THEN c.contact_name END),
    waiting_since = s.waiting_since, updated_at = now()
FROM state s
WHERE c.tenant_id = app_tenant_id() AND c.conversation_id = s.conversation_id
  AND (c.unread_count, c.last_message_id, c.last_activity_at, c.window_expires_at, c.last_inbound_at,
        c.wa_id, c.user_id, c.contact_name, c.waiting_since)
    IS DISTINCT FROM (s.unread, s.entry_id, coalesce(s.occurred_at, c.created_at), s.window_expires_at, s.inbound_at,
        coalesce(s.digits, CASE WHEN c.contact IS NULL THEN c.wa_id END), s.user_id,
        coalesce(s.name, CASE WHEN c.contact IS NULL THEN c.contact_name END), s.waiting_since)
RETURNING c.conversation_id, c.contact_name IS DISTINCT FROM s.former_name AS renamed";

/// Makes anew what follows from the messages of these conversations, which are locked; answers which
/// of them changed.
///
/// # Errors
/// When the database fails.
pub fn refresh(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    conversations: &[Uuid],
) -> Result<Vec<Uuid>, DbError> {
    #[derive(QueryableByName)]
    struct Changed {
        #[diesel(sql_type = sql_types::Uuid)]
        conversation_id: Uuid,
        #[diesel(sql_type = sql_types::Bool)]
        renamed: bool,
    }
    if conversations.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Changed> = diesel::sql_query(REFRESH)
        .bind::<sql_types::Array<sql_types::Uuid>, _>(conversations)
        .load(tx.conn())?;
    let renamed = rows.iter().filter(|row| row.renamed);
    let renamed: Vec<Uuid> = renamed.map(|row| row.conversation_id).collect();
    words::name_anew(tx, tenant, &renamed)?;
    Ok(rows.into_iter().map(|row| row.conversation_id).collect())
}
