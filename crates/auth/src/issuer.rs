//! Makes tokens.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::{Algorithm, Header};
use portal_types::{Clock, Role, SessionId, SystemClock, TenantId, UserId};
use secrecy::SecretString;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    claims::{ACCESS_TYPE, ADMIN_TYPE, AccessClaims, AdminClaims},
    keys::SigningKeys,
};

/// How long a token is valid: short, because a process that cannot ask for revocations goes on
/// believing it.
pub const DEFAULT_LIFETIME: Duration = Duration::from_mins(5);

/// The header `typ` of our tokens (RFC 9068).
pub(crate) const TYP: &str = "at+jwt";

/// For whom an access token is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessSubject {
    /// The person.
    pub user_id: UserId,
    /// The person's tenant.
    pub tenant_id: TenantId,
    /// What the person may do.
    pub role: Role,
    /// The session.
    pub session_id: SessionId,
}

/// A token that was just made.
#[derive(Debug, Clone)]
pub struct IssuedToken {
    /// The token.
    pub token: SecretString,
    /// Seconds until it expires, as `expiresIn` says.
    pub expires_in: u64,
    /// Its id.
    pub jti: Uuid,
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The signing keys are not loaded yet.
    #[error("there are no signing keys yet")]
    NoKeys,
    /// The signature failed.
    #[error("the token could not be signed")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// Signs tokens; clones share the keys.
#[derive(Clone)]
pub struct Issuer {
    iss: Arc<str>,
    aud: Arc<str>,
    keys: SigningKeys,
    lifetime: Duration,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer")
            .field("iss", &self.iss)
            .finish_non_exhaustive()
    }
}

struct Times {
    iat: u64,
    exp: u64,
}

impl Issuer {
    /// An issuer named `iss` of tokens for `aud`, valid for [`DEFAULT_LIFETIME`].
    pub fn new(iss: &str, aud: &str, keys: SigningKeys) -> Self {
        Self {
            iss: iss.into(),
            aud: aud.into(),
            keys,
            lifetime: DEFAULT_LIFETIME,
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets how long tokens are valid.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets the clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The keys, to publish and to verify with.
    pub fn keys(&self) -> &SigningKeys {
        &self.keys
    }

    /// An access token.
    pub fn issue_access(&self, subject: &AccessSubject) -> Result<IssuedToken, IssueError> {
        let jti = Uuid::now_v7();
        let times = self.times();
        let claims = AccessClaims {
            iss: self.iss.to_string(),
            aud: self.aud.to_string(),
            sub: subject.user_id,
            user_id: subject.user_id,
            tenant_id: subject.tenant_id.clone(),
            role: subject.role,
            r#type: ACCESS_TYPE.to_owned(),
            sid: subject.session_id,
            iat: times.iat,
            nbf: times.iat,
            exp: times.exp,
            jti,
        };
        self.sign(&claims, jti)
    }

    /// A platform administrator's token, of one of their sessions.
    pub fn issue_admin(&self, admin_id: Uuid, session_id: Uuid) -> Result<IssuedToken, IssueError> {
        let jti = Uuid::now_v7();
        let times = self.times();
        let claims = AdminClaims {
            iss: self.iss.to_string(),
            aud: self.aud.to_string(),
            sub: admin_id,
            sid: session_id,
            r#type: ADMIN_TYPE.to_owned(),
            iat: times.iat,
            nbf: times.iat,
            exp: times.exp,
            jti,
        };
        self.sign(&claims, jti)
    }

    fn times(&self) -> Times {
        let iat = u64::try_from(self.clock.now().timestamp()).unwrap_or(0);
        Times {
            iat,
            exp: iat + self.lifetime.as_secs(),
        }
    }

    fn sign(&self, claims: &impl Serialize, jti: Uuid) -> Result<IssuedToken, IssueError> {
        let key = self.keys.active().ok_or(IssueError::NoKeys)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYP.to_owned());
        header.kid = Some(key.kid().to_owned());
        let token = jsonwebtoken::encode(&header, claims, &key.encoding_key())?;
        Ok(IssuedToken {
            token: token.into(),
            expires_in: self.lifetime.as_secs(),
            jti,
        })
    }
}
