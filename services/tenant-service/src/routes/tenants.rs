//! `/api/tenants`: for platform administrators.

use actix_web::{HttpResponse, delete, get, http::header, patch, post};
use portal_auth::{Guarded, PlatformAdmin};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{Page, Patch, RequestId, ValidJson, ValidPath, ValidQuery},
};
use portal_types::TenantId;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    context,
    views::{TenantListView, TenantView},
};
use crate::{
    domain::tenant::{
        Change, MAX_SYNC_MINUTES, NewTenant, RATE_LIMITS, SettingsChanges, TenantChanges,
        TenantFilter, TenantStatus, new_tenant_id,
    },
    state::Started,
    usecases,
};

/// A tenant to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateTenantRequest {
    /// Letters, digits, `_`, `.`, `-`; never changes
    #[schema(examples("acme_corp"))]
    tenant_id: String,
    #[schema(examples("Acme Corp"))]
    name: String,
    genesys_org_id: Option<String>,
    #[schema(examples("mypurecloud.com"))]
    genesys_region: Option<String>,
}

impl TryFrom<CreateTenantRequest> for NewTenant {
    type Error = ApiError;

    fn try_from(request: CreateTenantRequest) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::new();
        let tenant_id = errors.check("tenant_id", new_tenant_id(&request.tenant_id));
        let name = errors.check("name", request.name.parse());
        let org = request
            .genesys_org_id
            .map(|org| errors.check("genesys_org_id", org.parse()));
        let region = request
            .genesys_region
            .map(|region| errors.check("genesys_region", region.parse()));
        match (tenant_id, name) {
            (Some(tenant_id), Some(name)) if errors.is_empty() => Ok(Self {
                tenant_id,
                name,
                genesys_org_id: org.flatten(),
                genesys_region: region.flatten(),
            }),
            _ => Err(errors.into()),
        }
    }
}

/// Makes a tenant.
#[utoipa::path(
    tag = "tenants",
    security(("bearer" = [])),
    request_body = CreateTenantRequest,
    responses(
        (status = 201, description = "The tenant was made", body = TenantView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 409, description = "`TENANT_EXISTS`, `GENESYS_ORG_TAKEN`"),
    )
)]
#[post("/api/tenants")]
pub(super) async fn create_tenant(
    Guarded(admin, body): Guarded<PlatformAdmin, ValidJson<CreateTenantRequest>>,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let new = NewTenant::try_from(body.0)?;
    let ctx = context(&admin, &request_id);
    let tenant = usecases::tenants::create_tenant(ctx, &state.deps, new).await?;
    let location = format!("/api/tenants/{}", tenant.tenant_id);
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, location))
        .json(TenantView::from(tenant)))
}

/// Which tenants to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListTenantsQuery {
    /// `active`, `suspended` or `deleted`; without it all that are not deleted
    status: Option<String>,
    /// Part of the name or of the id
    q: Option<String>,
    genesys_org_id: Option<String>,
    /// 1 to 100, 50 when not given
    limit: Option<u32>,
    offset: Option<u32>,
}

/// Lists tenants by id.
#[utoipa::path(
    tag = "tenants",
    security(("bearer" = [])),
    params(ListTenantsQuery),
    responses(
        (status = 200, description = "A page of tenants", body = TenantListView),
        (status = 400, description = "`VALIDATION_FAILED`"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
    )
)]
#[get("/api/tenants")]
pub(super) async fn list_tenants(
    Guarded(_admin, query): Guarded<PlatformAdmin, ValidQuery<ListTenantsQuery>>,
    Started(state): Started,
) -> Result<HttpResponse, ApiError> {
    let query = query.0;
    let mut errors = FieldErrors::new();
    let page = Page::checked(query.limit, query.offset, &mut errors);
    let status = query.status.and_then(|status| {
        let status = status.parse::<TenantStatus>();
        errors.check(
            "status",
            status.map_err(|_unknown| "must be active, suspended or deleted"),
        )
    });
    errors.into_result()?;
    let text = query
        .q
        .map(|q| q.trim().to_owned())
        .filter(|q| !q.is_empty());
    let filter = TenantFilter {
        status,
        text,
        genesys_org_id: query.genesys_org_id,
    };
    let (tenants, total) = usecases::tenants::list_tenants(&state.deps, filter, page).await?;
    Ok(HttpResponse::Ok().json(TenantListView {
        tenants: tenants.into_iter().map(TenantView::from).collect(),
        total,
        limit: page.limit,
        offset: page.offset,
    }))
}

/// Shows a tenant, also a deleted one.
#[utoipa::path(
    tag = "tenants",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    responses(
        (status = 200, description = "The tenant", body = TenantView),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`"),
    )
)]
#[get("/api/tenants/{tenant_id}")]
pub(super) async fn get_tenant(
    Guarded(_admin, id): Guarded<PlatformAdmin, ValidPath<TenantId>>,
    Started(state): Started,
) -> Result<HttpResponse, ApiError> {
    let tenant = usecases::tenants::get_tenant(&state.deps, id.0).await?;
    Ok(HttpResponse::Ok().json(TenantView::from(tenant)))
}

/// What is to be changed; what is not given stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateTenantRequest {
    name: Option<String>,
    /// `suspended` ends the sessions of the tenant's people and its sending at once; `active` lets
    /// them in again
    #[schema(examples("suspended"))]
    status: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    genesys_region: Patch<String>,
    /// Requests a minute of all the tenant's people and keys; `null` is the deployment's default
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000_000)]
    rate_limit: Patch<u32>,
    /// Whether people of other organizations may work in this one
    allow_trustees: Option<bool>,
    /// Minutes between two syncs of its people; 0 is never, `null` the deployment's default
    #[serde(default)]
    #[schema(value_type = Option<u32>, maximum = 10_080)]
    user_sync_minutes: Patch<u32>,
}

impl TryFrom<UpdateTenantRequest> for TenantChanges {
    type Error = ApiError;

    fn try_from(request: UpdateTenantRequest) -> Result<Self, ApiError> {
        let mut errors = FieldErrors::new();
        let name = request
            .name
            .and_then(|name| errors.check("name", name.parse()));
        let status = request.status.and_then(|status| {
            let status = status
                .parse()
                .ok()
                .filter(|status| *status != TenantStatus::Deleted);
            errors.check("status", status.ok_or("must be active or suspended"))
        });
        let genesys_region = change(request.genesys_region, |region| {
            errors.check("genesys_region", region.parse())
        });
        let rate_limit = change(request.rate_limit, |limit| {
            let fits = RATE_LIMITS.contains(&limit);
            let limit = fits.then_some(limit).ok_or("must be 1 to 1000000, or null");
            errors.check("rate_limit", limit)
        });
        let user_sync_minutes = change(request.user_sync_minutes, |minutes| {
            let fits = minutes <= MAX_SYNC_MINUTES;
            let minutes = fits.then_some(minutes).ok_or("must be 0 to 10080, or null");
            errors.check("user_sync_minutes", minutes)
        });
        errors.into_result()?;
        Ok(Self {
            name,
            status,
            settings: SettingsChanges {
                genesys_region,
                rate_limit,
                allow_trustees: request.allow_trustees,
                user_sync_minutes,
            },
        })
    }
}

fn change<F, T>(patch: Patch<F>, read: impl FnOnce(F) -> Option<T>) -> Change<T> {
    match patch {
        Patch::Keep => Change::Keep,
        Patch::Clear => Change::Set(None),
        Patch::Set(value) => Change::Set(read(value)),
    }
}

/// Changes a tenant's name, settings or status.
#[utoipa::path(
    tag = "tenants",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    request_body = UpdateTenantRequest,
    responses(
        (status = 200, description = "The tenant as it is now", body = TenantView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`"),
        (status = 409, description = "`TENANT_DELETED`"),
    )
)]
#[patch("/api/tenants/{tenant_id}")]
pub(super) async fn update_tenant(
    Guarded(admin, (id, body)): Guarded<
        PlatformAdmin,
        (ValidPath<TenantId>, ValidJson<UpdateTenantRequest>),
    >,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let changes = TenantChanges::try_from(body.0)?;
    let ctx = context(&admin, &request_id);
    let tenant = usecases::tenants::update_tenant(ctx, &state.deps, id.0, changes).await?;
    Ok(HttpResponse::Ok().json(TenantView::from(tenant)))
}

/// Deletes a tenant softly: sign-ins and sending end at once, its data stays.
#[utoipa::path(
    tag = "tenants",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    responses(
        (status = 204, description = "The tenant is deleted"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`"),
    )
)]
#[delete("/api/tenants/{tenant_id}")]
pub(super) async fn delete_tenant(
    Guarded(admin, id): Guarded<PlatformAdmin, ValidPath<TenantId>>,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let ctx = context(&admin, &request_id);
    usecases::tenants::delete_tenant(ctx, &state.deps, id.0).await?;
    Ok(HttpResponse::NoContent().finish())
}
