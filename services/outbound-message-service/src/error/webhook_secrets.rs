//! Of the secrets of organizations with a Meta app of their own.

use std::sync::Arc;

use portal_service_kit::ApiError;

use super::{RETRY_AFTER, from_db};
use crate::usecases::webhook_secrets::SecretError;

impl From<SecretError> for ApiError {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Db(cause) => from_db(cause),
            SecretError::Vault(cause) => Self::internal(cause),
            SecretError::TooMany => Self::conflict(
                "TOO_MANY_WEBHOOK_SECRETS",
                "Two secrets of this kind are valid already; remove one, or let it end, first",
            ),
            SecretError::NotFound => Self::not_found(
                "WEBHOOK_SECRET_NOT_FOUND",
                "Your organization has no such webhook secret",
            ),
        }
    }
}

/// An error that several posts wait for together. Whatever it is, Meta is to post again.
pub(crate) fn from_secrets(error: Arc<SecretError>) -> ApiError {
    ApiError::unavailable(
        "WEBHOOK_SECRETS_UNAVAILABLE",
        "The secrets cannot be read just now; nothing was stored, post again",
        RETRY_AFTER,
    )
    .with_source(error)
}
