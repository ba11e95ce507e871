//! Meta's doors: `GET` and `POST /webhooks/whatsapp`, and `/webhooks/whatsapp/{tenant_id}` for
//! tenants with a Meta app of their own.
//!
//! Not part of the OpenAPI document: its shape is Meta's.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use portal_auth::sha256;
use portal_db::Scope;
use portal_service_kit::{ApiError, telemetry::propagation};
use portal_types::TenantId;
use portal_whatsapp::webhook::signature;
use secrecy::SecretString;
use serde::Deserialize;

use crate::{
    error::{from_db, from_secrets},
    state::AppState,
    store::intake::{self, NewPost},
    usecases::webhook_secrets::ValidSecrets,
};

/// Meta joins up to 1,000 changes in one post of at most 3 MB.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

pub(super) fn mount(config: &mut web::ServiceConfig) {
    for (path, get, post) in [
        (
            "/webhooks/whatsapp",
            web::get().to(verify),
            web::post().to(receive),
        ),
        (
            "/webhooks/whatsapp/{tenant_id}",
            web::get().to(verify_own),
            web::post().to(receive_own),
        ),
    ] {
        config.service(
            web::resource(path)
                .app_data(web::PayloadConfig::new(BODY_LIMIT))
                .route(get)
                .route(post),
        );
    }
}

#[derive(Deserialize)]
struct Verification {
    #[serde(rename = "hub.mode")]
    mode: Option<String>,
    #[serde(rename = "hub.challenge")]
    challenge: Option<String>,
    #[serde(rename = "hub.verify_token")]
    verify_token: Option<String>,
}

/// Answers the challenge when the address is entered at Meta.
async fn verify(
    state: web::Data<AppState>,
    query: web::Query<Verification>,
) -> Result<HttpResponse, ApiError> {
    let ours = std::slice::from_ref(&state.webhooks.verify_token);
    answer_challenge(ours, query.into_inner())
}

/// As [`verify`], for a tenant with a Meta app of its own.
async fn verify_own(
    state: web::Data<AppState>,
    tenant: web::Path<String>,
    query: web::Query<Verification>,
) -> Result<HttpResponse, ApiError> {
    let (_, valid) = own_secrets(&state, &tenant).await?;
    answer_challenge(&valid.verify_tokens, query.into_inner())
}

fn answer_challenge(ours: &[SecretString], given: Verification) -> Result<HttpResponse, ApiError> {
    let Verification {
        mode,
        challenge,
        verify_token,
    } = given;
    // All are tried whatever the ones before said, so the time tells nothing.
    let token_matches = verify_token.is_some_and(|token| {
        ours.iter().fold(false, |matches, ours| {
            signature::verify_token_matches(ours, &token) | matches
        })
    });
    match challenge {
        Some(challenge) if token_matches && mode.as_deref() == Some("subscribe") => {
            Ok(HttpResponse::Ok()
                .content_type("text/plain")
                .body(challenge))
        }
        _ => Err(ApiError::forbidden(
            "WEBHOOK_VERIFICATION_FAILED",
            "hub.mode must be subscribe and hub.verify_token the configured one",
        )),
    }
}

/// Takes what Meta posts for the deployment's app.
async fn receive(
    state: web::Data<AppState>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, ApiError> {
    check_signature(&state.webhooks.app_secrets, &request, &body)?;
    store(&state, body, None).await
}

/// Takes what Meta posts for a tenant's own app. It is believed about that tenant alone: the
/// tenant knows the secret, too.
async fn receive_own(
    state: web::Data<AppState>,
    tenant: web::Path<String>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, ApiError> {
    let (tenant, valid) = own_secrets(&state, &tenant).await?;
    check_signature(&valid.app_secrets, &request, &body)?;
    store(&state, body, tenant).await
}

/// The tenant's valid secrets. A tenant that does not exist has none, and is told nothing else.
async fn own_secrets(
    state: &AppState,
    tenant: &str,
) -> Result<(Option<TenantId>, Arc<ValidSecrets>), ApiError> {
    let Ok(tenant) = TenantId::parse(tenant) else {
        return Ok((None, Arc::default()));
    };
    let valid = state.webhooks.secrets.valid(&tenant).await;
    let valid = valid.map_err(from_secrets)?;
    Ok((Some(tenant), valid))
}

fn check_signature(
    secrets: &[SecretString],
    request: &HttpRequest,
    body: &[u8],
) -> Result<(), ApiError> {
    let given = request
        .headers()
        .get(signature::SIGNATURE_HEADER)
        .and_then(|value| value.to_str().ok());
    signature::verify(secrets, given, body).map_err(|error| {
        ApiError::unauthorized(
            "WEBHOOK_SIGNATURE_INVALID",
            "X-Hub-Signature-256 must be the HMAC-SHA256 of the body under the app secret",
        )
        .with_source(error)
    })
}

/// Stores a post and answers 200; it is applied afterwards. A 200 is never given for what is not
/// committed: Meta repeats everything else for days.
async fn store(
    state: &AppState,
    body: web::Bytes,
    signed_for: Option<TenantId>,
) -> Result<HttpResponse, ApiError> {
    let digest = sha256(&body);
    let traceparent = propagation::current_traceparent();
    state
        .db
        .write("intake.insert", Scope::Service, move |tx| {
            let post = NewPost {
                body: &body,
                body_sha256: &digest,
                signed_for: signed_for.as_ref(),
                traceparent: traceparent.as_deref(),
            };
            intake::insert(tx, &post)
        })
        .await
        .map_err(from_db)?;
    state.webhooks.arrived.notify_one();
    Ok(HttpResponse::Ok().finish())
}
