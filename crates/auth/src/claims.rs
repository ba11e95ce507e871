//! What our tokens say.

use portal_types::{Role, SessionId, TenantId, UserId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// The claim `type` of access tokens.
pub const ACCESS_TYPE: &str = "access";
/// The claim `type` of platform administrators' tokens.
pub const ADMIN_TYPE: &str = "admin";

/// Claims of one kind of token.
pub trait TokenClaims: DeserializeOwned + Clone + Send + Sync + 'static {
    /// What the claim `type` must be.
    const TYPE: &'static str;

    /// What the claim `type` is.
    fn token_type(&self) -> &str;

    /// `exp`.
    fn expires_at(&self) -> u64;

    /// Whether claims that must agree with each other do.
    fn is_consistent(&self) -> bool;
}

/// The claims of a signed-in person of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessClaims {
    /// Who issued the token.
    pub iss: String,
    /// For whom.
    pub aud: String,
    /// The person, the same as `user_id`.
    pub sub: UserId,
    /// The person.
    pub user_id: UserId,
    /// The person's tenant.
    pub tenant_id: TenantId,
    /// What the person may do.
    pub role: Role,
    /// [`ACCESS_TYPE`].
    pub r#type: String,
    /// The session, the handle of revocation.
    pub sid: SessionId,
    /// When it was issued (seconds).
    pub iat: u64,
    /// From when it is valid (seconds).
    pub nbf: u64,
    /// Until when it is valid (seconds).
    pub exp: u64,
    /// The token's own id.
    pub jti: Uuid,
}

impl TokenClaims for AccessClaims {
    const TYPE: &'static str = ACCESS_TYPE;

    fn token_type(&self) -> &str {
        &self.r#type
    }

    fn expires_at(&self) -> u64 {
        self.exp
    }

    fn is_consistent(&self) -> bool {
        self.sub == self.user_id
    }
}

/// The claims of a platform administrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminClaims {
    /// Who issued the token.
    pub iss: String,
    /// For whom.
    pub aud: String,
    /// The administrator.
    pub sub: Uuid,
    /// The administrator's session, the handle of revocation.
    pub sid: Uuid,
    /// [`ADMIN_TYPE`].
    pub r#type: String,
    /// When it was issued (seconds).
    pub iat: u64,
    /// From when it is valid (seconds).
    pub nbf: u64,
    /// Until when it is valid (seconds).
    pub exp: u64,
    /// The token's own id.
    pub jti: Uuid,
}

impl TokenClaims for AdminClaims {
    const TYPE: &'static str = ADMIN_TYPE;

    fn token_type(&self) -> &str {
        &self.r#type
    }

    fn expires_at(&self) -> u64 {
        self.exp
    }

    fn is_consistent(&self) -> bool {
        true
    }
}
