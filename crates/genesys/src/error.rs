//! Why a call of Genesys Cloud failed.

use std::fmt;
use std::time::Duration;

/// Failure of a call. It carries no token, code or name: safe for logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenesysError {
    /// What went wrong, for decisions.
    pub kind: ErrorKind,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// Genesys' own code: `bad.credentials`, or `invalid_grant` from the token endpoint.
    pub code: Option<String>,
    /// Genesys' id of the call, for their support.
    pub correlation_id: Option<String>,
    /// Whether the request may have reached Genesys: false when no connection came about.
    pub was_sent: bool,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The code or refresh token is wrong, used, expired or revoked: the user must sign in again.
    InvalidGrant,
    /// The client id, its secret, its grant type or the region is wrong: the operator must act.
    InvalidClient,
    /// The access token is unknown, expired or revoked.
    Unauthorized,
    /// The token is valid, but its scopes or the user's permissions do not allow this.
    Forbidden,
    /// There is no such thing, or the token may not see it.
    NotFound,
    /// Too many calls.
    RateLimited {
        /// How long Genesys asks to wait.
        retry_after: Option<Duration>,
    },
    /// Genesys cannot be reached, did not answer in time or has a fault of its own. What became of
    /// the call is not known.
    Unavailable,
    /// The request was refused for another reason: a fault of ours or of the configuration.
    Refused,
    /// The answer is not what Genesys documents.
    Protocol,
}

impl GenesysError {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self {
            kind,
            status: None,
            code: None,
            correlation_id: None,
            was_sent: true,
        }
    }

    /// Whether Genesys surely did nothing: nothing reached it, or it said itself that it was too
    /// busy or out of order. After a lost answer nobody can tell.
    pub fn surely_did_nothing(&self) -> bool {
        !self.was_sent
            || match self.kind {
                ErrorKind::RateLimited { .. } => true,
                ErrorKind::Unavailable => self.status.is_some_and(|status| status >= 400),
                _ => false,
            }
    }
}

impl std::error::Error for GenesysError {}

impl fmt::Display for GenesysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ErrorKind::InvalidGrant => "Genesys refused the code or refresh token",
            ErrorKind::InvalidClient => "Genesys refused the OAuth client",
            ErrorKind::Unauthorized => "Genesys refused the access token",
            ErrorKind::Forbidden => "Genesys does not allow this call",
            ErrorKind::NotFound => "Genesys knows no such thing",
            ErrorKind::RateLimited { .. } => "Genesys limits the rate of calls",
            ErrorKind::Unavailable => "Genesys is unavailable",
            ErrorKind::Refused => "Genesys refused the request",
            ErrorKind::Protocol => "Genesys answered in an unexpected form",
        })?;
        let status = self.status.map(|status| format!("HTTP {status}"));
        let code = self.code.as_ref().map(|code| format!("code {code}"));
        let id = self
            .correlation_id
            .as_ref()
            .map(|id| format!("correlation id {id}"));
        let facts: Vec<String> = [status, code, id].into_iter().flatten().collect();
        if facts.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", facts.join(", "))
        }
    }
}
