//! The agent portal's pages and their assets.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use portal_service_kit::{ApiError, http::RequestId, pages};

use super::{
    advice::advice,
    cookies::Kind,
    html::{self, Value, WebFiles},
};
use crate::state::{AppState, WebSettings};

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config
        .route("/", web::get().to(home))
        .route("/login", web::get().to(login))
        .route("/workspace", web::get().to(workspace))
        .route("/profile", web::get().to(profile))
        .route("/favicon.ico", web::get().to(favicon))
        .route("/assets/{name}", web::get().to(asset));
}

async fn home(state: web::Data<AppState>, request: HttpRequest) -> HttpResponse {
    let is_signed_in = state.web.read_cookie(&request, Kind::Session).is_some();
    see_other(if is_signed_in { "/workspace" } else { "/login" })
}

/// `?error=` names why the last sign-in did not work, `?request=` the request that said so.
async fn login(state: web::Data<AppState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let query = |wanted: &str| {
        url::form_urlencoded::parse(request.query_string().as_bytes())
            .find(|(name, value)| name == wanted && !value.is_empty())
            .map(|(_, value)| value.into_owned())
    };
    let error = query("error");
    if error.is_none() && state.web.read_cookie(&request, Kind::Session).is_some() {
        return Ok(see_other("/workspace"));
    }
    let notice = match &error {
        Some(code) => notice(code, query("request").as_deref())?,
        None => String::new(),
    };
    let values = [
        ("notice", Value::Html(notice)),
        ("regions", Value::Html(regions(&state.web)?)),
    ];
    page(&state.web, "login.html", &values)
}

fn notice(code: &str, request_id: Option<&str>) -> Result<String, ApiError> {
    let advice = advice(code);
    // Both come from the address: only what has the form of ours is shown.
    let is_code =
        |code: &&str| code.len() <= 40 && code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    let code = Some(code).filter(is_code);
    let request_id = request_id.and_then(RequestId::parse);
    let reference: Vec<String> = code
        .map(str::to_owned)
        .into_iter()
        .chain(request_id.map(|id| id.to_string()))
        .collect();
    html::page(
        "notice.html",
        &[
            ("headline", advice.headline.into()),
            ("what_to_do", advice.what_to_do.into()),
            ("reference", reference.join(" · ").as_str().into()),
        ],
    )
    .map_err(ApiError::internal)
}

/// One region needs no choice.
fn regions(settings: &WebSettings) -> Result<String, ApiError> {
    if settings.regions.len() < 2 {
        return Ok(String::new());
    }
    let options: Result<String, ApiError> = settings
        .regions
        .iter()
        .map(|region| {
            html::page("region.html", &[("region", region.as_str().into())])
                .map_err(ApiError::internal)
        })
        .collect();
    html::page("regions.html", &[("options", Value::Html(options?))]).map_err(ApiError::internal)
}

async fn workspace(state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let api = state.web.api_origin.as_str();
    page(&state.web, "workspace.html", &[("api_origin", api.into())])
}

async fn profile(state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let api = state.web.api_origin.as_str();
    page(&state.web, "profile.html", &[("api_origin", api.into())])
}

fn page(
    settings: &WebSettings,
    name: &str,
    values: &[(&str, Value)],
) -> Result<HttpResponse, ApiError> {
    let body = html::page(name, values).map_err(ApiError::internal)?;
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self' {}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        settings.api_origin
    );
    Ok(pages::page(body, &policy, settings.secure_cookies))
}

async fn asset(request: HttpRequest, name: web::Path<String>) -> HttpResponse {
    pages::asset::<WebFiles>(&request, &name)
}

async fn favicon(request: HttpRequest) -> HttpResponse {
    pages::asset::<WebFiles>(&request, "favicon.svg")
}

pub(super) fn see_other(path: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, path))
        .finish()
}
