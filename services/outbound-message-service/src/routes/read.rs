//! `POST /api/messages/{message_id}/read`

use actix_web::{HttpResponse, post, web};
use portal_auth::{Guarded, MessageSender};
use portal_service_kit::{
    ApiError,
    http::{ValidJson, ValidPath},
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::state::AppState;

/// `POST /api/messages/{message_id}/read`
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadRequest {
    /// Whether the contact also sees that an answer is being written: until it comes, at most 25
    /// seconds.
    #[serde(default)]
    typing: bool,
}

/// Marks a received message, and all before it in its chat, as read.
#[utoipa::path(
    tag = "messages",
    params(("message_id" = String, Path,
        description = "The inbound_id of the event message.received, or the wamid")),
    request_body = ReadRequest,
    responses(
        (status = 204, description = "Meta knows"),
        (status = 400, description = "Some fields cannot be used; all of them are named"),
        (status = 401, description = "The token or API key is missing, expired or revoked"),
        (status = 403, description = "The organization is suspended, or the API key lacks the scope messages:send"),
        (status = 404, description = "The organization has received no such message"),
        (status = 409, description = "The message is older than 30 days, or the organization has no WhatsApp configuration"),
        (status = 502, description = "Meta did not mark the message; try again later"),
        (status = 503, description = "The message cannot be read just now"),
    ),
    security(("bearer" = []))
)]
#[post("/api/messages/{message_id}/read")]
pub(crate) async fn mark_read(
    Guarded(MessageSender(caller), (ValidPath(id), ValidJson(body))): Guarded<
        MessageSender,
        (ValidPath<String>, ValidJson<ReadRequest>),
    >,
    state: web::Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    let marker = &state.read_marker;
    marker.mark(caller.tenant_id(), id, body.typing).await?;
    Ok(HttpResponse::NoContent().finish())
}
