//! Signing people in through Genesys Cloud.
//!
//! [`SignIn::begin`] sends the browser to Genesys, [`SignIn::finish`] takes it back, and
//! [`SignIn::redeem`] gives a session that came by redirect to the portal's own server.

mod begin;
mod error;
mod finish;
mod provision;
mod redeem;
mod turned_away;

use std::{sync::Arc, time::Duration};

use opentelemetry::{KeyValue, metrics::Counter};
use portal_auth::{Issuer, Revocations, SessionTimes, sha256};
use portal_cache::{Cache, Key, Limiter};
use portal_db::Db;
use portal_events::RelayWaker;
use portal_genesys::{GenesysClient, OAuthClient, Region, RoleMap};
use portal_tenant_client::TenantClient;
use portal_types::Clock;
use portal_vault::Vault;
use url::Url;

pub(crate) use begin::BeginSignIn;
pub(crate) use error::{Refusal, SignInError};
pub(crate) use finish::{Callback, Finished, SignedIn, check_states};

use super::{genesys_clients::GenesysClients, token_keys::TokenKeys};
use crate::domain::{Handoff, LoginRecord};

/// How long somebody may take at Genesys.
pub(crate) const LOGIN_LIFETIME: Duration = Duration::from_mins(10);
/// How long the code of a redirect works.
const HANDOFF_LIFETIME: Duration = Duration::from_mins(1);

/// What is settled for all sign-ins.
#[derive(Debug)]
pub(crate) struct SignInRules {
    /// The regions that are offered, the default one first.
    pub(crate) regions: Vec<(Region, OAuthClient)>,
    /// Where Genesys sends browsers back to.
    pub(crate) redirect_uri: Url,
    /// The origins that may begin a sign-in, the default one first.
    pub(crate) origins: Vec<String>,
    pub(crate) roles: RoleMap,
    pub(crate) use_pkce: bool,
    pub(crate) allow_trustees: bool,
    pub(crate) per_address_per_minute: u32,
    pub(crate) times: SessionTimes,
}

impl SignInRules {
    pub(crate) fn region(&self, name: &str) -> Option<&(Region, OAuthClient)> {
        self.regions
            .iter()
            .find(|(region, _)| region.name() == name)
    }

    /// Whether a PKCE challenge goes along: a public client has nothing else.
    fn sends_challenge(&self, client: &OAuthClient) -> bool {
        self.use_pkce || client.client_secret.is_none()
    }

    /// A region that a tenant's own client may belong to: a configured one, or one of Genesys'.
    pub(crate) fn known_region(&self, name: &str) -> Option<Region> {
        self.region(name)
            .map(|(region, _)| region.clone())
            .or_else(|| Region::production(name))
    }
}

/// Signs people in.
#[derive(Clone)]
pub(crate) struct SignIn {
    pub(crate) db: Db,
    pub(crate) cache: Cache,
    pub(crate) limiter: Limiter,
    pub(crate) vault: Arc<Vault>,
    pub(crate) genesys: GenesysClient,
    pub(crate) clients: GenesysClients,
    pub(crate) tenants: TenantClient,
    pub(crate) revocations: Revocations,
    pub(crate) issuer: Issuer,
    pub(crate) token_keys: TokenKeys,
    pub(crate) rules: Arc<SignInRules>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) waker: RelayWaker,
    pub(crate) outcomes: Outcomes,
}

/// Counts how sign-ins end.
#[derive(Clone)]
pub(crate) struct Outcomes(Counter<u64>);

impl Outcomes {
    /// All outcomes at zero, so that the first failure is seen as a change.
    pub(crate) fn new() -> Self {
        let counter = opentelemetry::global::meter("agent-portal-service")
            .u64_counter("portal.sign_ins")
            .with_description("Sign-ins that came back from Genesys, by outcome")
            .build();
        for outcome in SignInError::OUTCOMES.iter().chain(&["success"]) {
            counter.add(0, &[KeyValue::new("outcome", *outcome)]);
        }
        Self(counter)
    }

    fn count(&self, outcome: &'static str) {
        self.0.add(1, &[KeyValue::new("outcome", outcome)]);
    }
}

/// By digest: whoever can read Redis must not be able to finish somebody's sign-in.
fn login_key(state: &str) -> Key<LoginRecord> {
    Key::global("login", &[&portal_auth::sha256_hex(state)])
}

fn handoff_key(code: &str) -> Key<Handoff> {
    Key::global("handoff", &[&portal_auth::sha256_hex(code)])
}

/// What ties a sign-in to a browser without holding the browser's secret.
pub(crate) fn browser_hash(secret: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(sha256(secret))
}
