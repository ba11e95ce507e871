//! Puts the checks together: form, signature, revocation; and turns refusals into answers.

use std::{sync::Arc, time::Duration};

use actix_web::{HttpRequest, http::header};
use portal_service_kit::ApiError;

use crate::{
    claims::{AccessClaims, AdminClaims},
    revocation::{RevocationSubject, Revocations},
    service_key::{PREFIX, ServiceKeys},
    verifier::{Verifier, VerifyError},
};

/// Checks who calls; app data (`web::Data<Authenticator>`) of every API port.
#[derive(Debug, Clone)]
pub struct Authenticator(Arc<AuthenticatorBuilder>);

/// What a service takes; what is not set is not taken.
#[derive(Debug, Default)]
pub struct AuthenticatorBuilder {
    access: Option<Verifier<AccessClaims>>,
    admin: Option<Verifier<AdminClaims>>,
    services: ServiceKeys,
    revocations: Option<Revocations>,
}

impl AuthenticatorBuilder {
    /// Takes access tokens of signed-in people.
    #[must_use]
    pub fn access(mut self, verifier: Verifier<AccessClaims>) -> Self {
        self.access = Some(verifier);
        self
    }

    /// Takes tokens of platform administrators.
    #[must_use]
    pub fn admin(mut self, verifier: Verifier<AdminClaims>) -> Self {
        self.admin = Some(verifier);
        self
    }

    /// Takes keys of services.
    #[must_use]
    pub fn services(mut self, keys: ServiceKeys) -> Self {
        self.services = keys;
        self
    }

    /// Asks the revocation list.
    #[must_use]
    pub fn revocations(mut self, revocations: Revocations) -> Self {
        self.revocations = Some(revocations);
        self
    }

    /// The finished authenticator.
    pub fn build(self) -> Authenticator {
        Authenticator(Arc::new(self))
    }
}

impl Authenticator {
    /// Takes nothing yet.
    pub fn builder() -> AuthenticatorBuilder {
        AuthenticatorBuilder::default()
    }

    /// The claims of an access token.
    pub async fn access(&self, token: &str) -> Result<Arc<AccessClaims>, VerifyError> {
        let verifier = self.0.access.as_ref().ok_or(VerifyError::Invalid)?;
        let claims = verifier.verify(token).await?;
        let subjects = [
            RevocationSubject::Session(claims.sid),
            RevocationSubject::User(claims.user_id),
            RevocationSubject::Tenant(claims.tenant_id.clone()),
        ];
        self.not_revoked(&subjects, claims.iat).await?;
        Ok(claims)
    }

    /// The claims of a platform administrator's token.
    pub async fn admin(&self, token: &str) -> Result<Arc<AdminClaims>, VerifyError> {
        let verifier = self.0.admin.as_ref().ok_or(VerifyError::Invalid)?;
        let claims = verifier.verify(token).await?;
        self.not_revoked(&[RevocationSubject::Admin(claims.sub)], claims.iat)
            .await?;
        Ok(claims)
    }

    /// The service whose key this is.
    pub fn service(&self, key: &str) -> Result<&str, VerifyError> {
        self.0.services.find(key).ok_or(VerifyError::Invalid)
    }

    async fn not_revoked(
        &self,
        subjects: &[RevocationSubject],
        issued_at: u64,
    ) -> Result<(), VerifyError> {
        match &self.0.revocations {
            Some(list) if list.is_revoked(subjects, issued_at).await => Err(VerifyError::Revoked),
            _ => Ok(()),
        }
    }
}

/// Whether a bearer value is a service's key by form.
pub(crate) fn is_service_key(token: &str) -> bool {
    token.starts_with(PREFIX)
}

/// The one bearer token of a request. More than one `Authorization` header is refused: two readers
/// could take different ones.
pub fn bearer_token(request: &HttpRequest) -> Result<&str, VerifyError> {
    let mut headers = request.headers().get_all(header::AUTHORIZATION);
    let first = headers.next().ok_or(VerifyError::Missing)?;
    if headers.next().is_some() {
        return Err(VerifyError::Malformed);
    }
    let value = first.to_str().map_err(|_bytes| VerifyError::Malformed)?;
    let (scheme, token) = value.trim().split_once(' ').ok_or(VerifyError::Malformed)?;
    let token = token.trim_start();
    let is_one = !token.is_empty() && !token.contains(|c: char| c.is_whitespace() || c == ',');
    if scheme.eq_ignore_ascii_case("bearer") && is_one {
        Ok(token)
    } else {
        Err(VerifyError::Malformed)
    }
}

impl From<VerifyError> for ApiError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Missing => Self::unauthorized(
                "TOKEN_MISSING",
                "Sign in first: the request needs the header Authorization: Bearer <token>.",
            ),
            VerifyError::Expired => Self::unauthorized(
                "TOKEN_EXPIRED",
                "The access token has expired; refresh it or sign in again.",
            ),
            VerifyError::Revoked => {
                Self::unauthorized("TOKEN_REVOKED", "The session was ended; sign in again.")
            }
            VerifyError::Malformed | VerifyError::Invalid | VerifyError::UnknownKey => {
                Self::unauthorized(
                    "TOKEN_INVALID",
                    "The access token is not valid; sign in again.",
                )
            }
            VerifyError::KeysUnavailable => Self::unavailable(
                "AUTH_UNAVAILABLE",
                "Tokens cannot be checked at the moment; try again shortly.",
                Duration::from_secs(2),
            ),
        }
    }
}
