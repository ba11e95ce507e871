//! Meta's door: `GET` and `POST /webhooks/whatsapp`.
//!
//! Not part of the OpenAPI document: its shape is Meta's.

use actix_web::{HttpRequest, HttpResponse, web};
use portal_auth::sha256;
use portal_db::Scope;
use portal_service_kit::{ApiError, telemetry::propagation};
use portal_whatsapp::webhook::signature;
use serde::Deserialize;

use crate::{
    error::from_db,
    state::AppState,
    store::intake::{self, NewPost},
};

/// Meta joins up to 1,000 changes in one post of at most 3 MB.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

pub(super) fn mount(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/webhooks/whatsapp")
            .app_data(web::PayloadConfig::new(BODY_LIMIT))
            .route(web::get().to(verify))
            .route(web::post().to(receive)),
    );
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
    let Verification {
        mode,
        challenge,
        verify_token,
    } = query.into_inner();
    let token_matches = verify_token
        .is_some_and(|token| signature::verify_token_matches(&state.webhooks.verify_token, &token));
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

/// Stores what Meta posts and answers 200; it is applied afterwards. A 200 is never given for what
/// is not committed: Meta repeats everything else for days.
async fn receive(
    state: web::Data<AppState>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse, ApiError> {
    let given = request
        .headers()
        .get(signature::SIGNATURE_HEADER)
        .and_then(|value| value.to_str().ok());
    if let Err(error) = signature::verify(&state.webhooks.app_secrets, given, &body) {
        return Err(ApiError::unauthorized(
            "WEBHOOK_SIGNATURE_INVALID",
            "X-Hub-Signature-256 must be the HMAC-SHA256 of the body under the app secret",
        )
        .with_source(error));
    }
    let digest = sha256(&body);
    let traceparent = propagation::current_traceparent();
    state
        .db
        .write("intake.insert", Scope::Service, move |tx| {
            let post = NewPost {
                body: &body,
                body_sha256: &digest,
                signed_for: None,
                traceparent: traceparent.as_deref(),
            };
            intake::insert(tx, &post)
        })
        .await
        .map_err(from_db)?;
    state.webhooks.arrived.notify_one();
    Ok(HttpResponse::Ok().finish())
}
