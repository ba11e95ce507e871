//! The span of a request. Our own fields only: the ready-made ones hold query strings, which on a
//! sign-in callback carry codes, and client addresses.

use actix_web::{
    HttpMessage,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
};
use tracing::{Span, field};
use tracing_actix_web::RootSpanBuilder;

use super::RequestId;
use crate::telemetry::propagation;

pub(crate) struct RootSpan;

impl RootSpanBuilder for RootSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let method = super::method_name(request.method());
        let route = request.match_pattern().unwrap_or_else(|| "none".to_owned());
        let request_id = request.extensions().get::<RequestId>().cloned();
        let span = tracing::info_span!(
            "HTTP request",
            otel.name = format!("{method} {route}"),
            otel.kind = "server",
            otel.status_code = field::Empty,
            http.request.method = method,
            http.route = route,
            http.response.status_code = field::Empty,
            request_id = request_id.as_ref().map(RequestId::as_str),
            tenant.id = field::Empty,
            user.id = field::Empty,
        );
        propagation::set_parent_from_headers(
            &span,
            request
                .headers()
                .iter()
                .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))),
        );
        span
    }

    fn on_request_end<B: MessageBody>(
        span: Span,
        outcome: &Result<ServiceResponse<B>, actix_web::Error>,
    ) {
        let status = match outcome {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        span.record("http.response.status_code", status.as_u16());
        span.record(
            "otel.status_code",
            if status.is_server_error() {
                "ERROR"
            } else {
                "OK"
            },
        );
    }
}
