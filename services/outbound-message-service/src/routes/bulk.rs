//! `POST /api/messages/bulk`

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, dev::Payload, http::StatusCode, post, web,
};
use chrono::Utc;
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use portal_auth::{Guarded, MessageSender};
use portal_events::EventContext;
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{BodyLimit, MediaType, RequestId, parse_json, read_body},
};
use portal_types::MessageId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::send::{
    DryRunAnswer, IDEMPOTENT_REPLAYED, SendHeaders, given_key, is_dry_run, is_key, preview,
    sent_by, told,
};
use crate::{
    domain::{Draft, SendMessageRequest, draft::SendClass},
    state::AppState,
    usecases::accept_message::{AcceptMessage, Acceptance, IdempotencyKey},
};

const MAX_ROWS: usize = 1000;

/// Many messages.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"messages": [
    {"to": "+1234567890", "type": "text", "text": {"body": "Hello"}, "idempotency_key": "row-1"},
]}))]
pub(crate) struct BulkRequest {
    /// 1 to 1000 bodies of `POST /api/messages`, each with an `idempotency_key` of its own if it
    /// has one.
    #[schema(value_type = Vec<SendMessageRequest>, min_items = 1, max_items = 1000)]
    messages: Vec<Map<String, Value>>,
    /// The class of messages that name none; `bulk` unless given.
    #[serde(default = "bulk")]
    class: SendClass,
    /// Only checks: nothing is stored and nothing sent.
    #[serde(default)]
    dry_run: bool,
}

const fn bulk() -> SendClass {
    SendClass::Bulk
}

/// What became of many messages.
#[derive(Serialize, ToSchema)]
pub(crate) struct BulkAnswer {
    /// Whether every message was accepted, now or before.
    success: bool,
    accepted: usize,
    replayed: usize,
    rejected: usize,
    /// One for each message, in the order of the request.
    results: Vec<BulkVerdict>,
}

/// What became of one of many messages.
#[derive(Serialize, ToSchema)]
pub(crate) struct BulkVerdict {
    /// The place of the message in the request, from 0 on.
    index: usize,
    /// `accepted`, `replayed` (its key was used before) or `rejected`; in a dry run `checked`.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<MessageId>,
    /// Why it was rejected: code, message and details as an error of `POST /api/messages` has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
    /// What a dry run found.
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<DryRunAnswer>,
}

/// The body, which may be larger than others.
pub(crate) struct BulkBody(BulkRequest, Vec<u8>);

impl FromRequest for BulkBody {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let state = request.app_data::<web::Data<AppState>>();
        let limit = state.map_or_else(BodyLimit::default, |state| state.bulk_body_limit);
        let body = read_body(request, payload, MediaType::Json, limit);
        async move {
            let body = body.await?;
            parse_json(&body).map(|request| Self(request, body.to_vec()))
        }
        .boxed_local()
    }
}

/// Sends up to 1,000 messages from the organization's number.
///
/// Each message has a verdict of its own: those that can be accepted are, all in one transaction,
/// and the others are named with what is wrong with them. With an `Idempotency-Key` the request can
/// be repeated: what was accepted then is not accepted again; it stands for the messages' own keys.
#[utoipa::path(
    tag = "messages",
    params(SendHeaders, ("dry_run" = Option<bool>, Query, description = "Only checks: nothing is stored and nothing sent")),
    request_body = BulkRequest,
    responses(
        (status = 202, description = "Some or all messages were accepted", body = BulkAnswer,
            headers(("Idempotent-Replayed" = bool, description = "Present when all of them were accepted before"))),
        (status = 200, description = "None was accepted, or it was a dry run", body = BulkAnswer),
        (status = 400, description = "The request itself cannot be used"),
        (status = 401, description = "The token or API key is missing, expired or revoked"),
        (status = 403, description = "The organization is suspended, or the API key lacks the scope messages:send"),
        (status = 409, description = "The organization has no WhatsApp configuration"),
        (status = 413, description = "The body is too large"),
        (status = 415, description = "The body is not JSON"),
        (status = 422, description = "The idempotency key was used for another request"),
        (status = 429, description = "Too many messages of the organization wait to be sent"),
        (status = 503, description = "Nothing was stored; try again"),
    ),
    security(("bearer" = []))
)]
#[post("/api/messages/bulk")]
pub(crate) async fn send_bulk(
    Guarded(MessageSender(caller), BulkBody(body, raw)): Guarded<MessageSender, BulkBody>,
    state: web::Data<AppState>,
    request_id: RequestId,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    if !(1..=MAX_ROWS).contains(&body.messages.len()) {
        let mut errors = FieldErrors::new();
        let count = body.messages.len();
        errors.add(
            "messages",
            format!("must have 1 to {MAX_ROWS} messages, has {count}: send them in parts"),
        );
        return Err(ApiError::validation(&errors));
    }
    let key = given_key(&request)?;
    let dry_run = body.dry_run || is_dry_run(&request)?;
    let context = EventContext::current(Some(request_id.as_str().to_owned()));
    let mut verdicts: Vec<Option<BulkVerdict>> = Vec::with_capacity(body.messages.len());
    let mut commands = Vec::new();
    for (index, row) in body.messages.into_iter().enumerate() {
        match read(row, body.class) {
            Ok((draft, own)) => {
                let of_request = key
                    .as_deref()
                    .map(|key| IdempotencyKey::of_row(key, index, &raw));
                verdicts.push(None);
                commands.push(AcceptMessage {
                    tenant: caller.tenant_id().clone(),
                    sent_by: sent_by(&caller),
                    draft,
                    idempotency: of_request.or(own),
                    context: context.clone(),
                });
            }
            Err(error) => verdicts.push(Some(rejected(index, &error, &request_id))),
        }
    }
    if dry_run {
        let mut results = Vec::with_capacity(verdicts.len());
        let mut commands = commands.into_iter();
        for (index, verdict) in verdicts.into_iter().enumerate() {
            if let Some(verdict) = verdict {
                results.push(verdict);
            } else if let Some(command) = commands.next() {
                results.push(BulkVerdict {
                    preview: Some(preview(&state, &command, &request_id).await?),
                    ..verdict_of(index, "checked")
                });
            }
        }
        return Ok(answer(results, false));
    }
    let outcomes = state
        .acceptor
        .accept_many(caller.tenant_id(), commands)
        .await?;
    let mut outcomes = outcomes.into_iter();
    let results = verdicts
        .into_iter()
        .enumerate()
        .filter_map(|(index, verdict)| {
            verdict.or_else(|| match outcomes.next()? {
                Ok(acceptance) => Some(accepted(index, &acceptance)),
                Err(error) => Some(rejected(index, &error.into(), &request_id)),
            })
        })
        .collect();
    Ok(answer(results, true))
}

/// A row's draft and its own key.
fn read(
    mut row: Map<String, Value>,
    class: SendClass,
) -> Result<(Draft, Option<IdempotencyKey>), ApiError> {
    let key = match row.remove("idempotency_key") {
        None | Some(Value::Null) => None,
        Some(Value::String(key)) if is_key(&key) => {
            let key = IdempotencyKey::new(key, "POST /api/messages", &row);
            Some(key.map_err(ApiError::internal)?)
        }
        Some(_) => {
            let mut errors = FieldErrors::new();
            errors.add(
                "idempotency_key",
                "must be 1 to 255 visible ASCII characters",
            );
            return Err(ApiError::validation(&errors));
        }
    };
    if !row.contains_key("class") {
        row.insert("class".to_owned(), json!(class));
    }
    let body = serde_json::to_vec(&row).map_err(ApiError::internal)?;
    let request: SendMessageRequest = parse_json(&body)?;
    Ok((request.into_draft(Utc::now())?, key))
}

fn verdict_of(index: usize, status: &'static str) -> BulkVerdict {
    BulkVerdict {
        index,
        status,
        message_id: None,
        error: None,
        preview: None,
    }
}

fn accepted(index: usize, acceptance: &Acceptance) -> BulkVerdict {
    BulkVerdict {
        message_id: Some(acceptance.answer.message_id),
        ..verdict_of(
            index,
            if acceptance.replayed {
                "replayed"
            } else {
                "accepted"
            },
        )
    }
}

fn rejected(index: usize, error: &ApiError, request_id: &RequestId) -> BulkVerdict {
    BulkVerdict {
        error: Some(told(error, request_id)),
        ..verdict_of(index, "rejected")
    }
}

fn answer(results: Vec<BulkVerdict>, is_real: bool) -> HttpResponse {
    let count = |status| {
        let with = results.iter().filter(|verdict| verdict.status == status);
        with.count()
    };
    let answer = BulkAnswer {
        success: count("rejected") == 0,
        accepted: count("accepted"),
        replayed: count("replayed"),
        rejected: count("rejected"),
        results,
    };
    let some = answer.accepted + answer.replayed > 0;
    let mut response = HttpResponse::build(if is_real && some {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    });
    if answer.accepted == 0 && answer.replayed > 0 {
        response.insert_header((IDEMPOTENT_REPLAYED, "true"));
    }
    response.json(answer)
}
