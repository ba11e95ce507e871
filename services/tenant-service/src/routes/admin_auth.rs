//! Signing in as a platform administrator, and the sessions that come of it.

use actix_web::{HttpRequest, HttpResponse, delete, get, http::header, post};
use chrono::{DateTime, Utc};
use portal_auth::{EnrollingAdmin, Guarded, PlatformAdmin};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{ClientAddress, RequestId, ValidJson, ValidPath, client_key},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::context;
use crate::{
    domain::admin::{LiveAdminSession, Which},
    state::Started,
    usecases::admins::{AdminDesk, Client, Credentials, SignedIn},
};

/// Who signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginRequest {
    #[schema(examples("admin@example.com"))]
    email: String,
    #[schema(value_type = String, format = Password, write_only)]
    password: SecretString,
    /// The authenticator app's six digits, once one is enrolled
    #[schema(value_type = Option<String>, write_only)]
    totp_code: Option<SecretString>,
}

impl LoginRequest {
    pub(super) fn checked(self) -> Result<Credentials, ApiError> {
        let mut errors = FieldErrors::new();
        if !(3..=320).contains(&self.email.len()) || !self.email.contains('@') {
            errors.add("email", "must be an e-mail address");
        }
        check_password("password", &self.password, &mut errors);
        if let Some(code) = &self.totp_code {
            check_code(code, &mut errors);
        }
        errors.into_result()?;
        Ok(Credentials {
            email: self.email.trim().to_owned(),
            password: self.password,
            totp_code: self.totp_code,
        })
    }
}

/// Who asks to be signed in, as far as the request tells.
pub(super) fn caller(
    request: &HttpRequest,
    address: ClientAddress,
    request_id: &RequestId,
) -> Client {
    let user_agent = request.headers().get(header::USER_AGENT);
    Client {
        address: client_key(address.0),
        user_agent: user_agent
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
        request_id: Some(request_id.as_str().to_owned()),
    }
}

/// A bound for the hasher, not a rule for passwords.
pub(super) fn check_password(field: &str, password: &SecretString, errors: &mut FieldErrors) {
    if !(1..=1_024).contains(&password.expose_secret().len()) {
        errors.add(field, "must be 1 to 1024 characters");
    }
}

pub(super) fn check_code(code: &SecretString, errors: &mut FieldErrors) {
    let code = code.expose_secret();
    if code.len() != 6 || !code.bytes().all(|b| b.is_ascii_digit()) {
        errors.add("totp_code", "must be 6 digits");
    }
}

/// An administrator.
#[derive(Serialize, ToSchema)]
struct AdminView {
    admin_id: Uuid,
    email: String,
    name: String,
}

/// Tokens of an administrator's session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AdminTokensView {
    access_token: String,
    /// Works once, at `POST /api/admin/auth/refresh`
    refresh_token: String,
    /// Seconds until the access token expires
    expires_in: u64,
    /// Whether the account has an authenticator app
    totp_enrolled: bool,
    /// Whether it needs one before it may do anything else
    totp_required: bool,
    admin: AdminView,
}

impl AdminTokensView {
    fn new(desk: &AdminDesk, signed_in: SignedIn) -> Self {
        let profile = signed_in.profile;
        Self {
            access_token: signed_in.access.token.expose_secret().to_owned(),
            refresh_token: signed_in.refresh.expose_secret().to_owned(),
            expires_in: signed_in.access.expires_in,
            totp_enrolled: profile.totp_enrolled,
            totp_required: desk.requires_totp(),
            admin: AdminView {
                admin_id: profile.admin_id,
                email: profile.email,
                name: profile.name,
            },
        }
    }
}

/// Signs a platform administrator in.
#[utoipa::path(
    tag = "admin",
    request_body = LoginRequest,
    responses(
        (status = 200, description = "Tokens for this service", body = AdminTokensView),
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
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let credentials = body.0.checked()?;
    let client = caller(&request, client, &request_id);
    let signed_in = state.desk.sign_in(credentials, client).await?;
    Ok(HttpResponse::Ok().json(AdminTokensView::new(&state.desk, signed_in)))
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RefreshAdminRequest {
    /// The newest one of the session; it works once
    #[schema(value_type = String, write_only)]
    refresh_token: SecretString,
}

/// Exchanges an administrator's refresh token for new tokens.
///
/// Each refresh token works once. Sending one again within 10 seconds, because the answer was
/// lost, gets the same refresh token; any later use ends the session.
#[utoipa::path(
    tag = "admin",
    request_body = RefreshAdminRequest,
    responses(
        (status = 200, description = "New tokens", body = AdminTokensView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "`REFRESH_TOKEN_INVALID`, `REFRESH_TOKEN_REUSED`, `SESSION_EXPIRED`, `SESSION_REVOKED`"),
    )
)]
#[post("/api/admin/auth/refresh")]
pub(super) async fn refresh_admin(
    body: ValidJson<RefreshAdminRequest>,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let request_id = Some(request_id.as_str().to_owned());
    let refreshed = state
        .desk
        .refresh(&body.0.refresh_token, request_id)
        .await?;
    Ok(HttpResponse::Ok().json(AdminTokensView::new(&state.desk, refreshed)))
}

/// What was ended.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndedAdminView {
    pub(super) message: &'static str,
    /// How many sessions were ended
    pub(super) session_count: usize,
}

/// Ends the administrator's session.
#[utoipa::path(
    tag = "admin",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The session has ended", body = EndedAdminView),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
    )
)]
#[post("/api/admin/auth/logout")]
pub(super) async fn logout_admin(
    EnrollingAdmin(admin): EnrollingAdmin,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let ctx = context(&admin, &request_id);
    let which = Which::One(admin.session_id);
    let session_count = state
        .desk
        .end_sessions(ctx, &admin, which, "admin.logout")
        .await?;
    Ok(HttpResponse::Ok().json(EndedAdminView {
        message: "You are signed out.",
        session_count,
    }))
}

/// Ends all sessions of the administrator.
#[utoipa::path(
    tag = "admin",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "All sessions have ended", body = EndedAdminView),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
    )
)]
#[post("/api/admin/auth/logout-all")]
pub(super) async fn logout_admin_everywhere(
    EnrollingAdmin(admin): EnrollingAdmin,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let ctx = context(&admin, &request_id);
    let session_count = state
        .desk
        .end_sessions(ctx, &admin, Which::All, "admin.logout_all")
        .await?;
    Ok(HttpResponse::Ok().json(EndedAdminView {
        message: "You are signed out everywhere.",
        session_count,
    }))
}

/// A session of the administrator.
#[derive(Serialize, ToSchema)]
struct AdminSessionView {
    session_id: Uuid,
    created_at: DateTime<Utc>,
    last_used_at: DateTime<Utc>,
    /// When it ends at the latest
    expires_at: DateTime<Utc>,
    /// What the browser called itself
    user_agent: Option<String>,
    /// Whether it is the one that asks
    is_current: bool,
}

/// The administrator's sessions.
#[derive(Serialize, ToSchema)]
pub(super) struct AdminSessionsView {
    sessions: Vec<AdminSessionView>,
    total: usize,
}

/// Lists the administrator's own sessions, the latest used first.
#[utoipa::path(
    tag = "admin",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The sessions that have not ended", body = AdminSessionsView),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators; `TOTP_ENROLMENT_REQUIRED`"),
    )
)]
#[get("/api/admin/auth/sessions")]
pub(super) async fn list_admin_sessions(
    admin: PlatformAdmin,
    Started(state): Started,
) -> Result<HttpResponse, ApiError> {
    let view = |session: LiveAdminSession| AdminSessionView {
        session_id: session.session_id,
        created_at: session.created_at,
        last_used_at: session.last_used_at,
        expires_at: session.expires_at,
        user_agent: session.user_agent,
        is_current: session.session_id == admin.session_id,
    };
    let found = state.desk.list_sessions(&admin).await?;
    let sessions: Vec<_> = found.into_iter().map(view).collect();
    Ok(HttpResponse::Ok().json(AdminSessionsView {
        total: sessions.len(),
        sessions,
    }))
}

/// Ends one of the administrator's own sessions.
#[utoipa::path(
    tag = "admin",
    security(("bearer" = [])),
    params(("session_id" = Uuid, Path, description = "One of the administrator's sessions")),
    responses(
        (status = 200, description = "The session has ended", body = EndedAdminView),
        (status = 400, description = "`VALIDATION_FAILED`"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators; `TOTP_ENROLMENT_REQUIRED`"),
        (status = 404, description = "`SESSION_NOT_FOUND`"),
    )
)]
#[delete("/api/admin/auth/sessions/{session_id}")]
pub(super) async fn end_admin_session(
    Guarded(admin, ValidPath(session_id)): Guarded<PlatformAdmin, ValidPath<Uuid>>,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let ctx = context(&admin, &request_id);
    let which = Which::One(session_id);
    let session_count = state
        .desk
        .end_sessions(ctx, &admin, which, "admin.end_session")
        .await?;
    Ok(HttpResponse::Ok().json(EndedAdminView {
        message: "The session has ended.",
        session_count,
    }))
}
