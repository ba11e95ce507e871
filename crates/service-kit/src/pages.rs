//! Pages of our own: how they are served, and who may call the server side of one.

use actix_web::{HttpRequest, HttpResponse, http::header};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rust_embed::RustEmbed;

use crate::error::ApiError;

/// What the pages of all services share: `web/` of this crate.
#[derive(RustEmbed)]
#[folder = "web/"]
struct SharedFiles;

/// A page of another site cannot send it without asking us first.
pub const PAGE_HEADER: &str = "x-portal-request";

/// An HTML page under its policy.
pub fn page(body: impl Into<String>, policy: &str, https_only: bool) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .insert_header((
            header::CROSS_ORIGIN_OPENER_POLICY,
            "same-origin-allow-popups",
        ))
        .insert_header((
            "permissions-policy",
            "camera=(), geolocation=(), microphone=()",
        ));
    if https_only {
        response.insert_header((
            header::STRICT_TRANSPORT_SECURITY,
            "max-age=31536000; includeSubDomains",
        ));
    }
    response.body(body.into())
}

/// The file `name` of the service's own `assets/`, or of those that all services share; else 404.
pub fn asset<Own: RustEmbed>(request: &HttpRequest, name: &str) -> HttpResponse {
    let own = Own::get(&format!("assets/{name}"));
    let Some(file) = own.or_else(|| SharedFiles::get(name)) else {
        return HttpResponse::from_error(ApiError::not_found(
            "NOT_FOUND",
            "There is nothing at this address.",
        ));
    };
    let digest = URL_SAFE_NO_PAD.encode(file.metadata.sha256_hash());
    let etag = format!("\"{digest}\"");
    let known = request.headers().get(header::IF_NONE_MATCH);
    let is_known = known.is_some_and(|value| value.as_bytes() == etag.as_bytes());
    let mut response = if is_known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((header::ETAG, etag))
        // Asked for each time, so that a new release is seen at once; 304 makes that cheap.
        .insert_header((header::CACHE_CONTROL, "no-cache"));
    if is_known {
        return response.finish();
    }
    response
        .content_type(file.metadata.mimetype())
        .body(file.data.into_owned())
}

/// Only the pages of `origin` may ask: a cookie alone proves nothing about who does.
pub fn require_own_page(request: &HttpRequest, origin: &str) -> Result<(), ApiError> {
    let header = |name: &str| {
        let value = request.headers().get(name)?;
        value.to_str().ok()
    };
    let is_own = header("origin") == Some(origin)
        && header(PAGE_HEADER).is_some()
        && header("sec-fetch-site").is_none_or(|site| site == "same-origin");
    if is_own {
        Ok(())
    } else {
        Err(ApiError::forbidden(
            "ORIGIN_NOT_ALLOWED",
            "Only the portal's own pages may ask for this.",
        ))
    }
}
