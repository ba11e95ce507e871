//! Two contacts turn out to be one: their conversations at a number become one.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use portal_db::{DbError, Tx};
use portal_db_schema::schema::{
    contact_identities as identities, conversation_assignments as assignments,
    conversation_messages as entries, conversation_threads as threads, conversations,
};
use portal_types::{ConversationId, TenantId};
use uuid::Uuid;

use crate::{
    Identity,
    rows::{self, ConversationRow},
    state,
};

/// A conversation became part of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    /// What it was.
    pub from: ConversationId,
    /// What it is part of.
    pub into: ConversationId,
}

/// Makes one conversation a number of all threads of the contact, whose identities are locked.
pub(crate) fn merge(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    contact: &Identity,
    now: DateTime<Utc>,
) -> Result<Vec<Merged>, DbError> {
    let found: Vec<(String, Uuid)> = threads::table
        .inner_join(
            identities::table.on(identities::tenant_id
                .eq(threads::tenant_id)
                .and(identities::identity.eq(threads::identity))),
        )
        .filter(threads::tenant_id.eq(tenant.as_str()))
        .filter(identities::contact.eq(contact.as_str()))
        .select((threads::phone_number_id, threads::conversation_id))
        .load(tx.conn())?;
    let mut by_number: BTreeMap<String, BTreeSet<Uuid>> = BTreeMap::new();
    for (number, conversation) in found {
        by_number.entry(number).or_default().insert(conversation);
    }
    let mut merged = Vec::new();
    for (number, all) in by_number {
        merged.extend(merge_at(tx, tenant, contact, &number, all, now)?);
    }
    Ok(merged)
}

fn merge_at(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    contact: &Identity,
    number: &str,
    mut all: BTreeSet<Uuid>,
    now: DateTime<Utc>,
) -> Result<Vec<Merged>, DbError> {
    let (into, _) = ensure(tx, tenant, number, contact, now)?;
    all.insert(into.as_uuid());
    if all.len() == 1 {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = all.into_iter().collect();
    let (mut kept, others): (Vec<_>, Vec<_>) = rows::lock(tx, tenant, &ids)?
        .into_iter()
        .partition(|row| row.conversation_id == into);
    let Some(mut kept) = kept.pop() else {
        return Err(DbError::NotFound);
    };
    let from: Vec<Uuid> = others
        .iter()
        .map(|row| row.conversation_id.as_uuid())
        .collect();
    join(&mut kept, &others);
    keep_one_holder(tx, tenant, &mut kept, &from, now)?;
    for mut other in others {
        other.merged_into = Some(into.as_uuid());
        other.assigned_to = None;
        other.assigned_at = None;
        other.version += 1;
        rows::save(tx, tenant, &other)?;
        let id = other.conversation_id;
        note(tx, tenant, &kept, "merged", None, Some(id), None, now)?;
    }
    rows::save(tx, tenant, &kept)?;
    point_to(tx, tenant, &from, into)?;
    let mut all = from.clone();
    all.push(into.as_uuid());
    state::refresh(tx, tenant, &all)?;
    let merged = from.into_iter().map(|from| Merged {
        from: from.into(),
        into,
    });
    Ok(merged.collect())
}

/// What the kept conversation has of the others. One that was only just made for them begins as they
/// stand.
fn join(kept: &mut ConversationRow, others: &[ConversationRow]) {
    let is_new = kept.last_message_id.is_none();
    let is_open = others.iter().any(ConversationRow::is_open) || (!is_new && kept.is_open());
    let status = if is_open { "open" } else { "closed" };
    status.clone_into(&mut kept.status);
    for other in others {
        kept.episode = kept.episode.max(other.episode);
        kept.version = kept.version.max(other.version);
        kept.closed_at = kept.closed_at.max(other.closed_at);
        kept.free_since = kept.free_since.max(other.free_since);
        kept.first_inbound_at = match (kept.first_inbound_at, other.first_inbound_at) {
            (Some(own), Some(other)) => Some(own.min(other)),
            (own, other) => own.or(other),
        };
        if other.genesys_conversation_id.is_some()
            && (kept.genesys_conversation_id.is_none()
                || other.genesys_named_at > kept.genesys_named_at)
        {
            kept.genesys_conversation_id
                .clone_from(&other.genesys_conversation_id);
            kept.genesys_named_at = other.genesys_named_at;
            kept.genesys_routed_at = other.genesys_routed_at;
        }
    }
    if is_open {
        kept.closed_at = None;
    }
    kept.version += 1;
}

/// Who had one of them first goes on with the whole.
fn keep_one_holder(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    kept: &mut ConversationRow,
    from: &[Uuid],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let into = kept.conversation_id.as_uuid();
    let mut ids = from.to_vec();
    ids.push(into);
    let active: Vec<(Uuid, Uuid, Uuid)> = assignments::table
        .filter(assignments::tenant_id.eq(tenant.as_str()))
        .filter(assignments::conversation_id.eq_any(&ids))
        .filter(assignments::status.eq("active"))
        .order((assignments::assigned_at, assignments::assignment_id))
        .select((
            assignments::assignment_id,
            assignments::conversation_id,
            assignments::user_id,
        ))
        .load(tx.conn())?;
    let Some((first, of, user)) = active.first().copied() else {
        return Ok(());
    };
    let over: Vec<Uuid> = active
        .iter()
        .filter(|(id, ..)| *id != first || of != into)
        .map(|(id, ..)| *id)
        .collect();
    diesel::update(
        assignments::table
            .filter(assignments::tenant_id.eq(tenant.as_str()))
            .filter(assignments::assignment_id.eq_any(over)),
    )
    .set((
        assignments::status.eq("released"),
        assignments::end_reason.eq("merged"),
        assignments::ended_at.eq(now),
    ))
    .execute(tx.conn())?;
    if of != into {
        diesel::insert_into(assignments::table)
            .values((
                assignments::assignment_id.eq(Uuid::now_v7()),
                assignments::tenant_id.eq(tenant.as_str()),
                assignments::conversation_id.eq(into),
                assignments::user_id.eq(user),
                assignments::cause.eq("merged"),
                assignments::episode.eq(kept.episode),
                assignments::assigned_at.eq(now),
            ))
            .execute(tx.conn())?;
        kept.assigned_at = Some(now);
    }
    kept.assigned_to = Some(user);
    Ok(())
}

fn point_to(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    from: &[Uuid],
    into: ConversationId,
) -> Result<(), DbError> {
    let into = into.as_uuid();
    diesel::update(
        threads::table
            .filter(threads::tenant_id.eq(tenant.as_str()))
            .filter(threads::conversation_id.eq_any(from)),
    )
    .set(threads::conversation_id.eq(into))
    .execute(tx.conn())?;
    diesel::update(
        entries::table
            .filter(entries::tenant_id.eq(tenant.as_str()))
            .filter(entries::conversation_id.eq_any(from)),
    )
    .set(entries::conversation_id.eq(into))
    .execute(tx.conn())?;
    // What had become part of them before.
    diesel::update(
        conversations::table
            .filter(conversations::tenant_id.eq(tenant.as_str()))
            .filter(conversations::merged_into.eq_any(from)),
    )
    .set(conversations::merged_into.eq(into))
    .execute(tx.conn())?;
    Ok(())
}

/// The conversation of a number with a contact, and whether it was made just now.
pub(crate) fn ensure(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    number: &str,
    contact: &Identity,
    now: DateTime<Utc>,
) -> Result<(ConversationId, bool), DbError> {
    let own = || {
        conversations::table
            .filter(conversations::tenant_id.eq(tenant.as_str()))
            .filter(conversations::phone_number_id.eq(number))
            .filter(conversations::contact.eq(contact.as_str()))
            .filter(conversations::merged_into.is_null())
            .select(conversations::conversation_id)
    };
    let found: Option<Uuid> = own().first(tx.conn()).optional()?;
    if let Some(found) = found {
        return Ok((found.into(), false));
    }
    let id = ConversationId::of(tenant, number, contact.as_str());
    let made = diesel::insert_into(conversations::table)
        .values((
            conversations::conversation_id.eq(id.as_uuid()),
            conversations::tenant_id.eq(tenant.as_str()),
            conversations::phone_number_id.eq(number),
            conversations::contact.eq(contact.as_str()),
            conversations::wa_id.eq(contact.digits()),
            conversations::created_at.eq(now),
            conversations::last_activity_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(tx.conn())?;
    if made == 1 {
        return Ok((id, true));
    }
    // It was part of another one, and its contact is somebody else again.
    diesel::update(
        conversations::table
            .filter(conversations::tenant_id.eq(tenant.as_str()))
            .filter(conversations::conversation_id.eq(id.as_uuid()))
            .filter(conversations::merged_into.is_not_null()),
    )
    .set((
        conversations::merged_into.eq(None::<Uuid>),
        conversations::contact.eq(contact.as_str()),
        conversations::version.eq(conversations::version + 1),
    ))
    .execute(tx.conn())?;
    let found: Uuid = own().first(tx.conn())?;
    Ok((found.into(), false))
}

/// Adds to what was done with a conversation.
#[expect(clippy::too_many_arguments, reason = "the columns of a row")]
pub(crate) fn note(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    row: &ConversationRow,
    action: &str,
    by: Option<Uuid>,
    other: Option<ConversationId>,
    reason: Option<&str>,
    at: DateTime<Utc>,
) -> Result<(), DbError> {
    use portal_db_schema::schema::conversation_actions as actions;
    diesel::insert_into(actions::table)
        .values((
            actions::action_id.eq(Uuid::now_v7()),
            actions::tenant_id.eq(tenant.as_str()),
            actions::conversation_id.eq(row.conversation_id.as_uuid()),
            actions::action.eq(action),
            actions::episode.eq(row.episode),
            actions::user_id.eq(by),
            actions::other_conversation_id.eq(other.map(ConversationId::as_uuid)),
            actions::reason.eq(reason),
            actions::at.eq(at),
        ))
        .execute(tx.conn())?;
    Ok(())
}
