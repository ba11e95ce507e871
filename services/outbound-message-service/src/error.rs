//! The only map from what went wrong to what a caller is told.

mod webhook_secrets;

use std::{sync::Arc, time::Duration};

use actix_web::http::StatusCode;
use chrono::Utc;
use portal_db::DbError;
use portal_service_kit::{ApiError, FieldErrors};
use portal_tenant_client::TenantClientError;
use serde_json::json;

use crate::{
    domain::media::TypeRefusal,
    usecases::{
        accept_batch::BatchError,
        accept_message::AcceptError,
        account::AccountError,
        admission::Overload,
        amend_message::AmendError,
        dead_letters::LetterError,
        mark_read::MarkError,
        media::{inbound::InboundError, keep::KeepError},
        templates::TemplatesError,
    },
};

pub(crate) use webhook_secrets::from_secrets;

/// When a caller may try again after something of ours was away.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// When a caller may try again after too much waited.
const RETRY_WHEN_DRAINED: Duration = Duration::from_secs(10);

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
            AcceptError::RawNotAllowed => Self::forbidden(
                "RAW_TYPE_NOT_ALLOWED",
                "Your organization does not allow raw content; an administrator can allow it with \
                 allow_raw in the sending policy",
            ),
            AcceptError::KeyReused => Self::unprocessable(
                "IDEMPOTENCY_KEY_REUSED",
                "This Idempotency-Key was used for another request; use a new key for a new message",
            ),
            AcceptError::WindowClosed(window) => Self::conflict(
                "WINDOW_CLOSED",
                "The contact has not written within 24 hours: only a template can be sent now",
            )
            .with_details(json!({
                "window_expired_at": window.expired_at,
                "usable_templates": *window.usable_templates,
            })),
            AcceptError::MarketingStopped => Self::conflict(
                "MARKETING_STOPPED",
                "The contact stopped marketing messages of your organization; only the contact can \
                 resume them, in WhatsApp. Templates of other categories can be sent",
            ),
            AcceptError::Overloaded(Overload::Tenant) => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "TENANT_BACKLOG_FULL",
                "Too many messages of your organization wait to be sent; nothing was stored, try again later",
            )
            .with_retry_after(RETRY_WHEN_DRAINED),
            AcceptError::Overloaded(Overload::Everybody) => Self::unavailable(
                "BACKLOG_FULL",
                "Too many messages wait to be sent; nothing was stored, try again later",
                RETRY_WHEN_DRAINED,
            ),
            AcceptError::Batch(BatchError::Full) => Self::unavailable(
                "BUSY",
                "The service has more to store than it can just now; nothing was stored, try again",
                RETRY_AFTER,
            ),
            AcceptError::Batch(BatchError::Db(cause)) => from_shared(cause),
            AcceptError::Directory(cause) => directory_away(cause),
            AcceptError::Db(cause) => from_db(cause),
        }
    }
}

impl From<KeepError> for ApiError {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::Empty => {
                let mut errors = FieldErrors::new();
                errors.add("file", "must not be empty");
                Self::validation(&errors)
            }
            KeepError::TooLarge { limit } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "MEDIA_TOO_LARGE",
                format!("A file of this type may have at most {limit} bytes; make it smaller"),
            )
            .with_details(json!({ "limit_bytes": limit })),
            KeepError::Type(refusal) => refused_type(&refusal),
            KeepError::QuotaExceeded { quota } => Self::conflict(
                "MEDIA_QUOTA_EXCEEDED",
                format!(
                    "Your organization's files may have {quota} bytes together; \
                     delete some that are not needed any more"
                ),
            )
            .with_details(json!({ "quota_bytes": quota })),
            KeepError::Db(cause) => from_db(cause),
        }
    }
}

impl From<MarkError> for ApiError {
    fn from(error: MarkError) -> Self {
        match error {
            MarkError::NotFound => Self::not_found(
                "MESSAGE_NOT_FOUND",
                "Your organization has received no such message",
            ),
            MarkError::TooOld => Self::conflict(
                "MESSAGE_TOO_OLD",
                "Messages can be marked as read for 30 days; this one is older",
            ),
            MarkError::Account(cause) => cause.into(),
            MarkError::Db(cause) => from_db(cause),
            cause @ MarkError::Graph(_) => Self::new(
                StatusCode::BAD_GATEWAY,
                "META_UNAVAILABLE",
                "Meta did not mark the message; try again later",
            )
            .with_source(cause),
        }
    }
}

impl From<AmendError> for ApiError {
    fn from(error: AmendError) -> Self {
        match error {
            AmendError::NotFound => message_not_found(),
            AmendError::NotCancelable(status) => Self::conflict(
                "MESSAGE_NOT_CANCELABLE",
                format!("The message is {status}; only what is not sent can be taken back"),
            ),
            AmendError::MayBeSent => Self::conflict(
                "MESSAGE_MAY_BE_SENT",
                "WhatsApp may have the message already; it cannot be taken back",
            ),
            AmendError::NotScheduled(status) => Self::conflict(
                "MESSAGE_NOT_SCHEDULED",
                format!("The message is {status}; only a scheduled one can be changed"),
            ),
            AmendError::NotText => Self::conflict(
                "MESSAGE_NOT_TEXT",
                "Only a text message has a text; give the whole content with its type",
            ),
            AmendError::OfAnotherType(type_name) => Self::conflict(
                "MESSAGE_OF_ANOTHER_TYPE",
                format!(
                    "The message is of the type {type_name}, which it keeps; cancel it and send another"
                ),
            ),
            AmendError::Refused(refusal) => refusal.into(),
            AmendError::NotFailed(status) => Self::conflict(
                "MESSAGE_NOT_FAILED",
                format!("The message is {status}; only a failed one can be sent again"),
            ),
            AmendError::MayHaveArrived => message_may_have_arrived(),
            AmendError::Db(cause) => from_db(cause),
        }
    }
}

impl From<InboundError> for ApiError {
    fn from(error: InboundError) -> Self {
        match error {
            InboundError::NotFound => media_not_found(),
            InboundError::Gone => Self::gone(
                "MEDIA_GONE",
                "Meta does not keep this file any more; ask its sender for it again",
            ),
            InboundError::NotConfigured => {
                Self::conflict("WHATSAPP_NOT_CONFIGURED", WHATSAPP_NOT_CONFIGURED)
            }
            InboundError::Directory(cause) => directory_away(cause),
            InboundError::Db(cause) => from_db(cause),
            InboundError::Vault(cause) => Self::internal(cause),
            cause @ (InboundError::Graph(_) | InboundError::Host(_)) => Self::new(
                StatusCode::BAD_GATEWAY,
                "META_UNAVAILABLE",
                "Meta did not give the file; try again later",
            )
            .with_source(cause),
        }
    }
}

fn directory_away(cause: TenantClientError) -> ApiError {
    ApiError::unavailable(
        "TENANT_DIRECTORY_UNAVAILABLE",
        "Your organization's settings cannot be read just now; nothing was sent, try again",
        RETRY_AFTER,
    )
    .with_source(cause)
}

fn refused_type(refusal: &TypeRefusal) -> ApiError {
    match refusal {
        TypeRefusal::Unsupported { found } => ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "MEDIA_TYPE_UNSUPPORTED",
            format!("WhatsApp does not take files of the type {found}"),
        )
        .with_details(json!({ "found": found })),
        TypeRefusal::Mismatch { declared, found } => ApiError::unprocessable(
            "MEDIA_TYPE_MISMATCH",
            format!(
                "The file is declared as {declared}, but its content is {found}; \
                 declare what it is, or leave the type out"
            ),
        )
        .with_details(json!({ "declared": declared, "found": found })),
        TypeRefusal::Form(what) => ApiError::unprocessable(
            "MEDIA_FORM_UNSUPPORTED",
            format!("WhatsApp does not take this file: {what}"),
        ),
    }
}

/// A foreign file is answered as one that does not exist.
pub(crate) fn media_not_found() -> ApiError {
    ApiError::not_found("MEDIA_NOT_FOUND", "Your organization has no such file")
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::TenantNotActive => Self::forbidden(
                "TENANT_NOT_ACTIVE",
                "Your organization is suspended or not set up here any more; ask its administrator",
            ),
            AccountError::NotConfigured => {
                Self::conflict("WHATSAPP_NOT_CONFIGURED", WHATSAPP_NOT_CONFIGURED)
            }
            AccountError::Directory(cause) => directory_away(cause),
            AccountError::Vault(cause) => Self::internal(cause),
        }
    }
}

impl From<TemplatesError> for ApiError {
    fn from(error: TemplatesError) -> Self {
        match error {
            TemplatesError::Account(error) => error.into(),
            TemplatesError::Unknown => Self::not_found(
                "TEMPLATE_NOT_FOUND",
                "Your organization has no such template in this language; GET /api/templates lists them",
            ),
            TemplatesError::Limited { until } => Self::unavailable(
                "META_LIMIT",
                "Meta's limit of calls is used up for your organization's account; try again later",
                (until - Utc::now()).to_std().unwrap_or(RETRY_AFTER),
            ),
            TemplatesError::Db(cause) => from_db(cause),
        }
    }
}

/// What an id of nothing, or of another organization, is answered.
impl From<LetterError> for ApiError {
    fn from(error: LetterError) -> Self {
        match error {
            LetterError::NotFound => Self::not_found(
                "DEAD_LETTER_NOT_FOUND",
                "Your organization has no such dead letter",
            ),
            LetterError::MayHaveArrived => message_may_have_arrived(),
            LetterError::NotReplayable => Self::conflict(
                "NOT_REPLAYABLE",
                "This delivery cannot be read, and would be refused again; discard it",
            ),
            LetterError::Db(cause) => from_db(cause),
        }
    }
}

/// Nobody knows whether the message arrived.
fn message_may_have_arrived() -> ApiError {
    ApiError::conflict(
        "MESSAGE_MAY_HAVE_ARRIVED",
        "The message may have arrived; ask the recipient, or send {\"accept_duplicate\": true}",
    )
}

/// Another tenant's messages are told alike.
pub(crate) fn message_not_found() -> ApiError {
    ApiError::not_found("MESSAGE_NOT_FOUND", "Your organization has no such message")
}

/// A database that is away or busy is a 503: nothing happened, and the same call may be repeated.
pub(crate) fn from_db(error: DbError) -> ApiError {
    from_shared(Arc::new(error))
}

/// As [`from_db`], of a failure that several callers share.
fn from_shared(error: Arc<DbError>) -> ApiError {
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
