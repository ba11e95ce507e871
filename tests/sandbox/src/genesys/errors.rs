//! The platform's error body and its codes.

use serde_json::{Value, json};

use crate::http::Reply;

/// A refusal of the Platform API.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// Members beyond the usual ones.
    pub(crate) extra: Value,
}

impl ApiError {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            extra: Value::Null,
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "bad.request", message)
    }

    pub(crate) fn no_token() -> Self {
        Self::new(
            401,
            "authentication.required",
            "No authentication bearer token specified in authorization header.",
        )
    }

    pub(crate) fn unknown_token() -> Self {
        Self::new(401, "bad.credentials", "Invalid login credentials.")
    }

    pub(crate) fn expired_token() -> Self {
        Self::new(
            401,
            "credentials.expired",
            "The supplied credentials have expired.",
        )
    }

    pub(crate) fn missing_permission(permission: &str) -> Self {
        Self {
            extra: json!({
                "messageWithParams": "You are missing the following permission(s): {permissions}",
                "messageParams": {"permissions": permission},
            }),
            ..Self::new(
                403,
                "missing.permissions",
                format!("You are missing the following permission(s): {permission}"),
            )
        }
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(
            404,
            "not.found",
            format!("The requested {what} was not found."),
        )
    }

    pub(crate) fn too_many_requests(allowed: u32, key: &str) -> Self {
        Self {
            extra: json!({
                "messageWithParams":
                    "Rate limit exceeded the maximum [{requests}] requests within [{seconds}] seconds",
                "messageParams": {"requests": allowed.to_string(), "seconds": "60"},
                "limit": {"key": key, "namespace": "platform.api", "value": allowed},
            }),
            ..Self::new(
                429,
                "too.many.requests",
                format!("Rate limit exceeded the maximum [{allowed}] requests within [60] seconds"),
            )
        }
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(
            503,
            "service.unavailable",
            "The service is temporarily unavailable.",
        )
    }

    /// The body; `contextId` equals the correlation header.
    pub(crate) fn into_reply(self, correlation_id: &str) -> Reply {
        let mut body = json!({
            "message": self.message,
            "code": self.code,
            "status": self.status,
            "contextId": correlation_id,
            "details": [],
            "errors": [],
        });
        if let (Some(members), Value::Object(extra)) = (body.as_object_mut(), self.extra) {
            members.extend(extra);
        }
        Reply::json(self.status, &body)
    }
}
