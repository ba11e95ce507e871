//! Sending the browser to Genesys.

use std::net::IpAddr;

use portal_auth::random_token;
use portal_cache::Limit;
use portal_genesys::{AuthorizeRequest, Pkce, authorize_url, new_state};
use portal_service_kit::http::client_key;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{LOGIN_LIFETIME, SignIn, SignInError, browser_hash, login_key};
use crate::domain::{LoginRecord, ReturnMode};

/// What the browser asks for.
#[derive(Debug)]
pub(crate) struct BeginSignIn {
    /// The region; the default one if none is named.
    pub(crate) region: Option<String>,
    /// The portal origin; the default one if none is named.
    pub(crate) origin: Option<String>,
    pub(crate) mode: ReturnMode,
    /// Fills in Genesys' form.
    pub(crate) login_hint: Option<String>,
    /// What the portal's own server gave the browser, hashed.
    pub(crate) handoff: Option<String>,
    /// The browser's cookie from an earlier sign-in that is not over.
    pub(crate) browser: Option<String>,
    pub(crate) address: IpAddr,
}

/// Where the browser goes, and what it has to bring back.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) location: Url,
    pub(crate) browser: SecretString,
}

impl SignIn {
    /// The portal origin that a browser named, or else the default one.
    pub(crate) fn origin(&self, named: Option<&str>) -> Result<&str, SignInError> {
        let origins = &self.rules.origins;
        let found = match named {
            Some(named) => origins.iter().find(|origin| *origin == named),
            None => origins.first(),
        };
        found.map(String::as_str).ok_or(SignInError::UnknownOrigin)
    }

    /// Keeps what is needed to finish the sign-in and answers where the browser goes.
    pub(crate) async fn begin(&self, wanted: BeginSignIn) -> Result<Begun, SignInError> {
        let origin = self.origin(wanted.origin.as_deref())?.to_owned();
        let region = match &wanted.region {
            Some(name) => self.rules.region(name),
            None => self.rules.regions.first(),
        };
        let (region, client) = region.ok_or(SignInError::UnknownRegion)?;
        self.take_turn(wanted.address).await?;

        // A browser with two sign-ins under way keeps one cookie for both.
        let browser = match wanted.browser {
            Some(browser) => browser.into(),
            None => random_token("").map_err(|error| SignInError::Unexpected(error.into()))?,
        };
        let pkce = Pkce::generate();
        let state = new_state();
        let record = LoginRecord {
            region: region.name().to_owned(),
            verifier: pkce.verifier.expose_secret().to_owned(),
            origin,
            mode: wanted.mode,
            browser: browser_hash(browser.expose_secret()),
            handoff: wanted.handoff,
        };
        self.cache
            .set_with_ttl(&login_key(&state), &record, LOGIN_LIFETIME)
            .await?;
        let request = AuthorizeRequest {
            redirect_uri: &self.rules.redirect_uri,
            state: &state,
            code_challenge: self.rules.use_pkce.then_some(pkce.challenge.as_str()),
            login_hint: wanted.login_hint.as_deref(),
            prompt_login: false,
        };
        Ok(Begun {
            location: authorize_url(region, client, &request),
            browser,
        })
    }

    async fn take_turn(&self, address: IpAddr) -> Result<(), SignInError> {
        let limit = Limit::per_minute("sign-in", self.rules.per_address_per_minute);
        let taken = self.limiter.take(limit.of(&client_key(address))).await;
        taken.map_err(|retry_after| SignInError::TooMany { retry_after })
    }
}
