//! Sign-ins against an independent stand-in of Genesys Cloud.

use portal_genesys::{
    AuthorizeRequest, EntityState, ErrorKind, GenesysError, Identity, OAuthClient, Pkce, PlainHttp,
    Region, RoleMap, Tokens, authorize_url, new_state,
};
use portal_sandbox::{Outage, Sandbox, SandboxConfig, seed};
use portal_service_kit::http_client::{ClientOptions, build};
use portal_types::Role;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::{client, kind};

struct World {
    sandbox: Sandbox,
    region: Region,
}

impl World {
    fn start() -> Self {
        let sandbox = Sandbox::start(SandboxConfig::default()).unwrap();
        let base: Url = sandbox.base_url().parse().unwrap();
        let region = Region::explicit("sandbox", base.clone(), base, PlainHttp::LoopbackOnly);
        Self {
            sandbox,
            region: region.unwrap(),
        }
    }

    /// What the browser brings back after this person signed in.
    async fn code(
        &self,
        oauth: &OAuthClient,
        email: &str,
        challenge: Option<&str>,
    ) -> SecretString {
        let state = new_state();
        let url = authorize_url(
            &self.region,
            oauth,
            &AuthorizeRequest {
                redirect_uri: &redirect_uri(),
                state: &state,
                code_challenge: challenge,
                login_hint: Some(email),
                prompt_login: false,
            },
        );
        let browser = build(&ClientOptions::default()).unwrap();
        let answer = browser.get(url).send().await.unwrap();
        let location = answer.headers().get("location").unwrap().to_str().unwrap();
        let back: Url = location.parse().unwrap();
        let found = |name: &str| {
            let pair = back.query_pairs().find(|(have, _)| have == name);
            pair.map(|(_, value)| value.into_owned()).unwrap()
        };
        assert_eq!(found("state"), state);
        assert!(location.starts_with(redirect_uri().as_str()), "{location}");
        found("code").into()
    }

    async fn exchange(
        &self,
        oauth: &OAuthClient,
        code: &SecretString,
        verifier: Option<&SecretString>,
    ) -> Result<Tokens, GenesysError> {
        client()
            .exchange_code(&self.region, oauth, &redirect_uri(), code, verifier)
            .await
    }

    async fn sign_in(&self, oauth: &OAuthClient, email: &str) -> Tokens {
        let pkce = Pkce::generate();
        let code = self.code(oauth, email, Some(&pkce.challenge)).await;
        self.exchange(oauth, &code, Some(&pkce.verifier))
            .await
            .unwrap()
    }

    async fn identity(&self, email: &str) -> Identity {
        let tokens = self.sign_in(&confidential(), email).await;
        client()
            .me(&self.region, &tokens.access_token)
            .await
            .unwrap()
    }
}

fn redirect_uri() -> Url {
    seed::DEFAULT_REDIRECT_URI.parse().unwrap()
}

fn confidential() -> OAuthClient {
    OAuthClient {
        client_id: seed::CONFIDENTIAL_CLIENT_ID.to_owned(),
        client_secret: Some(seed::CONFIDENTIAL_CLIENT_SECRET.into()),
    }
}

fn public() -> OAuthClient {
    OAuthClient {
        client_id: seed::PKCE_CLIENT_ID.to_owned(),
        client_secret: None,
    }
}

#[tokio::test]
async fn a_person_signs_in_is_known_refreshes_and_leaves() {
    let world = World::start();
    let tokens = world.sign_in(&confidential(), seed::ACME_SUPERVISOR).await;
    let identity = client()
        .me(&world.region, &tokens.access_token)
        .await
        .unwrap();
    assert_eq!(identity.user_id, seed::user_id(seed::ACME_SUPERVISOR));
    assert_eq!(identity.email, seed::ACME_SUPERVISOR);
    assert_eq!(identity.organization.id, seed::ACME_ORG_ID);
    assert_eq!(
        identity.organization.third_party_org_name.as_deref(),
        Some("acme")
    );
    assert_eq!(
        identity.home_organization_id.as_deref(),
        Some(seed::ACME_ORG_ID)
    );
    assert_eq!(
        (identity.state, identity.organization.state),
        (EntityState::Active, EntityState::Active)
    );
    let role = RoleMap::default().portal_role(&identity.roles.unwrap());
    assert_eq!(role, Some(Role::Supervisor));

    let old = tokens.refresh_token.unwrap();
    let fresh = client()
        .refresh(&world.region, &confidential(), &old)
        .await
        .unwrap();
    assert_ne!(
        fresh.access_token.expose_secret(),
        tokens.access_token.expose_secret()
    );
    let again = client().refresh(&world.region, &confidential(), &old).await;
    assert_eq!(kind(again), ErrorKind::InvalidGrant);

    client()
        .revoke(&world.region, &fresh.access_token)
        .await
        .unwrap();
    let gone = client().me(&world.region, &fresh.access_token).await;
    assert_eq!(kind(gone), ErrorKind::Unauthorized);
    client()
        .revoke(&world.region, &fresh.access_token)
        .await
        .unwrap();
    world.sandbox.stop().await;
}

#[tokio::test]
async fn a_public_client_signs_in_by_its_verifier_alone() {
    let world = World::start();
    let tokens = world.sign_in(&public(), seed::ACME_AGENT).await;
    assert!(tokens.refresh_token.is_none());
    let identity = client()
        .me(&world.region, &tokens.access_token)
        .await
        .unwrap();
    assert_eq!(identity.email, seed::ACME_AGENT);
    world.sandbox.stop().await;
}

#[tokio::test]
async fn each_person_gets_the_role_of_their_roles() {
    let world = World::start();
    for (email, role) in [
        (seed::ACME_AGENT, Role::Agent),
        (seed::ACME_ADMIN, Role::Admin),
        (seed::GLOBEX_ADMIN, Role::Admin),
        (seed::ACME_EMPLOYEE, Role::Agent),
        (seed::ACME_CUSTOM_ROLE, Role::Agent),
    ] {
        let roles = world.identity(email).await.roles.unwrap();
        assert_eq!(
            RoleMap::default().portal_role(&roles),
            Some(role),
            "{email}"
        );
    }
    world.sandbox.stop().await;
}

#[tokio::test]
async fn a_trustee_and_an_inactive_organization_are_told_as_such() {
    let world = World::start();
    let trustee = world.identity(seed::TRUSTEE).await;
    assert_eq!(trustee.organization.id, seed::ACME_ORG_ID);
    assert_eq!(
        trustee.home_organization_id.as_deref(),
        Some(seed::HOOLI_ORG_ID)
    );
    let dormant = world.identity(seed::DORMANT_AGENT).await;
    assert_eq!(dormant.organization.state, EntityState::Inactive);
    world.sandbox.stop().await;
}

#[tokio::test]
async fn codes_and_clients_that_do_not_fit_are_refused() {
    let world = World::start();
    let pkce = Pkce::generate();
    let used = world
        .code(&confidential(), seed::ACME_AGENT, Some(&pkce.challenge))
        .await;
    world
        .exchange(&confidential(), &used, Some(&pkce.verifier))
        .await
        .unwrap();
    let again = world
        .exchange(&confidential(), &used, Some(&pkce.verifier))
        .await;
    assert_eq!(kind(again), ErrorKind::InvalidGrant);

    let code = world
        .code(&confidential(), seed::ACME_AGENT, Some(&pkce.challenge))
        .await;
    let other = Pkce::generate();
    let result = world
        .exchange(&confidential(), &code, Some(&other.verifier))
        .await;
    assert_eq!(kind(result), ErrorKind::InvalidGrant);

    let code = world.code(&confidential(), seed::ACME_AGENT, None).await;
    let wrong = OAuthClient {
        client_secret: Some("wrong".into()),
        ..confidential()
    };
    assert_eq!(
        kind(world.exchange(&wrong, &code, None).await),
        ErrorKind::InvalidClient
    );
    world.sandbox.stop().await;
}

#[tokio::test]
async fn genesys_down_is_unavailable_however_it_is_down() {
    let world = World::start();
    let tokens = world.sign_in(&confidential(), seed::ACME_AGENT).await;
    for outage in [Outage::Unavailable, Outage::BadGateway, Outage::Drop] {
        world.sandbox.set_genesys_outage(outage);
        let me = client().me(&world.region, &tokens.access_token).await;
        assert_eq!(kind(me), ErrorKind::Unavailable, "{outage:?}");
        let exchange = world.exchange(&confidential(), &"code".into(), None).await;
        assert_eq!(kind(exchange), ErrorKind::Unavailable, "{outage:?}");
    }
    world.sandbox.set_genesys_outage(Outage::None);
    client()
        .me(&world.region, &tokens.access_token)
        .await
        .unwrap();
    world.sandbox.stop().await;
}

fn machine(id: &str, secret: &str) -> OAuthClient {
    OAuthClient {
        client_id: id.to_owned(),
        client_secret: Some(secret.into()),
    }
}

#[tokio::test]
async fn a_client_of_its_own_right_knows_its_organization_and_nobody() {
    let world = World::start();
    for (id, secret, org) in [
        (
            seed::ACME_CC_CLIENT_ID,
            seed::ACME_CC_CLIENT_SECRET,
            seed::ACME_ORG_ID,
        ),
        (
            seed::GLOBEX_CC_CLIENT_ID,
            seed::GLOBEX_CC_CLIENT_SECRET,
            seed::GLOBEX_ORG_ID,
        ),
    ] {
        let oauth = machine(id, secret);
        let tokens = client().client_credentials(&world.region, &oauth).await;
        let tokens = tokens.unwrap();
        assert!(tokens.refresh_token.is_none());
        let found = client()
            .organization(&world.region, &tokens.access_token)
            .await
            .unwrap();
        assert_eq!((found.id.as_str(), found.state), (org, EntityState::Active));
    }
    world.sandbox.stop().await;
}

#[tokio::test]
async fn a_client_gets_no_token_by_a_wrong_secret_or_another_grant() {
    let world = World::start();
    let ask = async |oauth: &OAuthClient| {
        let refused = client().client_credentials(&world.region, oauth).await;
        refused.map(|_tokens| ()).unwrap_err()
    };
    let wrong = ask(&machine(seed::ACME_CC_CLIENT_ID, "wrong")).await;
    assert_eq!(
        (wrong.kind, wrong.code.as_deref()),
        (ErrorKind::InvalidClient, Some("invalid_client"))
    );
    let other = ask(&confidential()).await;
    assert_eq!(
        (other.kind, other.code.as_deref()),
        (ErrorKind::InvalidClient, Some("unauthorized_client"))
    );
    world.sandbox.set_genesys_outage(Outage::Unavailable);
    let good = machine(seed::ACME_CC_CLIENT_ID, seed::ACME_CC_CLIENT_SECRET);
    assert_eq!(ask(&good).await.kind, ErrorKind::Unavailable);
    world.sandbox.stop().await;
}
