//! Puts the checks together: form, signature, revocation; and turns refusals into answers.

use std::{fmt, sync::Arc, time::Duration};

use actix_web::{HttpRequest, http::header};
use moka::future::Cache as Remembered;
use portal_service_kit::ApiError;
use portal_types::{Role, SessionId};

use crate::{
    api_key::{API_KEY_LENGTH, ApiKey, ApiKeyDirectory},
    claims::{AccessClaims, AdminClaims},
    limits::CallerLimits,
    revocation::{RevocationSubject, Revocations, Standing},
    secret::sha256,
    service_key::{PREFIX, ServiceKeys},
    truth::{AdminStanding, AdminTruth, SessionTruth},
    verifier::{Verifier, VerifyError},
};

/// How long the database's word on a session holds while the list cannot be believed.
const TRUTH_HOLDS: Duration = Duration::from_secs(1);

/// Checks who calls; app data (`web::Data<Authenticator>`) of every API port.
#[derive(Debug, Clone)]
pub struct Authenticator(Arc<AuthenticatorBuilder>);

/// What a service takes; what is not set is not taken.
#[derive(Default)]
pub struct AuthenticatorBuilder {
    access: Option<Verifier<AccessClaims>>,
    admin: Option<Verifier<AdminClaims>>,
    services: ServiceKeys,
    api_keys: Option<Arc<dyn ApiKeyDirectory>>,
    revocations: Option<Revocations>,
    sessions: Option<Sessions>,
    admin_truth: Option<Arc<dyn AdminTruth>>,
    limits: Option<CallerLimits>,
}

struct Sessions {
    truth: Arc<dyn SessionTruth>,
    said: Remembered<(SessionId, u64), bool>,
}

impl fmt::Debug for AuthenticatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("access", &self.access)
            .field("admin", &self.admin)
            .finish_non_exhaustive()
    }
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

    /// Takes API keys of tenants.
    #[must_use]
    pub fn api_keys(mut self, directory: Arc<dyn ApiKeyDirectory>) -> Self {
        self.api_keys = Some(directory);
        self
    }

    /// Asks the database for a person's session when the revocation list cannot be believed.
    #[must_use]
    pub fn session_truth(mut self, truth: Arc<dyn SessionTruth>) -> Self {
        self.sessions = Some(Sessions {
            truth,
            said: Remembered::builder()
                .max_capacity(100_000)
                .time_to_live(TRUTH_HOLDS)
                .build(),
        });
        self
    }

    /// Asks the database for an administrator's session, at each call: there are few.
    #[must_use]
    pub fn admin_truth(mut self, truth: Arc<dyn AdminTruth>) -> Self {
        self.admin_truth = Some(truth);
        self
    }

    /// Asks the revocation list.
    #[must_use]
    pub fn revocations(mut self, revocations: Revocations) -> Self {
        self.revocations = Some(revocations);
        self
    }

    /// Counts what callers ask.
    #[must_use]
    pub fn limits(mut self, limits: CallerLimits) -> Self {
        self.limits = Some(limits);
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
        let has_ended = match self.standing(&subjects, claims.iat).await {
            Standing::Live => false,
            Standing::Ended => true,
            Standing::Unknown => self.has_ended(&claims, &subjects).await?,
        };
        if has_ended {
            return Err(VerifyError::Revoked);
        }
        Ok(claims)
    }

    /// The claims of a platform administrator's token.
    pub async fn admin(&self, token: &str) -> Result<Arc<AdminClaims>, VerifyError> {
        match self.admin_standing(token).await? {
            (_, AdminStanding::Unenrolled) => Err(VerifyError::SecondFactorMissing),
            (claims, _) => Ok(claims),
        }
    }

    /// As [`Self::admin`], also of an administrator who has yet to enrol a second factor: for the
    /// doors that lead to one, and for the way out.
    pub async fn enrolling_admin(&self, token: &str) -> Result<Arc<AdminClaims>, VerifyError> {
        self.admin_standing(token).await.map(|(claims, _)| claims)
    }

    async fn admin_standing(
        &self,
        token: &str,
    ) -> Result<(Arc<AdminClaims>, AdminStanding), VerifyError> {
        let verifier = self.0.admin.as_ref().ok_or(VerifyError::Invalid)?;
        let claims = verifier.verify(token).await?;
        let Some(truth) = &self.0.admin_truth else {
            return Ok((claims, AdminStanding::Live));
        };
        match truth.standing(&claims).await {
            Ok(AdminStanding::Ended) => Err(VerifyError::Revoked),
            Ok(standing) => Ok((claims, standing)),
            Err(_away) => Err(VerifyError::TruthUnavailable),
        }
    }

    /// The tenant's API key, if it is valid now.
    pub async fn api_key(&self, key: &str) -> Result<Arc<ApiKey>, VerifyError> {
        let directory = self.0.api_keys.as_ref().ok_or(VerifyError::Invalid)?;
        if key.len() != API_KEY_LENGTH {
            return Err(VerifyError::Malformed);
        }
        let found = directory.find(&sha256(key)).await;
        let found = found.map_err(|_away| VerifyError::TruthUnavailable)?;
        let key = found.ok_or(VerifyError::Invalid)?;
        let subjects = [
            RevocationSubject::ApiKey(key.key_id),
            RevocationSubject::Tenant(key.tenant_id.clone()),
        ];
        // A list that cannot be believed is no reason to refuse: what the directory remembers of a
        // key is seconds old.
        match self.standing(&subjects, 0).await {
            Standing::Ended => Err(VerifyError::Revoked),
            Standing::Unknown if self.has_seen_end(&subjects, 0).await => Err(VerifyError::Revoked),
            Standing::Live | Standing::Unknown => Ok(key),
        }
    }

    /// The service whose key this is.
    pub fn service(&self, key: &str) -> Result<&str, VerifyError> {
        self.0.services.find(key).ok_or(VerifyError::Invalid)
    }

    pub(crate) fn limits(&self) -> Option<&CallerLimits> {
        self.0.limits.as_ref()
    }

    async fn standing(&self, subjects: &[RevocationSubject], issued_at: u64) -> Standing {
        match &self.0.revocations {
            Some(list) => list.standing(subjects, issued_at).await,
            None => Standing::Live,
        }
    }

    async fn has_seen_end(&self, subjects: &[RevocationSubject], issued_at: u64) -> bool {
        match &self.0.revocations {
            Some(list) => list.has_seen_end(subjects, issued_at).await,
            None => false,
        }
    }

    /// What the database says. While it is away, too, agents go on with what was seen here: their
    /// tokens live for minutes. Who may do more is not believed.
    async fn has_ended(
        &self,
        claims: &AccessClaims,
        subjects: &[RevocationSubject],
    ) -> Result<bool, VerifyError> {
        let Some(sessions) = &self.0.sessions else {
            return Ok(self.has_seen_end(subjects, claims.iat).await);
        };
        let key = (claims.sid, claims.iat);
        if let Some(said) = sessions.said.get(&key).await {
            return Ok(said);
        }
        match sessions.truth.has_ended(claims).await {
            Ok(has_ended) => {
                sessions.said.insert(key, has_ended).await;
                Ok(has_ended)
            }
            Err(_away) if self.has_seen_end(subjects, claims.iat).await => Ok(true),
            Err(_away) if claims.role == Role::Agent => Ok(false),
            Err(_away) => Err(VerifyError::TruthUnavailable),
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
            VerifyError::SecondFactorMissing => Self::forbidden(
                "TOTP_ENROLMENT_REQUIRED",
                "Enrol an authenticator app first: POST /api/admin/me/totp, then \
                 POST /api/admin/me/totp/confirm.",
            ),
            VerifyError::Malformed | VerifyError::Invalid | VerifyError::UnknownKey => {
                Self::unauthorized(
                    "TOKEN_INVALID",
                    "The access token is not valid; sign in again.",
                )
            }
            VerifyError::KeysUnavailable | VerifyError::TruthUnavailable => Self::unavailable(
                "AUTH_UNAVAILABLE",
                "Tokens cannot be checked at the moment; try again shortly.",
                Duration::from_secs(2),
            ),
        }
    }
}
