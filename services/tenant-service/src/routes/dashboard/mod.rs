//! The admin dashboard: its page, and the API on the page's own origin.

mod qr;
mod session;

use actix_web::{HttpRequest, HttpResponse, web};
use portal_service_kit::{ApiError, openapi, pages};
use rust_embed::RustEmbed;
use url::Url;

/// Everything under `web/`: the page, and `assets/` as they are.
#[derive(RustEmbed)]
#[folder = "web/"]
struct WebFiles;

/// What the page's answers depend on.
#[derive(Debug, Clone)]
pub(crate) struct Dashboard {
    /// Where browsers find it.
    pub(crate) origin: String,
    /// Cookies for HTTPS only.
    pub(crate) secure_cookies: bool,
    policy: String,
}

impl Dashboard {
    /// `sdk` is the address of Meta's script for Embedded Signup, where that is set up.
    pub(crate) fn new(origin: &str, secure_cookies: bool, sdk: Option<&Url>) -> Self {
        Self {
            origin: origin.to_owned(),
            secure_cookies,
            policy: policy(sdk),
        }
    }
}

/// Nothing but our own files and, where it is set up, Meta's script with what it asks.
fn policy(sdk: Option<&Url>) -> String {
    const META_SDK: &str = "https://connect.facebook.net";
    let sdk = sdk.map(|sdk| sdk.origin().ascii_serialization());
    let script = sdk.clone().unwrap_or_default();
    let (frames, calls) = match &sdk {
        None => ("'none'", ""),
        Some(origin) if origin == META_SDK => (
            "https://www.facebook.com https://web.facebook.com",
            "https://www.facebook.com https://web.facebook.com https://graph.facebook.com",
        ),
        Some(origin) => (origin.as_str(), origin.as_str()),
    };
    format!(
        "default-src 'none'; script-src 'self' {script}; style-src 'self'; img-src 'self'; \
         connect-src 'self' {calls}; frame-src {frames}; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

/// The page, its server side, and the API.
pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config
        .route("/session/login", web::post().to(session::login))
        .route("/session/refresh", web::post().to(session::refresh))
        .route("/session/logout", web::post().to(session::logout))
        .route("/session/qr", web::post().to(qr::draw))
        .route("/favicon.ico", web::get().to(favicon))
        .route("/assets/{path:.*}", web::get().to(asset));
    // One page; its script shows what belongs to the address.
    for path in [
        "/",
        "/login",
        "/tenants",
        "/tenants/{rest:.*}",
        "/import",
        "/audit",
        "/account",
    ] {
        config.route(path, web::get().to(page));
    }
    openapi::mount(config, super::configure);
}

async fn page(dashboard: web::Data<Dashboard>) -> Result<HttpResponse, ApiError> {
    let file = WebFiles::get("index.html")
        .ok_or_else(|| ApiError::internal(anyhow::anyhow!("the page is not in the program")))?;
    let html = String::from_utf8(file.data.into_owned()).map_err(ApiError::internal)?;
    Ok(pages::page(
        html,
        &dashboard.policy,
        dashboard.secure_cookies,
    ))
}

async fn asset(request: HttpRequest, path: web::Path<String>) -> HttpResponse {
    pages::asset::<WebFiles>(&request, &path)
}

async fn favicon(request: HttpRequest) -> HttpResponse {
    pages::asset::<WebFiles>(&request, "favicon.svg")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_sdk_that_is_set_up_may_run() {
        let none = policy(None);
        assert!(none.contains("script-src 'self' ;") && none.contains("frame-src 'none';"));
        let sandbox = policy(Some(&"http://localhost:3090/sdk.js?x=1".parse().unwrap()));
        assert!(
            sandbox.contains("script-src 'self' http://localhost:3090;"),
            "{sandbox}"
        );
        assert!(!sandbox.contains("facebook"), "{sandbox}");
        let meta = "https://connect.facebook.net/en_US/sdk.js".parse().unwrap();
        let meta = policy(Some(&meta));
        assert!(
            meta.contains("script-src 'self' https://connect.facebook.net;"),
            "{meta}"
        );
        assert!(
            meta.contains("frame-src https://www.facebook.com "),
            "{meta}"
        );
        assert!(!meta.contains("unsafe"), "{meta}");
    }
}
