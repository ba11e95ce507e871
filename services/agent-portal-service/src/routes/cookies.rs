//! Our cookies: what they are called and how they are guarded.

use actix_web::{
    HttpRequest,
    cookie::{Cookie, SameSite, time::Duration},
};
use secrecy::SecretString;

use crate::{state::WebSettings, usecases::sign_in::LOGIN_LIFETIME};

/// A cookie of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Ties a sign-in to its browser, at the API.
    Login,
    /// Ties a sign-in to its browser, at the portal's own server.
    Begin,
    /// Holds a session's refresh token, at the portal's own server.
    Session,
}

impl Kind {
    const fn name(self, secure: bool) -> &'static str {
        // With the __Host- prefix no other host and no other path can set the cookie; browsers
        // take it over HTTPS only.
        match (self, secure) {
            (Self::Login, true) => "__Host-ap_login",
            (Self::Login, false) => "ap_login",
            (Self::Begin, true) => "__Host-ap_begin",
            (Self::Begin, false) => "ap_begin",
            (Self::Session, true) => "__Host-ap_session",
            (Self::Session, false) => "ap_session",
        }
    }

    const fn same_site(self) -> SameSite {
        match self {
            // The browser comes back from Genesys: a navigation from another site.
            Self::Login | Self::Begin => SameSite::Lax,
            Self::Session => SameSite::Strict,
        }
    }
}

impl WebSettings {
    /// The cookie that a browser sent.
    pub(crate) fn read_cookie(&self, request: &HttpRequest, kind: Kind) -> Option<String> {
        let cookie = request.cookie(kind.name(self.secure_cookies))?;
        Some(cookie.value().to_owned()).filter(|value| !value.is_empty())
    }

    /// The secret of a sign-in's cookie; `None` for a value that we never make.
    pub(crate) fn read_binding(&self, request: &HttpRequest, kind: Kind) -> Option<SecretString> {
        self.read_cookie(request, kind)
            .filter(|value| value.len() == 43 && value.bytes().all(is_base64url))
            .map(SecretString::from)
    }

    /// A cookie to be set.
    pub(crate) fn cookie(&self, kind: Kind, value: String) -> Cookie<'static> {
        let seconds = match kind {
            Kind::Login | Kind::Begin => i64::try_from(LOGIN_LIFETIME.as_secs()).unwrap_or(600),
            Kind::Session => self.session_seconds,
        };
        self.build(kind, value, Duration::seconds(seconds))
    }

    /// A cookie that takes the browser's away.
    pub(crate) fn no_cookie(&self, kind: Kind) -> Cookie<'static> {
        self.build(kind, String::new(), Duration::ZERO)
    }

    fn build(&self, kind: Kind, value: String, max_age: Duration) -> Cookie<'static> {
        Cookie::build(kind.name(self.secure_cookies), value)
            .path("/")
            .http_only(true)
            .secure(self.secure_cookies)
            .same_site(kind.same_site())
            .max_age(max_age)
            .finish()
    }
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(secure_cookies: bool) -> WebSettings {
        WebSettings {
            secure_cookies,
            portal_origin: "http://localhost:3014".to_owned(),
            api_origin: "http://localhost:3000".to_owned(),
            regions: Vec::new(),
            session_seconds: 43_200,
            slow_reader: std::time::Duration::from_secs(1),
        }
    }

    #[test]
    fn cookies_are_guarded() {
        let cookie = settings(true)
            .cookie(Kind::Session, "x".to_owned())
            .to_string();
        assert_eq!(
            cookie,
            "__Host-ap_session=x; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=43200"
        );
        let cookie = settings(false)
            .cookie(Kind::Login, "x".to_owned())
            .to_string();
        assert_eq!(
            cookie,
            "ap_login=x; HttpOnly; SameSite=Lax; Path=/; Max-Age=600"
        );
        let gone = settings(true).no_cookie(Kind::Begin).to_string();
        assert!(gone.starts_with("__Host-ap_begin=;") && gone.contains("Max-Age=0"));
    }
}
