//! `GET /api/agents/whatsapp/status`

use actix_web::{get, web};
use chrono::{DateTime, Utc};
use portal_auth::Caller;
use portal_service_kit::ApiError;
use portal_tenant_client::SendingProfile;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{error::WHATSAPP_NOT_CONFIGURED, state::AppState};

const NOTE: &str = "This WhatsApp account belongs to your organization and is shared by all its \
                    agents; an administrator manages it in the admin dashboard.";

/// The organization's WhatsApp account, read-only; its token is never shown.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum StatusView {
    /// The organization can send.
    Connected(ConnectedView),
    /// It cannot.
    NotConnected(NotConnectedView),
}

/// An account that is configured.
#[derive(Serialize, ToSchema)]
struct ConnectedView {
    /// Always true.
    connected: bool,
    waba_id: String,
    phone_number_id: String,
    /// As people write it.
    phone_number: String,
    organization_name: String,
    /// `GREEN`, `YELLOW`, `RED` or another word of Meta's.
    quality_rating: Option<String>,
    /// `TIER_250` or another word of Meta's.
    messaging_limit: Option<String>,
    /// `unknown`, `valid` or `invalid`.
    token_status: &'static str,
    created_at: DateTime<Utc>,
    note: &'static str,
}

/// Nothing is configured.
#[derive(Serialize, ToSchema)]
struct NotConnectedView {
    /// Always false.
    connected: bool,
    /// What is missing and whom to ask.
    message: &'static str,
}

impl From<SendingProfile> for StatusView {
    fn from(organization: SendingProfile) -> Self {
        match organization.whatsapp {
            Some(whatsapp) => Self::Connected(ConnectedView {
                connected: true,
                waba_id: whatsapp.waba_id,
                phone_number_id: whatsapp.phone_number_id,
                phone_number: whatsapp.display_phone_number,
                organization_name: organization.name,
                quality_rating: whatsapp.quality_rating,
                messaging_limit: whatsapp.messaging_limit,
                token_status: whatsapp.token_status.as_str(),
                created_at: whatsapp.created_at,
                note: NOTE,
            }),
            None => Self::NotConnected(NotConnectedView {
                connected: false,
                message: WHATSAPP_NOT_CONFIGURED,
            }),
        }
    }
}

/// The organization's WhatsApp account.
#[utoipa::path(
    tag = "agents",
    responses(
        (status = 200, description = "The account, or that there is none", body = StatusView),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 503, description = "The organization's settings cannot be read; try again"),
    ),
    security(("bearer" = []))
)]
#[get("/api/agents/whatsapp/status")]
pub(crate) async fn status(
    caller: Caller,
    state: web::Data<AppState>,
) -> Result<web::Json<StatusView>, ApiError> {
    let organization = state.profiles.organization(&caller.tenant_id).await?;
    Ok(web::Json(organization.into()))
}
