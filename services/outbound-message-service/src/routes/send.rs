//! `POST /api/messages/send`

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    post, web,
};
use portal_auth::{Guarded, MessageSender, TenantCaller};
use portal_events::{EventContext, catalogue::SentBy};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{RequestId, ValidJson},
};

use crate::{
    domain::{Draft, SendTextRequest},
    state::AppState,
    usecases::accept_message::{AcceptMessage, Accepted, IdempotencyKey},
};

const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
const IDEMPOTENT_REPLAYED: &str = "Idempotent-Replayed";
const MAX_KEY_CHARS: usize = 255;

/// Sends a text message from the organization's number.
///
/// 202 means that the message is stored and will be sent; `GET /api/messages/{message_id}` tells
/// what became of it.
#[utoipa::path(
    tag = "messages",
    params(("Idempotency-Key" = Option<String>, Header,
        description = "The same key and body within 24 hours answer the first response again")),
    request_body = SendTextRequest,
    responses(
        (status = 202, description = "Accepted: stored, and will be sent", body = Accepted,
            headers(
                ("Location" = String, description = "Where the message is found"),
                ("Idempotent-Replayed" = bool, description = "Present when the key was used before"),
            )),
        (status = 400, description = "Some fields cannot be used; all of them are named"),
        (status = 401, description = "The token or API key is missing, expired or revoked"),
        (status = 403, description = "The organization is suspended, or the API key lacks the scope messages:send"),
        (status = 409, description = "The organization has no WhatsApp configuration"),
        (status = 413, description = "The body is too large"),
        (status = 415, description = "The body is not JSON"),
        (status = 422, description = "The idempotency key was used for another request"),
        (status = 503, description = "Nothing was stored; try again"),
    ),
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
    let idempotency = idempotency_key(&request, &body)?;
    let draft = Draft::try_from(body).map_err(|fields| ApiError::validation(&fields))?;
    let command = AcceptMessage {
        tenant: caller.tenant_id().clone(),
        sent_by: sent_by(&caller),
        draft,
        idempotency,
        context: EventContext::current(Some(request_id.as_str().to_owned())),
    };
    let acceptance = state.acceptor.accept(command).await?;
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

fn sent_by(caller: &TenantCaller) -> SentBy {
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
    body: &SendTextRequest,
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
    IdempotencyKey::new(key.to_owned(), "POST /api/messages/send", body)
        .map(Some)
        .map_err(ApiError::internal)
}
