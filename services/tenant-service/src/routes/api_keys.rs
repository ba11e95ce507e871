//! API keys of tenants, for other systems of theirs.

use std::collections::BTreeSet;

use actix_web::{HttpResponse, delete, get, http::header, post};
use chrono::{DateTime, TimeDelta, Utc};
use portal_auth::{Guarded, PlatformAdmin, ServiceCaller};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{RequestId, ValidJson, ValidPath},
};
use portal_types::{ApiScope, TenantId};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::context;
use crate::{
    domain::api_key::{
        DEFAULT_OVERLAP_SECONDS, MAX_DAYS, MAX_OVERLAP_SECONDS, NewApiKey, TenantApiKey, key_name,
    },
    state::Started,
    usecases::{
        self,
        api_keys::{MadeKey, ValidKey},
    },
};

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateApiKeyRequest {
    #[schema(examples("CRM"))]
    name: String,
    /// What the key may do: `messages:send`, `messages:read`, `templates:read`
    scopes: Vec<String>,
    /// When it ends; without an end it works until it is revoked
    expires_at: Option<DateTime<Utc>>,
    /// The same in days from now
    #[schema(minimum = 1, maximum = 3_650)]
    expires_in_days: Option<u32>,
}

impl CreateApiKeyRequest {
    fn check(self, now: DateTime<Utc>) -> Result<NewApiKey, ApiError> {
        let mut errors = FieldErrors::new();
        let name = errors.check("name", key_name(&self.name));
        let mut scopes = BTreeSet::new();
        for (place, scope) in self.scopes.iter().enumerate() {
            let scope = scope.parse::<ApiScope>();
            scopes.extend(errors.check(&format!("scopes[{place}]"), scope));
        }
        if self.scopes.is_empty() {
            errors.add("scopes", "must name at least one scope");
        }
        if self.expires_at.is_some_and(|end| end <= now) {
            errors.add("expires_at", "must be in the future");
        }
        if self
            .expires_in_days
            .is_some_and(|days| !(1..=MAX_DAYS).contains(&days))
        {
            errors.add("expires_in_days", "must be 1 to 3650");
        } else if self.expires_at.is_some() && self.expires_in_days.is_some() {
            errors.add(
                "expires_in_days",
                "must be left out when expires_at is given",
            );
        }
        let in_days = self
            .expires_in_days
            .map(|days| now + TimeDelta::days(days.into()));
        match name {
            Some(name) if errors.is_empty() => Ok(NewApiKey {
                name,
                scopes: scopes.into_iter().collect(),
                expires_at: self.expires_at.or(in_days),
            }),
            _ => Err(errors.into()),
        }
    }
}

/// An API key; its text is never shown again.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ApiKeyView {
    key_id: Uuid,
    name: String,
    /// How the key begins
    #[schema(examples("sk_Zm9vY"))]
    prefix: String,
    /// How the key ends
    last4: String,
    scopes: Vec<ApiScope>,
    /// `active`, `expired`, `revoked` or `replaced` (it has a successor, and works until it expires)
    status: String,
    /// The administrator who made it
    created_by: String,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    /// To the minute
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    replaced_by: Option<Uuid>,
}

impl From<TenantApiKey> for ApiKeyView {
    fn from(key: TenantApiKey) -> Self {
        Self {
            status: key.status(Utc::now()).as_str().to_owned(),
            key_id: key.key_id,
            name: key.name,
            prefix: key.prefix,
            last4: key.last4,
            scopes: key.scopes,
            created_by: key.created_by,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            revoked_at: key.revoked_at,
            replaced_by: key.replaced_by,
        }
    }
}

/// A key that was just made.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeApiKeyView {
    /// The key itself; it is shown this once
    key: String,
    #[serde(flatten)]
    shown: ApiKeyView,
}

fn made(tenant: &TenantId, made: MadeKey) -> HttpResponse {
    let location = format!("/api/tenants/{tenant}/api-keys/{}", made.key.key_id);
    HttpResponse::Created()
        .insert_header((header::LOCATION, location))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(MadeApiKeyView {
            key: made.text.expose_secret().to_owned(),
            shown: made.key.into(),
        })
}

/// A tenant's API keys.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ApiKeyListView {
    api_keys: Vec<ApiKeyView>,
}

/// Makes an API key of a tenant and shows it, once.
#[utoipa::path(
    tag = "api-keys",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    request_body = CreateApiKeyRequest,
    responses(
        (status = 201, description = "The key, shown this once", body = MadeApiKeyView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`"),
        (status = 409, description = "`TENANT_DELETED`"),
    )
)]
#[post("/api/tenants/{tenant_id}/api-keys")]
pub(super) async fn create_api_key(
    Guarded(admin, (id, body)): Guarded<
        PlatformAdmin,
        (ValidPath<TenantId>, ValidJson<CreateApiKeyRequest>),
    >,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let new = body.0.check(state.deps.clock.now())?;
    let ctx = context(&admin, &request_id);
    let id = id.0;
    let key = usecases::api_keys::create_api_key(ctx, &state.deps, id.clone(), new).await?;
    Ok(made(&id, key))
}

/// Lists a tenant's API keys, the newest first; never the keys themselves.
#[utoipa::path(
    tag = "api-keys",
    security(("bearer" = [])),
    params(("tenant_id" = String, Path, description = "The tenant")),
    responses(
        (status = 200, description = "The keys, also those that have ended", body = ApiKeyListView),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`"),
    )
)]
#[get("/api/tenants/{tenant_id}/api-keys")]
pub(super) async fn list_api_keys(
    Guarded(_admin, id): Guarded<PlatformAdmin, ValidPath<TenantId>>,
    Started(state): Started,
) -> Result<HttpResponse, ApiError> {
    let keys = usecases::api_keys::list_api_keys(&state.deps, id.0).await?;
    Ok(HttpResponse::Ok().json(ApiKeyListView {
        api_keys: keys.into_iter().map(Into::into).collect(),
    }))
}

/// Ends an API key at once, everywhere.
#[utoipa::path(
    tag = "api-keys",
    security(("bearer" = [])),
    params(
        ("tenant_id" = String, Path, description = "The tenant"),
        ("key_id" = Uuid, Path, description = "The key"),
    ),
    responses(
        (status = 204, description = "The key opens nothing any more"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`, `API_KEY_NOT_FOUND`"),
    )
)]
#[delete("/api/tenants/{tenant_id}/api-keys/{key_id}")]
pub(super) async fn revoke_api_key(
    Guarded(admin, path): Guarded<PlatformAdmin, ValidPath<(TenantId, Uuid)>>,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let (id, key_id) = path.0;
    let ctx = context(&admin, &request_id);
    usecases::api_keys::revoke_api_key(ctx, &state.deps, id, key_id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A tenant and one of its keys.
type KeyPath = ValidPath<(TenantId, Uuid)>;

/// How a key is replaced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateApiKeyRequest {
    /// How long the old key still works; a day when not given
    #[schema(maximum = 2_592_000)]
    overlap_seconds: Option<u32>,
}

/// Makes a new key in place of one, with the same name, scopes and length of life, and shows it,
/// once. The old one works until the overlap ends.
#[utoipa::path(
    tag = "api-keys",
    security(("bearer" = [])),
    params(
        ("tenant_id" = String, Path, description = "The tenant"),
        ("key_id" = Uuid, Path, description = "The key to be replaced"),
    ),
    request_body = RotateApiKeyRequest,
    responses(
        (status = 201, description = "The new key, shown this once", body = MadeApiKeyView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 404, description = "`TENANT_NOT_FOUND`, `API_KEY_NOT_FOUND`"),
        (status = 409, description = "`API_KEY_NOT_ACTIVE`, `TENANT_DELETED`"),
    )
)]
#[post("/api/tenants/{tenant_id}/api-keys/{key_id}/rotate")]
pub(super) async fn rotate_api_key(
    Guarded(admin, (path, body)): Guarded<PlatformAdmin, (KeyPath, ValidJson<RotateApiKeyRequest>)>,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let (id, key_id) = path.0;
    let overlap = body.0.overlap_seconds.unwrap_or(DEFAULT_OVERLAP_SECONDS);
    let mut errors = FieldErrors::new();
    if overlap > MAX_OVERLAP_SECONDS {
        errors.add("overlap_seconds", "must be 0 to 2592000");
    }
    errors.into_result()?;
    let overlap = TimeDelta::seconds(overlap.into());
    let ctx = context(&admin, &request_id);
    let key =
        usecases::api_keys::rotate_api_key(ctx, &state.deps, id.clone(), key_id, overlap).await?;
    Ok(made(&id, key))
}

/// Which key is meant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyApiKeyRequest {
    /// SHA-256 of the key, in hexadecimal
    digest: String,
}

/// A key that is valid now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ValidApiKeyView {
    key_id: Uuid,
    tenant_id: String,
    scopes: Vec<ApiScope>,
    expires_at: Option<DateTime<Utc>>,
}

impl From<ValidKey> for ValidApiKeyView {
    fn from(valid: ValidKey) -> Self {
        Self {
            key_id: valid.key.key_id,
            tenant_id: valid.tenant_id.to_string(),
            scopes: valid.key.scopes,
            expires_at: valid.key.expires_at,
        }
    }
}

/// Finds the API key with a digest, if it is valid now and its tenant is active. For services only.
#[utoipa::path(
    tag = "api-keys",
    security(("bearer" = [])),
    request_body = VerifyApiKeyRequest,
    responses(
        (status = 200, description = "The key", body = ValidApiKeyView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`"),
        (status = 403, description = "`FORBIDDEN`: only services"),
        (status = 404, description = "`API_KEY_NOT_FOUND`: unknown, ended, or of a tenant that is not active"),
    )
)]
#[post("/api/tenants/verify-api-key")]
pub(super) async fn verify_api_key(
    Guarded(_service, body): Guarded<ServiceCaller, ValidJson<VerifyApiKeyRequest>>,
    Started(state): Started,
) -> Result<HttpResponse, ApiError> {
    let mut digest = [0; 32];
    let mut errors = FieldErrors::new();
    let read = hex::decode_to_slice(&body.0.digest, &mut digest);
    errors.check(
        "digest",
        read.map_err(|_form| "must be 64 hexadecimal digits"),
    );
    errors.into_result()?;
    let valid = usecases::api_keys::verify_api_key(&state.deps, digest).await?;
    Ok(HttpResponse::Ok().json(ValidApiKeyView::from(valid)))
}
