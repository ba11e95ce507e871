//! Two identities that were taken for one person are two.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::{
    contact_identities as identities, contact_links as links, conversation_messages as entries,
    conversation_threads as threads,
};
use portal_types::{ConversationId, TenantId, UserId};
use uuid::Uuid;

use crate::{
    Identity,
    merge::{self, note},
    rows::{self, ConversationRow},
    state, words,
};

/// Why nothing was separated.
#[derive(Debug, thiserror::Error)]
pub enum SeparationError {
    /// The two are not linked with each other, or not any more.
    #[error("there is no such link")]
    NotLinked,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<diesel::result::Error> for SeparationError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// A conversation that was part of another one.
#[derive(Debug, Clone)]
pub struct Separated {
    /// What it was part of.
    pub from: ConversationRow,
    /// What it is now.
    pub row: ConversationRow,
}

/// Undoes a link, for good: the same evidence does not make it again. Messages go where their own
/// identities belong; who held the conversation holds on to what keeps its contact.
///
/// # Errors
/// When there is no such link, or the database fails.
pub fn separate(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    one: &Identity,
    other: &Identity,
    by: UserId,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Vec<Separated>, SeparationError> {
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended('contacts ' || $1, 0))")
        .bind::<sql_types::Text, _>(tenant.as_str())
        .execute(tx.conn())?;
    let link = links::table
        .filter(links::tenant_id.eq(tenant.as_str()))
        .filter(links::identity_a.eq(one.min(other).as_str()))
        .filter(links::identity_b.eq(one.max(other).as_str()))
        .filter(links::undone_at.is_null());
    let undone = diesel::update(link)
        .set((
            links::undone_at.eq(now),
            links::undone_by.eq(by.as_uuid()),
            links::undo_reason.eq(reason),
        ))
        .execute(tx.conn())?;
    if undone == 0 {
        return Err(SeparationError::NotLinked);
    }
    let former: String = identities::table
        .filter(identities::tenant_id.eq(tenant.as_str()))
        .filter(identities::identity.eq(one.as_str()))
        .select(identities::contact)
        .first(tx.conn())?;
    let members: Vec<String> = identities::table
        .filter(identities::tenant_id.eq(tenant.as_str()))
        .filter(identities::contact.eq(&former))
        .order(identities::identity)
        .for_update()
        .select(identities::identity)
        .load(tx.conn())?;
    let left = left_links(tx, tenant, &members)?;
    let mut separated = Vec::new();
    for (contact, group) in components(&members, &left) {
        if contact.as_str() == former {
            continue;
        }
        diesel::update(
            identities::table
                .filter(identities::tenant_id.eq(tenant.as_str()))
                .filter(identities::identity.eq_any(group.iter().map(Identity::as_str))),
        )
        .set(identities::contact.eq(contact.as_str()))
        .execute(tx.conn())?;
        separated.extend(move_out(tx, tenant, &contact, &group, by, reason, now)?);
    }
    Ok(separated)
}

fn left_links(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    members: &[String],
) -> Result<Vec<(String, String)>, DbError> {
    Ok(links::table
        .filter(links::tenant_id.eq(tenant.as_str()))
        .filter(links::identity_a.eq_any(members))
        .filter(links::undone_at.is_null())
        .select((links::identity_a, links::identity_b))
        .load(tx.conn())?)
}

/// Who is still linked with whom, by the first of them.
fn components(
    members: &[String],
    links: &[(String, String)],
) -> BTreeMap<Identity, BTreeSet<Identity>> {
    let mut group: BTreeMap<&str, &str> = members.iter().map(|m| (&**m, &**m)).collect();
    loop {
        let mut changed = false;
        for (a, b) in links {
            let (Some(one), Some(other)) = (group.get(&**a), group.get(&**b)) else {
                continue;
            };
            let (first, one, other) = (*one.min(other), *one, *other);
            if one != other {
                for label in group.values_mut() {
                    if *label == one || *label == other {
                        *label = first;
                    }
                }
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let mut components: BTreeMap<Identity, BTreeSet<Identity>> = BTreeMap::new();
    for (member, first) in group {
        let component = components.entry(Identity::of(first)).or_default();
        component.insert(Identity::of(member));
    }
    components
}

/// Gives a part of a contact conversations of its own.
fn move_out(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    contact: &Identity,
    group: &BTreeSet<Identity>,
    by: UserId,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Vec<Separated>, DbError> {
    let own: Vec<(Uuid, String, Uuid)> = threads::table
        .filter(threads::tenant_id.eq(tenant.as_str()))
        .filter(threads::identity.eq_any(group.iter().map(Identity::as_str)))
        .select((
            threads::thread_id,
            threads::phone_number_id,
            threads::conversation_id,
        ))
        .load(tx.conn())?;
    let mut by_number: BTreeMap<String, (Uuid, Vec<Uuid>)> = BTreeMap::new();
    for (thread, number, conversation) in own {
        let entry = by_number
            .entry(number)
            .or_insert((conversation, Vec::new()));
        entry.1.push(thread);
    }
    let mut separated = Vec::new();
    for (number, (from, moving)) in by_number {
        let (into, _) = merge::ensure(tx, tenant, &number, contact, now)?;
        let ids = [from, into.as_uuid()];
        let rows = rows::lock(tx, tenant, &ids)?;
        let (Some(mut old), Some(mut new)) = (
            rows.iter()
                .find(|row| row.conversation_id.as_uuid() == from)
                .cloned(),
            rows.iter().find(|row| row.conversation_id == into).cloned(),
        ) else {
            return Err(DbError::NotFound);
        };
        diesel::update(
            threads::table
                .filter(threads::tenant_id.eq(tenant.as_str()))
                .filter(threads::thread_id.eq_any(&moving)),
        )
        .set(threads::conversation_id.eq(into.as_uuid()))
        .execute(tx.conn())?;
        diesel::update(
            entries::table
                .filter(entries::tenant_id.eq(tenant.as_str()))
                .filter(entries::thread_id.eq_any(&moving)),
        )
        .set(entries::conversation_id.eq(into.as_uuid()))
        .execute(tx.conn())?;
        new.status.clone_from(&old.status);
        new.closed_at = old.closed_at;
        new.episode = old.episode;
        new.free_since = Some(now);
        new.version = new.version.max(old.version) + 1;
        old.version += 1;
        new.first_inbound_at = first_inbound(tx, into)?;
        old.first_inbound_at = first_inbound(tx, from.into())?;
        rows::save(tx, tenant, &new)?;
        rows::save(tx, tenant, &old)?;
        note(
            tx,
            tenant,
            &old,
            "separated",
            Some(by.as_uuid()),
            Some(into),
            reason,
            now,
        )?;
        state::refresh(tx, tenant, &ids)?;
        // The threads that had the name's words may be the ones that went.
        words::name_anew(tx, tenant, &ids)?;
        for row in rows::list(tx, tenant, &[into.as_uuid()])? {
            let from = rows::list(tx, tenant, &[from])?
                .pop()
                .unwrap_or(old.clone());
            separated.push(Separated { from, row });
        }
    }
    Ok(separated)
}

/// The earliest message of the contact since the last close.
pub(crate) fn first_inbound(
    tx: &mut Tx<'_>,
    conversation: ConversationId,
) -> Result<Option<DateTime<Utc>>, DbError> {
    #[derive(QueryableByName)]
    struct First {
        #[diesel(sql_type = sql_types::Nullable<sql_types::Timestamptz>)]
        at: Option<DateTime<Utc>>,
    }
    let first: First = diesel::sql_query(
        "SELECT min(m.occurred_at) AS at FROM conversation_threads t \
         JOIN conversation_messages m ON m.tenant_id = t.tenant_id AND m.thread_id = t.thread_id \
            AND m.direction = 'inbound' AND m.shown AND m.seq > t.closed_seq \
         WHERE t.tenant_id = app_tenant_id() AND t.conversation_id = $1",
    )
    .bind::<sql_types::Uuid, _>(conversation.as_uuid())
    .get_result(tx.conn())?;
    Ok(first.at)
}
