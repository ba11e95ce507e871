//! The way of a session from the sign-in's redirect to the portal's own server.

use portal_types::{SessionId, TenantId};
use serde::{Deserialize, Serialize};

/// What the code of a redirect stands for. It holds no secret: the session's first refresh token
/// is made from the code itself and our key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Handoff {
    /// The tenant of the session.
    pub(crate) tenant_id: TenantId,
    /// The session.
    pub(crate) session_id: SessionId,
    /// SHA-256 (base64url) of what the redeeming browser must have.
    pub(crate) browser: Option<String>,
}
