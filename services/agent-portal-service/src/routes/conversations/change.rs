//! Taking, handing over, closing.

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    dev::Payload,
    http::header::{self, ETAG},
    post, web,
};
use portal_auth::{Caller, Guarded};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{OptionalJson, RequestId, ValidJson, ValidPath},
};
use portal_types::{ConversationId, UserId};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ConversationView, worker};
use crate::{
    domain::Wish,
    state::AppState,
    store::conversations::Shown,
    usecases::{Cause, conversations::Request},
};

/// Longest reason, in characters.
const MAX_REASON: usize = 1000;

/// The version in `If-Match`, if there is one: `"7"`, `7` or `*`.
pub(crate) struct IfMatch(Option<i64>);

impl FromRequest for IfMatch {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let Some(value) = request.headers().get(header::IF_MATCH) else {
            return ready(Ok(Self(None)));
        };
        let text = value.to_str().unwrap_or_default().trim();
        let version = text.trim_matches('"').parse();
        ready(match version {
            _ if text == "*" => Ok(Self(None)),
            Ok(version) => Ok(Self(Some(version))),
            Err(_form) => {
                let mut errors = FieldErrors::new();
                errors.add(
                    "If-Match",
                    "must be the version of the conversation, such as \"7\"",
                );
                Err(ApiError::validation(&errors))
            }
        })
    }
}

/// Why, and what the caller saw last. Everything may be left out, the body, too.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeConversationRequest {
    /// For the history: at most 1000 characters
    reason: Option<String>,
    /// The version that you saw last, as `If-Match` has it: when the conversation has changed since,
    /// nothing is done
    version: Option<i64>,
}

/// To whom, why, and what the caller saw last.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransferConversationRequest {
    /// An active person of the organization
    to_user_id: UserId,
    /// A note for that person: at most 1000 characters
    reason: Option<String>,
    /// The version that you saw last, as `If-Match` has it: when the conversation has changed since,
    /// nothing is done
    version: Option<i64>,
}

/// Up to where it was read.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadConversationRequest {
    /// The last message that was read; all of them when not given
    message_id: Option<Uuid>,
}

struct Given {
    wish: Wish,
    reason: Option<String>,
    version: Option<i64>,
}

impl Given {
    fn new(wish: Wish, body: ChangeConversationRequest, if_match: &IfMatch) -> Self {
        Self {
            wish,
            reason: body.reason,
            version: body.version.or(if_match.0),
        }
    }
}

async fn change(
    state: &AppState,
    caller: &Caller,
    conversation: ConversationId,
    given: Given,
    request_id: &RequestId,
) -> Result<HttpResponse, ApiError> {
    let reason = given.reason.map(|reason| reason.trim().to_owned());
    let reason = reason.filter(|reason| !reason.is_empty());
    let mut errors = FieldErrors::new();
    if reason
        .as_ref()
        .is_some_and(|reason| reason.chars().count() > MAX_REASON)
    {
        errors.add("reason", format!("must be at most {MAX_REASON} characters"));
    }
    errors.into_result()?;
    let request = Request {
        conversation,
        wish: given.wish,
        version: given.version,
        reason,
    };
    let shown = state
        .conversations
        .change(
            &caller.tenant_id,
            worker(caller),
            request,
            &Cause::request(request_id),
        )
        .await?;
    Ok(answer(shown, caller))
}

fn answer(shown: Shown, caller: &Caller) -> HttpResponse {
    let tag = format!("\"{}\"", shown.row.version);
    HttpResponse::Ok()
        .insert_header((ETAG, tag))
        .json(ConversationView::new(shown, caller.user_id))
}

type ChangeInput = (
    ValidPath<ConversationId>,
    (OptionalJson<ChangeConversationRequest>, IfMatch),
);

type TransferInput = (
    ValidPath<ConversationId>,
    (ValidJson<TransferConversationRequest>, IfMatch),
);

/// Takes a conversation. Of two who take it at once one gets it, and the other is told who.
#[utoipa::path(
    operation_id = "assign_conversation",
    tag = "conversations",
    params(
        ("conversation_id" = ConversationId, Path, description = "The conversation"),
        ("If-Match" = Option<String>, Header, description = "The version that you saw last"),
    ),
    request_body(content = Option<ChangeConversationRequest>),
    responses(
        (status = 200, description = "It is yours", body = ConversationView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 404, description = "`CONVERSATION_NOT_FOUND`"),
        (status = 409, description = "`ALREADY_ASSIGNED` with who has it in `details.assigned_to`; `CONVERSATION_CHANGED`, `CONVERSATION_CLOSED`"),
        (status = 503, description = "Nothing can be stored just now; nothing happened"),
    ),
    security(("bearer" = []))
)]
#[post("/api/conversations/{conversation_id}/assign")]
pub(crate) async fn assign(
    Guarded(caller, (ValidPath(id), (OptionalJson(body), if_match))): Guarded<Caller, ChangeInput>,
    state: web::Data<AppState>,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let given = Given::new(Wish::Take, body, &if_match);
    change(&state, &caller, id, given, &request_id).await
}

/// Gives a conversation away, to nobody. For who holds it, supervisors and administrators.
#[utoipa::path(
    operation_id = "release_conversation",
    tag = "conversations",
    params(
        ("conversation_id" = ConversationId, Path, description = "The conversation"),
        ("If-Match" = Option<String>, Header, description = "The version that you saw last"),
    ),
    request_body(content = Option<ChangeConversationRequest>),
    responses(
        (status = 200, description = "Nobody holds it", body = ConversationView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 404, description = "`CONVERSATION_NOT_FOUND`: none, or not yours to see"),
        (status = 409, description = "`CONVERSATION_CHANGED`"),
        (status = 503, description = "Nothing can be stored just now; nothing happened"),
    ),
    security(("bearer" = []))
)]
#[post("/api/conversations/{conversation_id}/release")]
pub(crate) async fn release(
    Guarded(caller, (ValidPath(id), (OptionalJson(body), if_match))): Guarded<Caller, ChangeInput>,
    state: web::Data<AppState>,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let given = Given::new(Wish::Release, body, &if_match);
    change(&state, &caller, id, given, &request_id).await
}

/// Hands a conversation to somebody else. For who holds it, supervisors and administrators.
#[utoipa::path(
    operation_id = "transfer_conversation",
    tag = "conversations",
    params(
        ("conversation_id" = ConversationId, Path, description = "The conversation"),
        ("If-Match" = Option<String>, Header, description = "The version that you saw last"),
    ),
    request_body = TransferConversationRequest,
    responses(
        (status = 200, description = "That person holds it", body = ConversationView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 404, description = "`CONVERSATION_NOT_FOUND`: none, or not yours to see; `USER_NOT_FOUND`"),
        (status = 409, description = "`CONVERSATION_CHANGED`, `CONVERSATION_CLOSED`, `NOT_ASSIGNED`, `USER_DEACTIVATED`"),
        (status = 503, description = "Nothing can be stored just now; nothing happened"),
    ),
    security(("bearer" = []))
)]
#[post("/api/conversations/{conversation_id}/transfer")]
pub(crate) async fn transfer(
    Guarded(caller, (ValidPath(id), (ValidJson(body), if_match))): Guarded<Caller, TransferInput>,
    state: web::Data<AppState>,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let given = Given {
        wish: Wish::Transfer(body.to_user_id),
        reason: body.reason,
        version: body.version.or(if_match.0),
    };
    change(&state, &caller, id, given, &request_id).await
}

/// Closes a conversation. A contact who writes again opens it again, or begins a new episode of it.
#[utoipa::path(
    operation_id = "close_conversation",
    tag = "conversations",
    params(
        ("conversation_id" = ConversationId, Path, description = "The conversation"),
        ("If-Match" = Option<String>, Header, description = "The version that you saw last"),
    ),
    request_body(content = Option<ChangeConversationRequest>),
    responses(
        (status = 200, description = "It is closed", body = ConversationView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 404, description = "`CONVERSATION_NOT_FOUND`: none, or not yours to see"),
        (status = 409, description = "`CONVERSATION_CHANGED`; `NOT_ASSIGNED`: agents take it first"),
        (status = 503, description = "Nothing can be stored just now; nothing happened"),
    ),
    security(("bearer" = []))
)]
#[post("/api/conversations/{conversation_id}/close")]
pub(crate) async fn close(
    Guarded(caller, (ValidPath(id), (OptionalJson(body), if_match))): Guarded<Caller, ChangeInput>,
    state: web::Data<AppState>,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let given = Given::new(Wish::Close, body, &if_match);
    change(&state, &caller, id, given, &request_id).await
}

/// Opens a closed conversation again; nobody holds it.
#[utoipa::path(
    operation_id = "reopen_conversation",
    tag = "conversations",
    params(
        ("conversation_id" = ConversationId, Path, description = "The conversation"),
        ("If-Match" = Option<String>, Header, description = "The version that you saw last"),
    ),
    request_body(content = Option<ChangeConversationRequest>),
    responses(
        (status = 200, description = "It is open", body = ConversationView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 404, description = "`CONVERSATION_NOT_FOUND`: none, or not yours to see"),
        (status = 409, description = "`CONVERSATION_CHANGED`"),
        (status = 503, description = "Nothing can be stored just now; nothing happened"),
    ),
    security(("bearer" = []))
)]
#[post("/api/conversations/{conversation_id}/reopen")]
pub(crate) async fn reopen(
    Guarded(caller, (ValidPath(id), (OptionalJson(body), if_match))): Guarded<Caller, ChangeInput>,
    state: web::Data<AppState>,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let given = Given::new(Wish::Reopen, body, &if_match);
    change(&state, &caller, id, given, &request_id).await
}

/// Notes that a conversation was read: what is here already, or up to a message. The contact is not
/// told; `POST /api/messages/{message_id}/read` does that.
#[utoipa::path(
    operation_id = "read_conversation",
    tag = "conversations",
    params(("conversation_id" = ConversationId, Path, description = "The conversation")),
    request_body(content = Option<ReadConversationRequest>),
    responses(
        (status = 200, description = "The conversation with what is left unread", body = ConversationView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 404, description = "`CONVERSATION_NOT_FOUND`: none, or not yours to see; `MESSAGE_NOT_FOUND`"),
        (status = 503, description = "Nothing can be stored just now; nothing happened"),
    ),
    security(("bearer" = []))
)]
#[post("/api/conversations/{conversation_id}/read")]
pub(crate) async fn read(
    Guarded(caller, (ValidPath(id), OptionalJson(body))): Guarded<
        Caller,
        (
            ValidPath<ConversationId>,
            OptionalJson<ReadConversationRequest>,
        ),
    >,
    state: web::Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    let conversations = &state.conversations;
    let shown = conversations
        .read(&caller.tenant_id, worker(&caller), id, body.message_id)
        .await?;
    Ok(answer(shown, &caller))
}
