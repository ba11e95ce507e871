//! Who calls: tokens that people carry, keys that services carry, and how both are ended.
//!
//! Access tokens are short-lived JWTs signed with Ed25519; every service checks them against the
//! issuer's published keys and against the revocation list, so that a logout works at once
//! everywhere. Handlers see none of it: they take [`Caller`], [`PlatformAdmin`] or
//! [`ServiceCaller`] as an argument, and are not called without.
#![warn(missing_docs)]

mod api_key;
mod authenticator;
mod claims;
mod extract;
mod guards;
mod issuer;
mod jwks;
mod keys;
mod limits;
mod password;
mod refresh;
mod revocation;
mod secret;
mod service_key;
mod totp;
mod truth;
mod verifier;

pub use api_key::{API_KEY_PREFIX, ApiKey, ApiKeyDirectory, DirectoryUnavailable};
pub use authenticator::{Authenticator, AuthenticatorBuilder, bearer_token};
pub use claims::{ACCESS_TYPE, ADMIN_TYPE, AccessClaims, AdminClaims, TokenClaims};
pub use extract::{
    Caller, EnrollingAdmin, Guarded, Optional, PlatformAdmin, Privileged, ServiceCaller,
    TenantCaller,
};
pub use guards::{
    AdminOfTenant, MessageOverseer, MessageReader, MessageSender, SupervisorOfTenant,
};
pub use issuer::{AccessSubject, DEFAULT_LIFETIME, IssueError, IssuedToken, Issuer};
pub use jwks::{JWKS_FRESH_FOR, JwksClient, JwksOptions, KEYS_RELOAD, PUBLISH_AHEAD};
pub use keys::{InvalidKey, Jwk, Jwks, SigningKey, SigningKeys};
pub use limits::{CallerLimits, TenantRates};
pub use password::{PasswordError, Passwords, UnfitPassword, Verdict, check_new_password};
pub use refresh::{
    REFRESH_TAG_BYTES, RefreshKey, RefreshKeys, RefreshSecret, RefreshState, RefreshVerdict,
    SessionTimes,
};
pub use revocation::{Rebuild, RevocationSubject, Revocations, Standing};
pub use secret::{SECRET_BYTES, random_secret, random_token, sha256, sha256_hex};
pub use service_key::{ServiceKeys, ServiceKeysSection};
pub use totp::{TotpError, TotpSecret};
pub use truth::{AdminStanding, AdminTruth, SessionTruth, TruthUnavailable};
pub use verifier::{KeySource, Verifier, VerifyError};
