//! Meta's error body, and the errors that are not rows of the error table.

use serde_json::{Value, json};

use super::rows::{ErrorRow, SERVICE_DOWN};
use crate::crypto::fbtrace_id;
use crate::http::Reply;

/// An error answer of the Graph API.
#[derive(Debug, Clone)]
pub(crate) struct GraphError {
    pub(crate) http: u16,
    pub(crate) code: u32,
    pub(crate) subcode: Option<u32>,
    message: String,
    kind: &'static str,
    details: Option<String>,
    pub(crate) transient: Option<bool>,
    /// Told in `x-business-use-case-usage`.
    pub(crate) regain_minutes: Option<u32>,
}

impl GraphError {
    fn new(http: u16, code: u32, message: impl Into<String>) -> Self {
        Self {
            http,
            code,
            subcode: None,
            message: message.into(),
            kind: "OAuthException",
            details: None,
            transient: None,
            regain_minutes: None,
        }
    }

    /// An error made to order.
    pub(crate) fn made(http: u16, code: u32, message: &str) -> Self {
        Self::new(http, code, format!("(#{code}) {message}"))
    }

    /// A bad parameter found by Graph itself: code 100 with a sentence, no `error_data`.
    pub(crate) fn parameter(sentence: &str) -> Self {
        Self::new(400, 100, format!("(#100) {sentence}"))
    }

    /// A code of Embedded Signup that is not exchanged; the subcode tells why.
    pub(crate) fn bad_code(subcode: u32, message: &str) -> Self {
        Self {
            subcode: Some(subcode),
            ..Self::new(400, 100, message)
        }
    }

    /// Faults of the app's own credentials in the OAuth calls.
    pub(crate) fn oauth(code: u32, message: &str) -> Self {
        Self::new(400, code, message)
    }

    pub(crate) fn with_details(mut self, details: &str) -> Self {
        self.details = Some(details.to_owned());
        self
    }

    pub(crate) fn token_required() -> Self {
        Self::new(
            400,
            104,
            "An access token is required to request this resource.",
        )
    }

    pub(crate) fn token_unknown() -> Self {
        Self::new(
            401,
            190,
            "Invalid OAuth access token - Cannot parse access token",
        )
    }

    pub(crate) fn token_expired() -> Self {
        Self {
            subcode: Some(463),
            ..Self::new(
                401,
                190,
                "Error validating access token: Session has expired on Sunday, 01-Nov-26 \
                 00:00:00 PDT. The current time is later than that.",
            )
        }
    }

    pub(crate) fn token_revoked() -> Self {
        Self {
            subcode: Some(460),
            ..Self::new(
                401,
                190,
                "Error validating access token: The session has been invalidated because the \
                 user changed their password or Facebook has changed the session for security \
                 reasons.",
            )
        }
    }

    pub(crate) fn bad_proof() -> Self {
        Self {
            kind: "GraphMethodException",
            ..Self::new(
                400,
                100,
                "Invalid appsecret_proof provided in the API argument",
            )
        }
    }

    /// Unknown and foreign objects are not told apart.
    pub(crate) fn no_object(method: &str, id: &str) -> Self {
        Self {
            kind: "GraphMethodException",
            subcode: Some(33),
            ..Self::new(
                400,
                100,
                format!(
                    "Unsupported {} request. Object with ID '{id}' does not exist, cannot be \
                     loaded due to missing permissions, or does not support this operation. \
                     Please read the Graph API documentation at \
                     https://developers.facebook.com/docs/graph-api",
                    method.to_lowercase()
                ),
            )
        }
    }

    /// What Graph says when the version does not exist and becomes part of the path.
    pub(crate) fn unknown_path(path: &str) -> Self {
        Self::new(400, 2500, format!("Unknown path components: /{path}"))
    }

    pub(crate) fn no_field(field: &str, node: &str) -> Self {
        Self::parameter(&format!(
            "Tried accessing nonexisting field ({field}) on node type ({node})"
        ))
    }

    /// The `error` object of a `debug_token` answer.
    pub(crate) fn short(&self) -> Value {
        let mut error = json!({"code": self.code, "message": self.message});
        if let (Some(subcode), Some(members)) = (self.subcode, error.as_object_mut()) {
            members.insert("subcode".to_owned(), json!(subcode));
        }
        error
    }

    pub(crate) fn into_reply(self) -> Reply {
        let trace = fbtrace_id();
        let mut error = json!({"message": self.message, "type": self.kind, "code": self.code});
        if let Some(members) = error.as_object_mut() {
            if let Some(subcode) = self.subcode {
                members.insert("error_subcode".to_owned(), json!(subcode));
            }
            if let Some(transient) = self.transient {
                members.insert("is_transient".to_owned(), json!(transient));
            }
            if let Some(details) = self.details {
                let data = json!({"messaging_product": "whatsapp", "details": details});
                members.insert("error_data".to_owned(), data);
            }
            members.insert("fbtrace_id".to_owned(), json!(trace));
        }
        let class = if self.code == 190 {
            "invalid_token"
        } else {
            "invalid_request"
        };
        // The sentence may quote what the caller sent; a header takes visible ASCII only.
        let sentence: String = self
            .message
            .chars()
            .map(|c| {
                if c == ' ' || c.is_ascii_graphic() {
                    c
                } else {
                    '?'
                }
            })
            .collect();
        Reply::json(self.http, &json!({"error": error}))
            .with("x-fb-trace-id", &trace)
            .with(
                "www-authenticate",
                &format!("OAuth \"Facebook Platform\" \"{class}\" \"{sentence}\""),
            )
    }
}

impl From<ErrorRow> for GraphError {
    fn from(row: ErrorRow) -> Self {
        Self {
            details: (!row.details.is_empty()).then(|| row.details.to_owned()),
            transient: (row == SERVICE_DOWN).then_some(true),
            ..Self::new(row.http, row.code, format!("(#{}) {}", row.code, row.title))
        }
    }
}
