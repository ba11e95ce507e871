//! Rows of the tables, as they are read and written.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, upsert::excluded};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::{conversation_messages as entries, conversations};
use portal_types::{ConversationId, TenantId, UserId};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    entry::{Entry, Evidence, Failure},
    fact::Person,
};

/// A conversation, without its texts.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = conversations)]
pub struct ConversationRow {
    /// Its id.
    #[diesel(deserialize_as = Uuid)]
    pub conversation_id: ConversationId,
    /// The tenant's number.
    pub phone_number_id: String,
    /// The contact's first identity.
    pub contact: Option<String>,
    /// The number that Meta showed last, digits only.
    pub wa_id: Option<String>,
    /// The business-scoped user id that Meta showed last.
    pub user_id: Option<String>,
    /// The contact's name.
    pub contact_name: Option<String>,
    /// `open` or `closed`.
    pub status: String,
    /// Messages of the contact that nobody has read.
    pub unread_count: i32,
    /// The last message.
    pub last_message_id: Option<Uuid>,
    /// When that was written.
    pub last_activity_at: DateTime<Utc>,
    /// Until when the contact can be written to freely.
    pub window_expires_at: Option<DateTime<Utc>>,
    /// When the contact wrote last.
    pub last_inbound_at: Option<DateTime<Utc>>,
    /// The earliest message of the contact since the last close.
    pub first_inbound_at: Option<DateTime<Utc>>,
    /// When the last holder gave it away.
    pub free_since: Option<DateTime<Utc>>,
    /// Since when the contact waits for somebody.
    pub waiting_since: Option<DateTime<Utc>>,
    /// Who holds it.
    pub assigned_to: Option<Uuid>,
    /// Since when.
    pub assigned_at: Option<DateTime<Utc>>,
    /// When it was closed.
    pub closed_at: Option<DateTime<Utc>>,
    /// Counts new beginnings.
    pub episode: i32,
    /// The conversation that it became part of.
    pub merged_into: Option<Uuid>,
    /// The conversation of Genesys Cloud that goes with it.
    pub genesys_conversation_id: Option<String>,
    /// As of when that one does; an earlier word of another one is old.
    pub genesys_named_at: Option<DateTime<Utc>>,
    /// By Genesys' clock: what its routing told before is old.
    pub genesys_routed_at: Option<DateTime<Utc>>,
    /// Counts changes of holder and state.
    pub version: i64,
}

impl ConversationRow {
    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.status == "open"
    }

    /// Notes the conversation of Genesys that goes with it as of a time, in whatever order it is
    /// told; answers whether it is another one than before. To be saved.
    pub fn name_genesys(&mut self, id: &str, at: DateTime<Utc>) -> bool {
        let known = (
            self.genesys_named_at,
            self.genesys_conversation_id.as_deref(),
        );
        if known >= (Some(at), Some(id)) {
            return false;
        }
        let is_other = known.1 != Some(id);
        self.genesys_conversation_id = Some(id.to_owned());
        self.genesys_named_at = Some(at);
        is_other
    }

    /// Who holds it.
    pub fn holder(&self) -> Option<UserId> {
        self.assigned_to.map(UserId::from)
    }
}

/// Locks the tenant's conversation of this id, or the one that it became part of. The id may also be
/// one that was derived for another identity of the contact.
///
/// # Errors
/// When the database fails.
pub fn lock_conversation(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    id: ConversationId,
) -> Result<Option<ConversationRow>, DbError> {
    use portal_db_schema::schema::conversation_threads as threads;
    let by_thread: Option<Uuid> = threads::table
        .filter(threads::tenant_id.eq(tenant.as_str()))
        .filter(threads::thread_id.eq(id.as_uuid()))
        .select(threads::conversation_id)
        .first(tx.conn())
        .optional()?;
    let mut next = by_thread.unwrap_or(id.as_uuid());
    loop {
        let row = lock(tx, tenant, &[next])?.pop();
        match row.as_ref().and_then(|row| row.merged_into) {
            Some(into) => next = into,
            None => return Ok(row),
        }
    }
}

/// Locks conversations, in the order of their ids.
pub(crate) fn lock(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    ids: &[Uuid],
) -> Result<Vec<ConversationRow>, DbError> {
    Ok(conversations::table
        .filter(conversations::tenant_id.eq(tenant.as_str()))
        .filter(conversations::conversation_id.eq_any(ids))
        .order(conversations::conversation_id)
        .for_update()
        .select(ConversationRow::as_select())
        .load(tx.conn())?)
}

/// Conversations, in the order of their ids.
pub(crate) fn list(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    ids: &[Uuid],
) -> Result<Vec<ConversationRow>, DbError> {
    Ok(conversations::table
        .filter(conversations::tenant_id.eq(tenant.as_str()))
        .filter(conversations::conversation_id.eq_any(ids))
        .order(conversations::conversation_id)
        .select(ConversationRow::as_select())
        .load(tx.conn())?)
}

/// Writes what a change of state leaves of a conversation; what follows from messages is
/// [`crate::refresh`]'s.
pub(crate) fn save(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    row: &ConversationRow,
) -> Result<(), DbError> {
    let own = conversations::table
        .filter(conversations::tenant_id.eq(tenant.as_str()))
        .filter(conversations::conversation_id.eq(row.conversation_id.as_uuid()));
    diesel::update(own)
        .set((
            conversations::status.eq(&row.status),
            conversations::first_inbound_at.eq(row.first_inbound_at),
            conversations::free_since.eq(row.free_since),
            conversations::assigned_to.eq(row.assigned_to),
            conversations::assigned_at.eq(row.assigned_at),
            conversations::closed_at.eq(row.closed_at),
            conversations::episode.eq(row.episode),
            conversations::merged_into.eq(row.merged_into),
            conversations::genesys_conversation_id.eq(&row.genesys_conversation_id),
            conversations::genesys_named_at.eq(row.genesys_named_at),
            conversations::genesys_routed_at.eq(row.genesys_routed_at),
            conversations::version.eq(row.version),
            conversations::updated_at.eq(diesel::dsl::now),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// A message's row.
#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = entries, treat_none_as_default_value = false)]
pub(crate) struct EntryRow {
    pub(crate) tenant_id: String,
    pub(crate) entry_id: Uuid,
    pub(crate) direction: String,
    pub(crate) thread_id: Option<Uuid>,
    pub(crate) conversation_id: Option<Uuid>,
    pub(crate) seq: Option<i64>,
    pub(crate) episode: Option<i32>,
    pub(crate) type_: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) payload: Option<Value>,
    pub(crate) shown: bool,
    pub(crate) wamid: Option<String>,
    pub(crate) context_wamid: Option<String>,
    pub(crate) refers_to: Option<String>,
    pub(crate) sent_by_kind: Option<String>,
    pub(crate) sent_by: Option<String>,
    pub(crate) occurred_at: Option<DateTime<Utc>>,
    pub(crate) window_expires_at: Option<DateTime<Utc>>,
    pub(crate) sent_at: Option<DateTime<Utc>>,
    pub(crate) delivered_at: Option<DateTime<Utc>>,
    pub(crate) read_at: Option<DateTime<Utc>>,
    pub(crate) undelivered_at: Option<DateTime<Utc>>,
    pub(crate) undelivered_error: Option<Value>,
    pub(crate) given_up_at: Option<DateTime<Utc>>,
    pub(crate) given_up_error: Option<Value>,
    pub(crate) canceled_at: Option<DateTime<Utc>>,
    pub(crate) error: Option<Value>,
    pub(crate) status: String,
}

/// Where a message stands among others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) thread_id: Uuid,
    pub(crate) conversation_id: Uuid,
    pub(crate) seq: i64,
    pub(crate) episode: i32,
}

fn failure(at: Option<DateTime<Utc>>, error: Option<Value>) -> Option<Failure> {
    at.map(|at| Failure {
        at,
        error: error.unwrap_or_default(),
    })
}

impl EntryRow {
    /// What is known of the message.
    pub(crate) fn evidence(&self) -> Evidence {
        Evidence {
            sent_at: self.sent_at,
            delivered_at: self.delivered_at,
            read_at: self.read_at,
            undelivered: failure(self.undelivered_at, self.undelivered_error.clone()),
            given_up: failure(self.given_up_at, self.given_up_error.clone()),
            canceled_at: self.canceled_at,
        }
    }

    /// The row of a message at its place, if it is known where.
    pub(crate) fn new(tenant: &TenantId, entry: Entry, place: Option<Place>) -> Self {
        let (status, error) = (entry.status(), entry.error().cloned());
        let Entry {
            entry_id,
            message,
            wamid,
            evidence,
        } = entry;
        let message = message.filter(|_| place.is_some());
        let is_contact = message
            .as_ref()
            .is_some_and(|message| message.from == Person::Contact);
        let direction = if is_contact { "inbound" } else { "outbound" };
        let sent_by = message.as_ref().and_then(|message| message.sent_by.clone());
        let by_phone = message
            .as_ref()
            .filter(|message| message.from == Person::Phone)
            .map(|_| "phone".to_owned());
        Self {
            tenant_id: tenant.to_string(),
            entry_id,
            direction: direction.to_owned(),
            thread_id: place.map(|place| place.thread_id),
            conversation_id: place.map(|place| place.conversation_id),
            seq: place.map(|place| place.seq),
            episode: place.map(|place| place.episode),
            shown: message.as_ref().is_none_or(crate::Message::is_shown),
            text: message.as_ref().and_then(crate::Message::text),
            wamid,
            sent_by_kind: sent_by.as_ref().map(|by| by.kind.clone()).or(by_phone),
            sent_by: sent_by.map(|by| by.id),
            occurred_at: message.as_ref().map(|message| message.occurred_at),
            window_expires_at: message.as_ref().and_then(|m| m.window_expires_at),
            type_: message.as_ref().map(|m| m.message_type.clone()),
            context_wamid: message.as_ref().and_then(|m| m.context_wamid.clone()),
            refers_to: message.as_ref().and_then(|m| m.refers_to.clone()),
            payload: message.and_then(|message| message.payload),
            sent_at: evidence.sent_at,
            delivered_at: evidence.delivered_at,
            read_at: evidence.read_at,
            undelivered_at: evidence.undelivered.as_ref().map(|failure| failure.at),
            undelivered_error: evidence.undelivered.map(|failure| failure.error),
            given_up_at: evidence.given_up.as_ref().map(|failure| failure.at),
            given_up_error: evidence.given_up.map(|failure| failure.error),
            canceled_at: evidence.canceled_at,
            error,
            status: status.as_str().to_owned(),
        }
    }

    /// The row with more evidence.
    pub(crate) fn with(mut self, evidence: Evidence, wamid: Option<String>) -> Self {
        let evidence = self.evidence().merge(evidence);
        evidence.status().as_str().clone_into(&mut self.status);
        self.error = evidence.error().cloned();
        self.wamid = self.wamid.max(wamid);
        self.sent_at = evidence.sent_at;
        self.delivered_at = evidence.delivered_at;
        self.read_at = evidence.read_at;
        self.undelivered_at = evidence.undelivered.as_ref().map(|failure| failure.at);
        self.undelivered_error = evidence.undelivered.map(|failure| failure.error);
        self.given_up_at = evidence.given_up.as_ref().map(|failure| failure.at);
        self.given_up_error = evidence.given_up.map(|failure| failure.error);
        self.canceled_at = evidence.canceled_at;
        self
    }
}

/// Locks the rows of messages that we send, and makes those that are not there; in the order of ids.
pub(crate) fn lock_ours(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    ids: &[Uuid],
) -> Result<Vec<EntryRow>, DbError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let bare: Vec<_> = ids
        .iter()
        .map(|id| {
            (
                entries::tenant_id.eq(tenant.as_str()),
                entries::entry_id.eq(id),
                entries::direction.eq("outbound"),
                entries::status.eq("accepted"),
            )
        })
        .collect();
    diesel::insert_into(entries::table)
        .values(bare)
        .on_conflict_do_nothing()
        .execute(tx.conn())?;
    Ok(entries::table
        .filter(entries::tenant_id.eq(tenant.as_str()))
        .filter(entries::entry_id.eq_any(ids))
        .order(entries::entry_id)
        .for_update()
        .select(EntryRow::as_select())
        .load(tx.conn())?)
}

/// Messages by their ids.
pub(crate) fn find_entries(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    ids: &[Uuid],
) -> Result<Vec<EntryRow>, DbError> {
    Ok(entries::table
        .filter(entries::tenant_id.eq(tenant.as_str()))
        .filter(entries::entry_id.eq_any(ids))
        .select(EntryRow::as_select())
        .load(tx.conn())?)
}

/// Which of these messages have their place already.
pub(crate) fn placed(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    ids: &[Uuid],
) -> Result<Vec<Uuid>, DbError> {
    Ok(entries::table
        .filter(entries::tenant_id.eq(tenant.as_str()))
        .filter(entries::entry_id.eq_any(ids))
        .filter(entries::thread_id.is_not_null())
        .select(entries::entry_id)
        .load(tx.conn())?)
}

/// Writes rows whole.
pub(crate) fn write(tx: &mut Tx<'_>, rows: &[EntryRow]) -> Result<(), DbError> {
    /// PostgreSQL takes 65,535 parameters.
    const ROWS: usize = 1000;
    for rows in rows.chunks(ROWS) {
        diesel::insert_into(entries::table)
            .values(rows)
            .on_conflict((entries::tenant_id, entries::entry_id))
            .do_update()
            .set((
                (
                    entries::direction.eq(excluded(entries::direction)),
                    entries::thread_id.eq(excluded(entries::thread_id)),
                    entries::conversation_id.eq(excluded(entries::conversation_id)),
                    entries::seq.eq(excluded(entries::seq)),
                    entries::episode.eq(excluded(entries::episode)),
                    entries::type_.eq(excluded(entries::type_)),
                    entries::text.eq(excluded(entries::text)),
                    entries::payload.eq(excluded(entries::payload)),
                    entries::shown.eq(excluded(entries::shown)),
                    entries::wamid.eq(excluded(entries::wamid)),
                    entries::context_wamid.eq(excluded(entries::context_wamid)),
                    entries::refers_to.eq(excluded(entries::refers_to)),
                    entries::sent_by_kind.eq(excluded(entries::sent_by_kind)),
                    entries::sent_by.eq(excluded(entries::sent_by)),
                ),
                (
                    entries::occurred_at.eq(excluded(entries::occurred_at)),
                    entries::window_expires_at.eq(excluded(entries::window_expires_at)),
                    entries::sent_at.eq(excluded(entries::sent_at)),
                    entries::delivered_at.eq(excluded(entries::delivered_at)),
                    entries::read_at.eq(excluded(entries::read_at)),
                    entries::undelivered_at.eq(excluded(entries::undelivered_at)),
                    entries::undelivered_error.eq(excluded(entries::undelivered_error)),
                    entries::given_up_at.eq(excluded(entries::given_up_at)),
                    entries::given_up_error.eq(excluded(entries::given_up_error)),
                    entries::canceled_at.eq(excluded(entries::canceled_at)),
                    entries::error.eq(excluded(entries::error)),
                    entries::status.eq(excluded(entries::status)),
                ),
            ))
            .execute(tx.conn())?;
    }
    Ok(())
}

/// Places in the order of arrival; to be taken while the conversations are locked.
pub(crate) fn take_places(tx: &mut Tx<'_>, count: usize) -> Result<Vec<i64>, DbError> {
    #[derive(QueryableByName)]
    struct Next {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        seq: i64,
    }
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    let rows: Vec<Next> = diesel::sql_query(
        "SELECT nextval('conversation_message_seq') AS seq FROM generate_series(1, $1)",
    )
    .bind::<diesel::sql_types::Integer, _>(count)
    .load(tx.conn())?;
    Ok(rows.into_iter().map(|row| row.seq).collect())
}
