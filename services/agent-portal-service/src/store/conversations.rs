//! Conversations as they are shown. What changes them is portal-conversations'.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::{dsl::not, prelude::*};
use portal_conversations::{ConversationRow, Search};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::{
    conversation_actions as actions, conversation_assignments as assignments,
    conversation_messages as entries, conversation_threads as threads, conversation_words as words,
    conversations, genesys_users as users,
};
use portal_types::{ConversationId, TenantId, UserId};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::Worker;

/// Somebody as conversations name them.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = users)]
pub(crate) struct PersonRow {
    pub(crate) user_id: Uuid,
    pub(crate) name: String,
    pub(crate) role: String,
}

/// The last message of a conversation, as far as lists show it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = entries)]
pub(crate) struct LastMessageRow {
    pub(crate) type_: Option<String>,
    pub(crate) text: Option<String>,
}

/// A conversation with what lists show beside it.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) row: ConversationRow,
    pub(crate) last_message: Option<LastMessageRow>,
    pub(crate) holder: Option<PersonRow>,
}

/// Whose conversations to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// This person's.
    By(UserId),
    /// Nobody's.
    ByNobody,
}

/// Which conversations to list.
#[derive(Debug, Clone)]
pub(crate) struct ConversationFilter {
    pub(crate) status: Option<&'static str>,
    pub(crate) held: Option<Held>,
    /// What their names, numbers or messages have.
    pub(crate) search: Option<Search>,
    /// Those that go with this conversation of Genesys.
    pub(crate) genesys_conversation_id: Option<String>,
    /// Those before this one, which was the last of a page.
    pub(crate) after: Option<(DateTime<Utc>, Uuid)>,
}

/// A message of a conversation.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = entries)]
pub(crate) struct MessageRow {
    pub(crate) entry_id: Uuid,
    pub(crate) direction: String,
    pub(crate) type_: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) payload: Option<Value>,
    pub(crate) status: String,
    pub(crate) occurred_at: Option<DateTime<Utc>>,
    pub(crate) sent_by_kind: Option<String>,
    pub(crate) sent_by: Option<String>,
    pub(crate) error: Option<Value>,
    pub(crate) wamid: Option<String>,
    pub(crate) context_wamid: Option<String>,
    pub(crate) refers_to: Option<String>,
    pub(crate) episode: Option<i32>,
}

/// Who held a conversation.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = assignments)]
pub(crate) struct AssignmentRow {
    pub(crate) assignment_id: Uuid,
    pub(crate) conversation_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) status: String,
    pub(crate) cause: String,
    pub(crate) reason: Option<String>,
    pub(crate) assigned_by: Option<Uuid>,
    pub(crate) assigned_at: DateTime<Utc>,
    pub(crate) ended_at: Option<DateTime<Utc>>,
    pub(crate) ended_by: Option<Uuid>,
    pub(crate) end_reason: Option<String>,
    pub(crate) episode: i32,
}

/// What was done with a conversation.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = actions)]
pub(crate) struct ActionRow {
    pub(crate) action: String,
    pub(crate) episode: i32,
    pub(crate) user_id: Option<Uuid>,
    pub(crate) other_conversation_id: Option<Uuid>,
    pub(crate) reason: Option<String>,
    pub(crate) at: DateTime<Utc>,
}

/// The conversation that an id leads to: its own, one that became part of it, or one that was derived
/// for another identity of its contact.
pub(crate) fn find(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    id: ConversationId,
) -> Result<Option<ConversationRow>, DbError> {
    let by_thread: Option<Uuid> = threads::table
        .filter(threads::tenant_id.eq(tenant.as_str()))
        .filter(threads::thread_id.eq(id.as_uuid()))
        .select(threads::conversation_id)
        .first(tx.conn())
        .optional()?;
    let mut next = by_thread.unwrap_or(id.as_uuid());
    loop {
        let row: Option<ConversationRow> = conversations::table
            .filter(conversations::tenant_id.eq(tenant.as_str()))
            .filter(conversations::conversation_id.eq(next))
            .select(ConversationRow::as_select())
            .first(tx.conn())
            .optional()?;
        match row.as_ref().and_then(|row| row.merged_into) {
            Some(into) => next = into,
            None => return Ok(row),
        }
    }
}

/// The conversation that goes with one of Genesys Cloud.
pub(crate) fn find_by_genesys(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    genesys_conversation_id: &str,
) -> Result<Option<ConversationId>, DbError> {
    let id: Option<Uuid> = conversations::table
        .filter(conversations::tenant_id.eq(tenant.as_str()))
        .filter(conversations::merged_into.is_null())
        .filter(conversations::genesys_conversation_id.eq(genesys_conversation_id))
        .order(conversations::genesys_named_at.desc())
        .select(conversations::conversation_id)
        .first(tx.conn())
        .optional()?;
    Ok(id.map(ConversationId::from))
}

/// The conversations that this person may see, the latest first.
///
/// Each state and holder has its own range of an index, already in order; the first rows of a few such
/// ranges hold the first of all, however many rows there are.
pub(crate) fn list(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    worker: Worker,
    filter: &ConversationFilter,
    limit: i64,
) -> Result<Vec<ConversationRow>, DbError> {
    let own = Held::By(worker.user);
    let holders = match filter.held {
        None if worker.sees_all() => vec![None],
        None => vec![Some(own), Some(Held::ByNobody)],
        // What others hold is not an agent's to see.
        Some(held) if !worker.sees_all() && held != own && held != Held::ByNobody => vec![],
        held => vec![held],
    };
    let states = match filter.status {
        None if holders == [None] => vec![None],
        None => vec![Some("open"), Some("closed")],
        status => vec![status],
    };
    if filter.search.is_some() {
        // Whether to begin with the words or with the list depends on how common the words are.
        diesel::sql_query("SET LOCAL plan_cache_mode = force_custom_plan").execute(tx.conn())?;
    }
    let mut rows: Vec<ConversationRow> = Vec::new();
    for holder in holders {
        for state in &states {
            rows.extend(list_range(tx, tenant, holder, *state, filter, limit)?);
        }
    }
    let place = |row: &ConversationRow| (row.last_activity_at, row.conversation_id.as_uuid());
    rows.sort_by_key(|row| std::cmp::Reverse(place(row)));
    // One that moves from a range to another between two queries is found in both.
    let mut seen = HashSet::new();
    rows.retain(|row| seen.insert(row.conversation_id.as_uuid()));
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(rows)
}

fn list_range(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    held: Option<Held>,
    status: Option<&'static str>,
    filter: &ConversationFilter,
    limit: i64,
) -> Result<Vec<ConversationRow>, DbError> {
    let mut query = conversations::table
        .filter(conversations::tenant_id.eq(tenant.as_str()))
        .filter(conversations::merged_into.is_null())
        .into_boxed();
    query = match held {
        Some(Held::By(user)) => query.filter(conversations::assigned_to.eq(user.as_uuid())),
        Some(Held::ByNobody) => query.filter(conversations::assigned_to.is_null()),
        None => query,
    };
    if let Some(status) = status {
        query = query.filter(conversations::status.eq(status));
    }
    if let Some(genesys) = &filter.genesys_conversation_id {
        query = query.filter(conversations::genesys_conversation_id.eq(genesys));
    }
    if let Some((at, id)) = filter.after {
        // The first part is where the range begins; an OR alone would read all before it.
        query = query.filter(conversations::last_activity_at.le(at)).filter(
            conversations::last_activity_at
                .lt(at)
                .or(conversations::conversation_id.lt(id)),
        );
    }
    for (from, before) in filter.search.iter().flat_map(Search::ranges) {
        let having = words::table
            .inner_join(
                threads::table.on(threads::tenant_id
                    .eq(words::tenant_id)
                    .and(threads::thread_id.eq(words::thread_id))),
            )
            .filter(words::tenant_id.eq(tenant.as_str()))
            .filter(words::word.ge(from).and(words::word.lt(before)))
            .select(threads::conversation_id);
        query = query.filter(conversations::conversation_id.eq_any(having));
    }
    Ok(query
        .order((
            conversations::last_activity_at.desc(),
            conversations::conversation_id.desc(),
        ))
        .limit(limit)
        .select(ConversationRow::as_select())
        .load(tx.conn())?)
}

/// Adds what lists show beside conversations.
pub(crate) fn show(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    rows: Vec<ConversationRow>,
) -> Result<Vec<Shown>, DbError> {
    let people: Vec<Uuid> = rows.iter().filter_map(|row| row.assigned_to).collect();
    let people = find_people(tx, tenant, &people)?;
    let last: Vec<Uuid> = rows.iter().filter_map(|row| row.last_message_id).collect();
    let last: Vec<(Uuid, LastMessageRow)> = entries::table
        .filter(entries::tenant_id.eq(tenant.as_str()))
        .filter(entries::entry_id.eq_any(last))
        .select((entries::entry_id, LastMessageRow::as_select()))
        .load(tx.conn())?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let of = |id: &Uuid| Some(*id) == row.last_message_id;
            let message = last.iter().find(|(id, _)| of(id)).map(|(_, m)| m.clone());
            let holder = people.iter().find(|p| Some(p.user_id) == row.assigned_to);
            Shown {
                last_message: message,
                holder: holder.cloned(),
                row,
            }
        })
        .collect())
}

/// People by their ids.
pub(crate) fn find_people(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    ids: &[Uuid],
) -> Result<Vec<PersonRow>, DbError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(users::table
        .filter(users::tenant_id.eq(tenant.as_str()))
        .filter(users::user_id.eq_any(ids))
        .select(PersonRow::as_select())
        .load(tx.conn())?)
}

/// Whether somebody may be given conversations, which stays so until the transaction ends; nothing
/// when the tenant has no such person. A placeholder keeps what it has and is given nothing.
pub(crate) fn lock_target(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    user: UserId,
) -> Result<Option<bool>, DbError> {
    Ok(users::table
        .filter(users::tenant_id.eq(tenant.as_str()))
        .filter(users::user_id.eq(user.as_uuid()))
        .for_share()
        .select(users::is_active.and(not(users::is_placeholder)))
        .first(tx.conn())
        .optional()?)
}

/// The conversations that somebody holds.
pub(crate) fn held_by(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    user: UserId,
) -> Result<Vec<Uuid>, DbError> {
    Ok(conversations::table
        .filter(conversations::tenant_id.eq(tenant.as_str()))
        .filter(conversations::assigned_to.eq(user.as_uuid()))
        .order(conversations::conversation_id)
        .select(conversations::conversation_id)
        .load(tx.conn())?)
}

/// Messages of a conversation, the latest first.
pub(crate) fn list_messages(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    conversation: ConversationId,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<MessageRow>, DbError> {
    let mut query = entries::table
        .filter(entries::tenant_id.eq(tenant.as_str()))
        .filter(entries::conversation_id.eq(conversation.as_uuid()))
        .into_boxed();
    if let Some((at, id)) = after {
        query = query.filter(entries::occurred_at.le(at)).filter(
            entries::occurred_at
                .lt(at)
                .or(entries::entry_id.lt(id).nullable()),
        );
    }
    Ok(query
        .order((entries::occurred_at.desc(), entries::entry_id.desc()))
        .limit(limit)
        .select(MessageRow::as_select())
        .load(tx.conn())?)
}

/// Messages by their ids.
pub(crate) fn find_messages(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    ids: &[Uuid],
) -> Result<Vec<MessageRow>, DbError> {
    Ok(entries::table
        .filter(entries::tenant_id.eq(tenant.as_str()))
        .filter(entries::entry_id.eq_any(ids))
        .order((entries::occurred_at, entries::entry_id))
        .select(MessageRow::as_select())
        .load(tx.conn())?)
}

/// Who held a conversation, and those that became part of it, the latest first.
pub(crate) fn list_assignments(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    conversation: ConversationId,
    limit: i64,
) -> Result<Vec<AssignmentRow>, DbError> {
    let ids = own_and_merged(tx, tenant, conversation)?;
    Ok(assignments::table
        .filter(assignments::tenant_id.eq(tenant.as_str()))
        .filter(assignments::conversation_id.eq_any(ids))
        .order((
            assignments::assigned_at.desc(),
            assignments::assignment_id.desc(),
        ))
        .limit(limit)
        .select(AssignmentRow::as_select())
        .load(tx.conn())?)
}

/// What was done with a conversation, and those that became part of it, the latest first.
pub(crate) fn list_actions(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    conversation: ConversationId,
    limit: i64,
) -> Result<Vec<ActionRow>, DbError> {
    let ids = own_and_merged(tx, tenant, conversation)?;
    Ok(actions::table
        .filter(actions::tenant_id.eq(tenant.as_str()))
        .filter(actions::conversation_id.eq_any(ids))
        .order((actions::at.desc(), actions::action_id.desc()))
        .limit(limit)
        .select(ActionRow::as_select())
        .load(tx.conn())?)
}

fn own_and_merged(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    conversation: ConversationId,
) -> Result<Vec<Uuid>, DbError> {
    let id = conversation.as_uuid();
    let mut ids: Vec<Uuid> = conversations::table
        .filter(conversations::tenant_id.eq(tenant.as_str()))
        .filter(conversations::merged_into.eq(id))
        .select(conversations::conversation_id)
        .load(tx.conn())?;
    ids.push(id);
    Ok(ids)
}
