//! The page's session: the refresh token lies in a cookie that no script can read, and the page gets
//! access tokens, which it keeps in memory alone.

use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time::Duration},
    http::StatusCode,
    web,
};
use portal_service_kit::{
    ApiError,
    http::{ClientAddress, RequestId, ValidJson},
    pages,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::Dashboard;
use crate::{
    routes::admin_auth::{LoginRequest, caller},
    state::Started,
    usecases::admins::{AdminDesk, SignedIn},
};

/// Signs an administrator in.
pub(super) async fn login(
    dashboard: web::Data<Dashboard>,
    request: HttpRequest,
    body: ValidJson<LoginRequest>,
    Started(state): Started,
    request_id: RequestId,
    address: ClientAddress,
) -> Result<HttpResponse, ApiError> {
    pages::require_own_page(&request, &dashboard.origin)?;
    let client = caller(&request, address, &request_id);
    let signed_in = state.desk.sign_in(body.0.checked()?, client).await?;
    Ok(dashboard.answer(&state.desk, &signed_in))
}

/// A fresh access token for the page, and the cookie's successor.
pub(super) async fn refresh(
    dashboard: web::Data<Dashboard>,
    request: HttpRequest,
    Started(state): Started,
    request_id: RequestId,
) -> HttpResponse {
    let result = async {
        pages::require_own_page(&request, &dashboard.origin)?;
        let presented = dashboard.presented(&request)?;
        let request_id = Some(request_id.as_str().to_owned());
        Ok::<_, ApiError>(state.desk.refresh(&presented, request_id).await?)
    };
    match result.await {
        Ok(refreshed) => dashboard.answer(&state.desk, &refreshed),
        Err(error) => dashboard.without_session(error),
    }
}

/// Ends the session of this browser.
pub(super) async fn logout(
    dashboard: web::Data<Dashboard>,
    request: HttpRequest,
    Started(state): Started,
    request_id: RequestId,
) -> HttpResponse {
    let result = async {
        pages::require_own_page(&request, &dashboard.origin)?;
        let presented = dashboard.presented(&request)?;
        let request_id = Some(request_id.as_str().to_owned());
        Ok::<_, ApiError>(state.desk.sign_out(&presented, request_id).await?)
    };
    match result.await {
        Ok(()) => HttpResponse::Ok()
            .cookie(dashboard.cookie(String::new(), Duration::ZERO))
            .json(json!({"message": "You are signed out."})),
        Err(error) => dashboard.without_session(error),
    }
}

impl Dashboard {
    const fn cookie_name(&self) -> &'static str {
        // With the __Host- prefix no other host and no other path can set the cookie.
        if self.secure_cookies {
            "__Host-ap_admin"
        } else {
            "ap_admin"
        }
    }

    fn cookie(&self, value: String, max_age: Duration) -> Cookie<'static> {
        Cookie::build(self.cookie_name(), value)
            .path("/")
            .http_only(true)
            .secure(self.secure_cookies)
            .same_site(SameSite::Strict)
            .max_age(max_age)
            .finish()
    }

    fn presented(&self, request: &HttpRequest) -> Result<SecretString, ApiError> {
        let cookie = request.cookie(self.cookie_name());
        let value = cookie.map(|cookie| cookie.value().to_owned());
        value
            .filter(|value| !value.is_empty())
            .map(SecretString::from)
            .ok_or_else(|| {
                ApiError::unauthorized("SESSION_MISSING", "You are not signed in; sign in first.")
            })
    }

    fn answer(&self, desk: &AdminDesk, signed_in: &SignedIn) -> HttpResponse {
        let lifetime = desk.rules.times.absolute.num_seconds();
        let refresh = signed_in.refresh.expose_secret().to_owned();
        HttpResponse::Ok()
            .cookie(self.cookie(refresh, Duration::seconds(lifetime)))
            .json(view(desk, signed_in))
    }

    /// A session that is over takes its cookie along; after a failure that passes it stays.
    fn without_session(&self, error: ApiError) -> HttpResponse {
        let is_over = error.status() == StatusCode::UNAUTHORIZED;
        let mut response = HttpResponse::from_error(error);
        let gone = self.cookie(String::new(), Duration::ZERO);
        if is_over && let Err(error) = response.add_cookie(&gone) {
            tracing::error!(%error, "a cookie could not be taken away");
        }
        response
    }
}

/// As the API answers, without the refresh token.
fn view(desk: &AdminDesk, signed_in: &SignedIn) -> Value {
    let profile = &signed_in.profile;
    json!({
        "accessToken": signed_in.access.token.expose_secret(),
        "expiresIn": signed_in.access.expires_in,
        "totpEnrolled": profile.totp_enrolled,
        "totpRequired": desk.requires_totp(),
        "admin": {"admin_id": profile.admin_id, "email": profile.email, "name": profile.name},
    })
}
