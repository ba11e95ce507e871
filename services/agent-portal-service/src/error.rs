//! The only map from what went wrong to what a caller is told.

use std::time::Duration;

use actix_web::http::StatusCode;
use portal_auth::VerifyError;
use portal_db::DbError;
use portal_service_kit::ApiError;

use crate::usecases::{
    conversations::{ConversationError, Present},
    erasures::ErasureError,
    live_feed::FeedError,
    people::PeopleError,
    profiles::ProfileError,
    sessions::SessionError,
    sign_in::{Refusal, SignInError},
    sync::SyncError,
};

/// When a caller may try again after something of ours was away.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Front ends and runbooks match on these sentences.
pub(crate) const TENANT_NOT_FOUND: &str = "Tenant not found for this Genesys organization";
pub(crate) const USER_IN_OTHER_ORGANIZATION: &str = "User belongs to a different organization";
pub(crate) const WHATSAPP_NOT_CONFIGURED: &str = "WhatsApp not configured for your organization. \
     Ask an administrator of your organization to connect WhatsApp in the admin dashboard.";
pub(crate) const AGENT_SIGNUP_REMOVED: &str = "Agents no longer sign up for WhatsApp themselves: \
     an administrator configures WhatsApp for the whole organization in the admin dashboard.";

impl From<ErasureError> for ApiError {
    fn from(error: ErasureError) -> Self {
        match error {
            ErasureError::UnknownConversation => ConversationError::Unknown.into(),
            ErasureError::Unknown => {
                Self::not_found("ERASURE_NOT_FOUND", "There is no such erasure.")
            }
            ErasureError::Vault => Self::internal(anyhow::anyhow!("the contact cannot be hashed")),
            ErasureError::Db(error) => ConversationError::Db(error).into(),
        }
    }
}

impl From<ConversationError> for ApiError {
    fn from(error: ConversationError) -> Self {
        use ConversationError as E;
        match error {
            E::Unknown => Self::not_found(
                "CONVERSATION_NOT_FOUND",
                "There is no such conversation, or it is not yours to see.",
            ),
            E::AlreadyAssigned(present) => {
                let who = present.holder.as_ref();
                let who = who.map_or("Somebody else", |person| &*person.name);
                Self::conflict(
                    "ALREADY_ASSIGNED",
                    format!("{who} has this conversation already."),
                )
                .with_details(present_json(&present))
            }
            E::Stale(present) => Self::conflict(
                "CONVERSATION_CHANGED",
                "The conversation has changed since you looked at it; look again and decide anew.",
            )
            .with_details(present_json(&present)),
            E::NotAssigned => Self::conflict(
                "NOT_ASSIGNED",
                "Nobody holds this conversation; take it first.",
            ),
            E::Closed => Self::conflict(
                "CONVERSATION_CLOSED",
                "This conversation is closed; reopen it first.",
            ),
            E::RoutedByGenesys => Self::conflict(
                "ROUTED_BY_GENESYS",
                "Your organization's conversations are assigned by Genesys' routing; do it there.",
            ),
            E::UnknownMessage => {
                Self::not_found("MESSAGE_NOT_FOUND", "The conversation has no such message.")
            }
            E::UnknownPerson => {
                Self::not_found("USER_NOT_FOUND", "Your organization has no such person.")
            }
            E::PersonInactive => Self::conflict(
                "USER_DEACTIVATED",
                "This person's access was switched off, or the person has not signed in yet; choose somebody else.",
            ),
            E::Db(cause) => from_db(cause),
        }
    }
}

/// How a conversation stands, as details of a conflict.
fn present_json(present: &Present) -> serde_json::Value {
    let row = &present.row;
    let holder = present.holder.as_ref().map(|person| {
        serde_json::json!({
            "user_id": person.user_id, "user_name": person.name, "user_role": person.role,
            "assigned_at": row.assigned_at,
        })
    });
    serde_json::json!({
        "conversation_id": row.conversation_id, "status": row.status, "version": row.version,
        "assigned_to": holder,
    })
}

impl From<PeopleError> for ApiError {
    fn from(error: PeopleError) -> Self {
        match error {
            PeopleError::Unknown => {
                Self::not_found("USER_NOT_FOUND", "Your organization has no such person.")
            }
            PeopleError::LastAdmin => Self::conflict(
                "LAST_ADMIN",
                "This is the last active administrator of your organization; make another one first.",
            ),
            PeopleError::Self_ => Self::conflict(
                "CANNOT_DEACTIVATE_SELF",
                "You cannot deactivate yourself; ask another administrator.",
            ),
            PeopleError::Db(cause) => from_db(cause),
        }
    }
}

impl From<SyncError> for ApiError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Unknown => {
                Self::not_found("SYNC_NOT_FOUND", "Your organization has no such sync.")
            }
            SyncError::NoCredentials => {
                Self::conflict("GENESYS_CREDENTIALS_MISSING", CREDENTIALS_MISSING)
            }
            SyncError::TenantNotActive => Self::forbidden(
                "TENANT_NOT_ACTIVE",
                "Your organization is not active here; ask the operator of this portal.",
            ),
            SyncError::UnknownRegion => sync_failed(Some("REGION_UNKNOWN")),
            SyncError::Sealed(error) => Self::internal(error),
            SyncError::Genesys(error) => Self::unavailable(
                "GENESYS_UNAVAILABLE",
                "Genesys Cloud cannot be reached at the moment; try again shortly.",
                RETRY_AFTER,
            )
            .with_source(error),
            SyncError::DirectoryAway(cause) => directory_away(cause),
            SyncError::Db(cause) => from_db(cause),
        }
    }
}

impl From<FeedError> for ApiError {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::TooManyOfUser => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "TOO_MANY_STREAMS",
                "You have too many event streams open; close some windows.",
            ),
            FeedError::Full => Self::unavailable(
                "TOO_MANY_STREAMS",
                "Too many event streams are open here; try again shortly.",
                RETRY_AFTER,
            ),
            FeedError::Unwelcome => VerifyError::Revoked.into(),
            FeedError::Db(cause) => from_db(cause),
        }
    }
}

const CREDENTIALS_MISSING: &str = "Your organization has no Genesys OAuth client for reading its \
     people. The platform's administrator adds one with the grant client_credentials to the \
     tenant's Genesys credentials in the admin dashboard.";

/// A sync that Genesys or the configuration stopped for good.
pub(crate) fn sync_failed(code: Option<&str>) -> ApiError {
    let sentence = match code {
        Some("GENESYS_CREDENTIALS_MISSING") => CREDENTIALS_MISSING,
        Some("GENESYS_CLIENT_REFUSED") => {
            "Genesys refuses the OAuth client of your organization: its id, secret, grant or region is \
             wrong. The platform's administrator corrects it in the admin dashboard."
        }
        Some("GENESYS_PERMISSION_MISSING") => {
            "The OAuth client of your organization may not read its people: give its role the \
             permission directory:user:view in Genesys."
        }
        Some("REGION_UNKNOWN") => {
            "The region of your organization's OAuth client is not one that this portal serves."
        }
        _ => "Genesys did not let the sync finish; try again, and ask the operator if it stays so.",
    };
    ApiError::new(StatusCode::BAD_GATEWAY, "SYNC_FAILED", sentence)
}

impl From<SignInError> for ApiError {
    fn from(error: SignInError) -> Self {
        use SignInError as E;
        match error {
            E::TooMany { retry_after } => Self::too_many_requests(
                "Too many sign-ins were begun from your address; wait a moment and try again.",
                retry_after,
            ),
            E::UnknownRegion => Self::bad_request(
                "REGION_UNKNOWN",
                "Nobody can sign in from this Genesys region here.",
            ),
            E::TenantNotThere => Self::not_found(
                "LOGIN_TENANT_UNKNOWN",
                "Nobody can sign in with this link: it names no organization that is active here.",
            ),
            E::NotApproved => Self::forbidden(
                "GENESYS_NOT_APPROVED",
                "Your Genesys organization has not approved this portal yet.",
            ),
            E::UnknownOrigin => Self::bad_request(
                "ORIGIN_NOT_ALLOWED",
                "The page that began the sign-in is not allowed to: its origin is not configured.",
            ),
            E::UnknownState => Self::bad_request(
                "LOGIN_STATE_UNKNOWN",
                "This sign-in has been finished already, or took longer than 10 minutes; sign in again.",
            ),
            E::ForeignState => Self::forbidden(
                "LOGIN_STATE_FOREIGN",
                "This sign-in was begun in another browser; sign in again in this one.",
            ),
            E::Denied => Self::forbidden(
                "GENESYS_ACCESS_DENIED",
                "Access was denied at Genesys Cloud; sign in again and allow it.",
            ),
            E::CodeRefused(cause) => with_cause(
                Self::bad_request(
                    "GENESYS_CODE_REFUSED",
                    "Genesys Cloud did not accept the sign-in code; sign in again.",
                ),
                cause,
            ),
            E::ClientRefused(cause) => with_cause(
                Self::new(
                    StatusCode::BAD_GATEWAY,
                    "GENESYS_CLIENT_REFUSED",
                    "Genesys Cloud does not accept this portal; its operator must check the OAuth client.",
                ),
                cause,
            ),
            E::GenesysAway(cause) => with_cause(
                Self::unavailable(
                    "GENESYS_UNAVAILABLE",
                    "Genesys Cloud does not answer at the moment; try again shortly.",
                    RETRY_AFTER,
                ),
                cause,
            ),
            E::CacheAway(cause) => Self::unavailable(
                "SIGN_IN_UNAVAILABLE",
                "Nobody can sign in just now, because a part of the portal does not answer; this passes, try again shortly.",
                RETRY_AFTER,
            )
            .with_source(cause),
            E::DirectoryAway(cause) => directory_away(cause),
            E::NotReady => not_ready(),
            E::Db(cause) => from_db(cause),
            E::Unexpected(cause) => Self::internal(cause),
            E::Refused(refusal) => refusal.into(),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::OrganizationInactive => Self::forbidden(
                "ORGANIZATION_INACTIVE",
                "Your Genesys organization is not active.",
            ),
            Refusal::PersonInactive => {
                Self::forbidden("GENESYS_USER_INACTIVE", "Your Genesys user is not active.")
            }
            Refusal::Trustee => Self::forbidden(
                "TRUSTEE_NOT_ALLOWED",
                "You work in this Genesys organization as a guest of another one, which is not allowed here.",
            ),
            Refusal::NoRole => Self::forbidden(
                "ROLE_NOT_ALLOWED",
                "None of your Genesys roles may use the agent portal.",
            ),
            Refusal::UnknownTenant => Self::not_found("TENANT_NOT_FOUND", TENANT_NOT_FOUND),
            Refusal::WrongRegion => Self::forbidden(
                "REGION_MISMATCH",
                "Your organization is registered in another Genesys region; choose that one.",
            ),
            Refusal::OtherTenant => Self::forbidden(
                "LOGIN_TENANT_MISMATCH",
                "You signed in to another Genesys organization than the one that this sign-in was begun for.",
            ),
            Refusal::TenantSuspended => tenant_suspended(),
            Refusal::KnownElsewhere => {
                Self::forbidden("USER_IN_OTHER_ORGANIZATION", USER_IN_OTHER_ORGANIZATION)
            }
            Refusal::UserDeactivated | Refusal::PlaceholderDeactivated(_) => user_deactivated(),
        }
    }
}

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        use SessionError as E;
        match error {
            E::InvalidToken => Self::unauthorized(
                "REFRESH_TOKEN_INVALID",
                "The refresh token is not valid; sign in again.",
            ),
            E::TokenReused => Self::unauthorized(
                "REFRESH_TOKEN_REUSED",
                "The refresh token was used before, so the session was ended; sign in again.",
            ),
            E::Expired => {
                Self::unauthorized("SESSION_EXPIRED", "The session has expired; sign in again.")
            }
            E::Revoked => {
                Self::unauthorized("SESSION_REVOKED", "The session was ended; sign in again.")
            }
            E::UserDeactivated => user_deactivated(),
            E::TenantNotActive => tenant_suspended(),
            E::Refused(refusal) => refusal.into(),
            E::UnknownSession => Self::not_found(
                "SESSION_NOT_FOUND",
                "You have no such session, or it has ended already.",
            ),
            E::NotReady => not_ready(),
            E::Db(cause) => from_db(cause),
            E::Unexpected(cause) => Self::internal(cause),
        }
    }
}

impl From<ProfileError> for ApiError {
    fn from(error: ProfileError) -> Self {
        match error {
            ProfileError::UnknownUser => Self::not_found(
                "USER_NOT_FOUND",
                "You are not known here any more; sign in again.",
            ),
            ProfileError::UnknownTenant => Self::not_found("TENANT_NOT_FOUND", TENANT_NOT_FOUND),
            ProfileError::DirectoryAway(cause) => directory_away(cause),
            ProfileError::Db(cause) => from_db(cause),
        }
    }
}

/// The keys are not loaded yet, so nothing can be signed or checked.
pub(crate) fn not_ready() -> ApiError {
    ApiError::unavailable(
        "STARTING",
        "The service is starting; try again in a moment.",
        RETRY_AFTER,
    )
}

fn tenant_suspended() -> ApiError {
    ApiError::forbidden(
        "TENANT_SUSPENDED",
        "Your organization is suspended; ask its administrator.",
    )
}

fn user_deactivated() -> ApiError {
    ApiError::forbidden(
        "USER_DEACTIVATED",
        "Your access was switched off; ask an administrator of your organization.",
    )
}

fn directory_away(cause: impl Into<anyhow::Error>) -> ApiError {
    ApiError::unavailable(
        "TENANT_DIRECTORY_UNAVAILABLE",
        "Your organization's settings cannot be read just now; try again.",
        RETRY_AFTER,
    )
    .with_source(cause)
}

fn with_cause<E: Into<anyhow::Error>>(error: ApiError, cause: Option<E>) -> ApiError {
    match cause {
        Some(cause) => error.with_source(cause),
        None => error,
    }
}

/// A database that is away or busy is a 503: nothing happened, and the same call may be repeated.
fn from_db(error: DbError) -> ApiError {
    if error.is_transient() {
        ApiError::unavailable(
            "DATABASE_UNAVAILABLE",
            "The service cannot store anything just now; nothing happened, try again.",
            RETRY_AFTER,
        )
        .with_source(error)
    } else {
        ApiError::internal(error)
    }
}
