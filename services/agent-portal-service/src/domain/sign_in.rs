//! A sign-in that has begun and not ended: what is kept while the person is at Genesys.

use portal_types::TenantId;
use serde::{Deserialize, Serialize};

/// How the outcome gets back to the portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReturnMode {
    /// A page that posts a message to its opener.
    Popup,
    /// A redirect to the portal, with a code that works once.
    Redirect,
}

/// A begun sign-in, found by its `state`, taken once.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct LoginRecord {
    /// The Genesys region that the person was sent to: code and tokens go to that one only.
    pub(crate) region: String,
    /// The PKCE verifier.
    pub(crate) verifier: String,
    /// The portal origin that began it, one of the configured ones.
    pub(crate) origin: String,
    /// How the outcome gets back.
    pub(crate) mode: ReturnMode,
    /// SHA-256 (base64url) of the cookie of the browser that began it.
    pub(crate) browser: String,
    /// SHA-256 (base64url) of what the portal's own server gave the same browser, if it did: only
    /// that browser may redeem the code of a redirect.
    pub(crate) handoff: Option<String>,
    /// The tenant that the sign-in was begun for: nobody of another one gets in by it.
    #[serde(default)]
    pub(crate) tenant: Option<TenantId>,
    /// That tenant's own OAuth client, if the person was sent to Genesys with it.
    #[serde(default)]
    pub(crate) own_client: Option<String>,
}

impl std::fmt::Debug for LoginRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginRecord")
            .field("region", &self.region)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}
