//! How a tenant's people sign in and which portal roles they get, for services.

use actix_web::{HttpResponse, get};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use portal_auth::{Guarded, ServiceCaller};
use portal_service_kit::{ApiError, http::ValidPath};
use portal_types::TenantId;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::role_map::RoleMappingView;
use crate::{
    domain::genesys_credentials::{Credentials, Grant},
    state::Started,
    usecases::{self, genesys_profile::GenesysProfile},
};

/// How a tenant's people sign in, and which portal roles they get.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GenesysProfileView {
    tenant_id: String,
    /// `active`, `suspended` or `deleted`
    status: String,
    genesys_org_id: Option<String>,
    genesys_region: Option<String>,
    /// Whether people of other organizations may work in this one
    allow_trustees: bool,
    /// `none`, `agent`, `supervisor` or `admin`
    unmapped_role: String,
    /// The tenant's own map, which goes before the built-in one
    role_mappings: Vec<RoleMappingView>,
    /// 0 is never, `null` the deployment's default
    user_sync_minutes: Option<u32>,
    /// The OAuth client that signs the tenant's people in, if it has its own
    sign_in_client: Option<SealedClientView>,
    /// The OAuth client that reads the tenant's people
    sync_client: Option<SealedClientView>,
}

/// An OAuth client, its secret sealed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SealedClientView {
    region: String,
    client_id: String,
    /// Base64 of the secret as vault sealed it; `null` for a public (PKCE) client
    sealed_client_secret: Option<String>,
    /// The row that the sealed secret is bound to
    credential_row_id: Uuid,
}

impl From<(Credentials, Option<Vec<u8>>)> for SealedClientView {
    fn from((client, sealed): (Credentials, Option<Vec<u8>>)) -> Self {
        Self {
            region: client.region,
            client_id: client.client_id,
            sealed_client_secret: sealed.map(|sealed| STANDARD.encode(sealed)),
            credential_row_id: client.credential_id,
        }
    }
}

impl From<GenesysProfile> for GenesysProfileView {
    fn from(profile: GenesysProfile) -> Self {
        let GenesysProfile {
            tenant,
            role_map,
            clients,
        } = profile;
        let (mut sign_in_client, mut sync_client) = (None, None);
        for client in clients {
            match client.0.grant {
                Grant::AuthorizationCode => sign_in_client = Some(client.into()),
                Grant::ClientCredentials => sync_client = Some(client.into()),
            }
        }
        Self {
            tenant_id: tenant.tenant_id.to_string(),
            status: tenant.status.as_str().to_owned(),
            genesys_org_id: tenant.genesys_org_id,
            genesys_region: tenant.genesys_region,
            allow_trustees: tenant.allow_trustees,
            unmapped_role: role_map.unmapped_role.as_str().to_owned(),
            role_mappings: role_map.mappings.into_iter().map(Into::into).collect(),
            user_sync_minutes: tenant.user_sync_minutes,
            sign_in_client,
            sync_client,
        }
    }
}

/// How a tenant's people sign in and which portal roles they get; secrets are sealed. For services
/// only.
#[utoipa::path(
    tag = "genesys",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    responses(
        (status = 200, description = "The profile; the status says whether it may be used", body = GenesysProfileView),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`"),
        (status = 403, description = "`FORBIDDEN`: only services"),
        (status = 404, description = "`TENANT_NOT_FOUND`"),
    )
)]
#[get("/api/tenants/{tenant_id}/genesys-profile")]
pub(super) async fn get_genesys_profile(
    Guarded(_service, id): Guarded<ServiceCaller, ValidPath<TenantId>>,
    Started(state): Started,
) -> Result<HttpResponse, ApiError> {
    let profile = usecases::genesys_profile::get_genesys_profile(&state.deps, id.0).await?;
    Ok(HttpResponse::Ok().json(GenesysProfileView::from(profile)))
}
