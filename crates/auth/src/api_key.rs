//! API keys of tenants, for other internal services: `sk_<secret>`, known by digest only.

use std::sync::Arc;

use async_trait::async_trait;
use portal_types::{ApiScope, TenantId};
use uuid::Uuid;

/// How every API key begins.
pub const API_KEY_PREFIX: &str = "sk_";
/// `sk_` and 256 bits as base64url.
pub(crate) const API_KEY_LENGTH: usize = 3 + 43;

/// An API key that is valid now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The key's id.
    pub key_id: Uuid,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// What it may do.
    pub scopes: Vec<ApiScope>,
}

/// The directory of keys gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("API keys cannot be looked up")]
pub struct DirectoryUnavailable;

/// Finds keys.
#[async_trait]
pub trait ApiKeyDirectory: Send + Sync {
    /// The key with this SHA-256 digest, if it is valid now.
    async fn find(&self, digest: &[u8; 32]) -> Result<Option<Arc<ApiKey>>, DirectoryUnavailable>;
}

/// Whether a bearer value is a tenant's API key by form.
pub(crate) fn is_api_key(token: &str) -> bool {
    token.starts_with(API_KEY_PREFIX)
}
