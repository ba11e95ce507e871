//! The only map from what went wrong to what is answered.
#![warn(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use portal_auth::IssueError;
use portal_db::DbError;
use portal_service_kit::ApiError;

use crate::usecases::{TenantError, admin_login::LoginError};

/// The contract's sentence; front ends and runbooks match on it.
pub(crate) const NO_TENANT_FOR_ORG: &str = "Tenant not found for this Genesys organization";

impl From<TenantError> for ApiError {
    fn from(error: TenantError) -> Self {
        match error {
            TenantError::NotFound => Self::not_found("TENANT_NOT_FOUND", "Tenant not found"),
            TenantError::NotFoundForOrg => Self::not_found("TENANT_NOT_FOUND", NO_TENANT_FOR_ORG),
            TenantError::Deleted => Self::conflict(
                "TENANT_DELETED",
                "The tenant is deleted and cannot be changed.",
            ),
            TenantError::Exists => Self::conflict(
                "TENANT_EXISTS",
                "There is a tenant with this id already; choose another id.",
            ),
            TenantError::OrgTaken => Self::conflict(
                "GENESYS_ORG_TAKEN",
                "The Genesys organization belongs to another tenant; find it with \
                 GET /api/tenants?genesys_org_id=… (and status=deleted) and take it away first.",
            ),
            TenantError::WabaTaken => Self::conflict(
                "WABA_TAKEN",
                "The WhatsApp Business Account belongs to another tenant; remove it there first.",
            ),
            TenantError::NumberTaken => Self::conflict(
                "PHONE_NUMBER_TAKEN",
                "The phone number belongs to another tenant; remove it there first.",
            ),
            TenantError::NotConfigured => Self::not_found(
                "WHATSAPP_CONFIG_NOT_FOUND",
                "The tenant has no WhatsApp configuration; write one with PUT.",
            ),
            TenantError::Db(error) => database(error),
            TenantError::Vault(error) => Self::internal(error),
        }
    }
}

impl From<LoginError> for ApiError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Refused => {
                Self::unauthorized("INVALID_CREDENTIALS", "E-mail or password is not right.")
            }
            LoginError::TooMany { retry_after } => Self::too_many_requests(
                "Too many attempts to sign in; wait before the next one.",
                retry_after,
            ),
            LoginError::Db(error) => database(error),
            LoginError::Password(error) => Self::internal(error),
            LoginError::Random(error) => Self::internal(error),
            LoginError::Token(IssueError::NoKeys) => Self::unavailable(
                "STARTING",
                "The service is starting; try again shortly.",
                Duration::from_secs(2),
            ),
            LoginError::Token(error @ IssueError::Sign(_)) => Self::internal(error),
        }
    }
}

fn database(error: DbError) -> ApiError {
    if error.is_transient() {
        ApiError::unavailable(
            "DATABASE_UNAVAILABLE",
            "The service cannot reach its data at the moment; try again shortly.",
            Duration::from_secs(1),
        )
        .with_source(error)
    } else {
        ApiError::internal(error)
    }
}
