//! What an organization's own administrators may change of their tenant, through the service that
//! they are signed in to.

use actix_web::{HttpResponse, patch};
use portal_auth::{Guarded, ServiceCaller};
use portal_db::audit::Actor;
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{RequestId, ValidJson, ValidPath},
};
use portal_types::{TenantId, UserId};
use serde::Deserialize;
use utoipa::ToSchema;

use super::views::TenantView;
use crate::{
    domain::tenant::TenantChanges,
    state::Started,
    usecases::{self, OpContext},
};

/// What is to be changed, and who changes it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateProfileRequest {
    name: String,
    /// The person of the tenant who asked for it
    changed_by: UserId,
}

/// Changes a tenant's name in the name of one of its administrators. For services only.
#[utoipa::path(
    tag = "tenants",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    request_body = UpdateProfileRequest,
    responses(
        (status = 200, description = "The tenant as it is now", body = TenantView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`"),
        (status = 403, description = "`FORBIDDEN`: only services"),
        (status = 404, description = "`TENANT_NOT_FOUND`"),
        (status = 409, description = "`TENANT_DELETED`"),
    )
)]
#[patch("/api/tenants/{tenant_id}/profile")]
pub(super) async fn update_profile(
    Guarded(_service, (id, body)): Guarded<
        ServiceCaller,
        (ValidPath<TenantId>, ValidJson<UpdateProfileRequest>),
    >,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let body = body.0;
    let mut errors = FieldErrors::new();
    let name = errors.check("name", body.name.parse());
    errors.into_result()?;
    let ctx = OpContext {
        actor: Actor::User(body.changed_by.to_string()),
        request_id: Some(request_id.as_str().to_owned()),
    };
    let changes = TenantChanges {
        name,
        ..TenantChanges::default()
    };
    let tenant = usecases::tenants::update_tenant(ctx, &state.deps, id.0, changes).await?;
    Ok(HttpResponse::Ok().json(TenantView::from(tenant)))
}
