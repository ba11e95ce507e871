//! Facts become messages of conversations.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use portal_db::{DbError, Tx};
use portal_db_schema::schema::conversation_threads as threads;
use portal_types::{ConversationId, TenantId};
use uuid::Uuid;

use crate::{
    Entry, Evidence, Fact, Identity, Merged, Message, Person, ReopenAs, What, contacts, erase,
    merge::{self, note},
    rebuild,
    rows::{self, ConversationRow, EntryRow, Place},
    state, words,
};

/// What facts changed.
#[derive(Debug, Default)]
pub struct Applied {
    /// The conversations whose messages changed, as they are now.
    pub conversations: Vec<Touched>,
    /// Conversations that became part of others.
    pub merged: Vec<Merged>,
}

/// A conversation whose messages changed.
#[derive(Debug)]
pub struct Touched {
    /// As it is now.
    pub row: ConversationRow,
    /// Whether it is new.
    pub is_new: bool,
    /// Whether it was closed, and what its contact began by writing again.
    pub reopened: Option<ReopenAs>,
    /// The messages that are new in it.
    pub arrived: Vec<Uuid>,
    /// The messages whose status is another one.
    pub moved: Vec<Uuid>,
}

/// Applies facts of the transaction's tenant. Each may be known already, and any that belong before
/// it may come later.
///
/// # Errors
/// When the database fails; nothing is to be committed then.
pub fn apply(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    facts: Vec<Fact>,
    now: DateTime<Utc>,
) -> Result<Applied, DbError> {
    apply_in(tx, tenant, facts, now, Mode::Live)
}

/// Why facts are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They are news: what is new is unread, and opens what was closed.
    Live,
    /// They were known once: what was read or closed over stays so.
    Rebuild,
}

/// As [`apply`].
pub(crate) fn apply_in(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    facts: Vec<Fact>,
    now: DateTime<Utc>,
    mode: Mode,
) -> Result<Applied, DbError> {
    // What was erased does not come back, however late it is told.
    let all: Vec<Uuid> = facts.iter().map(|fact| fact.entry_id).collect();
    let erased = erase::erased(tx, tenant, &all)?;
    let mut work = Work::sort(facts);
    for id in erased {
        work.messages.remove(&id);
        work.reports.remove(&id);
    }
    let ours = work.lock_ours(tx, tenant)?;
    let waiting = work.without_place(tx, tenant, &ours)?;
    let mut applied = Applied::default();
    let mut touched = Changes::default();
    let mut written = Vec::new();
    if !waiting.is_empty() {
        let (places, mut found) = place(tx, tenant, &waiting, &mut applied, now)?;
        // Whoever applied the same ones meanwhile held these conversations.
        let theirs: Vec<Uuid> = waiting
            .iter()
            .filter(|(_, message)| message.from != Person::Us)
            .map(|(id, _)| *id)
            .collect();
        let known: HashSet<Uuid> = rows::placed(tx, tenant, &theirs)?.into_iter().collect();
        let new: Vec<_> = waiting
            .into_iter()
            .filter(|(id, _)| !known.contains(id))
            .collect();
        let settling = Settling {
            tenant,
            ours: &ours,
            places: &places,
            mode,
            now,
        };
        let settled = settling.settle(tx, new, &mut found)?;
        words::add_texts(tx, &settled)?;
        written.extend(settled);
        touched.found = found;
    }
    for (id, report) in work.reports {
        let Some(row) = written.iter().position(|row: &EntryRow| row.entry_id == id) else {
            let Some(row) = ours.get(&id) else { continue };
            let after = row.clone().with(report.0, report.1);
            touched.note_move(row, &after);
            written.push(after);
            continue;
        };
        let before: EntryRow = written.swap_remove(row);
        written.push(before.with(report.0, report.1));
    }
    written.sort_by_key(|row| row.entry_id);
    rows::write(tx, &written)?;
    applied.conversations = touched.finish(tx, tenant)?;
    Ok(applied)
}

/// Facts by message.
struct Work {
    messages: BTreeMap<Uuid, Message>,
    reports: BTreeMap<Uuid, (Evidence, Option<String>)>,
}

impl Work {
    fn sort(facts: Vec<Fact>) -> Self {
        let mut work = Self {
            messages: BTreeMap::new(),
            reports: BTreeMap::new(),
        };
        for fact in facts {
            match fact.what {
                What::Message(message) => {
                    work.messages.entry(fact.entry_id).or_insert(*message);
                }
                What::Report(report) => {
                    let known = work.reports.entry(fact.entry_id).or_default();
                    known.0 = std::mem::take(&mut known.0).merge(report.evidence);
                    known.1 = known.1.take().max(report.wamid);
                }
            }
        }
        work
    }

    fn lock_ours(
        &self,
        tx: &mut Tx<'_>,
        tenant: &TenantId,
    ) -> Result<HashMap<Uuid, EntryRow>, DbError> {
        let ours = self
            .messages
            .iter()
            .filter(|(_, message)| message.from == Person::Us);
        let mut ids: Vec<Uuid> = ours.map(|(id, _)| *id).collect();
        ids.extend(self.reports.keys());
        ids.sort_unstable();
        ids.dedup();
        let rows = rows::lock_ours(tx, tenant, &ids)?;
        Ok(rows.into_iter().map(|row| (row.entry_id, row)).collect())
    }

    /// The messages that are not known yet, in the order in which they were written.
    fn without_place(
        &mut self,
        tx: &mut Tx<'_>,
        tenant: &TenantId,
        ours: &HashMap<Uuid, EntryRow>,
    ) -> Result<Vec<(Uuid, Message)>, DbError> {
        let theirs: Vec<Uuid> = self
            .messages
            .keys()
            .filter(|id| !ours.contains_key(id))
            .copied()
            .collect();
        let known: HashSet<Uuid> = rows::placed(tx, tenant, &theirs)?.into_iter().collect();
        let mut waiting: Vec<_> = std::mem::take(&mut self.messages)
            .into_iter()
            .filter(|(id, _)| {
                !known.contains(id) && ours.get(id).is_none_or(|row| row.thread_id.is_none())
            })
            .collect();
        waiting.sort_by_key(|(id, message)| (message.occurred_at, *id));
        Ok(waiting)
    }
}

/// The thread and the conversation of each number and identity.
type Places = HashMap<(String, Identity), (Uuid, Uuid)>;

/// Finds the conversations of messages, or makes them, and locks them.
fn place(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    waiting: &[(Uuid, Message)],
    applied: &mut Applied,
    now: DateTime<Utc>,
) -> Result<(Places, BTreeMap<Uuid, Found>), DbError> {
    let by_ref: Vec<(Uuid, &Message)> = waiting.iter().map(|(id, m)| (*id, m)).collect();
    let resolved = contacts::resolve(tx, tenant, &by_ref)?;
    for contact in &resolved.grown {
        applied
            .merged
            .extend(merge::merge(tx, tenant, contact, now)?);
    }
    let wanted: BTreeSet<(String, Identity)> = waiting
        .iter()
        .flat_map(|(_, message)| {
            let number = &message.phone_number_id;
            std::iter::once(&message.identity)
                .chain(&message.also)
                .map(|identity| (number.clone(), identity.clone()))
        })
        .collect();
    let mut made = HashSet::new();
    let mut places = known_threads(tx, tenant, &wanted)?;
    for key in wanted {
        if places.contains_key(&key) {
            continue;
        }
        let (number, identity) = &key;
        let contact = resolved.contacts.get(identity).unwrap_or(identity);
        let (conversation, is_new) = merge::ensure(tx, tenant, number, contact, now)?;
        if is_new {
            made.insert(conversation.as_uuid());
        }
        let thread = ConversationId::of(tenant, number, identity.as_str()).as_uuid();
        diesel::insert_into(threads::table)
            .values((
                threads::tenant_id.eq(tenant.as_str()),
                threads::thread_id.eq(thread),
                threads::phone_number_id.eq(number),
                threads::identity.eq(identity.as_str()),
                threads::conversation_id.eq(conversation.as_uuid()),
            ))
            .on_conflict_do_nothing()
            .execute(tx.conn())?;
        words::add_identities(tx, &[(thread, identity)])?;
        places.insert(key, (thread, conversation.as_uuid()));
    }
    let mut ids: Vec<Uuid> = places
        .values()
        .map(|(_, conversation)| *conversation)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let mut found = BTreeMap::new();
    for row in rows::lock(tx, tenant, &ids)? {
        let id = row.conversation_id.as_uuid();
        let is_new = made.contains(&id);
        if is_new {
            note(tx, tenant, &row, "opened", None, None, None, now)?;
        }
        found.insert(id, Found::new(row, is_new));
    }
    Ok((places, found))
}

fn known_threads(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    wanted: &BTreeSet<(String, Identity)>,
) -> Result<Places, DbError> {
    let ids: Vec<Uuid> = wanted
        .iter()
        .map(|(number, identity)| ConversationId::of(tenant, number, identity.as_str()).as_uuid())
        .collect();
    let rows: Vec<(String, String, Uuid, Uuid)> = threads::table
        .filter(threads::tenant_id.eq(tenant.as_str()))
        .filter(threads::thread_id.eq_any(ids))
        .select((
            threads::phone_number_id,
            threads::identity,
            threads::thread_id,
            threads::conversation_id,
        ))
        .load(tx.conn())?;
    Ok(rows
        .into_iter()
        .map(|(number, identity, thread, conversation)| {
            ((number, Identity::of(identity)), (thread, conversation))
        })
        .collect())
}

/// Gives new messages their places, and opens what their contacts open by writing.
struct Settling<'a> {
    tenant: &'a TenantId,
    ours: &'a HashMap<Uuid, EntryRow>,
    places: &'a Places,
    mode: Mode,
    now: DateTime<Utc>,
}

impl Settling<'_> {
    fn settle(
        &self,
        tx: &mut Tx<'_>,
        new: Vec<(Uuid, Message)>,
        found: &mut BTreeMap<Uuid, Found>,
    ) -> Result<Vec<EntryRow>, DbError> {
        let tenant = self.tenant;
        let reopen_as = state::settings(tx, tenant)?;
        let seqs = rows::take_places(tx, new.len())?;
        let marks = match self.mode {
            Mode::Live => HashMap::new(),
            Mode::Rebuild => {
                let threads: Vec<Uuid> = self.places.values().map(|(thread, _)| *thread).collect();
                rebuild::marks(tx, tenant, &threads)?
            }
        };
        let mut written = Vec::new();
        for ((entry_id, message), seq) in new.into_iter().zip(seqs) {
            let key = (message.phone_number_id.clone(), message.identity.clone());
            let home = self.places.get(&key).and_then(|(thread, conversation)| {
                Some((*thread, *conversation, found.get_mut(conversation)?))
            });
            let Some((thread_id, conversation_id, found)) = home else {
                return Err(DbError::NotFound);
            };
            if let Some(id) = &message.genesys_conversation_id {
                found.row.name_genesys(id, message.occurred_at);
            }
            let marks = marks.get(&thread_id);
            if !marks.is_some_and(|marks| marks.is_closed_over(entry_id)) {
                found.hear(&message, reopen_as);
            }
            found.arrived.push(entry_id);
            let row = self.ours.get(&entry_id);
            let entry = Entry {
                entry_id,
                wamid: message
                    .wamid
                    .clone()
                    .max(row.and_then(|row| row.wamid.clone())),
                evidence: row.map(EntryRow::evidence).unwrap_or_default(),
                message: Some(message),
            };
            let place = Place {
                thread_id,
                conversation_id,
                seq: marks
                    .and_then(|marks| marks.place_of(entry_id))
                    .unwrap_or(seq),
                episode: found.row.episode,
            };
            written.push(EntryRow::new(tenant, entry, Some(place)));
        }
        for found in found.values().filter(|found| found.row != found.before) {
            rows::save(tx, tenant, &found.row)?;
            if let Some(reopened) = found.reopened {
                let action = match reopened {
                    ReopenAs::Same => "reopened",
                    ReopenAs::New => "opened",
                };
                note(tx, tenant, &found.row, action, None, None, None, self.now)?;
            }
        }
        Ok(written)
    }
}

/// A conversation with new messages.
#[derive(Debug)]
struct Found {
    before: ConversationRow,
    row: ConversationRow,
    is_new: bool,
    reopened: Option<ReopenAs>,
    arrived: Vec<Uuid>,
}

impl Found {
    fn new(row: ConversationRow, is_new: bool) -> Self {
        Self {
            before: row.clone(),
            row,
            is_new,
            reopened: None,
            arrived: Vec::new(),
        }
    }

    fn hear(&mut self, message: &Message, reopen_as: ReopenAs) {
        if message.from != Person::Contact || !message.is_shown() {
            return;
        }
        let row = &mut self.row;
        if !row.is_open() {
            "open".clone_into(&mut row.status);
            row.closed_at = None;
            row.version += 1;
            if reopen_as == ReopenAs::New {
                row.episode += 1;
                row.genesys_conversation_id = None;
                row.genesys_named_at = row.genesys_named_at.max(Some(message.occurred_at));
            }
            self.reopened = Some(reopen_as);
        }
        let first = row.first_inbound_at.get_or_insert(message.occurred_at);
        *first = message.occurred_at.min(*first);
    }
}

/// What is to be told.
#[derive(Default)]
struct Changes {
    found: BTreeMap<Uuid, Found>,
    moved: BTreeMap<Uuid, Vec<Uuid>>,
}

impl Changes {
    fn note_move(&mut self, before: &EntryRow, after: &EntryRow) {
        if let Some(conversation) = before.conversation_id
            && before.status != after.status
        {
            let moved = self.moved.entry(conversation).or_default();
            moved.push(before.entry_id);
        }
    }

    fn finish(mut self, tx: &mut Tx<'_>, tenant: &TenantId) -> Result<Vec<Touched>, DbError> {
        // A number that is shown beside a user id gets a thread, which is no news.
        self.found
            .retain(|_, found| found.is_new || !found.arrived.is_empty());
        let ids: Vec<Uuid> = self.found.keys().copied().collect();
        state::refresh(tx, tenant, &ids)?;
        let mut all: BTreeSet<Uuid> = ids.into_iter().collect();
        all.extend(self.moved.keys());
        let all: Vec<Uuid> = all.into_iter().collect();
        let rows = rows::list(tx, tenant, &all)?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let id = row.conversation_id.as_uuid();
                let found = self.found.remove(&id);
                Touched {
                    row,
                    is_new: found.as_ref().is_some_and(|found| found.is_new),
                    reopened: found.as_ref().and_then(|found| found.reopened),
                    arrived: found.map(|found| found.arrived).unwrap_or_default(),
                    moved: self.moved.remove(&id).unwrap_or_default(),
                }
            })
            .collect())
    }
}
