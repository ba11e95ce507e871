//! The only map from what went wrong to what is answered.
#![warn(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use portal_auth::IssueError;
use portal_db::DbError;
use portal_service_kit::ApiError;

use crate::usecases::{TenantError, admins::AdminError, whatsapp_signup::SignupError};

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
            TenantError::NoCredentials => Self::not_found(
                "GENESYS_CREDENTIALS_NOT_FOUND",
                "The tenant has no such Genesys credentials; write them with PUT.",
            ),
            TenantError::NoApiKey => Self::not_found("API_KEY_NOT_FOUND", "API key not found"),
            TenantError::ApiKeyOver => Self::conflict(
                "API_KEY_NOT_ACTIVE",
                "The API key has ended or has a successor already; make a new one.",
            ),
            TenantError::Db(error) => database(error),
            TenantError::ImportOvertaken => Self::conflict(
                "IMPORT_OVERTAKEN",
                "Somebody changed a tenant of the file meanwhile; nothing was changed, try again.",
            ),
            TenantError::Random(error) => Self::internal(error),
            TenantError::Vault(error) => Self::internal(error),
        }
    }
}

impl From<SignupError> for ApiError {
    fn from(error: SignupError) -> Self {
        match error {
            SignupError::NotConfigured => Self::conflict(
                "EMBEDDED_SIGNUP_NOT_CONFIGURED",
                "Embedded Signup is not set up in this installation (settings meta.app_id, \
                 meta.app_secret and meta.config_id); configure WhatsApp by hand.",
            ),
            SignupError::Busy => Self::conflict(
                "SIGNUP_BUSY",
                "The signup is being worked on; look at it again in a moment.",
            ),
            SignupError::NotFound => Self::not_found(
                "SIGNUP_NOT_FOUND",
                "The tenant has no signup of this kind; begin one.",
            ),
            SignupError::Ended => Self::conflict(
                "SIGNUP_ENDED",
                "The signup was given up; begin another one.",
            ),
            SignupError::Tenant(error) => error.into(),
            SignupError::Random => Self::internal(error),
            SignupError::Broken(error) => Self::internal(error),
        }
    }
}

impl From<AdminError> for ApiError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Refused => Self::unauthorized(
                "INVALID_CREDENTIALS",
                "E-mail, password or code is not right.",
            ),
            AdminError::TooMany { retry_after } => Self::too_many_requests(
                "Too many attempts to sign in; wait before the next one.",
                retry_after,
            ),
            AdminError::InvalidToken => Self::unauthorized(
                "REFRESH_TOKEN_INVALID",
                "The refresh token is not valid; sign in again.",
            ),
            AdminError::TokenReused => Self::unauthorized(
                "REFRESH_TOKEN_REUSED",
                "The refresh token was used before, so the session was ended; sign in again.",
            ),
            AdminError::SessionExpired => {
                Self::unauthorized("SESSION_EXPIRED", "The session has expired; sign in again.")
            }
            AdminError::SessionRevoked => {
                Self::unauthorized("SESSION_REVOKED", "The session was ended; sign in again.")
            }
            AdminError::UnknownSession => Self::not_found(
                "SESSION_NOT_FOUND",
                "You have no such session, or it has ended already.",
            ),
            AdminError::UnknownAdmin => Self::not_found("ADMIN_NOT_FOUND", "You are not known."),
            AdminError::AlreadyEnrolled => Self::conflict(
                "TOTP_ALREADY_ENROLLED",
                "You have an authenticator app already; take it away first.",
            ),
            AdminError::NotEnrolled => Self::conflict(
                "TOTP_NOT_ENROLLED",
                "You have no authenticator app; begin with POST /api/admin/me/totp.",
            ),
            AdminError::WrongCode => Self::bad_request(
                "TOTP_CODE_WRONG",
                "The code does not fit; enter the one that the app shows now.",
            ),
            AdminError::Db(error) => database(error),
            AdminError::Token(IssueError::NoKeys) => Self::unavailable(
                "STARTING",
                "The service is starting; try again shortly.",
                Duration::from_secs(2),
            ),
            AdminError::Token(error @ IssueError::Sign(_)) => Self::internal(error),
            error @ (AdminError::Password(_)
            | AdminError::Totp(_)
            | AdminError::Vault(_)
            | AdminError::Random) => Self::internal(error),
        }
    }
}

pub(crate) fn database(error: DbError) -> ApiError {
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
