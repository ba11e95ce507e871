//! The portal's own server side: it keeps the refresh token in a cookie that no script can read,
//! and gives the pages access tokens, which they keep in memory alone.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use portal_auth::random_token;
use portal_service_kit::{
    ApiError,
    http::{RequestId, ValidQuery},
    pages,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::{cookies::Kind, portal::see_other};
use crate::{
    state::AppState,
    usecases::{Cause, sign_in::browser_hash},
};

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config
        .route("/session/begin", web::get().to(begin))
        .route("/session/complete", web::get().to(complete))
        .route("/session/token", web::post().to(token))
        .route("/session/end", web::post().to(end));
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BeginQuery {
    region: Option<String>,
    tenant: Option<String>,
    genesys_org_id: Option<String>,
    login_hint: Option<String>,
}

/// Begins a sign-in: the browser gets a secret, the API its digest, and only a browser with the
/// secret can complete it.
async fn begin(
    state: web::Data<AppState>,
    request: HttpRequest,
    query: ValidQuery<BeginQuery>,
) -> Result<HttpResponse, ApiError> {
    let secret = match state.web.read_binding(&request, Kind::Begin) {
        Some(secret) => secret,
        None => random_token("").map_err(ApiError::internal)?,
    };
    let login = format!("{}/api/agents/auth/login", state.web.api_origin);
    let mut login = Url::parse(&login).map_err(ApiError::internal)?;
    let parameters = [
        ("return", Some("redirect".to_owned())),
        ("origin", Some(state.web.portal_origin.clone())),
        ("handoff", Some(browser_hash(secret.expose_secret()))),
        ("region", query.0.region),
        ("tenant", query.0.tenant),
        ("genesys_org_id", query.0.genesys_org_id),
        ("login_hint", query.0.login_hint),
    ];
    for (name, value) in parameters {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            login.query_pairs_mut().append_pair(name, &value);
        }
    }
    let cookie = secret.expose_secret().to_owned();
    Ok(HttpResponse::SeeOther()
        .insert_header((header::LOCATION, login.as_str()))
        .cookie(state.web.cookie(Kind::Begin, cookie))
        .finish())
}

#[derive(Debug, Deserialize)]
struct CompleteQuery {
    code: Option<String>,
}

/// Completes a sign-in: the code becomes a session of this browser.
async fn complete(
    state: web::Data<AppState>,
    request: HttpRequest,
    request_id: RequestId,
    query: web::Query<CompleteQuery>,
) -> HttpResponse {
    let secret = state.web.read_binding(&request, Kind::Begin);
    let secret = secret.as_ref().map(ExposeSecret::expose_secret);
    let code = query.0.code.unwrap_or_default();
    match state.sign_in.redeem(&code, secret).await {
        Ok(refresh) => {
            let cookie = refresh.expose_secret().to_owned();
            let mut response = see_other("/workspace");
            match response.add_cookie(&state.web.cookie(Kind::Session, cookie)) {
                Ok(()) => response,
                Err(error) => HttpResponse::from_error(ApiError::internal(error)),
            }
        }
        Err(error) => {
            let error = ApiError::from(error);
            tracing::info!(
                code = error.code(),
                cause = error.cause(),
                "a sign-in was not completed"
            );
            see_other(&format!(
                "/login?error={}&request={request_id}",
                error.code()
            ))
        }
    }
}

/// A fresh access token for the page, and the cookie's successor.
async fn token(
    state: web::Data<AppState>,
    request: HttpRequest,
    request_id: RequestId,
) -> HttpResponse {
    let result = async {
        pages::require_own_page(&request, &state.web.portal_origin)?;
        let presented = session_cookie(&state, &request)?;
        let cause = Cause::request(&request_id);
        Ok::<_, ApiError>(state.sessions.refresh(&presented, &cause).await?)
    };
    match result.await {
        Ok(refreshed) => {
            let cookie = refreshed.refresh.expose_secret().to_owned();
            HttpResponse::Ok()
                .cookie(state.web.cookie(Kind::Session, cookie))
                .json(json!({
                    "accessToken": refreshed.access.token.expose_secret(),
                    "expiresIn": refreshed.access.expires_in,
                }))
        }
        Err(error) => without_session(&state, error),
    }
}

/// Ends the session of this browser, at once and everywhere.
async fn end(
    state: web::Data<AppState>,
    request: HttpRequest,
    request_id: RequestId,
) -> HttpResponse {
    let result = async {
        pages::require_own_page(&request, &state.web.portal_origin)?;
        let presented = session_cookie(&state, &request)?;
        let cause = Cause::request(&request_id);
        Ok::<_, ApiError>(state.sessions.end_of_token(&presented, &cause).await?)
    };
    match result.await {
        Ok(()) => HttpResponse::Ok()
            .cookie(state.web.no_cookie(Kind::Session))
            .json(json!({"message": "You are signed out."})),
        Err(error) => without_session(&state, error),
    }
}

fn session_cookie(state: &AppState, request: &HttpRequest) -> Result<SecretString, ApiError> {
    let cookie = state.web.read_cookie(request, Kind::Session);
    cookie.map(SecretString::from).ok_or_else(|| {
        ApiError::unauthorized("SESSION_MISSING", "You are not signed in; sign in first.")
    })
}

/// A session that is over takes its cookie along; after a failure that passes it stays.
fn without_session(state: &AppState, error: ApiError) -> HttpResponse {
    let is_over = error.status() == StatusCode::UNAUTHORIZED
        || (error.status() == StatusCode::FORBIDDEN && error.code() != "ORIGIN_NOT_ALLOWED");
    let mut response = HttpResponse::from_error(error);
    if is_over && let Err(error) = response.add_cookie(&state.web.no_cookie(Kind::Session)) {
        tracing::error!(%error, "a cookie could not be taken away");
    }
    response
}
