//! What the database says of a token's session. The revocation list in Redis is quick and may be
//! lost; the rows are the truth, asked when the list cannot be believed.

use async_trait::async_trait;

use crate::claims::{AccessClaims, AdminClaims};

/// The database gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the database cannot be asked for a session")]
pub struct TruthUnavailable;

/// Knows whether a person's session has ended.
#[async_trait]
pub trait SessionTruth: Send + Sync {
    /// Whether the session was ended or is over, its person deactivated or of another role by now,
    /// or its tenant not active. A session that is not there has ended.
    async fn has_ended(&self, claims: &AccessClaims) -> Result<bool, TruthUnavailable>;
}

/// How an administrator's session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminStanding {
    /// It lives.
    Live,
    /// It lives, and its administrator has no second factor yet where one is needed: only the doors
    /// that lead to one are open.
    Unenrolled,
    /// It was ended or is over, its administrator was deactivated, or it is not there.
    Ended,
}

/// Knows how a platform administrator's session stands.
#[async_trait]
pub trait AdminTruth: Send + Sync {
    /// How the session stands now.
    async fn standing(&self, claims: &AdminClaims) -> Result<AdminStanding, TruthUnavailable>;
}
