//! Checks tokens, strictly: one algorithm, every claim required, keys only from where we say.
//!
//! The header's `jku`, `x5u` and `jwk` are never looked at.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, errors::ErrorKind};
use moka::{Expiry, future::Cache};

use crate::{
    claims::TokenClaims,
    issuer::TYP,
    jwks::{Found, JwksClient},
    keys::SigningKeys,
    secret::sha256,
};

/// Clocks of our machines differ by less.
const LEEWAY_SECONDS: u64 = 5;
/// Ours have some hundred characters.
const MAX_TOKEN_LENGTH: usize = 4_096;
/// Tokens that are remembered as verified.
const MAX_REMEMBERED: u64 = 50_000;

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// There is none.
    #[error("there is no token")]
    Missing,
    /// It is not one of our tokens by form.
    #[error("the token has the wrong form")]
    Malformed,
    /// It was good and is over.
    #[error("the token has expired")]
    Expired,
    /// Signature or claims do not fit.
    #[error("the token is not valid")]
    Invalid,
    /// It is signed with a key that its issuer does not publish.
    #[error("the token's key is not known")]
    UnknownKey,
    /// It was good and has been ended.
    #[error("the token was revoked")]
    Revoked,
    /// It is good, and its administrator has yet to enrol a second factor.
    #[error("the administrator has no second factor")]
    SecondFactorMissing,
    /// The issuer's keys cannot be had: we cannot tell.
    #[error("the issuer's keys cannot be fetched")]
    KeysUnavailable,
    /// Whether the session has ended cannot be found out.
    #[error("the session cannot be looked up")]
    TruthUnavailable,
}

/// Where the issuer's public keys come from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// We are the issuer.
    Own(SigningKeys),
    /// The issuer publishes them.
    Published(JwksClient),
}

/// Checks one kind of token; clones share what was verified.
pub struct Verifier<C> {
    keys: KeySource,
    validation: Arc<Validation>,
    // By digest: the tokens themselves do not lie around in memory.
    verified: Cache<[u8; 32], Arc<C>>,
}

impl<C> Clone for Verifier<C> {
    fn clone(&self) -> Self {
        Self {
            keys: self.keys.clone(),
            validation: Arc::clone(&self.validation),
            verified: self.verified.clone(),
        }
    }
}

impl<C> std::fmt::Debug for Verifier<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

struct UntilExpired;

impl<C: TokenClaims> Expiry<[u8; 32], Arc<C>> for UntilExpired {
    fn expire_after_create(&self, _: &[u8; 32], claims: &Arc<C>, _: Instant) -> Option<Duration> {
        Some(Duration::from_secs(
            claims.expires_at().saturating_sub(now()),
        ))
    }
}

impl<C: TokenClaims> Verifier<C> {
    /// Takes tokens from `iss` for `aud` only.
    pub fn new(iss: &str, aud: &str, keys: KeySource) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.set_issuer(&[iss]);
        validation.set_audience(&[aud]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY_SECONDS;
        let verified = Cache::builder()
            .max_capacity(MAX_REMEMBERED)
            .expire_after(UntilExpired)
            .build();
        Self {
            keys,
            validation: Arc::new(validation),
            verified,
        }
    }

    /// The token's claims, if it is good. Revocation is not asked here.
    pub async fn verify(&self, token: &str) -> Result<Arc<C>, VerifyError> {
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(VerifyError::Malformed);
        }
        let digest = sha256(token);
        if let Some(claims) = self.verified.get(&digest).await
            && claims.expires_at() > now()
        {
            return Ok(claims);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_form| VerifyError::Malformed)?;
        let fits = header.alg == Algorithm::EdDSA
            && header.typ.as_deref() == Some(TYP)
            && header.crit.is_none();
        if !fits {
            return Err(VerifyError::Invalid);
        }
        let kid = header.kid.ok_or(VerifyError::Invalid)?;
        let key = self.key(&kid).await?;
        let claims = jsonwebtoken::decode::<C>(token, &key, &self.validation)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => VerifyError::Expired,
                ErrorKind::InvalidToken | ErrorKind::Base64(_) => VerifyError::Malformed,
                _ => VerifyError::Invalid,
            })?
            .claims;
        if claims.token_type() != C::TYPE || !claims.is_consistent() {
            return Err(VerifyError::Invalid);
        }
        let claims = Arc::new(claims);
        self.verified.insert(digest, Arc::clone(&claims)).await;
        Ok(claims)
    }

    async fn key(&self, kid: &str) -> Result<DecodingKey, VerifyError> {
        match &self.keys {
            KeySource::Own(keys) if !keys.are_loaded() => Err(VerifyError::KeysUnavailable),
            KeySource::Own(keys) => keys.find(kid).ok_or(VerifyError::UnknownKey),
            KeySource::Published(client) => match client.find(kid).await {
                Found::Key(key) => Ok(*key),
                Found::Unknown => Err(VerifyError::UnknownKey),
                Found::Unavailable => Err(VerifyError::KeysUnavailable),
            },
        }
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
