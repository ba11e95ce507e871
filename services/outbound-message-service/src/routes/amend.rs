//! `PATCH` and `DELETE /api/messages/{message_id}`, `POST …/cancel` and `…/retry`

use actix_web::{HttpResponse, delete, patch, post, web};
use chrono::{DateTime, Utc};
use portal_auth::{Guarded, MessageSender, SupervisorOfTenant, TenantCaller};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{RequestId, ValidJson, ValidPath},
};
use portal_types::MessageId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    domain::draft::read_content,
    routes::send::sent_by,
    state::AppState,
    usecases::amend_message::{Change, NewContent, Request},
};

/// How far ahead a message may be scheduled.
const LONGEST_DELAY: chrono::Duration = chrono::Duration::days(366);

/// What changes about a scheduled message; what is left out stays.
///
/// A new content stands under the name of its type, as in `POST /api/messages`, and is of the type
/// that the message has. Of a text message the text alone can be given, without `type`.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({
    "send_at": "2027-01-31T09:00:00Z",
    "type": "image", "image": {"link": "https://example.com/b.png"}
}))]
pub(crate) struct AmendMessageRequest {
    /// When it is to be sent.
    #[serde(default)]
    send_at: Option<DateTime<Utc>>,
    /// The new text of a text message; with `type`, its whole content.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 4096)]
    text: Option<Value>,
    /// The type of a new content.
    #[serde(rename = "type", default)]
    kind: Option<String>,
    /// Whether the new content is handed through to Meta unchecked.
    #[serde(default)]
    raw: bool,
    /// The new content; other members are refused.
    #[serde(flatten)]
    #[schema(ignore)]
    content: Map<String, Value>,
}

impl AmendMessageRequest {
    fn read_content(&mut self, errors: &mut FieldErrors) -> Option<NewContent> {
        let mut members = std::mem::take(&mut self.content);
        if let Some(kind) = self.kind.take() {
            if let Some(text) = self.text.take() {
                members.insert("text".to_owned(), text);
            }
            return read_content(kind, self.raw, members, errors)
                .map(Box::new)
                .map(NewContent::Whole);
        }
        for other in members.keys() {
            errors.add(
                other.as_str(),
                "is not known here; a content needs its type",
            );
        }
        match self.text.take() {
            None => None,
            Some(Value::String(text)) => {
                let length = text.chars().count();
                if text.trim().is_empty() || length > portal_whatsapp::MAX_TEXT_CHARS {
                    errors.add("text", "must have 1 to 4096 characters");
                }
                Some(NewContent::Text(text))
            }
            Some(_) => {
                errors.add(
                    "text",
                    "must be a text; a whole content needs \"type\": \"text\"",
                );
                None
            }
        }
    }
}

impl TryFrom<AmendMessageRequest> for Change {
    type Error = FieldErrors;

    fn try_from(mut request: AmendMessageRequest) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::new();
        let now = Utc::now();
        if request
            .send_at
            .is_some_and(|at| at <= now || at > now + LONGEST_DELAY)
        {
            errors.add("send_at", "must be in the future, within a year");
        }
        let content = request.read_content(&mut errors);
        if request.send_at.is_none() && content.is_none() && errors.is_empty() {
            errors.add(
                "send_at",
                "say what changes: send_at, text or a content with its type",
            );
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            send_at: request.send_at,
            content,
        })
    }
}

/// Whether a second arrival is taken into the bargain.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryMessageRequest {
    /// Needed for a message of the class `undetermined`: it may have arrived.
    #[serde(default)]
    accept_duplicate: bool,
}

/// A message after it was changed; `GET /api/messages/{message_id}` tells all of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct AmendedView {
    /// Always true.
    success: bool,
    message_id: MessageId,
    /// `canceled`, `scheduled` or `accepted`.
    status: &'static str,
}

fn request(caller: &TenantCaller, message_id: MessageId, request_id: &RequestId) -> Request {
    Request {
        tenant: caller.tenant_id().clone(),
        message_id,
        by: sent_by(caller),
        request_id: Some(request_id.as_str().to_owned()),
    }
}

async fn cancel(
    caller: TenantCaller,
    id: MessageId,
    state: &AppState,
    request_id: &RequestId,
) -> Result<HttpResponse, ApiError> {
    state
        .amender
        .cancel(request(&caller, id, request_id))
        .await?;
    Ok(HttpResponse::Ok().json(AmendedView {
        success: true,
        message_id: id,
        status: "canceled",
    }))
}

/// Takes a message back that is not sent.
#[utoipa::path(
    tag = "messages",
    params(("message_id" = MessageId, Path, description = "The message")),
    responses(
        (status = 200, description = "It will not be sent", body = AmendedView),
        (status = 400, description = "The id is not a UUID"),
        (status = 401, description = "The token or API key is missing, expired or revoked"),
        (status = 403, description = "The API key lacks the scope messages:send"),
        (status = 404, description = "The organization has no such message"),
        (status = 409, description = "It is sent, or Meta may have it"),
        (status = 503, description = "Nothing was changed; try again"),
    ),
    security(("bearer" = []))
)]
#[delete("/api/messages/{message_id}")]
pub(crate) async fn delete_message(
    Guarded(MessageSender(caller), ValidPath(id)): Guarded<MessageSender, ValidPath<MessageId>>,
    state: web::Data<AppState>,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    cancel(caller, id, &state, &request_id).await
}

/// As `DELETE /api/messages/{message_id}`.
#[utoipa::path(
    tag = "messages",
    params(("message_id" = MessageId, Path, description = "The message")),
    responses(
        (status = 200, description = "It will not be sent", body = AmendedView),
        (status = 401, description = "The token or API key is missing, expired or revoked"),
        (status = 404, description = "The organization has no such message"),
        (status = 409, description = "It is sent, or Meta may have it"),
    ),
    security(("bearer" = []))
)]
#[post("/api/messages/{message_id}/cancel")]
pub(crate) async fn cancel_message(
    Guarded(MessageSender(caller), ValidPath(id)): Guarded<MessageSender, ValidPath<MessageId>>,
    state: web::Data<AppState>,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    cancel(caller, id, &state, &request_id).await
}

/// Changes the time or the content of a message while it is scheduled. A new content is checked as at
/// the doors that send.
#[utoipa::path(
    tag = "messages",
    params(("message_id" = MessageId, Path, description = "The message")),
    request_body = AmendMessageRequest,
    responses(
        (status = 200, description = "Changed", body = AmendedView),
        (status = 400, description = "Some fields cannot be used; all of them are named"),
        (status = 401, description = "The token or API key is missing, expired or revoked"),
        (status = 403, description = "The API key lacks the scope messages:send"),
        (status = 404, description = "The organization has no such message"),
        (status = 409, description = "It is no longer scheduled, or of another type, or its contact stopped marketing"),
        (status = 503, description = "Nothing was changed; try again"),
    ),
    security(("bearer" = []))
)]
#[patch("/api/messages/{message_id}")]
pub(crate) async fn amend_message(
    Guarded(MessageSender(caller), (ValidPath(id), ValidJson(body))): Guarded<
        MessageSender,
        (ValidPath<MessageId>, ValidJson<AmendMessageRequest>),
    >,
    state: web::Data<AppState>,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let change = Change::try_from(body).map_err(|fields| ApiError::validation(&fields))?;
    let request = request(&caller, id, &request_id);
    state.amender.amend(request, change).await?;
    Ok(HttpResponse::Ok().json(AmendedView {
        success: true,
        message_id: id,
        status: "scheduled",
    }))
}

/// Sends a failed message again, at the end of its conversation.
#[utoipa::path(
    tag = "messages",
    params(("message_id" = MessageId, Path, description = "The message")),
    request_body = RetryMessageRequest,
    responses(
        (status = 202, description = "It will be sent again", body = AmendedView),
        (status = 400, description = "Some fields cannot be used; all of them are named"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "This needs the role supervisor"),
        (status = 404, description = "The organization has no such message"),
        (status = 409, description = "It did not fail, or it may have arrived"),
        (status = 503, description = "Nothing was changed; try again"),
    ),
    security(("bearer" = []))
)]
#[post("/api/messages/{message_id}/retry")]
pub(crate) async fn retry_message(
    Guarded(SupervisorOfTenant(caller), (ValidPath(id), ValidJson(body))): Guarded<
        SupervisorOfTenant,
        (ValidPath<MessageId>, ValidJson<RetryMessageRequest>),
    >,
    state: web::Data<AppState>,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let request = request(&TenantCaller::User(caller), id, &request_id);
    state.amender.retry(request, body.accept_duplicate).await?;
    Ok(HttpResponse::Accepted().json(AmendedView {
        success: true,
        message_id: id,
        status: "accepted",
    }))
}
