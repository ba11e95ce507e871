//! Reading what Genesys answers: bounded, and by the documented members only.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::{ErrorKind, GenesysError};

/// Longest answer that is read. The permissions of an administrator are thousands of texts.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// Codes and ids are short; more is not believed to be one.
const MAX_WORD_CHARS: usize = 100;
/// Longest wait that is believed.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// An answer that was read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) body: Vec<u8>,
    pub(crate) correlation_id: Option<String>,
    retry_after: Option<Duration>,
    /// How long to wait before the next call, so that the limit is not reached.
    pub(crate) pause: Option<Duration>,
}

impl Answer {
    /// Sends a request, once, and reads the whole answer.
    pub(crate) async fn to(request: RequestBuilder) -> Result<Self, GenesysError> {
        let response = request.send().await.map_err(|error| {
            let kind = if error.is_builder() {
                ErrorKind::Refused
            } else {
                ErrorKind::Unavailable
            };
            GenesysError {
                was_sent: !(error.is_builder() || error.is_connect()),
                ..GenesysError::new(kind)
            }
        })?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut answer = Self {
            status,
            content_type: headers.get(CONTENT_TYPE).cloned(),
            body: Vec::new(),
            correlation_id: correlation_id(&headers),
            retry_after: retry_after(&headers),
            pause: pause(&headers),
        };
        match read(response).await {
            Ok(body) => answer.body = body,
            Err(kind) => return Err(answer.error(kind, None)),
        }
        Ok(answer)
    }

    /// The failure that an answer of the API tells of.
    pub(crate) fn into_error(self) -> GenesysError {
        let body: Option<Value> = serde_json::from_slice(&self.body).ok();
        let member = |name| word(body.as_ref()?.get(name)?.as_str()?);
        let kind = match self.status.as_u16() {
            401 => ErrorKind::Unauthorized,
            403 => ErrorKind::Forbidden,
            404 => ErrorKind::NotFound,
            429 => ErrorKind::RateLimited {
                retry_after: self.retry_after,
            },
            408 | 500.. => ErrorKind::Unavailable,
            400..=499 => ErrorKind::Refused,
            _ => ErrorKind::Protocol,
        };
        let context_id = member("contextId");
        let mut error = self.error(kind, member("code"));
        error.correlation_id = error.correlation_id.or(context_id);
        error
    }

    pub(crate) fn error(&self, kind: ErrorKind, code: Option<String>) -> GenesysError {
        GenesysError {
            kind,
            status: Some(self.status.as_u16()),
            code,
            correlation_id: self.correlation_id.clone(),
            was_sent: true,
        }
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, ErrorKind> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.or(Err(ErrorKind::Unavailable))? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(ErrorKind::Protocol);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn correlation_id(headers: &HeaderMap) -> Option<String> {
    let header = |name| word(headers.get(name)?.to_str().ok()?);
    header("inin-correlation-id").or_else(|| header("genesys-correlation-id"))
}

/// When nearly all calls of the window are used up: until it ends. Every answer says so
/// (`inin-ratelimit-count`, `-allowed`, `-reset` in seconds; official SDKs).
fn pause(headers: &HeaderMap) -> Option<Duration> {
    let number = |name| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let count = number("inin-ratelimit-count")?;
    let allowed = number("inin-ratelimit-allowed")?;
    let reset = number("inin-ratelimit-reset")?;
    // Others may use the same token: a tenth is left to them.
    let is_near = count.saturating_mul(10) >= allowed.saturating_mul(9);
    is_near.then(|| Duration::from_secs(reset).min(LONGEST_WAIT))
}

/// Whole seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// A code or id that may go into logs.
pub(crate) fn word(text: &str) -> Option<String> {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    ((1..=MAX_WORD_CHARS).contains(&text.len()) && text.bytes().all(is_word))
        .then(|| text.to_owned())
}
