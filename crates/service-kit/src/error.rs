//! The one error that our HTTP doors answer with, and the one place that renders it.
//!
//! `{"error": {"code", "message", "details"?}, "requestId"}`. A body never carries a cause: the
//! source of an error is only for the log line at the boundary.

use std::{fmt, time::Duration};

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::http::RequestId;

/// Code of an answer to input that does not fit.
pub const VALIDATION_FAILED: &str = "VALIDATION_FAILED";

/// An answer that tells the caller what went wrong.
pub struct ApiError(Box<Parts>);

struct Parts {
    status: StatusCode,
    code: &'static str,
    message: String,
    details: Option<Value>,
    retry_after: Option<Duration>,
    source: Option<anyhow::Error>,
}

impl ApiError {
    /// An error with any status. `message` is one sentence that a person can act on.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            status,
            code,
            message: message.into(),
            details: None,
            retry_after: None,
            source: None,
        }))
    }

    /// 400.
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 400 `VALIDATION_FAILED` with every bad field; see [`FieldErrors`].
    pub fn validation(fields: &FieldErrors) -> Self {
        let message = match fields.0.as_slice() {
            [only] => format!("The field \"{}\" {}.", only.field, only.message),
            many => format!("{} fields of the request are not valid.", many.len()),
        };
        Self::bad_request(VALIDATION_FAILED, message).with_details(json!(fields.0))
    }

    /// 401.
    pub fn unauthorized(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, message)
    }

    /// 403.
    pub fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// 404.
    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// 409.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// 410.
    pub fn gone(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, code, message)
    }

    /// 422.
    pub fn unprocessable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// 429 `RATE_LIMITED` with `Retry-After`.
    pub fn too_many_requests(message: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", message)
            .with_retry_after(retry_after)
    }

    /// 503 with `Retry-After`.
    pub fn unavailable(
        code: &'static str,
        message: impl Into<String>,
        retry_after: Duration,
    ) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message).with_retry_after(retry_after)
    }

    /// 500 `INTERNAL_ERROR`; what happened is only logged.
    pub fn internal(source: impl Into<anyhow::Error>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL_ERROR",
            "Something went wrong on our side; give the requestId when you ask about it.",
        )
        .with_source(source)
    }

    /// Adds `details`.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.0.details = Some(details);
        self
    }

    /// Adds `Retry-After`.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Adds the cause, for the log only.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The code.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The details.
    pub fn details(&self) -> Option<&Value> {
        self.0.details.as_ref()
    }

    /// The chain of causes as one text, for the log.
    pub fn cause(&self) -> Option<String> {
        self.0.source.as_ref().map(|source| format!("{source:#}"))
    }

    /// The body as it is answered, for tests and for channels other than HTTP.
    pub fn body(&self, request_id: &RequestId) -> Value {
        let mut error = json!({"code": self.0.code, "message": self.0.message});
        if let (Some(object), Some(details)) = (error.as_object_mut(), &self.0.details) {
            object.insert("details".to_owned(), details.clone());
        }
        json!({"error": error, "requestId": request_id.as_str()})
    }
}

impl fmt::Display for ApiError {
    // Neither the message nor the details: both may quote the caller's input.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.status.as_u16(), self.0.code)
    }
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiError({self})")
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.0.status);
        if self.0.status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(after) = self.0.retry_after {
            // Whole seconds, rounded up: never invite a caller back too early.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            response.insert_header((header::RETRY_AFTER, seconds.max(1)));
        }
        let request_id = RequestId::current().unwrap_or_else(RequestId::generate);
        response.json(self.body(&request_id))
    }
}

/// One field that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The path of the field, for example `components[0].type`.
    pub field: String,
    /// What is wrong: goes on after the field's name, for example `must not be empty`.
    pub message: String,
}

/// Collects every bad field of a request.
#[derive(Debug, Default)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field.
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError {
            field: field.into(),
            message: message.into(),
        });
    }

    /// Keeps the value, or adds the field with the error's text.
    pub fn check<T, E: fmt::Display>(&mut self, field: &str, value: Result<T, E>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(field, error.to_string());
                None
            }
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields so far.
    pub fn fields(&self) -> &[FieldError] {
        &self.0
    }

    /// Fails with 400 `VALIDATION_FAILED` if there are any.
    pub fn into_result(self) -> Result<(), ApiError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(ApiError::validation(&self))
        }
    }
}

impl From<FieldErrors> for ApiError {
    fn from(fields: FieldErrors) -> Self {
        Self::validation(&fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_exactly_the_contracts_shape() {
        let id = RequestId::parse("abc").unwrap();
        let error = ApiError::not_found("TENANT_NOT_FOUND", "Tenant not found");
        assert_eq!(
            error.body(&id),
            json!({"error": {"code": "TENANT_NOT_FOUND", "message": "Tenant not found"},
                   "requestId": "abc"})
        );
    }

    #[test]
    fn every_bad_field_is_listed() {
        let mut fields = FieldErrors::new();
        fields.add("to", "must not be empty");
        assert_eq!(fields.check("n", "x".parse::<u8>()), None);
        assert_eq!(fields.check("m", "7".parse::<u8>()), Some(7));
        let error = fields.into_result().unwrap_err();
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        assert_eq!(error.code(), VALIDATION_FAILED);
        assert_eq!(
            error.details().unwrap(),
            &json!([{"field": "to", "message": "must not be empty"},
                    {"field": "n", "message": "invalid digit found in string"}])
        );
        assert!(FieldErrors::new().into_result().is_ok());
    }

    #[test]
    fn causes_are_logged_and_never_answered() {
        let error = ApiError::internal(anyhow::anyhow!("secret cause").context("outer"));
        assert_eq!(error.cause().unwrap(), "outer: secret cause");
        let body = error.body(&RequestId::generate()).to_string();
        assert!(!body.contains("secret cause") && !body.contains("outer"));
        assert!(!format!("{error:?} {error}").contains("secret cause"));
    }

    #[test]
    fn headers_say_how_to_go_on() {
        let busy = ApiError::too_many_requests("Too many.", Duration::from_millis(1_200));
        assert_eq!(
            busy.error_response().headers().get("retry-after").unwrap(),
            "2"
        );
        let refused = ApiError::unauthorized("TOKEN_MISSING", "No token.").error_response();
        assert_eq!(refused.headers().get("www-authenticate").unwrap(), "Bearer");
    }
}
