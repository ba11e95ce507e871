//! Which tenant belongs to which Genesys organization.

use actix_web::{HttpResponse, get, put};
use portal_auth::{Guarded, Optional, PlatformAdmin, Privileged};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{ClientAddress, RequestId, ValidJson, ValidPath, client_key},
};
use portal_types::TenantId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    context,
    views::{PublicTenantView, TenantByOrgView, TenantView},
};
use crate::{state::Started, usecases};

/// Finds the tenant of a Genesys organization. Without credentials the answer is small and the
/// number of questions limited; a service or an administrator gets the full record.
#[utoipa::path(
    tag = "genesys",
    security((), ("bearer" = [])),
    params(("genesys_org_id" = String, Path, description = "The Genesys organization's id")),
    responses(
        (status = 200, description = "The tenant", body = TenantByOrgView),
        (status = 401, description = "`TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 404, description = "`TENANT_NOT_FOUND`: Tenant not found for this Genesys organization"),
        (status = 429, description = "`RATE_LIMITED`"),
    )
)]
#[get("/api/tenants/by-genesys-org/{genesys_org_id}")]
pub(super) async fn find_tenant_by_genesys_org(
    caller: Optional<Privileged>,
    Started(state): Started,
    org: ValidPath<String>,
    client: ClientAddress,
) -> Result<HttpResponse, ApiError> {
    if caller.0.is_none() {
        let taken = state
            .limiter
            .take(state.lookups.of(&client_key(client.0)))
            .await;
        taken.map_err(|retry_after| {
            ApiError::too_many_requests("Too many look-ups; wait a moment.", retry_after)
        })?;
    }
    let tenant = usecases::tenants::find_tenant_by_org(&state.deps, org.0).await?;
    Ok(HttpResponse::Ok().json(match caller.0 {
        Some(_) => TenantByOrgView::Full(TenantView::from(tenant)),
        None => TenantByOrgView::Public(PublicTenantView::from(tenant)),
    }))
}

/// The Genesys organization of a tenant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MapGenesysOrgRequest {
    /// `null` takes the organization away
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true)]
    genesys_org_id: Option<String>,
    /// Stays as it is when not given
    genesys_region: Option<String>,
}

/// Gives a tenant its Genesys organization: its people sign in to this tenant from now on.
#[utoipa::path(
    tag = "genesys",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    request_body = MapGenesysOrgRequest,
    responses(
        (status = 200, description = "The tenant as it is now", body = TenantView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`"),
        (status = 409, description = "`GENESYS_ORG_TAKEN`, `TENANT_DELETED`"),
    )
)]
#[put("/api/tenants/{tenant_id}/genesys-org")]
pub(super) async fn map_genesys_org(
    Guarded(admin, (id, body)): Guarded<
        PlatformAdmin,
        (ValidPath<TenantId>, ValidJson<MapGenesysOrgRequest>),
    >,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let body = body.0;
    let mut errors = FieldErrors::new();
    let org = body
        .genesys_org_id
        .and_then(|org| errors.check("genesys_org_id", org.parse()));
    let region = body
        .genesys_region
        .and_then(|region| errors.check("genesys_region", region.parse()));
    errors.into_result()?;
    let ctx = context(&admin, &request_id);
    let tenant = usecases::tenants::map_genesys_org(ctx, &state.deps, id.0, org, region).await?;
    Ok(HttpResponse::Ok().json(TenantView::from(tenant)))
}
