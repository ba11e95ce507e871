//! The edge of a service: one log line per request, errors always in our shape, safe headers.

use std::time::{Duration, Instant};

use actix_cors::Cors;
use actix_web::{
    HttpRequest, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};

use crate::error::ApiError;

/// The method as a label: a closed set, whatever callers send.
pub(crate) fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    }
}

/// Gives the framework's own errors our shape and logs the outcome once.
pub(crate) async fn boundary(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, actix_web::Error> {
    let started = Instant::now();
    let method = method_name(request.method());
    let route = request.match_pattern().unwrap_or_else(|| "none".to_owned());
    let response = next.call(request).await?.map_into_boxed_body();
    let is_ours = response
        .response()
        .error()
        .is_some_and(|error| error.as_error::<ApiError>().is_some());
    let has_type = response.headers().contains_key(header::CONTENT_TYPE);
    let failed = response.status().is_client_error() || response.status().is_server_error();
    let is_frameworks = failed && !is_ours && (!has_type || response.response().error().is_some());
    let response = if is_frameworks {
        in_our_shape(response)
    } else {
        response
    };
    log_outcome(method, &route, &response, started.elapsed());
    Ok(response)
}

fn in_our_shape(response: ServiceResponse) -> ServiceResponse {
    let status = response.status();
    let mut headers = response.headers().clone();
    headers.remove(header::CONTENT_TYPE);
    headers.remove(header::CONTENT_LENGTH);
    let mut shaped = response.into_response(HttpResponse::from_error(generic_error(status)));
    for (name, value) in headers {
        shaped.headers_mut().append(name, value);
    }
    shaped
}

fn generic_error(status: StatusCode) -> ApiError {
    match status {
        StatusCode::NOT_FOUND => not_found(),
        StatusCode::METHOD_NOT_ALLOWED => method_not_allowed(),
        StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::new(status, "BODY_TOO_LARGE", "The request body is too large.")
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ApiError::new(
            status,
            "UNSUPPORTED_MEDIA_TYPE",
            "The content type of the request is not supported.",
        ),
        status if status.is_server_error() => {
            ApiError::internal(anyhow::anyhow!("the framework answered {status}"))
        }
        status => ApiError::new(status, "BAD_REQUEST", "The request cannot be understood."),
    }
}

fn log_outcome(method: &str, route: &str, response: &ServiceResponse, took: Duration) {
    let status = response.status();
    let error = response
        .response()
        .error()
        .and_then(|error| error.as_error::<ApiError>());
    let code = error.map(ApiError::code);
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let is_probe = route.starts_with("/health");
    if is_probe && status == StatusCode::SERVICE_UNAVAILABLE {
        // An answer, and at a start the usual one: what is missing is in its body.
        tracing::warn!(route, took_ms, "not ready");
    } else if status.is_server_error() {
        let cause = error.and_then(ApiError::cause);
        tracing::error!(
            method,
            route,
            status = status.as_u16(),
            code,
            took_ms,
            cause,
            "request failed"
        );
    } else if status.is_client_error() {
        tracing::info!(
            method,
            route,
            status = status.as_u16(),
            code,
            took_ms,
            "request refused"
        );
    } else if is_probe || route == "/metrics" {
        tracing::debug!(
            method,
            route,
            status = status.as_u16(),
            took_ms,
            "request answered"
        );
    } else {
        tracing::info!(
            method,
            route,
            status = status.as_u16(),
            took_ms,
            "request answered"
        );
    }
}

fn not_found() -> ApiError {
    ApiError::not_found("NOT_FOUND", "There is nothing at this address.")
}

fn method_not_allowed() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "METHOD_NOT_ALLOWED",
        "This address does not answer this method.",
    )
}

/// The paths of the API with their methods: the router itself cannot tell an unknown path from a
/// known path with another method.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownPaths(Vec<(Vec<Option<String>>, String)>);

impl KnownPaths {
    pub(crate) fn of(document: &utoipa::openapi::OpenApi) -> Self {
        let paths = document.paths.paths.iter().map(|(path, item)| {
            let segments = path
                .trim_matches('/')
                .split('/')
                .map(|part| (!part.starts_with('{')).then(|| part.to_owned()))
                .collect();
            let methods = [
                ("GET", item.get.is_some()),
                ("POST", item.post.is_some()),
                ("PUT", item.put.is_some()),
                ("PATCH", item.patch.is_some()),
                ("DELETE", item.delete.is_some()),
            ];
            let allowed: Vec<&str> = methods
                .iter()
                .filter(|(_, known)| *known)
                .map(|(name, _)| *name)
                .collect();
            (segments, allowed.join(", "))
        });
        Self(paths.collect())
    }

    fn allowed(&self, path: &str) -> Option<String> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let matching: Vec<&str> = self
            .0
            .iter()
            .filter(|(segments, _)| {
                segments.len() == parts.len()
                    && segments
                        .iter()
                        .zip(&parts)
                        .all(|(known, part)| known.as_ref().is_none_or(|known| known == part))
            })
            .map(|(_, allowed)| allowed.as_str())
            .collect();
        (!matching.is_empty()).then(|| matching.join(", "))
    }
}

/// Default service: 405 for a known path with another method, 404 for the rest.
pub(crate) async fn no_route(request: HttpRequest) -> HttpResponse {
    let allowed = request
        .app_data::<web::Data<KnownPaths>>()
        .and_then(|known| known.allowed(request.path()))
        .and_then(|allowed| HeaderValue::from_str(&allowed).ok());
    let Some(allowed) = allowed else {
        return HttpResponse::from_error(not_found());
    };
    let mut response = HttpResponse::from_error(method_not_allowed());
    response.headers_mut().insert(header::ALLOW, allowed);
    response
}

/// Whether browsers shall come by HTTPS only from now on; app data set by the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HttpsOnly(pub(crate) bool);

/// Headers that every answer has unless its handler set them.
pub(crate) async fn security_headers(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    const DEFAULTS: [(HeaderName, HeaderValue); 4] = [
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
        ),
    ];
    let https_only = request.app_data::<web::Data<HttpsOnly>>();
    let https_only = https_only.is_some_and(|setting| setting.0);
    let mut response = next.call(request).await?;
    if https_only {
        response.headers_mut().insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
    for (name, value) in DEFAULTS {
        if !response.headers().contains_key(&name) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// Which pages may call the API: an exact list, never a reflection.
pub(crate) fn cors(origins: &[String]) -> Cors {
    let headers = [
        "authorization",
        "content-type",
        "idempotency-key",
        "x-request-id",
    ];
    let exposed = [
        "x-request-id",
        "idempotent-replayed",
        "retry-after",
        "ratelimit-policy",
        "ratelimit",
    ];
    let cors = Cors::default()
        .allowed_methods(["GET", "POST", "PUT", "PATCH", "DELETE"])
        .allowed_headers(headers.map(HeaderName::from_static))
        .expose_headers(exposed.map(HeaderName::from_static))
        .supports_credentials()
        .max_age(3_600);
    origins
        .iter()
        .fold(cors, |cors, origin| cors.allowed_origin(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_paths_match_by_template() {
        let known = KnownPaths(vec![
            (
                vec![Some("api".into()), Some("things".into())],
                "GET, POST".into(),
            ),
            (
                vec![Some("api".into()), Some("things".into()), None],
                "GET".into(),
            ),
        ]);
        assert_eq!(known.allowed("/api/things").as_deref(), Some("GET, POST"));
        assert_eq!(known.allowed("/api/things/7").as_deref(), Some("GET"));
        assert_eq!(known.allowed("/api/other/7"), None);
        assert_eq!(known.allowed("/"), None);
    }
}
