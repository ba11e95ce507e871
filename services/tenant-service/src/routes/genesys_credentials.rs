//! A tenant's own OAuth clients of Genesys.

use actix_web::{HttpResponse, delete, get, post, put};
use chrono::{DateTime, Utc};
use portal_auth::{Guarded, PlatformAdmin};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{RequestId, ValidJson, ValidPath, ValidQuery},
};
use portal_types::TenantId;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::context;
use crate::{
    domain::genesys_credentials::{
        Credentials, Grant, NewCredentials, Verdict, check_secret, client_id,
    },
    state::Started,
    usecases::{self, genesys_credentials::Genesys},
};

/// An OAuth client to be written.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WriteCredentialsRequest {
    /// A region of Genesys by its domain, or one that this installation configured
    #[schema(examples("mypurecloud.de"))]
    region: String,
    client_id: String,
    /// Write-only; needed for `client_credentials`, left out for a public client with PKCE
    #[schema(value_type = Option<String>, format = Password, write_only)]
    client_secret: Option<SecretString>,
    /// `client_credentials` reads the tenant's people, `authorization_code` signs them in
    #[schema(examples("client_credentials"))]
    grant_type: String,
}

impl WriteCredentialsRequest {
    fn check(self, genesys: &Genesys) -> Result<NewCredentials, ApiError> {
        let mut errors = FieldErrors::new();
        let region = genesys.region(&self.region).ok_or(
            "must be a region of Genesys such as mypurecloud.de, or one that is configured here",
        );
        let region = errors.check("region", region);
        let client_id = errors.check("client_id", client_id(&self.client_id));
        let grant = errors.check("grant_type", Grant::given(&self.grant_type));
        match &self.client_secret {
            Some(secret) => {
                errors.check("client_secret", check_secret(secret));
            }
            None if grant == Some(Grant::ClientCredentials) => {
                errors.add("client_secret", "is needed for client_credentials");
            }
            None => {}
        }
        match (region, client_id, grant) {
            (Some(region), Some(client_id), Some(grant)) if errors.is_empty() => {
                Ok(NewCredentials {
                    grant,
                    region: region.name().to_owned(),
                    client_id,
                    client_secret: self.client_secret,
                })
            }
            _ => Err(errors.into()),
        }
    }
}

/// An OAuth client; its secret is never shown.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CredentialsView {
    /// `client_credentials` or `authorization_code`
    grant_type: String,
    region: String,
    client_id: String,
    /// The last characters, to tell one secret from another; `null` without one
    #[schema(examples("****aB3x"))]
    client_secret: Option<String>,
    /// When Genesys took it last
    verified_at: Option<DateTime<Utc>>,
    /// What Genesys said when it was asked last; `null` when it took it
    #[schema(examples("INVALID_CLIENT"))]
    last_error: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// A tenant's OAuth clients.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CredentialsListView {
    credentials: Vec<CredentialsView>,
}

impl From<Credentials> for CredentialsView {
    fn from(client: Credentials) -> Self {
        let shown = |last4: String| format!("****{}", last4.trim_start_matches('*'));
        Self {
            grant_type: client.grant.as_str().to_owned(),
            region: client.region,
            client_id: client.client_id,
            client_secret: client.secret_last4.map(shown),
            verified_at: client.verified_at,
            last_error: client.last_error,
            created_at: client.created_at,
            updated_at: client.updated_at,
        }
    }
}

impl From<Vec<Credentials>> for CredentialsListView {
    fn from(clients: Vec<Credentials>) -> Self {
        Self {
            credentials: clients.into_iter().map(Into::into).collect(),
        }
    }
}

/// What Genesys makes of an OAuth client.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VerdictView {
    grant_type: String,
    ok: bool,
    /// `VERIFIED`, `INVALID_CLIENT`, `WRONG_GRANT`, `ORGANIZATION_MISMATCH`,
    /// `ORGANIZATION_NOT_MAPPED`, `NOT_ALLOWED`, `REGION_UNKNOWN`, `REFUSED`,
    /// `GENESYS_UNAVAILABLE`, `UNEXPECTED_ANSWER`
    code: &'static str,
    message: String,
    /// The organization that the client belongs to, when Genesys told
    #[serde(skip_serializing_if = "Option::is_none")]
    genesys_org_id: Option<String>,
}

/// What Genesys makes of a tenant's OAuth clients.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VerdictListView {
    results: Vec<VerdictView>,
}

impl From<Vec<Verdict>> for VerdictListView {
    fn from(verdicts: Vec<Verdict>) -> Self {
        let view = |verdict: Verdict| VerdictView {
            grant_type: verdict.grant.as_str().to_owned(),
            ok: verdict.ok,
            code: verdict.code,
            message: verdict.message,
            genesys_org_id: verdict.genesys_org_id,
        };
        Self {
            results: verdicts.into_iter().map(view).collect(),
        }
    }
}

/// Writes one of a tenant's own OAuth clients, in place of the present one with the same grant.
#[utoipa::path(
    tag = "genesys",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    request_body = WriteCredentialsRequest,
    responses(
        (status = 200, description = "The tenant's clients as they are now", body = CredentialsListView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`"),
        (status = 409, description = "`TENANT_DELETED`"),
    )
)]
#[put("/api/tenants/{tenant_id}/genesys/credentials")]
pub(super) async fn write_genesys_credentials(
    Guarded(admin, (id, body)): Guarded<
        PlatformAdmin,
        (ValidPath<TenantId>, ValidJson<WriteCredentialsRequest>),
    >,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let new = body.0.check(&state.deps.genesys)?;
    let ctx = context(&admin, &request_id);
    let all = usecases::genesys_credentials::write_credentials(ctx, &state.deps, id.0, new).await?;
    Ok(HttpResponse::Ok().json(CredentialsListView::from(all)))
}

/// Shows a tenant's own OAuth clients, their secrets masked.
#[utoipa::path(
    tag = "genesys",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    responses(
        (status = 200, description = "The clients", body = CredentialsListView),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`"),
    )
)]
#[get("/api/tenants/{tenant_id}/genesys/credentials")]
pub(super) async fn list_genesys_credentials(
    Guarded(_admin, id): Guarded<PlatformAdmin, ValidPath<TenantId>>,
    Started(state): Started,
) -> Result<HttpResponse, ApiError> {
    let all = usecases::genesys_credentials::list_credentials(&state.deps, id.0).await?;
    Ok(HttpResponse::Ok().json(CredentialsListView::from(all)))
}

/// Which client to remove.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RemoveCredentialsQuery {
    /// `client_credentials` or `authorization_code`
    grant_type: String,
}

/// Removes one of a tenant's own OAuth clients.
#[utoipa::path(
    tag = "genesys",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant"), RemoveCredentialsQuery),
    responses(
        (status = 204, description = "The client is gone"),
        (status = 400, description = "`VALIDATION_FAILED`"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`, `GENESYS_CREDENTIALS_NOT_FOUND`"),
    )
)]
#[delete("/api/tenants/{tenant_id}/genesys/credentials")]
pub(super) async fn remove_genesys_credentials(
    Guarded(admin, (id, query)): Guarded<
        PlatformAdmin,
        (ValidPath<TenantId>, ValidQuery<RemoveCredentialsQuery>),
    >,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let mut errors = FieldErrors::new();
    let grant = errors.check("grant_type", Grant::given(&query.0.grant_type));
    let grant = grant.ok_or_else(|| ApiError::from(errors))?;
    let ctx = context(&admin, &request_id);
    usecases::genesys_credentials::remove_credentials(ctx, &state.deps, id.0, grant).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Asks Genesys what it makes of a tenant's own OAuth clients.
#[utoipa::path(
    tag = "genesys",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    responses(
        (status = 200, description = "A verdict on each client", body = VerdictListView),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`, `GENESYS_CREDENTIALS_NOT_FOUND`"),
    )
)]
#[post("/api/tenants/{tenant_id}/genesys/credentials/verify")]
pub(super) async fn verify_genesys_credentials(
    Guarded(admin, id): Guarded<PlatformAdmin, ValidPath<TenantId>>,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let ctx = context(&admin, &request_id);
    let verdicts =
        usecases::genesys_credentials::verify_credentials(ctx, &state.deps, id.0).await?;
    Ok(HttpResponse::Ok().json(VerdictListView::from(verdicts)))
}
