//! Signing in as a platform administrator.

use actix_web::{HttpResponse, post};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{ClientAddress, RequestId, ValidJson},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use super::views::AdminTokenView;
use crate::{
    state::Started,
    usecases::{admin_login, limits::client_key},
};

/// Who signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginRequest {
    #[schema(examples("admin@example.com"))]
    email: String,
    #[schema(value_type = String, format = Password, write_only)]
    password: SecretString,
}

/// Signs a platform administrator in.
#[utoipa::path(
    tag = "admin",
    request_body = LoginRequest,
    responses(
        (status = 200, description = "A token for this service", body = AdminTokenView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "`INVALID_CREDENTIALS`, whatever is wrong with them"),
        (status = 429, description = "`RATE_LIMITED`"),
    )
)]
#[post("/api/admin/auth/login")]
pub(super) async fn login_admin(
    body: ValidJson<LoginRequest>,
    Started(state): Started,
    request_id: RequestId,
    client: ClientAddress,
) -> Result<HttpResponse, ApiError> {
    let LoginRequest { email, password } = body.0;
    let mut errors = FieldErrors::new();
    if !(3..=320).contains(&email.len()) || !email.contains('@') {
        errors.add("email", "must be an e-mail address");
    }
    // A bound for the hasher, not a rule for passwords.
    if !(1..=1_024).contains(&password.expose_secret().len()) {
        errors.add("password", "must be 1 to 1024 characters");
    }
    errors.into_result()?;
    let token = admin_login::admin_login(
        &state.deps,
        &state.desk,
        Some(request_id.as_str().to_owned()),
        &client_key(client.0),
        email.trim().to_owned(),
        password,
    )
    .await?;
    Ok(HttpResponse::Ok().json(AdminTokenView {
        access_token: token.token.expose_secret().to_owned(),
        expires_in: token.expires_in,
    }))
}
