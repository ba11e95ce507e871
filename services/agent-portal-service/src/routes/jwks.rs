//! `GET /.well-known/jwks.json`

use actix_web::{HttpResponse, get, http::header, web};
use portal_auth::JWKS_FRESH_FOR;
use portal_service_kit::ApiError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{error::not_ready, state::AppState};

/// The published keys (RFC 7517).
#[derive(Serialize, ToSchema)]
struct JwksView {
    keys: Vec<JwkView>,
}

/// An Ed25519 key (RFC 8037).
#[derive(Serialize, ToSchema)]
struct JwkView {
    /// Always `OKP`.
    kty: String,
    /// Always `Ed25519`.
    crv: Option<String>,
    /// The public key, base64url.
    x: Option<String>,
    /// The `kid` of tokens that it signed.
    kid: Option<String>,
    /// Always `sig`.
    #[serde(rename = "use")]
    r#use: Option<String>,
    /// Always `EdDSA`.
    alg: Option<String>,
}

/// The keys that access tokens are checked with.
#[utoipa::path(
    tag = "keys",
    responses(
        (status = 200, description = "The key that signs, the next one, and those whose tokens may still be valid", body = JwksView),
        (status = 503, description = "The service is starting"),
    )
)]
#[get("/.well-known/jwks.json")]
pub(crate) async fn jwks(state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    if !state.signing_keys.are_loaded() {
        return Err(not_ready());
    }
    let keys = state.signing_keys.jwks().keys.into_iter();
    let view = JwksView {
        keys: keys
            .map(|key| JwkView {
                kty: key.kty,
                crv: key.crv,
                x: key.x,
                kid: key.kid,
                r#use: key.r#use,
                alg: key.alg,
            })
            .collect(),
    };
    // As long as our own services believe it.
    let cache = format!("public, max-age={}", JWKS_FRESH_FOR.as_secs());
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, cache))
        .json(view))
}
