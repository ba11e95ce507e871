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
    error::from_db,
    state::AppState,
    usecases::{
        accept_message::{AcceptMessage, Accepted, IdempotencyKey},
        preview::Preview,
    },
};

const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
pub(super) const IDEMPOTENT_REPLAYED: &str = "Idempotent-Replayed";
const MAX_KEY_CHARS: usize = 255;

/// Headers of the doors that send.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only described")]
pub(super) struct SendHeaders {
    /// The same key and body within 24 hours answer the first response again
    #[param(rename = "Idempotency-Key", max_length = 255)]
    idempotency_key: Option<String>,
}

/// Queries of the doors that send.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
struct SendQuery {
    /// Only checks: answers 200 with what was found; nothing is stored and nothing sent
    dry_run: Option<bool>,
}

/// Answers of the doors that send.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only described")]
enum SendAnswer {
    /// A dry run: what was found
    #[response(status = 200)]
    DryRun(DryRunAnswer),
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
    /// The organization has no WhatsApp configuration, the contact's customer service window is
    /// closed (`WINDOW_CLOSED`), or the contact stopped marketing (`MARKETING_STOPPED`)
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
    /// Too many requests, or too many messages of the organization wait to be sent
    /// (`TENANT_BACKLOG_FULL`)
    #[response(status = 429)]
    TooMany,
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
    params(SendHeaders, SendQuery),
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
    params(SendHeaders, SendQuery),
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
    params(SendHeaders, SendQuery),
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
        let is_dry_run = is_dry_run(&self.request)?;
        let draft = match into_draft(body, Utc::now()) {
            Err(fields) if is_dry_run => {
                let refusal = ApiError::validation(&fields);
                return Ok(HttpResponse::Ok().json(not_ok(&refusal, &self.request_id)));
            }
            draft => draft?,
        };
        let command = AcceptMessage {
            tenant: self.caller.tenant_id().clone(),
            sent_by: sent_by(&self.caller),
            draft,
            idempotency,
            context: EventContext::current(Some(self.request_id.as_str().to_owned())),
        };
        if is_dry_run {
            let preview = preview(&self.state, &command, &self.request_id).await?;
            return Ok(HttpResponse::Ok().json(preview));
        }
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
    given_key(request)?
        .map(|key| IdempotencyKey::new(key, route, body))
        .transpose()
        .map_err(ApiError::internal)
}

/// What `?dry_run=true` finds.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct DryRunAnswer {
    /// Whether the message would be accepted.
    ok: bool,
    /// Why not: code, message and details as an error of the door has them.
    errors: Vec<serde_json::Value>,
    /// What Meta may refuse.
    warnings: Vec<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    preview: Option<Preview>,
}

/// Checks a message, stores nothing and sends nothing.
pub(super) async fn preview(
    state: &AppState,
    command: &AcceptMessage,
    request_id: &RequestId,
) -> Result<DryRunAnswer, ApiError> {
    let found = state
        .dry_run
        .look(&command.tenant, &command.draft)
        .await
        .map_err(from_db)?;
    let errors: Vec<_> = found
        .errors
        .into_iter()
        .map(|error| told(&ApiError::from(error), request_id))
        .collect();
    Ok(DryRunAnswer {
        ok: errors.is_empty(),
        errors,
        warnings: found.warnings,
        preview: found.preview,
    })
}

fn not_ok(refusal: &ApiError, request_id: &RequestId) -> DryRunAnswer {
    DryRunAnswer {
        ok: false,
        errors: vec![told(refusal, request_id)],
        warnings: Vec::new(),
        preview: None,
    }
}

/// An error as it stands in the body of one.
pub(super) fn told(refusal: &ApiError, request_id: &RequestId) -> serde_json::Value {
    let mut body = refusal.body(request_id);
    body.get_mut("error")
        .map(serde_json::Value::take)
        .unwrap_or_default()
}

#[derive(serde::Deserialize)]
struct DryRunQuery {
    #[serde(default)]
    dry_run: bool,
}

/// Whether the request asks for checks only.
pub(super) fn is_dry_run(request: &HttpRequest) -> Result<bool, ApiError> {
    if request.query_string().is_empty() {
        return Ok(false);
    }
    let query = web::Query::<DryRunQuery>::from_query(request.query_string());
    query.map(|query| query.dry_run).map_err(|_invalid| {
        let mut errors = FieldErrors::new();
        errors.add("dry_run", "must be true or false");
        ApiError::validation(&errors)
    })
}

/// Whether a text can be an idempotency key.
pub(super) fn is_key(key: &str) -> bool {
    (1..=MAX_KEY_CHARS).contains(&key.len()) && key.chars().all(|c| c.is_ascii_graphic())
}

/// The key that the request was given, if it was.
pub(super) fn given_key(request: &HttpRequest) -> Result<Option<String>, ApiError> {
    let Some(value) = request.headers().get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = value.to_str().ok().filter(|key| is_key(key));
    let Some(key) = key else {
        let mut errors = FieldErrors::new();
        errors.add(IDEMPOTENCY_KEY, "must be 1 to 255 visible ASCII characters");
        return Err(ApiError::validation(&errors));
    };
    Ok(Some(key.to_owned()))
}
