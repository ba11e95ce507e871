//! Sending the browser to Genesys.

use std::net::IpAddr;

use portal_auth::random_token;
use portal_cache::Limit;
use portal_genesys::{AuthorizeRequest, OAuthClient, Pkce, Region, authorize_url, new_state};
use portal_service_kit::http::client_key;
use portal_types::TenantId;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{LOGIN_LIFETIME, Refusal, SignIn, SignInError, browser_hash, login_key};
use crate::domain::{LoginRecord, ReturnMode};

/// What the browser asks for.
#[derive(Debug)]
pub(crate) struct BeginSignIn {
    /// The region; the default one if none is named.
    pub(crate) region: Option<String>,
    /// The tenant that the sign-in is for, by its id ...
    pub(crate) tenant: Option<String>,
    /// ... or by its Genesys organization.
    pub(crate) genesys_org_id: Option<String>,
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

/// Where at Genesys, and as whom.
struct WayIn {
    region: Region,
    client: OAuthClient,
    /// Whether the client is the tenant's own.
    is_own: bool,
    tenant: Option<TenantId>,
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
        if let Some(name) = &wanted.region {
            self.rules
                .known_region(name)
                .ok_or(SignInError::UnknownRegion)?;
        }
        self.take_turn(wanted.address).await?;
        let way = self.way_in(&wanted).await?;

        // A browser with two sign-ins under way keeps one cookie for both.
        let browser = match wanted.browser {
            Some(browser) => browser.into(),
            None => random_token("").map_err(|error| SignInError::Unexpected(error.into()))?,
        };
        let pkce = Pkce::generate();
        let state = new_state();
        let record = LoginRecord {
            region: way.region.name().to_owned(),
            verifier: pkce.verifier.expose_secret().to_owned(),
            origin,
            mode: wanted.mode,
            browser: browser_hash(browser.expose_secret()),
            handoff: wanted.handoff,
            own_client: way.is_own.then(|| way.client.client_id.clone()),
            tenant: way.tenant,
        };
        self.cache
            .set_with_ttl(&login_key(&state), &record, LOGIN_LIFETIME)
            .await?;
        let request = AuthorizeRequest {
            redirect_uri: &self.rules.redirect_uri,
            state: &state,
            code_challenge: self
                .rules
                .sends_challenge(&way.client)
                .then_some(pkce.challenge.as_str()),
            login_hint: wanted.login_hint.as_deref(),
            prompt_login: false,
        };
        Ok(Begun {
            location: authorize_url(&way.region, &way.client, &request),
            browser,
        })
    }

    /// The region and the OAuth client: a tenant's own if the sign-in is for one that has it, or else
    /// the deployment's of the region.
    async fn way_in(&self, wanted: &BeginSignIn) -> Result<WayIn, SignInError> {
        let Some(tenant) = self.wanted_tenant(wanted).await? else {
            return self.deployments(wanted.region.as_deref(), None);
        };
        let profile = self.tenants.genesys_profile(&tenant).await?;
        let profile = profile
            .filter(|profile| profile.status.is_active())
            .ok_or(SignInError::TenantNotThere)?;
        let own = self.clients.own(&profile)?;
        let home = match &own {
            Some((region, _)) => Some(region.name()),
            None => profile.genesys_region.as_deref(),
        };
        if let (Some(named), Some(home)) = (wanted.region.as_deref(), home)
            && named != home
        {
            return Err(Refusal::WrongRegion.into());
        }
        match own {
            Some((region, client)) => Ok(WayIn {
                region,
                client,
                is_own: true,
                tenant: Some(tenant),
            }),
            None => self.deployments(home.or(wanted.region.as_deref()), Some(tenant)),
        }
    }

    fn deployments(
        &self,
        region: Option<&str>,
        tenant: Option<TenantId>,
    ) -> Result<WayIn, SignInError> {
        let found = match region {
            Some(name) => self.rules.region(name),
            None => self.rules.regions.first(),
        };
        let (region, client) = found.cloned().ok_or(SignInError::UnknownRegion)?;
        Ok(WayIn {
            region,
            client,
            is_own: false,
            tenant,
        })
    }

    /// The tenant that the sign-in is for. Unknown, suspended and contradictory ones are all the
    /// same: whoever asks is nobody yet.
    async fn wanted_tenant(&self, wanted: &BeginSignIn) -> Result<Option<TenantId>, SignInError> {
        let named = match &wanted.tenant {
            Some(named) => {
                let parsed = TenantId::parse(named);
                Some(parsed.map_err(|_form| SignInError::TenantNotThere)?)
            }
            None => None,
        };
        let Some(org) = &wanted.genesys_org_id else {
            return Ok(named);
        };
        let found = self.tenants.by_genesys_org(org).await?;
        let found = found
            .map(|tenant| tenant.tenant_id)
            .filter(|found| named.as_ref().is_none_or(|named| named == found))
            .ok_or(SignInError::TenantNotThere)?;
        Ok(Some(found))
    }

    async fn take_turn(&self, address: IpAddr) -> Result<(), SignInError> {
        let limit = Limit::per_minute("sign-in", self.rules.per_address_per_minute);
        let taken = self.limiter.take(limit.of(&client_key(address))).await;
        taken.map_err(|retry_after| SignInError::TooMany { retry_after })
    }
}
