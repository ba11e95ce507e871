//! `/api/conversations`: who talks with whom.

mod change;
mod cursor;
mod erase;
mod look;

pub(crate) use change::{assign, close, read, release, reopen, transfer};
pub(crate) use erase::{erase_contact, export, show_erasure};
pub(crate) use look::{history, list, messages, show, snapshot};

use chrono::{DateTime, Utc};
use portal_auth::Caller;
use portal_types::{ConversationId, UserId};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    domain::Worker,
    store::conversations::{LastMessageRow, PersonRow, Shown},
};

fn worker(caller: &Caller) -> Worker {
    Worker {
        user: caller.user_id,
        role: caller.role,
    }
}

/// Who holds a conversation.
#[derive(Serialize, ToSchema)]
struct HolderView {
    user_id: Uuid,
    user_name: String,
    /// `agent`, `supervisor` or `admin`
    user_role: String,
    assigned_at: Option<DateTime<Utc>>,
}

/// A conversation.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConversationView {
    conversation_id: ConversationId,
    /// The organization's number
    phone_number_id: String,
    /// The contact's number, digits only; none where the contact hides it
    wa_id: Option<String>,
    /// The contact's business-scoped user id
    user_id: Option<String>,
    contact_name: Option<String>,
    /// `open` or `closed`
    status: String,
    /// Messages of the contact that nobody has read
    unread_count: i32,
    /// The text of the last message, or its type in brackets
    last_message: Option<String>,
    last_activity_at: DateTime<Utc>,
    /// Until when the contact can be written to freely
    window_expires_at: Option<DateTime<Utc>>,
    assigned_to: Option<HolderView>,
    is_assigned_to_me: bool,
    /// Since when the contact waits for somebody to take it
    waiting_since: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
    /// Counts new beginnings after a close, where the organization wants those
    episode: i32,
    genesys_conversation_id: Option<String>,
    /// Counts changes of holder and state; give it back in `If-Match`
    version: i64,
}

fn last_message(message: LastMessageRow) -> Option<String> {
    let of_type = |kind| format!("[{kind}]");
    message.text.or_else(|| message.type_.map(of_type))
}

impl ConversationView {
    fn new(shown: Shown, me: UserId) -> Self {
        let row = shown.row;
        let at = row.assigned_at;
        Self {
            is_assigned_to_me: row.holder() == Some(me),
            assigned_to: shown.holder.map(|person| holder(person, at)),
            last_message: shown.last_message.and_then(last_message),
            conversation_id: row.conversation_id,
            phone_number_id: row.phone_number_id,
            wa_id: row.wa_id,
            user_id: row.user_id,
            contact_name: row.contact_name,
            status: row.status,
            unread_count: row.unread_count,
            last_activity_at: row.last_activity_at,
            window_expires_at: row.window_expires_at,
            waiting_since: row.waiting_since,
            closed_at: row.closed_at,
            episode: row.episode,
            genesys_conversation_id: row.genesys_conversation_id,
            version: row.version,
        }
    }
}

fn holder(person: PersonRow, assigned_at: Option<DateTime<Utc>>) -> HolderView {
    HolderView {
        user_id: person.user_id,
        user_name: person.name,
        user_role: person.role,
        assigned_at,
    }
}
