//! The page at the end of a sign-in: it tells its opener, and whoever reads it.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};
use portal_auth::random_token;
use portal_service_kit::{ApiError, http::RequestId};
use secrecy::ExposeSecret as _;
use serde_json::{Value as Json, json};

use super::{
    advice::advice,
    html::{self, Value},
};
use crate::usecases::sign_in::SignedIn;

/// What the page says.
pub(crate) struct CallbackPage<'a> {
    /// The origin that began the sign-in: the only one that is told. Unknown when nothing is known
    /// of the sign-in.
    pub(crate) origin: Option<&'a str>,
    /// Where a person goes on.
    pub(crate) portal_origin: &'a str,
    pub(crate) request_id: &'a RequestId,
}

impl CallbackPage<'_> {
    /// Somebody was signed in.
    pub(crate) fn success(&self, signed_in: &SignedIn) -> HttpResponse {
        let text = Text {
            title: "Signed in",
            headline: "You are signed in",
            detail: &format!(
                "{}, {}. You can close this window.",
                signed_in.user.name, signed_in.organization.name
            ),
            what_to_do: "",
            reference: "",
            link: "Open the agent portal",
        };
        self.render(StatusCode::OK, &text, &success_message(signed_in))
            .unwrap_or_else(HttpResponse::from_error)
    }

    /// Somebody was not.
    pub(crate) fn failure(&self, error: ApiError) -> HttpResponse {
        let advice = advice(error.code());
        let same = error.message().trim_end_matches('.') == advice.headline;
        let text = Text {
            title: "Not signed in",
            headline: advice.headline,
            detail: if same { "" } else { error.message() },
            what_to_do: advice.what_to_do,
            reference: &format!("{} · {}", error.code(), self.request_id),
            link: "Back to sign-in",
        };
        let message = json!({"type": "GENESYS_AUTH_ERROR", "error": error.message()});
        let page = match self.render(error.status(), &text, &message) {
            Ok(page) => page,
            Err(broken) => return HttpResponse::from_error(broken),
        };
        // The page takes the place of the JSON; cause and code still reach the log.
        let mut answer = HttpResponse::from_error(error);
        let (parts, body) = page.into_parts();
        for (name, value) in parts.headers() {
            answer.headers_mut().insert(name.clone(), value.clone());
        }
        answer.set_body(body)
    }

    fn render(
        &self,
        status: StatusCode,
        text: &Text<'_>,
        message: &Json,
    ) -> Result<HttpResponse, ApiError> {
        let nonce = random_token("").map_err(ApiError::internal)?;
        let nonce = nonce.expose_secret();
        let outcome = json!({
            "targetOrigin": self.origin,
            "message": self.origin.map(|_| message),
        });
        let home = format!("{}/", self.portal_origin);
        let page = html::page(
            "callback.html",
            &[
                ("nonce", nonce.into()),
                ("title", text.title.into()),
                ("headline", text.headline.into()),
                ("detail", text.detail.into()),
                ("what_to_do", text.what_to_do.into()),
                ("reference", text.reference.into()),
                ("home", Value::from(home.as_str())),
                ("link", text.link.into()),
                ("outcome", html::json(&outcome)),
            ],
        )
        .map_err(ApiError::internal)?;
        let policy = format!(
            "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        Ok(HttpResponse::build(status)
            .content_type("text/html; charset=utf-8")
            .insert_header((header::CONTENT_SECURITY_POLICY, policy))
            // Any other value would cut the page off from the opener that waits for it.
            .insert_header((header::CROSS_ORIGIN_OPENER_POLICY, "unsafe-none"))
            .body(page))
    }
}

struct Text<'a> {
    title: &'a str,
    headline: &'a str,
    detail: &'a str,
    what_to_do: &'a str,
    reference: &'a str,
    link: &'a str,
}

/// What the contract says that front ends are told.
fn success_message(signed_in: &SignedIn) -> Json {
    let SignedIn {
        user, organization, ..
    } = signed_in;
    json!({
        "type": "GENESYS_AUTH_SUCCESS",
        "accessToken": signed_in.access.token.expose_secret(),
        "refreshToken": signed_in.refresh.expose_secret(),
        "expiresIn": signed_in.access.expires_in,
        // Tenants are set up by platform administrators, never by a sign-in.
        "isNewTenant": false,
        "onboardingCompleted": signed_in.whatsapp_configured,
        "genesysOrg": {
            "id": organization.id,
            "name": organization.name,
            "domain": organization.domain,
        },
        "agent": {
            "user_id": user.user_id,
            "name": user.name,
            "email": user.email,
            "role": user.role,
            "tenant_id": user.tenant_id,
        },
    })
}
