//! Conversations made anew from the messages themselves, and held against what was kept.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use portal_db::{DbError, Tx};
use portal_db_schema::schema::{
    conversation_assignments as assignments, conversations, inbound_messages as inbound,
    message_status_events as reports, messages,
};
use portal_events::catalogue::SentBy;
use portal_types::{ConversationId, TenantId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Evidence, Fact, Identity, Message, Person, What,
    apply::{Mode, apply_in},
    entry::Failure,
    rows::{self, ConversationRow},
    separate::first_inbound,
    state,
};

/// What belongs to the envelope of a message of Meta's and not to its content, as in
/// `message.received`.
const ENVELOPE: [&str; 7] = [
    "from",
    "from_user_id",
    "from_parent_user_id",
    "to",
    "id",
    "timestamp",
    "type",
];
/// How long a message lets us write freely (Cloud API, "Customer service windows").
const WINDOW: chrono::Duration = chrono::Duration::hours(24);

/// The three passes of a rebuild, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// What contacts wrote.
    Inbound,
    /// What we sent, and what became of it.
    Outbound,
    /// What follows for conversations.
    Conversations,
}

/// Something that was not as it follows from the messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A message that no conversation had.
    Missing(Uuid),
    /// A message that stood elsewhere.
    Status {
        /// The message.
        message: Uuid,
        /// As it was kept.
        kept: String,
        /// As it follows.
        follows: String,
    },
    /// A conversation; with the columns that were wrong.
    Conversation(ConversationId, Vec<&'static str>),
}

/// A part of a pass.
#[derive(Debug, Default)]
pub struct Step {
    /// Where to go on; nothing when the pass is over.
    pub next: Option<Uuid>,
    /// Rows that were looked at.
    pub seen: usize,
    /// What was different; it is put right in this transaction.
    pub differences: Vec<Difference>,
}

/// How many rows a pass has, to tell how far it is.
///
/// # Errors
/// When the database fails.
pub fn count(tx: &mut Tx<'_>, tenant: &TenantId, pass: Pass) -> Result<i64, DbError> {
    let tenant = tenant.as_str();
    Ok(match pass {
        Pass::Inbound => inbound::table
            .filter(inbound::tenant_id.eq(tenant))
            .count()
            .get_result(tx.conn())?,
        Pass::Outbound => messages::table
            .filter(messages::tenant_id.eq(tenant))
            .count()
            .get_result(tx.conn())?,
        Pass::Conversations => conversations::table
            .filter(conversations::tenant_id.eq(tenant))
            .filter(conversations::merged_into.is_null())
            .count()
            .get_result(tx.conn())?,
    })
}

/// Looks at the next `limit` rows after `after`, and puts right what is different.
///
/// # Errors
/// When the database fails; nothing is to be committed then.
pub fn rebuild(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    pass: Pass,
    after: Option<Uuid>,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Step, DbError> {
    let after = after.unwrap_or(Uuid::nil());
    let facts = match pass {
        Pass::Inbound => inbound_facts(tx, tenant, after, limit)?,
        Pass::Outbound => outbound_facts(tx, tenant, after, limit)?,
        Pass::Conversations => return conversations_step(tx, tenant, after, limit),
    };
    let mut ids: Vec<Uuid> = facts.iter().map(|fact| fact.entry_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let kept: HashMap<Uuid, _> = rows::find_entries(tx, tenant, &ids)?
        .into_iter()
        .map(|row| (row.entry_id, row))
        .collect();
    let mut by_message: BTreeMap<Uuid, Vec<Fact>> = BTreeMap::new();
    for fact in facts {
        by_message.entry(fact.entry_id).or_default().push(fact);
    }
    let mut step = Step {
        next: ids.last().copied(),
        seen: ids.len(),
        differences: Vec::new(),
    };
    let mut wrong = Vec::new();
    for (id, facts) in by_message {
        let difference = match kept.get(&id) {
            Some(row) if row.thread_id.is_some() => status_difference(row, &facts),
            _ => Some(Difference::Missing(id)),
        };
        if let Some(difference) = difference {
            step.differences.push(difference);
            wrong.extend(facts);
        }
    }
    if !wrong.is_empty() {
        apply_in(tx, tenant, wrong, now, Mode::Rebuild)?;
    }
    if usize::try_from(limit).is_ok_and(|limit| step.seen < limit) {
        step.next = None;
    }
    Ok(step)
}

fn status_difference(row: &rows::EntryRow, facts: &[Fact]) -> Option<Difference> {
    let evidence = facts
        .iter()
        .fold(Evidence::default(), |all, fact| match &fact.what {
            What::Report(report) => all.merge(report.evidence.clone()),
            What::Message(_) => all,
        });
    let after = row.clone().with(evidence, None);
    (after.evidence() != row.evidence()).then(|| Difference::Status {
        message: row.entry_id,
        kept: row.status.clone(),
        follows: after.status,
    })
}

fn inbound_facts(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Fact>, DbError> {
    #[derive(Queryable, Selectable)]
    #[diesel(table_name = inbound)]
    struct Row {
        inbound_id: Uuid,
        phone_number_id: String,
        wamid: String,
        origin: String,
        contact: String,
        wa_id: Option<String>,
        user_id: Option<String>,
        profile_name: Option<String>,
        type_: String,
        payload: Value,
        context_wamid: Option<String>,
        refers_to: Option<String>,
        sent_at: DateTime<Utc>,
    }
    let rows: Vec<Row> = inbound::table
        .filter(inbound::tenant_id.eq(tenant.as_str()))
        .filter(inbound::inbound_id.gt(after))
        .filter(inbound::erased_at.is_null())
        .order(inbound::inbound_id)
        .limit(limit)
        .select(Row::as_select())
        .load(tx.conn())?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let is_contact = row.origin == "contact";
            let shown = row.wa_id.as_deref().filter(|_| is_contact);
            let shown = shown.map(Identity::number);
            let other = shown.unwrap_or_else(|| Identity::of(row.contact));
            // Who wrote on the organization's phone says nothing of who the contact is.
            let user = row.user_id.filter(|_| is_contact).map(Identity::of);
            let (identity, also) = match user {
                Some(user) => (user.clone(), Some(other).filter(|other| *other != user)),
                None => (other, None),
            };
            let mut payload = row.payload;
            if let Some(members) = payload.as_object_mut() {
                members.retain(|name, _| !ENVELOPE.contains(&name.as_str()));
            }
            let opens = is_contact && row.type_ != "system";
            let message = Message {
                from: if is_contact {
                    Person::Contact
                } else {
                    Person::Phone
                },
                phone_number_id: row.phone_number_id,
                identity,
                also,
                formerly: None,
                name: row.profile_name.filter(|_| is_contact),
                message_type: row.type_,
                payload: Some(payload),
                wamid: Some(row.wamid),
                context_wamid: row.context_wamid.filter(|_| is_contact),
                refers_to: row.refers_to.filter(|_| is_contact),
                sent_by: None,
                genesys_conversation_id: None,
                occurred_at: row.sent_at,
                window_expires_at: opens.then(|| row.sent_at + WINDOW),
            };
            Fact {
                entry_id: row.inbound_id,
                what: What::Message(Box::new(message)),
            }
        })
        .collect())
}

fn outbound_facts(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Fact>, DbError> {
    #[derive(Queryable, Selectable)]
    #[diesel(table_name = messages)]
    struct Row {
        message_id: Uuid,
        phone_number_id: String,
        recipient: String,
        type_: String,
        content: Value,
        reply_to: Option<String>,
        sent_by_kind: String,
        sent_by: String,
        accepted_at: DateTime<Utc>,
    }
    let rows: Vec<Row> = messages::table
        .filter(messages::tenant_id.eq(tenant.as_str()))
        .filter(messages::message_id.gt(after))
        .filter(messages::erased_at.is_null())
        .order(messages::message_id)
        .limit(limit)
        .select(Row::as_select())
        .load(tx.conn())?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.message_id).collect();
    let mut facts: Vec<Fact> = rows
        .into_iter()
        .map(|row| {
            let message = Message {
                from: Person::Us,
                phone_number_id: row.phone_number_id,
                identity: Identity::of(row.recipient),
                also: None,
                formerly: None,
                name: None,
                refers_to: Message::reaction_to(&row.type_, Some(&row.content)),
                message_type: row.type_,
                payload: Some(row.content),
                wamid: None,
                context_wamid: row.reply_to,
                sent_by: Some(SentBy {
                    kind: row.sent_by_kind,
                    id: row.sent_by,
                }),
                genesys_conversation_id: None,
                occurred_at: row.accepted_at,
                window_expires_at: None,
            };
            Fact {
                entry_id: row.message_id,
                what: What::Message(Box::new(message)),
            }
        })
        .collect();
    facts.extend(report_facts(tx, tenant, &ids)?);
    Ok(facts)
}

/// What moved these messages: each was told as an event.
fn report_facts(tx: &mut Tx<'_>, tenant: &TenantId, ids: &[Uuid]) -> Result<Vec<Fact>, DbError> {
    type Row = (
        Uuid,
        String,
        String,
        DateTime<Utc>,
        Option<String>,
        Option<Value>,
    );
    let rows: Vec<Row> = reports::table
        .filter(reports::tenant_id.eq(tenant.as_str()))
        .filter(reports::message_id.eq_any(ids))
        .filter(reports::changed_status)
        .filter(reports::status.eq_any(["sent", "delivered", "read", "failed", "canceled"]))
        .select((
            reports::message_id,
            reports::status,
            reports::source,
            reports::occurred_at,
            reports::wamid,
            reports::error,
        ))
        .load(tx.conn())?;
    Ok(rows
        .into_iter()
        .map(|(id, status, source, at, wamid, error)| {
            let at = Some(at);
            let mut evidence = Evidence::default();
            match &*status {
                "sent" => evidence.sent_at = at,
                "delivered" => evidence.delivered_at = at,
                "read" => evidence.read_at = at,
                "canceled" => evidence.canceled_at = at,
                _ => {
                    // As `message.failed` has it where nothing is known.
                    let unknown = || json!({"code": null, "title": "The message failed", "class": "permanent"});
                    let failure = at.map(|at| Failure {
                        at,
                        error: error.unwrap_or_else(unknown),
                    });
                    if source == "webhook" {
                        evidence.undelivered = failure;
                    } else {
                        evidence.given_up = failure;
                    }
                }
            }
            Fact::report(id, evidence, wamid)
        })
        .collect())
}

fn conversations_step(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    after: Uuid,
    limit: i64,
) -> Result<Step, DbError> {
    let ids: Vec<Uuid> = conversations::table
        .filter(conversations::tenant_id.eq(tenant.as_str()))
        .filter(conversations::merged_into.is_null())
        .filter(conversations::conversation_id.gt(after))
        .order(conversations::conversation_id)
        .limit(limit)
        .select(conversations::conversation_id)
        .load(tx.conn())?;
    let before = rows::lock(tx, tenant, &ids)?;
    let first = first_inbounds(tx, &ids)?;
    let holders = active_holders(tx, tenant, &ids)?;
    for row in &before {
        let id = row.conversation_id.as_uuid();
        let mut right = row.clone();
        let holder = holders.get(&id).copied();
        right.assigned_to = holder.map(|(user, _)| user);
        right.assigned_at = holder.map(|(_, at)| at);
        right.first_inbound_at = if row.is_open() {
            first.get(&id).copied()
        } else {
            None
        };
        if right != *row {
            rows::save(tx, tenant, &right)?;
        }
    }
    state::refresh(tx, tenant, &ids)?;
    let after = rows::list(tx, tenant, &ids)?;
    let differences = before
        .iter()
        .zip(&after)
        .filter(|(before, after)| before != after)
        .map(|(before, after)| {
            Difference::Conversation(before.conversation_id, columns(before, after))
        })
        .collect();
    let is_last = usize::try_from(limit).is_ok_and(|limit| ids.len() < limit);
    Ok(Step {
        next: ids.last().copied().filter(|_| !is_last),
        seen: ids.len(),
        differences,
    })
}

fn first_inbounds(tx: &mut Tx<'_>, ids: &[Uuid]) -> Result<HashMap<Uuid, DateTime<Utc>>, DbError> {
    let mut first = HashMap::new();
    for id in ids {
        if let Some(at) = first_inbound(tx, (*id).into())? {
            first.insert(*id, at);
        }
    }
    Ok(first)
}

fn active_holders(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, (Uuid, DateTime<Utc>)>, DbError> {
    let rows: Vec<(Uuid, Uuid, DateTime<Utc>)> = assignments::table
        .filter(assignments::tenant_id.eq(tenant.as_str()))
        .filter(assignments::conversation_id.eq_any(ids))
        .filter(assignments::status.eq("active"))
        .select((
            assignments::conversation_id,
            assignments::user_id,
            assignments::assigned_at,
        ))
        .load(tx.conn())?;
    Ok(rows
        .into_iter()
        .map(|(conversation, user, at)| (conversation, (user, at)))
        .collect())
}

/// The columns that are not the same.
fn columns(one: &ConversationRow, other: &ConversationRow) -> Vec<&'static str> {
    macro_rules! differing {
        ($($column:ident),* $(,)?) => {
            [$((stringify!($column), one.$column != other.$column)),*]
                .into_iter()
                .filter_map(|(name, differs)| differs.then_some(name))
                .collect()
        };
    }
    differing!(
        wa_id,
        user_id,
        contact_name,
        unread_count,
        last_message_id,
        last_activity_at,
        window_expires_at,
        last_inbound_at,
        first_inbound_at,
        waiting_since,
        assigned_to,
        assigned_at,
    )
}

/// Where a message that was lost stood among others, as far as marks tell: what was read or closed
/// over stays so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks {
    read: (i64, Option<Uuid>),
    closed: (i64, Option<Uuid>),
}

impl Marks {
    /// The place of the message among those that came before a mark; nothing when it came after all.
    pub(crate) fn place_of(self, entry: Uuid) -> Option<i64> {
        [self.read, self.closed]
            .into_iter()
            .filter(|(_, last)| last.is_some_and(|last| entry <= last))
            .map(|(seq, _)| seq)
            .min()
    }

    /// Whether it was there when the conversation was closed.
    pub(crate) fn is_closed_over(self, entry: Uuid) -> bool {
        self.closed.1.is_some_and(|last| entry <= last)
    }
}

/// The marks of threads.
pub(crate) fn marks(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    threads: &[Uuid],
) -> Result<HashMap<Uuid, Marks>, DbError> {
    use portal_db_schema::schema::conversation_threads as t;
    type Row = (Uuid, i64, Option<Uuid>, i64, Option<Uuid>);
    let rows: Vec<Row> = t::table
        .filter(t::tenant_id.eq(tenant.as_str()))
        .filter(t::thread_id.eq_any(threads))
        .select((
            t::thread_id,
            t::read_seq,
            t::read_entry_id,
            t::closed_seq,
            t::closed_entry_id,
        ))
        .load(tx.conn())?;
    Ok(rows
        .into_iter()
        .map(|(thread, read_seq, read, closed_seq, closed)| {
            let marks = Marks {
                read: (read_seq, read),
                closed: (closed_seq, closed),
            };
            (thread, marks)
        })
        .collect())
}
