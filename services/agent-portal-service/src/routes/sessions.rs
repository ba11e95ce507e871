//! Tokens and sessions of signed-in people.

use actix_web::{delete, get, post, web};
use chrono::{DateTime, Utc};
use portal_auth::{Caller, Guarded};
use portal_service_kit::{
    ApiError,
    http::{RequestId, ValidJson, ValidPath},
};
use portal_types::SessionId;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::LiveSession,
    state::AppState,
    usecases::{
        Cause,
        sessions::{Ending, Owner, Refreshed},
    },
};

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RefreshRequest {
    /// The newest one of the session; it works once.
    #[schema(value_type = String)]
    refresh_token: SecretString,
}

/// New tokens of a session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokensView {
    access_token: String,
    /// Takes the place of the one that was sent.
    refresh_token: String,
    /// Seconds until the access token expires.
    expires_in: u64,
}

impl From<Refreshed> for TokensView {
    fn from(refreshed: Refreshed) -> Self {
        Self {
            access_token: refreshed.access.token.expose_secret().to_owned(),
            refresh_token: refreshed.refresh.expose_secret().to_owned(),
            expires_in: refreshed.access.expires_in,
        }
    }
}

/// What was ended.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndedView {
    message: &'static str,
    /// How many sessions were ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_count: Option<usize>,
}

/// A session of the caller.
#[derive(Serialize, ToSchema)]
struct SessionView {
    session_id: SessionId,
    created_at: DateTime<Utc>,
    last_used_at: DateTime<Utc>,
    /// When it ends at the latest.
    expires_at: DateTime<Utc>,
    /// What the browser called itself.
    user_agent: Option<String>,
    /// Whether it is the one that asks.
    is_current: bool,
}

/// The caller's sessions.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionsView {
    sessions: Vec<SessionView>,
    total: usize,
}

fn owner(caller: Caller) -> Owner {
    Owner {
        tenant: caller.tenant_id,
        user: caller.user_id,
        session: caller.session_id,
    }
}

/// Exchanges a refresh token for new tokens.
///
/// Each refresh token works once. Sending one again within 10 seconds, because the answer was
/// lost, gets the same answer; any later use ends the session.
#[utoipa::path(
    tag = "sign-in",
    request_body = RefreshRequest,
    responses(
        (status = 200, description = "New tokens", body = TokensView),
        (status = 400, description = "The body is not as it should be"),
        (status = 401, description = "The refresh token is not valid, or the session is over"),
        (status = 403, description = "The person or the organization may not use the portal any more"),
        (status = 503, description = "Try again; the refresh token was not used up"),
    )
)]
#[post("/api/agents/auth/refresh")]
pub(crate) async fn refresh(
    state: web::Data<AppState>,
    request_id: RequestId,
    body: ValidJson<RefreshRequest>,
) -> Result<web::Json<TokensView>, ApiError> {
    let cause = Cause::request(&request_id);
    let refreshed = state
        .sessions
        .refresh(&body.0.refresh_token, &cause)
        .await?;
    Ok(web::Json(refreshed.into()))
}

/// Ends the caller's session, at once and everywhere.
#[utoipa::path(
    tag = "sign-in",
    responses(
        (status = 200, description = "The session has ended", body = EndedView),
        (status = 401, description = "The token is missing, expired or revoked"),
    ),
    security(("bearer" = []))
)]
#[post("/api/agents/auth/logout")]
pub(crate) async fn logout(
    caller: Caller,
    state: web::Data<AppState>,
    request_id: RequestId,
) -> Result<web::Json<EndedView>, ApiError> {
    let cause = Cause::request(&request_id);
    state
        .sessions
        .end(&owner(caller), Ending::Own, &cause)
        .await?;
    Ok(web::Json(EndedView {
        message: "You are signed out.",
        session_count: None,
    }))
}

/// Ends all sessions of the caller, at once and everywhere.
#[utoipa::path(
    tag = "sign-in",
    responses(
        (status = 200, description = "All sessions have ended", body = EndedView),
        (status = 401, description = "The token is missing, expired or revoked"),
    ),
    security(("bearer" = []))
)]
#[post("/api/agents/auth/logout-all")]
pub(crate) async fn logout_all(
    caller: Caller,
    state: web::Data<AppState>,
    request_id: RequestId,
) -> Result<web::Json<EndedView>, ApiError> {
    let cause = Cause::request(&request_id);
    let count = state
        .sessions
        .end(&owner(caller), Ending::All, &cause)
        .await?;
    Ok(web::Json(EndedView {
        message: "You are signed out everywhere.",
        session_count: Some(count),
    }))
}

/// The caller's sessions, the latest used first.
#[utoipa::path(
    tag = "sign-in",
    responses(
        (status = 200, description = "The sessions that have not ended", body = SessionsView),
        (status = 401, description = "The token is missing, expired or revoked"),
    ),
    security(("bearer" = []))
)]
#[get("/api/agents/auth/sessions")]
pub(crate) async fn list_sessions(
    caller: Caller,
    state: web::Data<AppState>,
) -> Result<web::Json<SessionsView>, ApiError> {
    let found = state
        .sessions
        .list(&caller.tenant_id, caller.user_id)
        .await?;
    let view = |session: LiveSession| SessionView {
        session_id: session.session_id,
        created_at: session.created_at,
        last_used_at: session.last_used_at,
        expires_at: session.expires_at,
        user_agent: session.user_agent,
        is_current: session.session_id == caller.session_id,
    };
    let sessions: Vec<_> = found.into_iter().map(view).collect();
    Ok(web::Json(SessionsView {
        total: sessions.len(),
        sessions,
    }))
}

/// Ends one of the caller's sessions, at once and everywhere.
#[utoipa::path(
    tag = "sign-in",
    params(("session_id" = SessionId, Path, description = "One of the caller's sessions")),
    responses(
        (status = 200, description = "The session has ended", body = EndedView),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 404, description = "The caller has no such session, or it has ended"),
    ),
    security(("bearer" = []))
)]
#[delete("/api/agents/auth/sessions/{session_id}")]
pub(crate) async fn end_session(
    Guarded(caller, ValidPath(session_id)): Guarded<Caller, ValidPath<SessionId>>,
    state: web::Data<AppState>,
    request_id: RequestId,
) -> Result<web::Json<EndedView>, ApiError> {
    let cause = Cause::request(&request_id);
    let ending = Ending::One(session_id);
    state.sessions.end(&owner(caller), ending, &cause).await?;
    Ok(web::Json(EndedView {
        message: "The session has ended.",
        session_count: None,
    }))
}
