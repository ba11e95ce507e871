//! `GET` and `PUT /api/messages/policy`

use actix_web::{get, put, web};
use portal_auth::{AdminOfTenant, Guarded, MessageOverseer};
use portal_service_kit::{
    ApiError,
    http::{RequestId, ValidJson},
};

use super::decider;
use crate::{domain::SendingPolicy, error::from_db, state::AppState};

/// What the organization chose for its sending; what it never chose is the default.
#[utoipa::path(
    tag = "messages",
    responses(
        (status = 200, description = "The choices", body = SendingPolicy),
        (status = 401, description = "The token or API key is missing, expired or revoked"),
        (status = 403, description = "Only supervisors, administrators, and API keys with the scope messages:read"),
        (status = 503, description = "They cannot be read just now"),
    ),
    security(("bearer" = []))
)]
#[get("/api/messages/policy")]
pub(crate) async fn get_policy(
    MessageOverseer(caller): MessageOverseer,
    state: web::Data<AppState>,
) -> Result<web::Json<SendingPolicy>, ApiError> {
    let policy = state.policies.read(caller.tenant_id()).await;
    policy.map(web::Json).map_err(from_db)
}

/// Puts the organization's choices in place of the present ones; what is left out becomes the
/// default. All processes follow within seconds.
#[utoipa::path(
    tag = "messages",
    request_body = SendingPolicy,
    responses(
        (status = 200, description = "The choices as they are now", body = SendingPolicy),
        (status = 400, description = "Some fields cannot be used; all of them are named"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "Only administrators of the organization"),
        (status = 503, description = "Nothing was changed; try again"),
    ),
    security(("bearer" = []))
)]
#[put("/api/messages/policy")]
pub(crate) async fn put_policy(
    Guarded(AdminOfTenant(caller), ValidJson(policy)): Guarded<
        AdminOfTenant,
        ValidJson<SendingPolicy>,
    >,
    state: web::Data<AppState>,
    request_id: RequestId,
) -> Result<web::Json<SendingPolicy>, ApiError> {
    policy
        .check()
        .map_err(|fields| ApiError::validation(&fields))?;
    let who = decider(&caller, &request_id);
    let policy = state.policies.write(&caller.tenant_id, policy, who).await;
    policy.map(web::Json).map_err(from_db)
}
