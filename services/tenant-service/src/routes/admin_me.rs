//! What a platform administrator does about the own account.

use actix_web::{HttpResponse, delete, get, post};
use chrono::{DateTime, Utc};
use portal_auth::{EnrollingAdmin, Guarded, PlatformAdmin, check_new_password};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{RequestId, ValidJson},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    admin_auth::{EndedAdminView, check_code, check_password},
    context,
};
use crate::state::Started;

/// The administrator who asks.
#[derive(Serialize, ToSchema)]
pub(super) struct AdminProfileView {
    admin_id: Uuid,
    email: String,
    name: String,
    totp_enrolled: bool,
    totp_required: bool,
    last_login_at: Option<DateTime<Utc>>,
}

/// Shows the administrator who asks.
#[utoipa::path(
    tag = "admin",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The administrator", body = AdminProfileView),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
    )
)]
#[get("/api/admin/me")]
pub(super) async fn get_own_admin(
    EnrollingAdmin(admin): EnrollingAdmin,
    Started(state): Started,
) -> Result<HttpResponse, ApiError> {
    let profile = state.desk.profile(admin.admin_id).await?;
    Ok(HttpResponse::Ok().json(AdminProfileView {
        admin_id: profile.admin_id,
        email: profile.email,
        name: profile.name,
        totp_enrolled: profile.totp_enrolled,
        totp_required: state.desk.requires_totp(),
        last_login_at: profile.last_login_at,
    }))
}

/// What an authenticator app needs.
#[derive(Serialize, ToSchema)]
pub(super) struct EnrolmentView {
    /// Base32, to type
    secret: String,
    /// To scan as a QR code
    otpauth_uri: String,
}

/// Makes a second factor; it counts once its first code was confirmed.
#[utoipa::path(
    tag = "admin",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "For an authenticator app; not shown again", body = EnrolmentView),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 409, description = "`TOTP_ALREADY_ENROLLED`"),
    )
)]
#[post("/api/admin/me/totp")]
pub(super) async fn begin_totp(
    EnrollingAdmin(admin): EnrollingAdmin,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let ctx = context(&admin, &request_id);
    let enrolment = state.desk.enrol_totp(ctx, &admin).await?;
    Ok(HttpResponse::Ok().json(EnrolmentView {
        secret: enrolment.secret.expose_secret().to_owned(),
        otpauth_uri: enrolment.uri.expose_secret().to_owned(),
    }))
}

/// The first code of a second factor.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfirmTotpRequest {
    #[schema(value_type = String, write_only)]
    totp_code: SecretString,
}

/// Confirms a second factor with its first code; from now on signing in asks for one.
#[utoipa::path(
    tag = "admin",
    security(("bearer" = [])),
    request_body = ConfirmTotpRequest,
    responses(
        (status = 204, description = "The second factor counts"),
        (status = 400, description = "`VALIDATION_FAILED`, `TOTP_CODE_WRONG`"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 409, description = "`TOTP_ALREADY_ENROLLED`, `TOTP_NOT_ENROLLED`"),
    )
)]
#[post("/api/admin/me/totp/confirm")]
pub(super) async fn confirm_totp(
    Guarded(EnrollingAdmin(admin), body): Guarded<EnrollingAdmin, ValidJson<ConfirmTotpRequest>>,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let code = body.0.totp_code;
    let mut errors = FieldErrors::new();
    check_code(&code, &mut errors);
    errors.into_result()?;
    let ctx = context(&admin, &request_id);
    state.desk.confirm_totp(ctx, &admin, code).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// That it is the owner who takes the second factor away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoveTotpRequest {
    #[schema(value_type = String, format = Password, write_only)]
    password: SecretString,
    #[schema(value_type = String, write_only)]
    totp_code: SecretString,
}

/// Takes the second factor away and ends the other sessions.
#[utoipa::path(
    tag = "admin",
    security(("bearer" = [])),
    request_body = RemoveTotpRequest,
    responses(
        (status = 204, description = "There is no second factor any more"),
        (status = 400, description = "`VALIDATION_FAILED`"),
        (status = 401, description = "`INVALID_CREDENTIALS`; `TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators; `TOTP_ENROLMENT_REQUIRED`"),
        (status = 409, description = "`TOTP_NOT_ENROLLED`"),
    )
)]
#[delete("/api/admin/me/totp")]
pub(super) async fn remove_totp(
    Guarded(admin, body): Guarded<PlatformAdmin, ValidJson<RemoveTotpRequest>>,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let RemoveTotpRequest {
        password,
        totp_code,
    } = body.0;
    let mut errors = FieldErrors::new();
    check_password("password", &password, &mut errors);
    check_code(&totp_code, &mut errors);
    errors.into_result()?;
    let ctx = context(&admin, &request_id);
    state
        .desk
        .remove_totp(ctx, &admin, password, totp_code)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangePasswordRequest {
    #[schema(value_type = String, format = Password, write_only)]
    current_password: SecretString,
    /// 15 to 256 characters, and none of the commonest passwords
    #[schema(value_type = String, format = Password, write_only)]
    new_password: SecretString,
    /// Once an authenticator app is enrolled
    #[schema(value_type = Option<String>, write_only)]
    totp_code: Option<SecretString>,
}

/// Changes the password and ends the other sessions.
#[utoipa::path(
    tag = "admin",
    security(("bearer" = [])),
    request_body = ChangePasswordRequest,
    responses(
        (status = 200, description = "The password was changed", body = EndedAdminView),
        (status = 400, description = "`VALIDATION_FAILED`"),
        (status = 401, description = "`INVALID_CREDENTIALS`; `TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators; `TOTP_ENROLMENT_REQUIRED`"),
    )
)]
#[post("/api/admin/me/password")]
pub(super) async fn change_password(
    Guarded(admin, body): Guarded<PlatformAdmin, ValidJson<ChangePasswordRequest>>,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let ChangePasswordRequest {
        current_password: current,
        new_password: new,
        totp_code: code,
    } = body.0;
    let mut errors = FieldErrors::new();
    check_password("current_password", &current, &mut errors);
    errors.check("new_password", check_new_password(&new));
    if let Some(code) = &code {
        check_code(code, &mut errors);
    }
    errors.into_result()?;
    let ctx = context(&admin, &request_id);
    let session_count = state
        .desk
        .change_password(ctx, &admin, current, new, code)
        .await?;
    Ok(HttpResponse::Ok().json(EndedAdminView {
        message: "The password was changed; your other sessions have ended.",
        session_count,
    }))
}
