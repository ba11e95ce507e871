//! A failed call, told without the message, its recipient or the token.

use std::fmt;
use std::time::Duration;

use crate::ErrorClass;

/// Whether Meta may have the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was definitely not accepted: sending again is safe.
    NotAccepted,
    /// It may have been accepted: sending again may send twice.
    Unknown,
}

/// Failure of one call of the Graph API.
///
/// `Display` and `Debug` are safe for logs: they leave out `title` and `details`, which repeat
/// what Meta chose to write.
#[derive(Clone, PartialEq, Eq)]
pub struct SendError {
    /// Whether Meta may have the message. Always [`Outcome::Unknown`] for the class of that name
    /// and [`Outcome::NotAccepted`] for all others.
    pub outcome: Outcome,
    /// What the answer means for this message and for others.
    pub class: ErrorClass,
    /// `error.code` of the answer.
    pub code: Option<i64>,
    /// `error.error_subcode` of the answer; useful with code 190.
    pub subcode: Option<i32>,
    /// A short name of the error for people, at most 500 characters.
    pub title: String,
    /// What is wrong in detail, for people, at most 500 characters.
    pub details: Option<String>,
    /// Meta's trace id, for their support.
    pub fbtrace_id: Option<String>,
    /// HTTP status, if there was an answer.
    pub http_status: Option<u16>,
    /// How long Meta asks to wait, at most a day.
    pub retry_after: Option<Duration>,
}

impl SendError {
    /// No byte of the request was sent.
    pub(crate) fn not_sent(title: &str) -> Self {
        Self::of_class(ErrorClass::NotSent, title)
    }

    /// The request may have been understood, the answer was not.
    pub(crate) fn unknown(title: &str) -> Self {
        Self::of_class(ErrorClass::Unknown, title)
    }

    /// A failure of which nothing but its class is known.
    pub fn of_class(class: ErrorClass, title: &str) -> Self {
        Self {
            outcome: match class {
                ErrorClass::Unknown => Outcome::Unknown,
                _ => Outcome::NotAccepted,
            },
            class,
            code: None,
            subcode: None,
            title: title.to_owned(),
            details: None,
            fbtrace_id: None,
            http_status: None,
            retry_after: None,
        }
    }
}

impl std::error::Error for SendError {}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the Graph API call failed ({}", self.class)?;
        if let Some(code) = self.code {
            write!(f, ", code {code}")?;
        }
        if let Some(status) = self.http_status {
            write!(f, ", HTTP {status}")?;
        }
        if let Some(trace) = &self.fbtrace_id {
            write!(f, ", fbtrace_id {trace}")?;
        }
        f.write_str(")")
    }
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError")
            .field("outcome", &self.outcome)
            .field("class", &self.class)
            .field("code", &self.code)
            .field("subcode", &self.subcode)
            .field("http_status", &self.http_status)
            .field("fbtrace_id", &self.fbtrace_id)
            .field("retry_after", &self.retry_after)
            .finish_non_exhaustive()
    }
}
