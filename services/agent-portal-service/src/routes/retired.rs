//! Addresses of the agent-level WhatsApp signup that is no more.

use actix_web::post;
use portal_service_kit::ApiError;

use crate::error::AGENT_SIGNUP_REMOVED;

fn removed() -> ApiError {
    ApiError::gone("AGENT_SIGNUP_REMOVED", AGENT_SIGNUP_REMOVED)
}

/// Removed: people are provisioned when they sign in.
#[utoipa::path(
    tag = "retired",
    responses((status = 410, description = "Removed; the message says who configures WhatsApp now"))
)]
#[post("/api/agents/signup")]
pub(crate) async fn signup() -> Result<&'static str, ApiError> {
    Err(removed())
}

/// Removed: an administrator configures WhatsApp for the organization.
#[utoipa::path(
    tag = "retired",
    responses((status = 410, description = "Removed; the message says who configures WhatsApp now"))
)]
#[post("/api/agents/whatsapp/setup")]
pub(crate) async fn whatsapp_setup() -> Result<&'static str, ApiError> {
    Err(removed())
}
