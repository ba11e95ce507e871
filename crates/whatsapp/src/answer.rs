//! Reading what the Graph API answers: bounded, and without trust in its form.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde_json::Value;

use crate::class::{Answered, of_answer};
use crate::{Outcome, SendError};

/// Longest answer that is read: a page of templates with many cards; others have a few hundred bytes.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
/// Longest text that is kept of an answer.
const MAX_TEXT_CHARS: usize = 500;
/// Longest wait that is believed.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// An answer, as far as it could be read.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    /// `None` when the body broke off, was too long or is no JSON.
    pub(crate) body: Option<Value>,
}

impl Answer {
    pub(crate) async fn read(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read_body(response).await;
        Self {
            status,
            headers,
            body: body.and_then(|bytes| serde_json::from_slice(&bytes).ok()),
        }
    }

    /// The failure that an answer other than 2xx tells of.
    pub(crate) fn into_error(self) -> SendError {
        let from_header = |name| {
            self.headers
                .get(name)
                .and_then(|v| v.to_str().ok())
                .map(clip)
        };
        let error = match self.body.as_ref().and_then(|body| body.get("error")) {
            Some(error) if self.is_refusal() && error.is_object() => self.refused(error),
            _ => SendError::unknown("The answer is not one of the Graph API"),
        };
        SendError {
            http_status: Some(self.status.as_u16()),
            fbtrace_id: error
                .fbtrace_id
                .or_else(|| from_header("x-fb-trace-id"))
                .or_else(|| from_header("x-fb-request-id")),
            ..error
        }
    }

    fn is_refusal(&self) -> bool {
        self.status.is_client_error() || self.status.is_server_error()
    }

    fn refused(&self, error: &Value) -> SendError {
        let message = text(error.get("message")).unwrap_or_default();
        let code = number(error.get("code"));
        let subcode = number(error.get("error_subcode")).and_then(|code| code.try_into().ok());
        let class = of_answer(Answered {
            http_status: self.status.as_u16(),
            code,
            subcode,
            is_transient: error.get("is_transient") == Some(&Value::Bool(true)),
            message: &message,
        });
        let title = text(error.get("error_user_title")).unwrap_or_else(|| without_code(&message));
        let details = text(error.pointer("/error_data/details"))
            .or_else(|| text(error.get("error_user_msg")));
        SendError {
            outcome: Outcome::NotAccepted,
            class,
            code,
            subcode,
            title: if title.is_empty() {
                "Graph API error".to_owned()
            } else {
                title
            },
            details,
            fbtrace_id: text(error.get("fbtrace_id")),
            http_status: None,
            retry_after: wait(&self.headers, Utc::now()),
        }
    }
}

async fn read_body(mut response: Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}

/// `(#130429) Rate limit hit` without its code, which stands in a field of its own.
fn without_code(message: &str) -> String {
    let rest = message
        .strip_prefix("(#")
        .and_then(|rest| rest.split_once(')'));
    rest.map_or(message, |(_, title)| title.trim_start())
        .to_owned()
}

/// How long to wait: `Retry-After`, or the longest time of `x-business-use-case-usage`, whose
/// `estimated_time_to_regain_access` is in minutes.
fn wait(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let asked = header(RETRY_AFTER.as_str()).and_then(|value| retry_after(value.trim(), now));
    let regain = || {
        let usage: Value = serde_json::from_str(header("x-business-use-case-usage")?).ok()?;
        let minutes = usage
            .as_object()?
            .values()
            .filter_map(Value::as_array)
            .flatten()
            .filter_map(|use_case| number(use_case.get("estimated_time_to_regain_access")))
            .max()?;
        let minutes = u64::try_from(minutes).ok().filter(|minutes| *minutes > 0)?;
        Some(Duration::from_secs(minutes.saturating_mul(60)))
    };
    asked.or_else(regain).map(|wait| wait.min(LONGEST_WAIT))
}

/// Seconds, or a date.
fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(value).ok()?;
    Some((at.to_utc() - now).to_std().unwrap_or_default())
}

/// A text of bounded length; numbers and empty texts are none.
pub(crate) fn text(value: Option<&Value>) -> Option<String> {
    value?.as_str().filter(|text| !text.is_empty()).map(clip)
}

fn clip(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARS).collect()
}

/// An id: a text of digits, a number in places.
pub(crate) fn id(value: Option<&Value>) -> Option<String> {
    text(value).or_else(|| number(value).map(|id| id.to_string()))
}

/// A whole number, also when it is written as a text.
pub(crate) fn number(value: Option<&Value>) -> Option<i64> {
    let value = value?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        let headers = pairs.iter().map(|(name, value)| {
            (
                reqwest::header::HeaderName::from_static(name),
                value.parse().unwrap(),
            )
        });
        let now = "2026-11-22T10:00:00Z".parse().unwrap();
        wait(&headers.collect(), now)
    }

    #[test]
    fn the_wait_is_read_from_either_header() {
        let usage = r#"{"1":[{"type":"whatsapp","estimated_time_to_regain_access":3},
                             {"estimated_time_to_regain_access":"7"}],"2":[{}],"3":null}"#
            .replace('\n', " ");
        let usage = usage.as_str();
        for (headers, expected) in [
            (&[][..], None),
            (&[("retry-after", "12")][..], Some(12)),
            (
                &[("retry-after", "Sun, 22 Nov 2026 10:00:30 GMT")][..],
                Some(30),
            ),
            (
                &[("retry-after", "Sun, 22 Nov 2026 09:00:00 GMT")][..],
                Some(0),
            ),
            (&[("retry-after", "soon")][..], None),
            (&[("retry-after", "-1")][..], None),
            (&[("retry-after", "99999999999")][..], Some(86_400)),
            (&[("x-business-use-case-usage", usage)][..], Some(420)),
            (
                &[("retry-after", "12"), ("x-business-use-case-usage", usage)][..],
                Some(12),
            ),
            (&[("x-business-use-case-usage", "not json")][..], None),
        ] {
            assert_eq!(
                waits(headers),
                expected.map(Duration::from_secs),
                "{headers:?}"
            );
        }
    }

    #[test]
    fn a_title_stands_without_its_code() {
        assert_eq!(without_code("(#130429) Rate limit hit"), "Rate limit hit");
        assert_eq!(
            without_code("Rate limit (soft) hit"),
            "Rate limit (soft) hit"
        );
        assert_eq!(without_code("(#1"), "(#1");
    }
}
