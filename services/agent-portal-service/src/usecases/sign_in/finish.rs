//! Taking the browser back from Genesys.

use portal_auth::{AccessSubject, IssuedToken, random_token};
use portal_db::{CrossTenantPath, Scope};
use portal_genesys::{EntityState, Identity, Region, Tokens};
use portal_tenant_client::{TenantRecord, TenantStatus};
use portal_types::{SessionId, TenantId};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    HANDOFF_LIFETIME, Refusal, SignIn, SignInError, browser_hash, handoff_key, login_key,
    provision::NewSignIn, turned_away::Known,
};
use crate::{
    domain::{GenesysPerson, Handoff, LoginRecord, RefreshToken, ReturnMode, User},
    store,
    usecases::{Cause, genesys_tokens},
};

/// With what Genesys sends a browser back.
#[derive(Debug)]
pub(crate) struct Callback {
    pub(crate) code: Option<SecretString>,
    pub(crate) state: Option<SecretString>,
    pub(crate) error: Option<String>,
    /// The browser's cookie.
    pub(crate) browser: Option<SecretString>,
    pub(crate) user_agent: Option<String>,
    pub(crate) cause: Cause,
}

/// How it ended, and what is known of how it began: the answer goes to whoever began it.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) begun: Option<LoginRecord>,
    pub(crate) result: Result<SignedIn, SignInError>,
}

/// The Genesys organization, as pages show it.
#[derive(Debug, Clone)]
pub(crate) struct Organization {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) domain: Option<String>,
}

/// Somebody was signed in.
#[derive(Debug)]
pub(crate) struct SignedIn {
    pub(crate) user: User,
    pub(crate) organization: Organization,
    /// Whether the tenant can send messages.
    pub(crate) whatsapp_configured: bool,
    pub(crate) access: IssuedToken,
    pub(crate) refresh: SecretString,
    /// The code of a redirect.
    pub(crate) handoff: Option<SecretString>,
}

impl SignIn {
    /// Finishes a sign-in: once, in the browser that began it, for a person whom Genesys vouches
    /// for and whose organization is a tenant of ours.
    #[tracing::instrument(name = "usecase.finish_sign_in", skip_all)]
    pub(crate) async fn finish(&self, callback: Callback) -> Finished {
        let login = match self.take_login(&callback).await {
            Ok(login) => login,
            Err(error) => return self.finished(None, Err(error)),
        };
        if login.browser != callback.browser.as_ref().map_or_else(String::new, hash_of) {
            // The origin is not told: this browser has nothing to do with that sign-in.
            return self.finished(None, Err(SignInError::ForeignState));
        }
        let result = self.sign_in(&login, callback).await;
        self.finished(Some(login), result)
    }

    fn finished(
        &self,
        begun: Option<LoginRecord>,
        result: Result<SignedIn, SignInError>,
    ) -> Finished {
        self.outcomes.count(match &result {
            Ok(_) => "success",
            Err(error) => error.outcome(),
        });
        Finished { begun, result }
    }

    async fn take_login(&self, callback: &Callback) -> Result<LoginRecord, SignInError> {
        if !self.issuer.keys().are_loaded() {
            // Before the state is taken: the person may simply try again.
            return Err(SignInError::NotReady);
        }
        let state = callback.state.as_ref().ok_or(SignInError::UnknownState)?;
        let taken = self.cache.take(&login_key(state.expose_secret())).await?;
        taken.ok_or(SignInError::UnknownState)
    }

    async fn sign_in(
        &self,
        login: &LoginRecord,
        callback: Callback,
    ) -> Result<SignedIn, SignInError> {
        if let Some(error) = &callback.error {
            return Err(refused_by_genesys(error));
        }
        let code = callback
            .code
            .as_ref()
            .ok_or(SignInError::CodeRefused(None))?;
        // Region and client of the record, never of the callback: a code goes to its issuer only.
        let found = self
            .clients
            .find(
                login.tenant.as_ref(),
                &login.region,
                login.own_client.as_deref(),
            )
            .await?;
        // A tenant's client that was taken away meanwhile cannot take its code any more.
        let (region, client) = found.ok_or(SignInError::CodeRefused(None))?;
        let region = &region;
        let verifier = SecretString::from(login.verifier.as_str());
        let verifier = self.rules.sends_challenge(&client).then_some(&verifier);
        let redirect_uri = &self.rules.redirect_uri;
        let tokens = self
            .genesys
            .exchange_code(region, &client, redirect_uri, code, verifier)
            .await?;
        let result = self.admit(login, region, &tokens, &callback).await;
        if result.is_err() {
            genesys_tokens::revoke_later(&self.genesys, region, tokens.access_token);
        }
        result
    }

    /// Somebody is at the door with a token of Genesys: who is it, and may they come in?
    async fn admit(
        &self,
        login: &LoginRecord,
        region: &Region,
        tokens: &Tokens,
        callback: &Callback,
    ) -> Result<SignedIn, SignInError> {
        let identity = self.genesys.me(region, &tokens.access_token).await?;
        let mut known = Known::default();
        let result = self
            .admit_known(login, region, tokens, callback, &identity, &mut known)
            .await;
        if let Err(SignInError::Refused(refusal)) = result {
            self.audit_refusal(refusal, region, &identity, known, &callback.cause)
                .await;
        }
        result
    }

    async fn admit_known(
        &self,
        login: &LoginRecord,
        region: &Region,
        tokens: &Tokens,
        callback: &Callback,
        identity: &Identity,
        known: &mut Known,
    ) -> Result<SignedIn, SignInError> {
        check_states(identity)?;
        let tenant = self.tenant_of(identity, region, known).await?;
        if login
            .tenant
            .as_ref()
            .is_some_and(|begun_for| *begun_for != tenant.tenant_id)
        {
            return Err(Refusal::OtherTenant.into());
        }
        let profile = self.tenants.genesys_profile(&tenant.tenant_id).await?;
        let profile = profile.ok_or(Refusal::UnknownTenant)?;
        let role = self.rules.role_in(&profile, identity)?;
        self.check_elsewhere(&tenant.tenant_id, &identity.user_id, known)
            .await?;

        let session_id = SessionId::generate();
        let (refresh, handoff) = self
            .first_token(login, &tenant.tenant_id, session_id)
            .await?;
        let sealed = genesys_tokens::seal(&self.vault, &tenant.tenant_id, session_id, tokens)
            .map_err(|error| SignInError::Unexpected(error.into()))?;
        let user = self
            .provision(NewSignIn {
                tenant_id: tenant.tenant_id.clone(),
                person: GenesysPerson::of(identity, role),
                session_id,
                refresh_hash: crate::usecases::token_keys::stored_hash(&refresh),
                region: region.name().to_owned(),
                own_client: login.own_client.clone(),
                sealed,
                genesys_expires_in: tokens.expires_in,
                user_agent: callback.user_agent.clone(),
                cause: callback.cause.clone(),
            })
            .await?;
        let access = self.issuer.issue_access(&AccessSubject {
            user_id: user.user_id,
            tenant_id: tenant.tenant_id.clone(),
            role: user.role,
            session_id,
        })?;
        Ok(SignedIn {
            user,
            organization: Organization {
                id: identity.organization.id.clone(),
                name: identity.organization.name.clone(),
                domain: identity.organization.domain.clone(),
            },
            whatsapp_configured: tenant.whatsapp_configured,
            access,
            refresh: refresh.reveal(),
            handoff,
        })
    }

    async fn tenant_of(
        &self,
        identity: &Identity,
        region: &Region,
        known: &mut Known,
    ) -> Result<TenantRecord, SignInError> {
        let tenant = self
            .tenants
            .by_genesys_org(&identity.organization.id)
            .await?;
        let tenant = tenant.ok_or(Refusal::UnknownTenant)?;
        if tenant.status == TenantStatus::Deleted {
            return Err(Refusal::UnknownTenant.into());
        }
        known.tenant = Some(tenant.tenant_id.clone());
        if tenant.status == TenantStatus::Suspended {
            return Err(Refusal::TenantSuspended.into());
        }
        // A tenant without a region was mapped by its organization's id alone, which is unique
        // over all regions.
        match &tenant.genesys_region {
            Some(registered) if registered != region.name() => Err(Refusal::WrongRegion.into()),
            _ => Ok(tenant),
        }
    }

    async fn check_elsewhere(
        &self,
        tenant_id: &TenantId,
        genesys_user_id: &str,
        known: &mut Known,
    ) -> Result<(), SignInError> {
        let identity = Scope::CrossTenant(CrossTenantPath::Identity);
        let (tenant_id, genesys_user_id) = (tenant_id.clone(), genesys_user_id.to_owned());
        known.elsewhere = self
            .db
            .read("sign_in.known_elsewhere", identity, move |tx| {
                store::users::find_other_tenant_any_tenant(tx, &tenant_id, &genesys_user_id)
            })
            .await?;
        if known.elsewhere.is_some() {
            Err(Refusal::KnownElsewhere.into())
        } else {
            Ok(())
        }
    }

    /// The session's first refresh token; for a redirect the one that its code leads to.
    async fn first_token(
        &self,
        login: &LoginRecord,
        tenant: &TenantId,
        session: SessionId,
    ) -> Result<(RefreshToken, Option<SecretString>), SignInError> {
        let random = |error| SignInError::Unexpected(anyhow::Error::new(error));
        if login.mode == ReturnMode::Popup {
            let token = self.token_keys.first(tenant, session).map_err(random)?;
            return Ok((token, None));
        }
        let code = random_token("").map_err(random)?;
        let handoff = Handoff {
            tenant_id: tenant.clone(),
            session_id: session,
            browser: login.handoff.clone(),
        };
        // Before the session is there: a code that leads nowhere is better than a session that
        // nobody can have.
        self.cache
            .set_with_ttl(
                &handoff_key(code.expose_secret()),
                &handoff,
                HANDOFF_LIFETIME,
            )
            .await?;
        let token = self
            .token_keys
            .for_code(tenant, session, code.expose_secret())
            .next()
            .ok_or_else(|| SignInError::Unexpected(anyhow::anyhow!("no key for refresh tokens")))?;
        Ok((token, Some(code)))
    }
}

fn hash_of(secret: &SecretString) -> String {
    browser_hash(secret.expose_secret())
}

/// Organization and person must be in use.
pub(crate) fn check_states(identity: &Identity) -> Result<(), Refusal> {
    if identity.organization.state != EntityState::Active {
        Err(Refusal::OrganizationInactive)
    } else if identity.state != EntityState::Active {
        Err(Refusal::PersonInactive)
    } else {
        Ok(())
    }
}

/// Errors of the authorization response (RFC 6749, 4.1.2.1). Genesys stops most people of an
/// organization that has not approved the client on a page of its own; the words for those that it
/// sends back are not published, so the usual ones are known here.
fn refused_by_genesys(error: &str) -> SignInError {
    match error {
        "access_denied" | "login_required" | "interaction_required" => SignInError::Denied,
        "consent_required" | "org_not_approved" | "client_not_approved" => SignInError::NotApproved,
        "server_error" | "temporarily_unavailable" => SignInError::GenesysAway(None),
        _ => SignInError::ClientRefused(None),
    }
}
