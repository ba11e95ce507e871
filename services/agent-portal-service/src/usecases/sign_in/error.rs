//! Why somebody was not signed in.

use std::time::Duration;

use portal_auth::IssueError;
use portal_cache::CacheError;
use portal_db::DbError;
use portal_genesys::{ErrorKind, GenesysError};
use portal_tenant_client::TenantClientError;
use portal_types::UserId;

use crate::usecases::genesys_clients::ClientError;

/// Why somebody was not signed in. Variants are facts; `crate::error` says what people are told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    #[error("too many sign-ins from one address")]
    TooMany { retry_after: Duration },
    #[error("the region is not one of the configured ones")]
    UnknownRegion,
    #[error("the sign-in is for a tenant that is unknown or not active")]
    TenantNotThere,
    #[error("the origin is not one of the configured ones")]
    UnknownOrigin,
    #[error("the sign-in is unknown, over, or was finished before")]
    UnknownState,
    #[error("the sign-in was begun in another browser")]
    ForeignState,
    #[error("the person or Genesys denied access")]
    Denied,
    #[error("the organization has not approved our OAuth client")]
    NotApproved,
    #[error("Genesys did not take the code")]
    CodeRefused(#[source] Option<GenesysError>),
    #[error("Genesys refuses our OAuth client or request")]
    ClientRefused(#[source] Option<GenesysError>),
    #[error("Genesys is away")]
    GenesysAway(#[source] Option<GenesysError>),
    #[error("the person was turned away")]
    Refused(#[from] Refusal),
    #[error("tenant-service gives no answer")]
    DirectoryAway(#[from] TenantClientError),
    #[error("redis gives no answer")]
    CacheAway(#[from] CacheError),
    #[error("there are no signing keys yet")]
    NotReady,
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("the sign-in failed unexpectedly")]
    Unexpected(#[source] anyhow::Error),
}

/// Why a person whom Genesys vouches for may not come in: that goes into the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the Genesys organization is not active")]
    OrganizationInactive,
    #[error("the person is not active in Genesys")]
    PersonInactive,
    #[error("the person belongs to another Genesys organization")]
    Trustee,
    #[error("no role of the person gives a portal role")]
    NoRole,
    #[error("no tenant has the Genesys organization")]
    UnknownTenant,
    #[error("the tenant's Genesys organization lies in another region")]
    WrongRegion,
    #[error("the sign-in was begun for another tenant")]
    OtherTenant,
    #[error("the tenant is suspended")]
    TenantSuspended,
    #[error("the person is known in another tenant")]
    KnownElsewhere,
    #[error("the person was deactivated")]
    UserDeactivated,
    #[error("the person was deactivated before the first sign-in")]
    PlaceholderDeactivated(UserId),
}

impl SignInError {
    /// All that [`SignInError::outcome`] may be.
    pub(crate) const OUTCOMES: [&str; 26] = [
        "too_many",
        "unknown_region",
        "tenant_not_there",
        "unknown_origin",
        "unknown_state",
        "foreign_state",
        "denied",
        "not_approved",
        "code_refused",
        "client_refused",
        "genesys_away",
        "organization_inactive",
        "person_inactive",
        "trustee_refused",
        "no_role",
        "unknown_tenant",
        "wrong_region",
        "other_tenant",
        "tenant_suspended",
        "known_elsewhere",
        "user_deactivated",
        "directory_away",
        "cache_away",
        "not_ready",
        "database",
        "unexpected",
    ];

    /// The label in metrics and audit rows.
    pub(crate) const fn outcome(&self) -> &'static str {
        match self {
            Self::TooMany { .. } => "too_many",
            Self::UnknownRegion => "unknown_region",
            Self::TenantNotThere => "tenant_not_there",
            Self::UnknownOrigin => "unknown_origin",
            Self::UnknownState => "unknown_state",
            Self::ForeignState => "foreign_state",
            Self::Denied => "denied",
            Self::NotApproved => "not_approved",
            Self::CodeRefused(_) => "code_refused",
            Self::ClientRefused(_) => "client_refused",
            Self::GenesysAway(_) => "genesys_away",
            Self::Refused(refusal) => refusal.outcome(),
            Self::DirectoryAway(_) => "directory_away",
            Self::CacheAway(_) => "cache_away",
            Self::NotReady => "not_ready",
            Self::Db(_) => "database",
            Self::Unexpected(_) => "unexpected",
        }
    }
}

impl Refusal {
    /// The label in metrics and audit rows.
    pub(crate) const fn outcome(self) -> &'static str {
        match self {
            Self::OrganizationInactive => "organization_inactive",
            Self::PersonInactive => "person_inactive",
            Self::Trustee => "trustee_refused",
            Self::NoRole => "no_role",
            Self::UnknownTenant => "unknown_tenant",
            Self::WrongRegion => "wrong_region",
            Self::OtherTenant => "other_tenant",
            Self::TenantSuspended => "tenant_suspended",
            Self::KnownElsewhere => "known_elsewhere",
            Self::UserDeactivated | Self::PlaceholderDeactivated(_) => "user_deactivated",
        }
    }
}

impl From<ClientError> for SignInError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::DirectoryAway(cause) => cause.into(),
            ClientError::Sealed(_) => Self::Unexpected(error.into()),
        }
    }
}

impl From<GenesysError> for SignInError {
    fn from(error: GenesysError) -> Self {
        match error.kind {
            ErrorKind::InvalidGrant => Self::CodeRefused(Some(error)),
            ErrorKind::InvalidClient
            | ErrorKind::Refused
            | ErrorKind::Forbidden
            | ErrorKind::NotFound => Self::ClientRefused(Some(error)),
            // A fresh token that is refused at once, or an answer that nobody documents: nothing
            // that the person or the operator can mend.
            ErrorKind::Unauthorized
            | ErrorKind::RateLimited { .. }
            | ErrorKind::Unavailable
            | ErrorKind::Protocol => Self::GenesysAway(Some(error)),
        }
    }
}

impl From<IssueError> for SignInError {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::NoKeys => Self::NotReady,
            IssueError::Sign(_) => Self::Unexpected(error.into()),
        }
    }
}
