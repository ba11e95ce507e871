//! Conversations, their messages, their history.

use actix_web::{get, web};
use chrono::{DateTime, Utc};
use portal_auth::{Caller, Guarded};
use portal_conversations::Search;
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{Page, ValidPath, ValidQuery},
};
use portal_types::{ConversationId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{ConversationView, cursor::Listed, worker};
use crate::{
    state::AppState,
    store::conversations::{ConversationFilter, Held, MessageRow},
    usecases::conversations::{self, History},
};

/// Which conversations to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// `open` or `closed`
    status: Option<String>,
    /// `me`, `none`, or the id of a person; for agents only the first two find anything
    assigned: Option<String>,
    /// Words: each is part of the contact's name or number, in any usual spelling, or begins a word of
    /// a message; at most 100 characters
    q: Option<String>,
    /// The conversation of Genesys Cloud that goes with it
    genesys_conversation_id: Option<String>,
    /// 1 to 100, 50 when not given
    limit: Option<u32>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

/// A page of conversations.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConversationListView {
    conversations: Vec<ConversationView>,
    limit: u32,
    /// `null` on the last page
    next_cursor: Option<String>,
}

impl ConversationListView {
    fn new(page: conversations::Page, limit: u32, listed: &Listed, caller: &Caller) -> Self {
        let items = page.items.into_iter();
        Self {
            conversations: items
                .map(|shown| ConversationView::new(shown, caller.user_id))
                .collect(),
            limit,
            next_cursor: page.next.map(|place| listed.write(place)),
        }
    }
}

/// What a [`ListQuery`] asks for.
struct AskedFor {
    filter: ConversationFilter,
    limit: u32,
    listed: Listed,
}

impl ListQuery {
    fn check(self, caller: &Caller) -> Result<AskedFor, ApiError> {
        let mut errors = FieldErrors::new();
        let me = caller.user_id;
        let (status, assigned) = (self.status.as_deref(), self.assigned.as_deref());
        let q = self.q.as_deref();
        let genesys = self.genesys_conversation_id.as_deref();
        let listed = Listed::new(caller, "conversations", &[status, assigned, q, genesys]);
        let filter = ConversationFilter {
            status: status.and_then(|status| errors.check("status", known_status(status))),
            held: assigned.and_then(|word| errors.check("assigned", known_holder(word, me))),
            search: q.and_then(|typed| errors.check("q", known_search(typed))),
            genesys_conversation_id: genesys.map(str::to_owned),
            after: self
                .cursor
                .and_then(|cursor| errors.check("cursor", listed.read(&cursor))),
        };
        let limit = Page::checked(self.limit, None, &mut errors).limit;
        errors.into_result()?;
        Ok(AskedFor {
            filter,
            limit,
            listed,
        })
    }
}

/// Longest search, in characters.
const MAX_SEARCH: usize = 100;

fn known_search(typed: &str) -> Result<Search, &'static str> {
    if typed.chars().count() > MAX_SEARCH {
        return Err("must have at most 100 characters");
    }
    Search::parse(typed)
}

fn known_status(status: &str) -> Result<&'static str, &'static str> {
    match status {
        "open" => Ok("open"),
        "closed" => Ok("closed"),
        _ => Err("must be open or closed"),
    }
}

fn known_holder(word: &str, me: UserId) -> Result<Held, &'static str> {
    match word {
        "me" => Ok(Held::By(me)),
        "none" => Ok(Held::ByNobody),
        id => id
            .parse()
            .map(Held::By)
            .map_err(|_form| "must be me, none or the id of a person"),
    }
}

/// Lists conversations, the one with the latest message first. Agents see their own and those that
/// nobody holds; supervisors and administrators see all.
#[utoipa::path(
    operation_id = "list_conversations",
    tag = "conversations",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of conversations", body = ConversationListView),
        (status = 400, description = "`VALIDATION_FAILED`"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 503, description = "The conversations cannot be read just now"),
    ),
    security(("bearer" = []))
)]
#[get("/api/conversations")]
pub(crate) async fn list(
    Guarded(caller, ValidQuery(query)): Guarded<Caller, ValidQuery<ListQuery>>,
    state: web::Data<AppState>,
) -> Result<web::Json<ConversationListView>, ApiError> {
    let asked = query.check(&caller)?;
    let page = state
        .conversations
        .list(
            &caller.tenant_id,
            worker(&caller),
            asked.filter,
            asked.limit,
        )
        .await?;
    Ok(web::Json(ConversationListView::new(
        page,
        asked.limit,
        &asked.listed,
        &caller,
    )))
}

/// Conversations, and where to listen from.
#[derive(Serialize, ToSchema)]
pub(crate) struct SnapshotView {
    /// The number of the last event that the conversations show the effect of; later ones may be
    /// among it, too, which their `version` tells
    sequence: i64,
    /// For `Last-Event-ID` of `GET /api/agents/events`
    last_event_id: String,
    #[serde(flatten)]
    list: ConversationListView,
}

/// Lists conversations as `GET /api/conversations` does, with the place in the live feed to go on
/// from. Further pages come from that list.
#[utoipa::path(
    operation_id = "take_snapshot",
    tag = "events",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of conversations and a place", body = SnapshotView),
        (status = 400, description = "`VALIDATION_FAILED`"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 503, description = "The conversations cannot be read just now"),
    ),
    security(("bearer" = []))
)]
#[get("/api/agents/events/snapshot")]
pub(crate) async fn snapshot(
    Guarded(caller, ValidQuery(query)): Guarded<Caller, ValidQuery<ListQuery>>,
    state: web::Data<AppState>,
) -> Result<web::Json<SnapshotView>, ApiError> {
    let asked = query.check(&caller)?;
    let snapshot = state
        .conversations
        .snapshot(&caller.tenant_id, caller.user_id, asked.filter, asked.limit)
        .await?;
    Ok(web::Json(SnapshotView {
        sequence: snapshot.last.place.sequence,
        last_event_id: snapshot.last.to_string(),
        list: ConversationListView::new(snapshot.page, asked.limit, &asked.listed, &caller),
    }))
}

/// Shows a conversation. The id may also be one that was derived for another identity of its contact.
#[utoipa::path(
    operation_id = "show_conversation",
    tag = "conversations",
    params(("conversation_id" = ConversationId, Path, description = "The conversation")),
    responses(
        (status = 200, description = "The conversation", body = ConversationView),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 404, description = "`CONVERSATION_NOT_FOUND`: none, or not yours to see"),
        (status = 503, description = "The conversation cannot be read just now"),
    ),
    security(("bearer" = []))
)]
#[get("/api/conversations/{conversation_id}")]
pub(crate) async fn show(
    Guarded(caller, ValidPath(id)): Guarded<Caller, ValidPath<ConversationId>>,
    state: web::Data<AppState>,
) -> Result<web::Json<ConversationView>, ApiError> {
    let conversations = &state.conversations;
    let shown = conversations
        .show(&caller.tenant_id, worker(&caller), id)
        .await?;
    Ok(web::Json(ConversationView::new(shown, caller.user_id)))
}

/// Who had a message sent.
#[derive(Serialize, ToSchema)]
struct SentByView {
    /// `user`, `api_key`, `service`, or `phone`: written on the organization's own phone
    kind: String,
    id: Option<String>,
}

/// A message of a conversation.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConversationMessageView {
    message_id: Uuid,
    /// `inbound` or `outbound`
    direction: String,
    #[serde(rename = "type")]
    message_type: Option<String>,
    text: Option<String>,
    /// The content, by its type, as the `WhatsApp` Cloud API has it
    #[schema(value_type = Option<Object>)]
    payload: Option<Value>,
    /// `received`, `accepted`, `sent`, `delivered`, `read`, `failed` or `canceled`
    status: String,
    timestamp: Option<DateTime<Utc>>,
    sent_by: Option<SentByView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    error: Option<Value>,
    wamid: Option<String>,
    /// The wamid of the message that it answers
    #[serde(skip_serializing_if = "Option::is_none")]
    context_wamid: Option<String>,
    /// The wamid of the message that it reacts to, edits or revokes
    #[serde(skip_serializing_if = "Option::is_none")]
    refers_to: Option<String>,
    episode: Option<i32>,
}

impl From<MessageRow> for ConversationMessageView {
    fn from(row: MessageRow) -> Self {
        let id = row.sent_by;
        Self {
            message_id: row.entry_id,
            direction: row.direction,
            message_type: row.type_,
            text: row.text,
            payload: row.payload,
            status: row.status,
            timestamp: row.occurred_at,
            sent_by: row.sent_by_kind.map(|kind| SentByView { kind, id }),
            error: row.error,
            wamid: row.wamid,
            context_wamid: row.context_wamid,
            refers_to: row.refers_to,
            episode: row.episode,
        }
    }
}

/// Where to go on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MessagesQuery {
    /// 1 to 100, 50 when not given
    limit: Option<u32>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

/// A page of messages.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConversationMessagesView {
    messages: Vec<ConversationMessageView>,
    limit: u32,
    /// For the messages before these; `null` when there are none
    next_cursor: Option<String>,
}

/// Lists a conversation's messages, the latest first.
#[utoipa::path(
    operation_id = "list_conversation_messages",
    tag = "conversations",
    params(
        ("conversation_id" = ConversationId, Path, description = "The conversation"),
        MessagesQuery,
    ),
    responses(
        (status = 200, description = "A page of messages", body = ConversationMessagesView),
        (status = 400, description = "`VALIDATION_FAILED`"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 404, description = "`CONVERSATION_NOT_FOUND`: none, or not yours to see"),
        (status = 503, description = "The messages cannot be read just now"),
    ),
    security(("bearer" = []))
)]
#[get("/api/conversations/{conversation_id}/messages")]
pub(crate) async fn messages(
    Guarded(caller, (ValidPath(id), ValidQuery(query))): Guarded<
        Caller,
        (ValidPath<ConversationId>, ValidQuery<MessagesQuery>),
    >,
    state: web::Data<AppState>,
) -> Result<web::Json<ConversationMessagesView>, ApiError> {
    let mut errors = FieldErrors::new();
    let listed = Listed::new(&caller, "messages", &[Some(&id.to_string())]);
    let after = query
        .cursor
        .and_then(|cursor| errors.check("cursor", listed.read(&cursor)));
    let limit = Page::checked(query.limit, None, &mut errors).limit;
    errors.into_result()?;
    let page = state
        .conversations
        .messages(&caller.tenant_id, worker(&caller), id, after, limit)
        .await?;
    Ok(web::Json(ConversationMessagesView {
        messages: page.items.into_iter().map(Into::into).collect(),
        limit,
        next_cursor: page.next.map(|place| listed.write(place)),
    }))
}

/// Somebody who is named in a history.
#[derive(Serialize, ToSchema)]
struct NamedView {
    user_id: Uuid,
    user_name: Option<String>,
}

/// That somebody held a conversation.
#[derive(Serialize, ToSchema)]
struct AssignmentView {
    assignment_id: Uuid,
    /// Another one than was asked for, when that one became part of it
    conversation_id: Uuid,
    user: NamedView,
    /// `active`, `released`, `transferred` or `closed`
    status: String,
    /// `taken`, `transferred`, `automatic`, `genesys` or `merged`
    cause: String,
    /// The note of the transfer that gave it
    reason: Option<String>,
    assigned_by: Option<NamedView>,
    assigned_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    ended_by: Option<NamedView>,
    end_reason: Option<String>,
    episode: i32,
}

/// Something that was done with a conversation.
#[derive(Serialize, ToSchema)]
struct ActionView {
    /// `opened`, `closed`, `reopened`, `merged` or `separated`
    action: String,
    /// `null`: a rule, such as a contact who wrote
    by: Option<NamedView>,
    reason: Option<String>,
    other_conversation_id: Option<Uuid>,
    at: DateTime<Utc>,
    episode: i32,
}

/// Who held a conversation and what was done with it, the latest first; 500 of each at the most.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConversationHistoryView {
    assignments: Vec<AssignmentView>,
    actions: Vec<ActionView>,
}

impl From<History> for ConversationHistoryView {
    fn from(found: History) -> Self {
        let people = found.people;
        let named = |user_id: Uuid| NamedView {
            user_id,
            user_name: people
                .iter()
                .find(|person| person.user_id == user_id)
                .map(|person| person.name.clone()),
        };
        Self {
            assignments: found
                .assignments
                .into_iter()
                .map(|row| AssignmentView {
                    assignment_id: row.assignment_id,
                    conversation_id: row.conversation_id,
                    user: named(row.user_id),
                    status: row.status,
                    cause: row.cause,
                    reason: row.reason,
                    assigned_by: row.assigned_by.map(named),
                    assigned_at: row.assigned_at,
                    ended_at: row.ended_at,
                    ended_by: row.ended_by.map(named),
                    end_reason: row.end_reason,
                    episode: row.episode,
                })
                .collect(),
            actions: found
                .actions
                .into_iter()
                .map(|row| ActionView {
                    action: row.action,
                    by: row.user_id.map(named),
                    reason: row.reason,
                    other_conversation_id: row.other_conversation_id,
                    at: row.at,
                    episode: row.episode,
                })
                .collect(),
        }
    }
}

/// Tells who held a conversation, when and why, and what else was done with it.
#[utoipa::path(
    operation_id = "show_conversation_history",
    tag = "conversations",
    params(("conversation_id" = ConversationId, Path, description = "The conversation")),
    responses(
        (status = 200, description = "Its history", body = ConversationHistoryView),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 404, description = "`CONVERSATION_NOT_FOUND`: none, or not yours to see"),
        (status = 503, description = "The history cannot be read just now"),
    ),
    security(("bearer" = []))
)]
#[get("/api/conversations/{conversation_id}/history")]
pub(crate) async fn history(
    Guarded(caller, ValidPath(id)): Guarded<Caller, ValidPath<ConversationId>>,
    state: web::Data<AppState>,
) -> Result<web::Json<ConversationHistoryView>, ApiError> {
    let conversations = &state.conversations;
    let found = conversations
        .history(&caller.tenant_id, worker(&caller), id)
        .await?;
    Ok(web::Json(found.into()))
}
