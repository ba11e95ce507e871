//! `GET /api/agents/profile`

use actix_web::{get, web};
use chrono::{DateTime, Utc};
use portal_auth::Caller;
use portal_service_kit::ApiError;
use portal_tenant_client::SendingProfile;
use portal_types::{Role, TenantId, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{domain::User, state::AppState};

/// A signed-in person.
#[derive(Serialize, ToSchema)]
struct ProfileView {
    user_id: UserId,
    name: String,
    email: Option<String>,
    role: Role,
    tenant_id: TenantId,
    created_at: DateTime<Utc>,
    last_login_at: Option<DateTime<Utc>>,
    organization: OrganizationView,
}

/// The person's organization.
#[derive(Serialize, ToSchema)]
struct OrganizationView {
    tenant_id: TenantId,
    tenant_name: String,
    whatsapp: WhatsAppView,
}

/// What the organization sends with.
#[derive(Serialize, ToSchema)]
struct WhatsAppView {
    connected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waba_id: Option<String>,
}

impl From<(User, SendingProfile)> for ProfileView {
    fn from((user, organization): (User, SendingProfile)) -> Self {
        let whatsapp = organization.whatsapp;
        Self {
            user_id: user.user_id,
            name: user.name,
            email: user.email,
            role: user.role,
            tenant_id: user.tenant_id,
            created_at: user.created_at,
            last_login_at: user.last_login_at,
            organization: OrganizationView {
                tenant_id: organization.tenant_id,
                tenant_name: organization.name,
                whatsapp: WhatsAppView {
                    connected: whatsapp.is_some(),
                    phone_number: whatsapp.as_ref().map(|w| w.display_phone_number.clone()),
                    waba_id: whatsapp.map(|w| w.waba_id),
                },
            },
        }
    }
}

/// Who is signed in, and for which organization.
#[utoipa::path(
    tag = "agents",
    responses(
        (status = 200, description = "The person and the organization", body = ProfileView),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 503, description = "The organization's settings cannot be read; try again"),
    ),
    security(("bearer" = []))
)]
#[get("/api/agents/profile")]
pub(crate) async fn profile(
    caller: Caller,
    state: web::Data<AppState>,
) -> Result<web::Json<ProfileView>, ApiError> {
    let profile = state
        .profiles
        .show(&caller.tenant_id, caller.user_id)
        .await?;
    Ok(web::Json(profile.into()))
}
