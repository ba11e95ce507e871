//! `POST /api/messages`, `POST /api/messages/send`, `POST /api/messages/send/template`

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    post, web,
};
use chrono::{DateTime, Utc};
use portal_auth::{Guarded, MessageSender, TenantCaller};
use portal_events::{EventContext, catalogue::SentBy};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{RequestId, ValidJson},
};
use serde::Serialize;

use crate::{
    domain::{Draft, SendMessageRequest, SendTemplateRequest, SendTextRequest},
    state::AppState,
    usecases::accept_message::{AcceptMessage, Accepted, IdempotencyKey},
};

const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
const IDEMPOTENT_REPLAYED: &str = "Idempotent-Replayed";
const MAX_KEY_CHARS: usize = 255;

/// Headers of the doors that send.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only described")]
struct SendHeaders {
    /// The same key and body within 24 hours answer the first response again
    #[param(rename = "Idempotency-Key", max_length = 255)]
    idempotency_key: Option<String>,
}

/// Answers of the doors that send.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only described")]
enum SendAnswer {
    /// Accepted: stored, and will be sent
    #[response(status = 202, headers(
        ("Location" = String, description = "Where the message is found"),
        ("Idempotent-Replayed" = bool, description = "Present when the key was used before"),
    ))]
    Accepted(Accepted),
    /// Some fields cannot be used; all of them are named
    #[response(status = 400)]
    Invalid,
    /// The token or API key is missing, expired or revoked
    #[response(status = 401)]
    Unauthorized,
    /// The organization is suspended, the API key lacks the scope messages:send, or the organization
    /// does not allow raw content
    #[response(status = 403)]
    Forbidden,
    /// The organization has no WhatsApp configuration
    #[response(status = 409)]
    NotConfigured,
    /// The body is too large
    #[response(status = 413)]
    TooLarge,
    /// The body is not JSON
    #[response(status = 415)]
    NotJson,
    /// The idempotency key was used for another request
    #[response(status = 422)]
    KeyReused,
    /// Nothing was stored; try again
    #[response(status = 503)]
    Unavailable,
}

/// Sends a message of any type from the organization's number.
///
/// The content stands under the name of its type, in the form of Meta's Cloud API, and is checked
/// against every documented limit. 202 means that the message is stored and will be sent; `GET
/// /api/messages/{message_id}` tells what became of it.
#[utoipa::path(
    tag = "messages",
    params(SendHeaders),
    request_body = SendMessageRequest,
    responses(SendAnswer),
    security(("bearer" = []))
)]
#[post("/api/messages")]
pub(crate) async fn send_message(
    Guarded(MessageSender(caller), ValidJson(body)): Guarded<
        MessageSender,
        ValidJson<SendMessageRequest>,
    >,
    state: web::Data<AppState>,
    request_id: RequestId,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let door = Door {
        route: "POST /api/messages",
        caller,
        state,
        request_id,
        request,
    };
    door.accept(body, SendMessageRequest::into_draft).await
}

/// Sends a text message from the organization's number.
///
/// 202 means that the message is stored and will be sent; `GET /api/messages/{message_id}` tells
/// what became of it.
#[utoipa::path(
    tag = "messages",
    params(SendHeaders),
    request_body = SendTextRequest,
    responses(SendAnswer),
    security(("bearer" = []))
)]
#[post("/api/messages/send")]
pub(crate) async fn send_text(
    Guarded(MessageSender(caller), ValidJson(body)): Guarded<
        MessageSender,
        ValidJson<SendTextRequest>,
    >,
    state: web::Data<AppState>,
    request_id: RequestId,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let door = Door {
        route: "POST /api/messages/send",
        caller,
        state,
        request_id,
        request,
    };
    door.accept(body, SendTextRequest::into_draft).await
}

/// Sends a template from the organization's number, with the values of its variables.
///
/// The values are given in short form (`header`, `parameters`, `buttons`) or whole (`components`, as
/// Meta has them). 202 means that the message is stored and will be sent; `GET
/// /api/messages/{message_id}` tells what became of it.
#[utoipa::path(
    tag = "messages",
    params(SendHeaders),
    request_body = SendTemplateRequest,
    responses(SendAnswer),
    security(("bearer" = []))
)]
#[post("/api/messages/send/template")]
pub(crate) async fn send_template(
    Guarded(MessageSender(caller), ValidJson(body)): Guarded<
        MessageSender,
        ValidJson<SendTemplateRequest>,
    >,
    state: web::Data<AppState>,
    request_id: RequestId,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let door = Door {
        route: "POST /api/messages/send/template",
        caller,
        state,
        request_id,
        request,
    };
    door.accept(body, SendTemplateRequest::into_draft).await
}

/// A request at one of the doors.
struct Door {
    route: &'static str,
    caller: TenantCaller,
    state: web::Data<AppState>,
    request_id: RequestId,
    request: HttpRequest,
}

impl Door {
    async fn accept<B: Serialize>(
        self,
        body: B,
        into_draft: impl FnOnce(B, DateTime<Utc>) -> Result<Draft, FieldErrors>,
    ) -> Result<HttpResponse, ApiError> {
        let idempotency = idempotency_key(&self.request, self.route, &body)?;
        let draft = into_draft(body, Utc::now())?;
        let command = AcceptMessage {
            tenant: self.caller.tenant_id().clone(),
            sent_by: sent_by(&self.caller),
            draft,
            idempotency,
            context: EventContext::current(Some(self.request_id.as_str().to_owned())),
        };
        let acceptance = self.state.acceptor.accept(command).await?;
        let mut response = HttpResponse::build(StatusCode::ACCEPTED);
        response.insert_header((
            header::LOCATION,
            format!("/api/messages/{}", acceptance.answer.message_id),
        ));
        if acceptance.replayed {
            response.insert_header((IDEMPOTENT_REPLAYED, "true"));
        }
        Ok(response.json(acceptance.answer))
    }
}

/// Who a message or its change is by.
pub(super) fn sent_by(caller: &TenantCaller) -> SentBy {
    let (kind, id) = match caller {
        TenantCaller::User(person) => ("user", person.user_id.to_string()),
        TenantCaller::ApiKey(key) => ("api_key", key.key_id.to_string()),
    };
    SentBy {
        kind: kind.to_owned(),
        id,
    }
}

fn idempotency_key(
    request: &HttpRequest,
    route: &str,
    body: &impl Serialize,
) -> Result<Option<IdempotencyKey>, ApiError> {
    let Some(value) = request.headers().get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .filter(|key| (1..=MAX_KEY_CHARS).contains(&key.len()))
        .filter(|key| key.chars().all(|c| c.is_ascii_graphic()));
    let Some(key) = key else {
        let mut errors = FieldErrors::new();
        errors.add(IDEMPOTENCY_KEY, "must be 1 to 255 visible ASCII characters");
        return Err(ApiError::validation(&errors));
    };
    IdempotencyKey::new(key.to_owned(), route, body)
        .map(Some)
        .map_err(ApiError::internal)
}
