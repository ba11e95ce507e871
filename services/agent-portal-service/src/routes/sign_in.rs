//! `GET /api/agents/auth/login` and `GET /api/agents/auth/callback`

use actix_web::{
    HttpRequest, HttpResponse, get,
    http::{StatusCode, header},
    web,
};
use portal_service_kit::{
    ApiError,
    http::{ClientAddress, RequestId, ValidQuery},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::{Url, form_urlencoded};
use utoipa::{IntoParams, ToSchema};

use super::{callback_page::CallbackPage, cookies::Kind};
use crate::{
    domain::ReturnMode,
    state::AppState,
    usecases::{
        Cause,
        sign_in::{BeginSignIn, Callback, Finished},
    },
};

/// How the outcome gets back to the front end.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ReturnTo {
    /// A page that posts a message to its opener.
    #[default]
    Popup,
    /// A redirect to `/session/complete?code=` (or `/login?error=`) of the portal origin.
    Redirect,
}

impl From<ReturnTo> for ReturnMode {
    fn from(value: ReturnTo) -> Self {
        match value {
            ReturnTo::Popup => Self::Popup,
            ReturnTo::Redirect => Self::Redirect,
        }
    }
}

/// What a front end says of the sign-in that it begins.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LoginQuery {
    /// How the outcome gets back: `popup` (default) or `redirect`.
    #[serde(rename = "return", default)]
    #[param(inline)]
    return_to: ReturnTo,
    /// One of the configured Genesys regions; the first of them if left out.
    region: Option<String>,
    /// The tenant to sign in to: its own OAuth client is used if it has one, and nobody of another
    /// organization gets in by this sign-in.
    tenant: Option<String>,
    /// As `tenant`, by the id of its Genesys organization.
    genesys_org_id: Option<String>,
    /// The origin of the front end, one of the configured ones; if left out, that of the `Referer`,
    /// or else the first configured one.
    origin: Option<String>,
    /// An e-mail address, an organization's name, or both joined by a colon: fills in Genesys' form.
    login_hint: Option<String>,
    /// For `return=redirect`: base64url of the SHA-256 of a secret that the front end's server keeps
    /// in this browser. Only a browser with that secret can redeem the code.
    handoff: Option<String>,
}

/// Sends the browser to Genesys Cloud to sign in.
#[utoipa::path(
    tag = "sign-in",
    params(LoginQuery),
    responses(
        (status = 302, description = "To Genesys' authorize page", headers(
            ("Location" = String, description = "With state and PKCE challenge"),
            ("Set-Cookie" = String, description = "Ties the sign-in to this browser"),
        )),
        (status = 400, description = "The region or the origin is not a configured one"),
        (status = 403, description = "The region is not the tenant's"),
        (status = 404, description = "The tenant is unknown or not active"),
        (status = 429, description = "Too many sign-ins from one address"),
        (status = 503, description = "Nobody can sign in at the moment"),
    )
)]
#[get("/api/agents/auth/login")]
pub(crate) async fn login(
    state: web::Data<AppState>,
    request: HttpRequest,
    request_id: RequestId,
    address: ClientAddress,
    query: ValidQuery<LoginQuery>,
) -> Result<HttpResponse, ApiError> {
    let query = query.0;
    let origin = query.origin.or_else(|| referer(&state, &request));
    let mode = ReturnMode::from(query.return_to);
    let begun = state
        .sign_in
        .begin(BeginSignIn {
            region: query.region,
            tenant: query.tenant,
            genesys_org_id: query.genesys_org_id,
            origin: origin.clone(),
            mode,
            login_hint: query.login_hint,
            handoff: query.handoff,
            browser: state
                .web
                .read_binding(&request, Kind::Login)
                .map(|secret| secret.expose_secret().to_owned()),
            address: address.0,
        })
        .await;
    match begun {
        Ok(begun) => {
            let cookie = begun.browser.expose_secret().to_owned();
            Ok(HttpResponse::Found()
                .insert_header((header::LOCATION, begun.location.as_str()))
                .cookie(state.web.cookie(Kind::Login, cookie))
                .finish())
        }
        Err(error) => {
            let origin = state.sign_in.origin(origin.as_deref()).ok();
            let error = ApiError::from(error);
            if wants_page(&request) {
                Ok(failure(&state, origin, mode, &request_id, error))
            } else {
                Err(error)
            }
        }
    }
}

/// Takes the browser back from Genesys Cloud and answers with a page that tells the front end.
///
/// The page posts one message to its opener, for the origin that began the sign-in alone, and
/// closes; without an opener it shows the outcome. With `return=redirect` it is a redirect.
#[utoipa::path(
    tag = "sign-in",
    params(
        ("code" = Option<String>, Query, description = "From Genesys"),
        ("state" = Option<String>, Query, description = "As Genesys got it; works once"),
        ("error" = Option<String>, Query, description = "From Genesys, instead of a code"),
    ),
    responses(
        (status = 200, description = "Signed in", content_type = "text/html", body = String),
        (status = 303, description = "For return=redirect: back to the portal"),
        (status = 400, description = "The state or the code is not good any more", content_type = "text/html", body = String),
        (status = 403, description = "The person may not come in; the page says why", content_type = "text/html", body = String),
        (status = 404, description = "No tenant has the Genesys organization", content_type = "text/html", body = String),
        (status = 502, description = "Genesys does not accept this portal", content_type = "text/html", body = String),
        (status = 503, description = "Genesys or a part of ours is away", content_type = "text/html", body = String),
    )
)]
#[get("/api/agents/auth/callback")]
pub(crate) async fn callback(
    state: web::Data<AppState>,
    request: HttpRequest,
    request_id: RequestId,
) -> HttpResponse {
    let user_agent = request.headers().get(header::USER_AGENT);
    let finished = state
        .sign_in
        .finish(Callback {
            code: only(&request, "code").map(SecretString::from),
            state: only(&request, "state").map(SecretString::from),
            error: only(&request, "error"),
            browser: state.web.read_binding(&request, Kind::Login),
            user_agent: user_agent
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
            cause: Cause::request(&request_id),
        })
        .await;
    let Finished { begun, result } = finished;
    let origin = begun.as_ref().map(|begun| begun.origin.as_str());
    let mode = begun.as_ref().map_or(ReturnMode::Popup, |begun| begun.mode);
    match (result, origin) {
        (Ok(signed_in), Some(origin)) => match &signed_in.handoff {
            Some(code) => redirect(
                origin,
                "session/complete",
                &[("code", code.expose_secret())],
            ),
            None => page(&state, Some(origin), &request_id).success(&signed_in),
        },
        (Ok(_), None) => {
            let lost = anyhow::anyhow!("a finished sign-in has no origin");
            HttpResponse::from_error(ApiError::internal(lost))
        }
        (Err(error), origin) => failure(&state, origin, mode, &request_id, error.into()),
    }
}

fn page<'a>(
    state: &'a AppState,
    origin: Option<&'a str>,
    request_id: &'a RequestId,
) -> CallbackPage<'a> {
    CallbackPage {
        origin,
        portal_origin: &state.web.portal_origin,
        request_id,
    }
}

fn failure(
    state: &AppState,
    origin: Option<&str>,
    mode: ReturnMode,
    request_id: &RequestId,
    error: ApiError,
) -> HttpResponse {
    match (mode, origin) {
        (ReturnMode::Redirect, Some(origin)) => {
            let parameters = [("error", error.code()), ("request", request_id.as_str())];
            let code = error.code();
            let cause = error.cause();
            tracing::info!(
                code,
                cause,
                "a sign-in goes back to the portal without a session"
            );
            redirect(origin, "login", &parameters)
        }
        _ => page(state, origin, request_id).failure(error),
    }
}

/// To a page of a configured origin.
fn redirect(origin: &str, path: &str, parameters: &[(&str, &str)]) -> HttpResponse {
    match Url::parse_with_params(&format!("{origin}/{path}"), parameters) {
        Ok(url) => HttpResponse::build(StatusCode::SEE_OTHER)
            .insert_header((header::LOCATION, url.as_str()))
            .finish(),
        Err(error) => HttpResponse::from_error(ApiError::internal(error)),
    }
}

/// A parameter that is given once; Genesys may add others, and nobody needs one twice.
fn only(request: &HttpRequest, name: &str) -> Option<String> {
    let mut found = form_urlencoded::parse(request.query_string().as_bytes())
        .filter(|(key, value)| key == name && !value.is_empty());
    let first = found.next()?;
    found.next().is_none().then(|| first.1.into_owned())
}

fn referer(state: &AppState, request: &HttpRequest) -> Option<String> {
    let referer = request.headers().get(header::REFERER)?.to_str().ok()?;
    let origin = Url::parse(referer).ok()?.origin().ascii_serialization();
    state.sign_in.origin(Some(&origin)).ok().map(str::to_owned)
}

fn wants_page(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT);
    accept
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}
