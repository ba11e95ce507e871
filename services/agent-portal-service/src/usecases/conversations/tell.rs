//! Who is told of changes: other services by events, open browsers by the live feed. All of it in the
//! transaction of the change.

use chrono::{DateTime, Utc};
use portal_conversations::{Applied, ConversationRow, Merged, ReopenAs, Touched};
use portal_db::{DbError, Tx};
use portal_events::EventContext;
use portal_types::{Role, TenantId, UserId};
use serde_json::{Value, json};

use crate::{
    domain::{Audience, NewLiveEvent},
    events::produced::{self, ConversationEvent, ConversationPeople},
    store::conversations::{self as store, MessageRow},
    usecases::live_feed,
};

/// A change of holder or state, in both ways of telling.
pub(super) struct Change<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) context: &'a EventContext,
    pub(super) now: DateTime<Utc>,
    /// As it is now.
    pub(super) row: &'a ConversationRow,
    /// Who held it before.
    pub(super) former: Option<UserId>,
    pub(super) event: ConversationEvent,
    pub(super) people: ConversationPeople<'a>,
}

impl Change<'_> {
    /// Tells everybody who may know.
    pub(super) fn tell(&self, tx: &mut Tx<'_>) -> Result<(), DbError> {
        produced::append_conversation_event(
            tx,
            self.tenant,
            self.context,
            self.now,
            self.row,
            self.event,
            self.people,
        )?;
        let mut data = summary(self.row);
        data["change"] = self.event.name().into();
        data["by"] = json!(self.people.by);
        data["reason"] = json!(self.people.reason);
        append(tx, self.tenant, self.row, CHANGED, &data)?;
        // Nobody's list is to keep what went elsewhere.
        let losers = match (self.former, self.row.holder()) {
            (None, Some(holder)) => Audience::LostByOthers(holder),
            (Some(former), Some(holder)) if former != holder => Audience::LostBy(former),
            _ => return Ok(()),
        };
        let id = self.row.conversation_id;
        let gone = NewLiveEvent {
            audience: losers,
            kind: "conversation.gone",
            data: &json!({"conversation_id": id, "version": self.row.version}),
        };
        live_feed::append(tx, self.tenant, gone)
    }
}

const CHANGED: &str = "conversation.changed";

/// Tells those who may see the conversation as it is now.
fn append(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    row: &ConversationRow,
    kind: &str,
    data: &Value,
) -> Result<(), DbError> {
    let event = NewLiveEvent {
        audience: audience(row),
        kind,
        data,
    };
    live_feed::append(tx, tenant, event)
}

/// Who may see a conversation.
fn audience(row: &ConversationRow) -> Audience {
    match row.holder() {
        None => Audience::AtLeast(Role::Agent),
        Some(holder) => Audience::UserOrAtLeast(holder, Role::Supervisor),
    }
}

/// How a conversation stands, without a text.
fn summary(row: &ConversationRow) -> Value {
    json!({
        "conversation_id": row.conversation_id,
        "status": row.status,
        "assigned_to": row.holder(),
        "assigned_at": row.assigned_at,
        "unread_count": row.unread_count,
        "last_activity_at": row.last_activity_at,
        "window_expires_at": row.window_expires_at,
        "episode": row.episode,
        "version": row.version,
    })
}

/// What was read.
pub(super) fn tell_read(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    row: &ConversationRow,
) -> Result<(), DbError> {
    let mut data = summary(row);
    data["change"] = "read".into();
    append(tx, tenant, row, CHANGED, &data)
}

/// What events of messages changed.
pub(super) fn tell_applied(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    context: &EventContext,
    now: DateTime<Utc>,
    applied: &Applied,
) -> Result<(), DbError> {
    for Merged { from, into } in &applied.merged {
        let data = json!({"conversation_id": from, "merged_into": into, "change": "merged"});
        let event = NewLiveEvent {
            audience: Audience::AtLeast(Role::Agent),
            kind: CHANGED,
            data: &data,
        };
        live_feed::append(tx, tenant, event)?;
    }
    for touched in &applied.conversations {
        let event = match (touched.is_new, touched.reopened) {
            (true, _) | (_, Some(ReopenAs::New)) => Some(ConversationEvent::Opened),
            (_, Some(ReopenAs::Same)) => Some(ConversationEvent::Reopened),
            (false, None) => None,
        };
        if let Some(event) = event {
            let change = Change {
                tenant,
                context,
                now,
                row: &touched.row,
                former: None,
                event,
                people: ConversationPeople::default(),
            };
            change.tell(tx)?;
        }
        tell_messages(tx, tenant, touched)?;
    }
    Ok(())
}

fn tell_messages(tx: &mut Tx<'_>, tenant: &TenantId, touched: &Touched) -> Result<(), DbError> {
    for message in store::find_messages(tx, tenant, &touched.arrived)? {
        let mut data = summary(&touched.row);
        data["message"] = message_json(message);
        append(tx, tenant, &touched.row, "message.created", &data)?;
    }
    for message in store::find_messages(tx, tenant, &touched.moved)? {
        let data = json!({
            "conversation_id": touched.row.conversation_id, "message_id": message.entry_id,
            "status": message.status, "error": message.error,
        });
        append(tx, tenant, &touched.row, "message.status", &data)?;
    }
    Ok(())
}

/// A message as the feed tells it, which is as the API shows it.
fn message_json(message: MessageRow) -> Value {
    json!({
        "message_id": message.entry_id,
        "direction": message.direction,
        "type": message.type_,
        "text": message.text,
        "payload": message.payload,
        "status": message.status,
        "timestamp": message.occurred_at,
        "sent_by": message.sent_by_kind.map(|kind| json!({"kind": kind, "id": message.sent_by})),
        "error": message.error,
        "wamid": message.wamid,
        "context_wamid": message.context_wamid,
        "refers_to": message.refers_to,
        "episode": message.episode,
    })
}
