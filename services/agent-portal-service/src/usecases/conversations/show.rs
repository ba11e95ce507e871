//! Conversations as people see them.

use chrono::{DateTime, Utc};
use portal_conversations::ConversationRow;
use portal_db::{DbError, Tx};
use portal_types::{ConversationId, TenantId, UserId};
use uuid::Uuid;

use super::{ConversationError, Conversations};
use crate::{
    domain::{EventId, Worker},
    store::{
        conversations::{
            self as store, ActionRow, AssignmentRow, ConversationFilter, MessageRow, PersonRow,
            Shown,
        },
        live_events, users,
    },
};

/// Where a list goes on: the time and the id of its last item.
type Place = (DateTime<Utc>, Uuid);

/// A page of conversations.
pub(crate) struct Page {
    pub(crate) items: Vec<Shown>,
    pub(crate) next: Option<Place>,
}

/// A page of messages.
pub(crate) struct MessagePage {
    pub(crate) items: Vec<MessageRow>,
    pub(crate) next: Option<Place>,
}

/// Who held a conversation, and what else was done with it.
pub(crate) struct History {
    pub(crate) assignments: Vec<AssignmentRow>,
    pub(crate) actions: Vec<ActionRow>,
    /// Everybody who is named.
    pub(crate) people: Vec<PersonRow>,
}

/// How much of a history is shown.
const HISTORY: i64 = 500;

fn visible(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    worker: Worker,
    id: ConversationId,
) -> Result<ConversationRow, ConversationError> {
    store::find(tx, tenant, id)?
        .filter(|row| worker.may_see(row))
        .ok_or(ConversationError::Unknown)
}

/// Conversations, and where to listen from.
pub(crate) struct Snapshot {
    pub(crate) last: EventId,
    pub(crate) page: Page,
}

fn page(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    worker: Worker,
    filter: &ConversationFilter,
    limit: u32,
) -> Result<Page, DbError> {
    // One more than asked for tells whether there is another page.
    let mut rows = store::list(tx, tenant, worker, filter, i64::from(limit) + 1)?;
    let has_more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| has_more);
    let next = next.map(|row| (row.last_activity_at, row.conversation_id.as_uuid()));
    let items = store::show(tx, tenant, rows)?;
    Ok(Page { items, next })
}

impl Conversations {
    /// The conversations that this person may see, the latest first.
    pub(crate) async fn list(
        &self,
        tenant: &TenantId,
        worker: Worker,
        filter: ConversationFilter,
        limit: u32,
    ) -> Result<Page, ConversationError> {
        let of = tenant.clone();
        self.db
            .read("conversations.list", tenant, move |tx| {
                Ok(page(tx, &of, worker, &filter, limit)?)
            })
            .await
    }

    /// As [`Self::list`], with the place in the live feed that it stands for: what comes after that
    /// place is not in it, or is told once more.
    pub(crate) async fn snapshot(
        &self,
        tenant: &TenantId,
        user: UserId,
        filter: ConversationFilter,
        limit: u32,
    ) -> Result<Snapshot, ConversationError> {
        let of = tenant.clone();
        self.db
            .write("conversations.number_events", tenant, move |tx| {
                live_events::number_all(tx, &of)
            })
            .await?;
        let of = tenant.clone();
        self.db
            .read("conversations.snapshot", tenant, move |tx| {
                live_events::hold_still(tx)?;
                let place = live_events::last_place(tx, &of)?;
                let place = place.ok_or(DbError::NotFound)?;
                let person = users::find_user(tx, &of, user)?;
                let role = person.ok_or(ConversationError::UnknownPerson)?.role;
                let worker = Worker { user, role };
                Ok(Snapshot {
                    last: EventId { place, role },
                    page: page(tx, &of, worker, &filter, limit)?,
                })
            })
            .await
    }

    /// One conversation.
    pub(crate) async fn show(
        &self,
        tenant: &TenantId,
        worker: Worker,
        id: ConversationId,
    ) -> Result<Shown, ConversationError> {
        let of = tenant.clone();
        self.db
            .read("conversations.show", tenant, move |tx| {
                let row = visible(tx, &of, worker, id)?;
                let shown = store::show(tx, &of, vec![row])?.pop();
                shown.ok_or(ConversationError::Unknown)
            })
            .await
    }

    /// Its messages, the latest first.
    pub(crate) async fn messages(
        &self,
        tenant: &TenantId,
        worker: Worker,
        id: ConversationId,
        after: Option<Place>,
        limit: u32,
    ) -> Result<MessagePage, ConversationError> {
        let of = tenant.clone();
        self.db
            .read("conversations.messages", tenant, move |tx| {
                let id = visible(tx, &of, worker, id)?.conversation_id;
                let mut items = store::list_messages(tx, &of, id, after, i64::from(limit) + 1)?;
                let has_more = items.len() > limit as usize;
                items.truncate(limit as usize);
                let next = items.last().filter(|_| has_more);
                let next = next.and_then(|row| Some((row.occurred_at?, row.entry_id)));
                Ok(MessagePage { items, next })
            })
            .await
    }

    /// Who held it when and why.
    pub(crate) async fn history(
        &self,
        tenant: &TenantId,
        worker: Worker,
        id: ConversationId,
    ) -> Result<History, ConversationError> {
        let of = tenant.clone();
        self.db
            .read("conversations.history", tenant, move |tx| {
                let id = visible(tx, &of, worker, id)?.conversation_id;
                let assignments = store::list_assignments(tx, &of, id, HISTORY)?;
                let actions = store::list_actions(tx, &of, id, HISTORY)?;
                let mut named: Vec<Uuid> = assignments
                    .iter()
                    .flat_map(|row| {
                        [Some(row.user_id), row.assigned_by, row.ended_by]
                            .into_iter()
                            .flatten()
                    })
                    .chain(actions.iter().filter_map(|row| row.user_id))
                    .collect();
                named.sort_unstable();
                named.dedup();
                Ok(History {
                    people: store::find_people(tx, &of, &named)?,
                    assignments,
                    actions,
                })
            })
            .await
    }
}
