//! What is kept of a contact, told and erased.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types};
use portal_db::{DbError, Tx};
use portal_types::{ConversationId, TenantId};
use serde_json::Value;
use uuid::Uuid;

use crate::{lock_conversation, state, words};

/// How many rows of each table.
pub type Counts = BTreeMap<&'static str, i64>;

const ENTRIES: &str = "m.tenant_id = app_tenant_id() AND m.occurred_at <= $2 AND m.thread_id IN \
    (SELECT t.thread_id FROM conversation_threads t \
     WHERE t.tenant_id = app_tenant_id() AND t.identity = ANY ($1))";
const CONVERSATIONS: &str = "c.tenant_id = app_tenant_id() AND (c.contact = ANY ($1) OR c.conversation_id IN \
    (SELECT t.conversation_id FROM conversation_threads t \
     WHERE t.tenant_id = app_tenant_id() AND t.identity = ANY ($1)))";

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = sql_types::BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = sql_types::Uuid)]
    id: Uuid,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = sql_types::Jsonb)]
    line: Value,
}

type Texts = sql_types::Array<sql_types::Text>;
type Ids = sql_types::Array<sql_types::Uuid>;

/// The identities of a conversation's contact, the one that stands for all first; nothing when the
/// tenant has no such conversation.
///
/// # Errors
/// When the database fails.
pub fn identities_of(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    id: ConversationId,
) -> Result<Vec<String>, DbError> {
    use portal_db_schema::schema::contact_identities as identities;
    let Some(row) = lock_conversation(tx, tenant, id)? else {
        return Ok(Vec::new());
    };
    let Some(contact) = row.contact else {
        return Ok(Vec::new());
    };
    let mut all: Vec<String> = identities::table
        .filter(identities::tenant_id.eq(tenant.as_str()))
        .filter(identities::contact.eq(&contact))
        .order(identities::identity)
        .select(identities::identity)
        .load(tx.conn())?;
    all.sort_by_key(|identity| *identity != contact);
    Ok(all)
}

/// How much is erased of conversations that go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All but later messages.
    Everything,
    /// What is as old as the messages.
    Aged,
}

/// The identities of contacts with messages that were written up to `before`, of at most so many
/// contacts. Those who have something under way from then are left out.
///
/// # Errors
/// When the database fails.
pub fn aged_identities(
    tx: &mut Tx<'_>,
    before: DateTime<Utc>,
    contacts: i64,
) -> Result<Vec<String>, DbError> {
    #[derive(QueryableByName)]
    struct One {
        #[diesel(sql_type = sql_types::Text)]
        identity: String,
    }
    // Ids of messages are UUIDs of version 7, made when we got the message: none that is older than
    // `before` has a larger one than this.
    let millis = u128::try_from(before.timestamp_millis()).unwrap_or_default();
    let first = Uuid::from_u128((millis + 1) << 80);
    let found: Vec<One> = diesel::sql_query(
        "WITH aged AS ( \
             SELECT DISTINCT i.contact FROM conversation_messages m \
             JOIN conversation_threads t ON t.tenant_id = m.tenant_id AND t.thread_id = m.thread_id \
             JOIN contact_identities i ON i.tenant_id = t.tenant_id AND i.identity = t.identity \
             WHERE m.tenant_id = app_tenant_id() AND m.entry_id < $1 AND m.occurred_at <= $2 \
               AND NOT EXISTS (SELECT FROM conversation_messages u \
                   WHERE u.tenant_id = m.tenant_id AND u.thread_id = m.thread_id AND u.entry_id < $1 \
                     AND u.direction = 'outbound' AND u.status IN ('accepted', 'unknown')) \
             LIMIT $3) \
         SELECT o.identity FROM aged JOIN contact_identities o ON o.contact = aged.contact \
         WHERE o.tenant_id = app_tenant_id() ORDER BY o.identity",
    )
    .bind::<sql_types::Uuid, _>(first)
    .bind::<sql_types::Timestamptz, _>(before)
    .bind::<sql_types::BigInt, _>(contacts)
    .load(tx.conn())?;
    Ok(found.into_iter().map(|one| one.identity).collect())
}

/// What [`erase`] would erase.
///
/// # Errors
/// When the database fails.
pub fn count_of(
    tx: &mut Tx<'_>,
    identities: &[String],
    before: DateTime<Utc>,
) -> Result<Counts, DbError> {
    let mut counts = Counts::new();
    for (table, from) in [
        (
            "conversations",
            format!("conversations c WHERE {CONVERSATIONS} AND $2 IS NOT NULL"),
        ),
        (
            "conversation_messages",
            format!("conversation_messages m WHERE {ENTRIES}"),
        ),
    ] {
        let found: Number = diesel::sql_query(format!("SELECT count(*) AS n FROM {from}"))
            .bind::<Texts, _>(identities)
            .bind::<sql_types::Timestamptz, _>(before)
            .get_result(tx.conn())?;
        counts.insert(table, found.n);
    }
    Ok(counts)
}

/// All that is kept of a contact, a line for each row; without what serves us alone.
///
/// # Errors
/// When the database fails.
pub fn export(tx: &mut Tx<'_>, identities: &[String]) -> Result<Vec<Value>, DbError> {
    const OF_CONVERSATION: &str = "x.tenant_id = app_tenant_id() AND x.conversation_id IN \
        (SELECT c.conversation_id FROM conversations c WHERE ";
    let parts = [
        (
            "contact",
            "contact_identities x WHERE x.tenant_id = app_tenant_id() AND x.identity = ANY ($1) \
             ORDER BY x.identity"
                .to_owned(),
        ),
        (
            "conversation",
            format!(
                "conversations x WHERE {OF_CONVERSATION}{CONVERSATIONS}) ORDER BY x.conversation_id"
            ),
        ),
        (
            "message",
            format!(
                "conversation_messages x WHERE {OF_CONVERSATION}{CONVERSATIONS}) \
                 ORDER BY x.occurred_at, x.entry_id"
            ),
        ),
        (
            "assignment",
            format!(
                "conversation_assignments x WHERE {OF_CONVERSATION}{CONVERSATIONS}) \
                 ORDER BY x.assigned_at, x.assignment_id"
            ),
        ),
        (
            "action",
            format!(
                "conversation_actions x WHERE {OF_CONVERSATION}{CONVERSATIONS}) ORDER BY x.at, x.action_id"
            ),
        ),
    ];
    let mut lines = Vec::new();
    for (kind, from) in parts {
        let rows: Vec<Line> = diesel::sql_query(format!(
            "SELECT jsonb_build_object('kind', '{kind}') \
             || (to_jsonb(x) - 'tenant_id' - 'seq' - 'shown' - 'version') AS line FROM {from}"
        ))
        .bind::<Texts, _>(identities)
        .load(tx.conn())?;
        lines.extend(rows.into_iter().map(|row| row.line));
    }
    Ok(lines)
}

/// Erases what was written up to `before`. Conversations with later messages keep those, and with
/// [`Extent::Aged`] what was done later; the others go, and with them what is known of the contact.
///
/// # Errors
/// When the database fails; nothing is to be committed then.
pub fn erase(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    identities: &[String],
    before: DateTime<Utc>,
    extent: Extent,
) -> Result<Counts, DbError> {
    // In the order in which all lock: identities, conversations.
    diesel::sql_query(
        "SELECT identity FROM contact_identities WHERE tenant_id = app_tenant_id() \
         AND identity = ANY ($1) ORDER BY identity FOR UPDATE",
    )
    .bind::<Texts, _>(identities)
    .execute(tx.conn())?;
    let all = ids(
        tx,
        &format!(
            "SELECT c.conversation_id AS id FROM conversations c WHERE {CONVERSATIONS} \
             ORDER BY c.conversation_id FOR UPDATE"
        ),
        identities,
    )?;
    let mut counts = Counts::new();
    diesel::sql_query(format!(
        "INSERT INTO erased_messages (tenant_id, entry_id) \
         SELECT m.tenant_id, m.entry_id FROM conversation_messages m WHERE {ENTRIES} ON CONFLICT DO NOTHING"
    ))
    .bind::<Texts, _>(identities)
    .bind::<sql_types::Timestamptz, _>(before)
    .execute(tx.conn())?;
    // Reports may have come before their message, which is not to come any more.
    let gone = diesel::sql_query(
        "DELETE FROM conversation_messages m USING erased_messages e WHERE m.tenant_id = app_tenant_id() \
         AND e.tenant_id = m.tenant_id AND e.entry_id = m.entry_id",
    )
    .execute(tx.conn())?;
    note(&mut counts, "conversation_messages", gone);
    let kept = ids(
        tx,
        "SELECT DISTINCT m.conversation_id AS id FROM conversation_messages m \
         JOIN conversation_threads t ON t.tenant_id = m.tenant_id AND t.thread_id = m.thread_id \
         WHERE m.tenant_id = app_tenant_id() AND t.identity = ANY ($1)",
        identities,
    )?;
    erase_what_was_done(tx, &all, &kept, extent, before, &mut counts)?;
    forget(tx, &all, &kept, identities, &mut counts)?;
    let threads = ids(
        tx,
        "SELECT thread_id AS id FROM conversation_threads \
         WHERE tenant_id = app_tenant_id() AND identity = ANY ($1)",
        identities,
    )?;
    words::texts_anew(tx, &threads)?;
    state::refresh(tx, tenant, &kept)?;
    Ok(counts)
}

/// What was done with conversations and told of them; of those that are kept, up to `before` or all.
fn erase_what_was_done(
    tx: &mut Tx<'_>,
    all: &[Uuid],
    kept: &[Uuid],
    extent: Extent,
    before: DateTime<Utc>,
    counts: &mut Counts,
) -> Result<(), DbError> {
    let until = (extent == Extent::Aged).then_some(before);
    for (table, id, when) in [
        (
            "live_events",
            "x.conversation_id",
            // An old message may have been told lately.
            "($3 IS NULL OR x.created_at <= $3 OR \
              coalesce(x.data #>> '{message,message_id}', x.data ->> 'message_id')::uuid IN \
              (SELECT e.entry_id FROM erased_messages e WHERE e.tenant_id = app_tenant_id()))",
        ),
        (
            "outbox_events",
            "(x.payload -> 'data' ->> 'conversation_id')::uuid",
            "($3 IS NULL OR x.created_at <= $3)",
        ),
        (
            "conversation_actions",
            "x.conversation_id",
            "($3 IS NULL OR x.at <= $3)",
        ),
        (
            "conversation_assignments",
            "x.conversation_id",
            "($3 IS NULL OR x.ended_at <= $3) AND x.status <> 'active'",
        ),
    ] {
        let gone = diesel::sql_query(format!(
            "DELETE FROM {table} x WHERE x.tenant_id = app_tenant_id() AND {id} = ANY ($1) \
             AND ({id} <> ALL ($2) OR {when})"
        ))
        .bind::<Ids, _>(all)
        .bind::<Ids, _>(kept)
        .bind::<sql_types::Nullable<sql_types::Timestamptz>, _>(until)
        .execute(tx.conn())?;
        note(counts, table, gone);
    }
    Ok(())
}

/// Nothing is left of the contact.
const UNUSED: &str = "NOT EXISTS (SELECT FROM conversation_threads t JOIN contact_identities o \
     ON o.tenant_id = t.tenant_id AND o.identity = t.identity \
     WHERE t.tenant_id = app_tenant_id() AND o.identity = ANY ($1))";

/// What nothing stands on any more goes.
fn forget(
    tx: &mut Tx<'_>,
    all: &[Uuid],
    kept: &[Uuid],
    identities: &[String],
    counts: &mut Counts,
) -> Result<(), DbError> {
    let gone: Vec<Uuid> = all
        .iter()
        .filter(|id| !kept.contains(id))
        .copied()
        .collect();
    for table in ["conversation_threads", "conversations"] {
        let gone = diesel::sql_query(format!(
            "DELETE FROM {table} WHERE tenant_id = app_tenant_id() AND conversation_id = ANY ($1)"
        ))
        .bind::<Ids, _>(&gone)
        .execute(tx.conn())?;
        note(counts, table, gone);
    }
    for (table, own) in [
        (
            "contact_links",
            "(x.identity_a = ANY ($1) OR x.identity_b = ANY ($1))",
        ),
        ("contact_identities", "x.identity = ANY ($1)"),
    ] {
        let gone = diesel::sql_query(format!(
            "DELETE FROM {table} x WHERE x.tenant_id = app_tenant_id() AND {own} AND {UNUSED}"
        ))
        .bind::<Texts, _>(identities)
        .execute(tx.conn())?;
        note(counts, table, gone);
    }
    Ok(())
}

fn ids(tx: &mut Tx<'_>, sql: &str, identities: &[String]) -> Result<Vec<Uuid>, DbError> {
    let rows: Vec<Id> = diesel::sql_query(sql)
        .bind::<Texts, _>(identities)
        .load(tx.conn())?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

fn note(counts: &mut Counts, table: &'static str, gone: usize) {
    *counts.entry(table).or_default() += i64::try_from(gone).unwrap_or(i64::MAX);
}

/// Which of these messages were erased.
pub(crate) fn erased(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    all: &[Uuid],
) -> Result<Vec<Uuid>, DbError> {
    use portal_db_schema::schema::erased_messages as gone;
    Ok(gone::table
        .filter(gone::tenant_id.eq(tenant.as_str()))
        .filter(gone::entry_id.eq_any(all))
        .select(gone::entry_id)
        .load(tx.conn())?)
}
