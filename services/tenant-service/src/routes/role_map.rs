//! Which portal role the Genesys roles of a tenant's people give.

use actix_web::{HttpResponse, get, put};
use portal_auth::{Guarded, PlatformAdmin};
use portal_genesys::RoleMap;
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{RequestId, ValidJson, ValidPath},
};
use portal_types::TenantId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::context;
use crate::{
    domain::role_map::{MOST_MAPPINGS, MappedRole, Mapping, TenantRoleMap, genesys_role, repeated},
    state::Started,
    usecases,
};

/// What one Genesys role gives.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RoleMappingView {
    /// Id or name; compared without regard to case
    genesys_role: String,
    /// `none`, `agent`, `supervisor` or `admin`
    #[schema(examples("supervisor"))]
    portal_role: String,
}

impl From<Mapping> for RoleMappingView {
    fn from(mapping: Mapping) -> Self {
        Self {
            genesys_role: mapping.genesys_role,
            portal_role: mapping.portal_role.as_str().to_owned(),
        }
    }
}

/// A tenant's map of roles.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RoleMapView {
    /// The role of people none of whose Genesys roles is in the map; `none` refuses them
    unmapped_role: String,
    /// The tenant's own mappings, which go before the built-in ones
    mappings: Vec<RoleMappingView>,
    /// The built-in mappings
    defaults: Vec<RoleMappingView>,
}

impl From<TenantRoleMap> for RoleMapView {
    fn from(map: TenantRoleMap) -> Self {
        let defaults = RoleMap::built_in().map(|(name, role)| RoleMappingView {
            genesys_role: name.to_owned(),
            portal_role: role.to_string(),
        });
        Self {
            unmapped_role: map.unmapped_role.as_str().to_owned(),
            mappings: map.mappings.into_iter().map(Into::into).collect(),
            defaults: defaults.collect(),
        }
    }
}

/// A map to be written in place of the present one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WriteRoleMapRequest {
    /// `none`, `agent`, `supervisor` or `admin`; stays as it is when not given
    unmapped_role: Option<String>,
    /// At most 200
    mappings: Vec<RoleMappingView>,
}

impl WriteRoleMapRequest {
    fn check(self) -> Result<(Option<MappedRole>, Vec<Mapping>), ApiError> {
        let mut errors = FieldErrors::new();
        let unmapped = self
            .unmapped_role
            .and_then(|role| errors.check("unmapped_role", MappedRole::given(&role)));
        if self.mappings.len() > MOST_MAPPINGS {
            errors.add("mappings", "must be at most 200");
            return Err(errors.into());
        }
        let mut mappings = Vec::new();
        for (place, given) in self.mappings.iter().enumerate() {
            let field = |name| format!("mappings[{place}].{name}");
            let role = errors.check(&field("genesys_role"), genesys_role(&given.genesys_role));
            let gives = MappedRole::given(&given.portal_role);
            let gives = errors.check(&field("portal_role"), gives);
            if let (Some(genesys_role), Some(portal_role)) = (role, gives) {
                mappings.push(Mapping {
                    genesys_role,
                    portal_role,
                });
            }
        }
        for place in repeated(self.mappings.iter().map(|given| given.genesys_role.trim())) {
            errors.add(
                format!("mappings[{place}].genesys_role"),
                "is given twice (case makes no other role)",
            );
        }
        errors.into_result()?;
        Ok((unmapped, mappings))
    }
}

/// Shows a tenant's map of roles, and the built-in one that it goes before.
#[utoipa::path(
    tag = "genesys",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    responses(
        (status = 200, description = "The map", body = RoleMapView),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`"),
    )
)]
#[get("/api/tenants/{tenant_id}/role-map")]
pub(super) async fn get_role_map(
    Guarded(_admin, id): Guarded<PlatformAdmin, ValidPath<TenantId>>,
    Started(state): Started,
) -> Result<HttpResponse, ApiError> {
    let map = usecases::role_map::get_role_map(&state.deps, id.0).await?;
    Ok(HttpResponse::Ok().json(RoleMapView::from(map)))
}

/// Writes a tenant's map of roles in place of the present one. People get their new role when they
/// sign in the next time, or with the next sync.
#[utoipa::path(
    tag = "genesys",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    request_body = WriteRoleMapRequest,
    responses(
        (status = 200, description = "The map as it is now", body = RoleMapView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`"),
        (status = 409, description = "`TENANT_DELETED`"),
    )
)]
#[put("/api/tenants/{tenant_id}/role-map")]
pub(super) async fn write_role_map(
    Guarded(admin, (id, body)): Guarded<
        PlatformAdmin,
        (ValidPath<TenantId>, ValidJson<WriteRoleMapRequest>),
    >,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let (unmapped, mappings) = body.0.check()?;
    let ctx = context(&admin, &request_id);
    let map =
        usecases::role_map::write_role_map(ctx, &state.deps, id.0, unmapped, mappings).await?;
    Ok(HttpResponse::Ok().json(RoleMapView::from(map)))
}
