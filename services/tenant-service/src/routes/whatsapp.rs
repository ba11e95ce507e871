//! WhatsApp configurations.

use actix_web::{HttpResponse, delete, get, put};
use portal_auth::{Guarded, PlatformAdmin, ServiceCaller};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{RequestId, ValidJson, ValidPath},
};
use portal_types::{PhoneNumber, TenantId};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    context,
    views::{SendingProfileView, WhatsappView},
};
use crate::{
    domain::whatsapp_account::{NewWhatsappAccount, check_pin, check_token},
    state::Started,
    usecases,
};

/// A WhatsApp configuration to be written.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WriteWhatsappRequest {
    waba_id: String,
    business_id: Option<String>,
    /// The id of the number that messages leave from
    phone_number_id: String,
    #[schema(examples("+14155550123"))]
    display_phone_number: String,
    /// Write-only
    #[schema(value_type = String, format = Password, write_only)]
    access_token: SecretString,
    /// Write-only: the PIN of the number's two-step verification; without it the kept one stays
    #[schema(value_type = Option<String>, format = Password, write_only)]
    pin: Option<SecretString>,
}

impl TryFrom<WriteWhatsappRequest> for NewWhatsappAccount {
    type Error = ApiError;

    fn try_from(request: WriteWhatsappRequest) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::new();
        let waba_id = errors.check("waba_id", request.waba_id.parse());
        let business_id = request
            .business_id
            .and_then(|id| errors.check("business_id", id.parse()));
        let number_id = errors.check("phone_number_id", request.phone_number_id.parse());
        let number = PhoneNumber::parse(&request.display_phone_number);
        let number = errors.check("display_phone_number", number);
        errors.check("access_token", check_token(&request.access_token));
        if let Some(pin) = &request.pin {
            errors.check("pin", check_pin(pin));
        }
        match (waba_id, number_id, number) {
            (Some(waba_id), Some(phone_number_id), Some(display_phone_number))
                if errors.is_empty() =>
            {
                Ok(Self {
                    waba_id,
                    business_id,
                    phone_number_id,
                    display_phone_number,
                    access_token: request.access_token,
                    pin: request.pin,
                    proven: None,
                })
            }
            _ => Err(errors.into()),
        }
    }
}

/// Writes a tenant's WhatsApp configuration, in place of the present one.
#[utoipa::path(
    tag = "whatsapp",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    request_body = WriteWhatsappRequest,
    responses(
        (status = 200, description = "The configuration as it is now", body = WhatsappView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`"),
        (status = 409, description = "`WABA_TAKEN`, `PHONE_NUMBER_TAKEN`, `TENANT_DELETED`"),
    )
)]
#[put("/api/tenants/{tenant_id}/whatsapp")]
pub(super) async fn write_whatsapp(
    Guarded(admin, (id, body)): Guarded<
        PlatformAdmin,
        (ValidPath<TenantId>, ValidJson<WriteWhatsappRequest>),
    >,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let new = NewWhatsappAccount::try_from(body.0)?;
    let ctx = context(&admin, &request_id);
    let account =
        usecases::whatsapp_accounts::write_whatsapp_account(ctx, &state.deps, id.0, new).await?;
    Ok(HttpResponse::Ok().json(WhatsappView::from(account)))
}

/// Shows a tenant's WhatsApp configuration, its token masked.
#[utoipa::path(
    tag = "whatsapp",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    responses(
        (status = 200, description = "The configuration", body = WhatsappView),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`, `WHATSAPP_CONFIG_NOT_FOUND`"),
    )
)]
#[get("/api/tenants/{tenant_id}/whatsapp")]
pub(super) async fn get_whatsapp(
    Guarded(_admin, id): Guarded<PlatformAdmin, ValidPath<TenantId>>,
    Started(state): Started,
) -> Result<HttpResponse, ApiError> {
    let account = usecases::whatsapp_accounts::get_whatsapp_account(&state.deps, id.0).await?;
    Ok(HttpResponse::Ok().json(WhatsappView::from(account)))
}

/// Removes a tenant's WhatsApp configuration: its sending ends.
#[utoipa::path(
    tag = "whatsapp",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    responses(
        (status = 204, description = "The configuration is gone"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`, `WHATSAPP_CONFIG_NOT_FOUND`"),
    )
)]
#[delete("/api/tenants/{tenant_id}/whatsapp")]
pub(super) async fn remove_whatsapp(
    Guarded(admin, id): Guarded<PlatformAdmin, ValidPath<TenantId>>,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let ctx = context(&admin, &request_id);
    usecases::whatsapp_accounts::remove_whatsapp_account(ctx, &state.deps, id.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// What a service needs to send for a tenant, its token sealed. For services only.
#[utoipa::path(
    tag = "whatsapp",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    responses(
        (status = 200, description = "The profile; the status says whether it may be used", body = SendingProfileView),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`"),
        (status = 403, description = "`FORBIDDEN`: only services"),
        (status = 404, description = "`TENANT_NOT_FOUND`"),
    )
)]
#[get("/api/tenants/{tenant_id}/sending-profile")]
pub(super) async fn get_sending_profile(
    Guarded(_service, id): Guarded<ServiceCaller, ValidPath<TenantId>>,
    Started(state): Started,
) -> Result<HttpResponse, ApiError> {
    let profile = usecases::whatsapp_accounts::get_sending_profile(&state.deps, id.0).await?;
    Ok(HttpResponse::Ok().json(SendingProfileView::from(profile)))
}
