//! `/api/messages/webhook-secrets`: for organizations with a Meta app of their own.

use actix_web::{HttpResponse, delete, get, http::header, post, web};
use chrono::{DateTime, TimeDelta, Utc};
use portal_auth::{AdminOfTenant, Caller, Guarded};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{RequestId, ValidJson, ValidPath},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    state::AppState,
    store::webhook_secrets::SecretRow,
    usecases::webhook_secrets::{AddSecret, ChangedBy, SecretKind},
};

const SECRET_CHARS: std::ops::RangeInclusive<usize> = 16..=255;
/// The longest overlap of two secrets: longer than Meta repeats a post.
const MAX_OVERLAP_SECONDS: u32 = 30 * 86_400;

/// A secret to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddWebhookSecretRequest {
    kind: SecretKind,
    /// 16 to 255 visible ASCII characters; never shown again
    #[schema(value_type = String, write_only)]
    secret: SecretString,
    /// When the other secrets of its kind end; left out, they stay until they are removed
    #[schema(minimum = 0, maximum = 2_592_000)]
    retire_others_after_seconds: Option<u32>,
}

impl AddWebhookSecretRequest {
    fn check(self, now: DateTime<Utc>) -> Result<AddSecret, ApiError> {
        let mut errors = FieldErrors::new();
        let text = self.secret.expose_secret();
        if !SECRET_CHARS.contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_graphic()) {
            errors.add("secret", "must be 16 to 255 visible ASCII characters");
        }
        let after = self.retire_others_after_seconds;
        if after.is_some_and(|seconds| seconds > MAX_OVERLAP_SECONDS) {
            errors.add(
                "retire_others_after_seconds",
                "must be at most 2592000 (30 days)",
            );
        }
        errors.into_result()?;
        Ok(AddSecret {
            kind: self.kind,
            secret: self.secret,
            others_end_at: after.map(|seconds| now + TimeDelta::seconds(seconds.into())),
        })
    }
}

/// A secret; its text is never shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookSecretView {
    secret_id: Uuid,
    /// `app_secret` or `verify_token`.
    kind: String,
    /// Tells secrets apart without telling them.
    fingerprint: String,
    /// Whether it is valid now.
    valid: bool,
    valid_from: DateTime<Utc>,
    retires_at: Option<DateTime<Utc>>,
    /// The user who added it.
    created_by: String,
}

impl From<SecretRow> for WebhookSecretView {
    fn from(row: SecretRow) -> Self {
        Self {
            valid: row.retires_at.is_none_or(|at| at > Utc::now()),
            secret_id: row.secret_id,
            kind: row.kind,
            fingerprint: row.fingerprint,
            valid_from: row.valid_from,
            retires_at: row.retires_at,
            created_by: row.created_by,
        }
    }
}

/// An organization's secrets.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookSecretsView {
    /// Where the organization's own Meta app posts its webhooks.
    webhook_path: String,
    webhook_secrets: Vec<WebhookSecretView>,
    total: usize,
}

fn changed_by(caller: &Caller, request_id: &RequestId) -> ChangedBy {
    ChangedBy {
        user_id: caller.user_id,
        request_id: request_id.as_str().to_owned(),
    }
}

/// The secrets of the organization's own Meta app, retired ones too.
#[utoipa::path(
    tag = "webhooks",
    responses(
        (status = 200, description = "The secrets, newest first", body = WebhookSecretsView),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "This needs the role admin"),
        (status = 503, description = "They cannot be read just now"),
    ),
    security(("bearer" = []))
)]
#[get("/api/messages/webhook-secrets")]
pub(crate) async fn list_webhook_secrets(
    AdminOfTenant(caller): AdminOfTenant,
    state: web::Data<AppState>,
) -> Result<web::Json<WebhookSecretsView>, ApiError> {
    let rows = state.webhooks.secrets.list(&caller.tenant_id).await?;
    Ok(web::Json(WebhookSecretsView {
        webhook_path: format!("/webhooks/whatsapp/{}", caller.tenant_id),
        total: rows.len(),
        webhook_secrets: rows.into_iter().map(WebhookSecretView::from).collect(),
    }))
}

/// Adds an app secret or verify token of the organization's own Meta app.
///
/// To replace one without losing a post, add the new one, change it at Meta, and let the old one
/// end: `retire_others_after_seconds`, or `DELETE`. Other replicas follow within 5 seconds.
#[utoipa::path(
    tag = "webhooks",
    request_body = AddWebhookSecretRequest,
    responses(
        (status = 201, description = "Added, and valid at once", body = WebhookSecretView),
        (status = 400, description = "Some fields cannot be used; all of them are named"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "This needs the role admin"),
        (status = 409, description = "Two secrets of this kind are valid already"),
        (status = 503, description = "Nothing was stored; try again"),
    ),
    security(("bearer" = []))
)]
#[post("/api/messages/webhook-secrets")]
pub(crate) async fn add_webhook_secret(
    Guarded(AdminOfTenant(caller), ValidJson(body)): Guarded<
        AdminOfTenant,
        ValidJson<AddWebhookSecretRequest>,
    >,
    state: web::Data<AppState>,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let new = body.check(Utc::now())?;
    let by = changed_by(&caller, &request_id);
    let row = state
        .webhooks
        .secrets
        .add(&caller.tenant_id, by, new)
        .await?;
    let location = format!("/api/messages/webhook-secrets/{}", row.secret_id);
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, location))
        .json(WebhookSecretView::from(row)))
}

/// Ends a secret at once.
#[utoipa::path(
    tag = "webhooks",
    params(("secret_id" = Uuid, Path, description = "The id that the list shows")),
    responses(
        (status = 204, description = "It is gone; other replicas follow within 5 seconds"),
        (status = 400, description = "The id is not a UUID"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "This needs the role admin"),
        (status = 404, description = "The organization has no such secret"),
        (status = 503, description = "Nothing was changed; try again"),
    ),
    security(("bearer" = []))
)]
#[delete("/api/messages/webhook-secrets/{secret_id}")]
pub(crate) async fn remove_webhook_secret(
    Guarded(AdminOfTenant(caller), ValidPath(id)): Guarded<AdminOfTenant, ValidPath<Uuid>>,
    state: web::Data<AppState>,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let by = changed_by(&caller, &request_id);
    state
        .webhooks
        .secrets
        .remove(&caller.tenant_id, by, id)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}
