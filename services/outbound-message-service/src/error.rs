//! The only map from what went wrong to what a caller is told.

use std::time::Duration;

use portal_db::DbError;
use portal_service_kit::ApiError;

use crate::usecases::accept_message::AcceptError;

/// When a caller may try again after something of ours was away.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Front ends match on this sentence.
pub(crate) const WHATSAPP_NOT_CONFIGURED: &str = "WhatsApp not configured for your organization. \
     Ask an administrator of your organization to connect WhatsApp in the admin dashboard.";

impl From<AcceptError> for ApiError {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::UnknownTenant => Self::forbidden(
                "TENANT_NOT_ACTIVE",
                "Your organization is not set up here any more; ask its administrator",
            ),
            AcceptError::TenantSuspended => Self::forbidden(
                "TENANT_SUSPENDED",
                "Your organization is suspended; ask its administrator",
            ),
            AcceptError::WhatsappNotConfigured => {
                Self::conflict("WHATSAPP_NOT_CONFIGURED", WHATSAPP_NOT_CONFIGURED)
            }
            AcceptError::Invalid(fields) => Self::validation(&fields),
            AcceptError::KeyReused => Self::unprocessable(
                "IDEMPOTENCY_KEY_REUSED",
                "This Idempotency-Key was used for another request; use a new key for a new message",
            ),
            AcceptError::Directory(cause) => Self::unavailable(
                "TENANT_DIRECTORY_UNAVAILABLE",
                "Your organization's settings cannot be read just now; nothing was sent, try again",
                RETRY_AFTER,
            )
            .with_source(cause),
            AcceptError::Db(cause) => from_db(cause),
        }
    }
}

/// A database that is away or busy is a 503: nothing happened, and the same call may be repeated.
pub(crate) fn from_db(error: DbError) -> ApiError {
    if error.is_transient() {
        ApiError::unavailable(
            "DATABASE_UNAVAILABLE",
            "The service cannot store anything just now; nothing happened, try again",
            RETRY_AFTER,
        )
        .with_source(error)
    } else {
        ApiError::internal(error)
    }
}
