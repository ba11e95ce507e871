//! A tenant's own rules of sign-in: its OAuth client, its map of roles, its guests.

use portal_sandbox::{ClientKind, OAuthClient, UserChange, seed};
use portal_tenant_client::{RoleMapping, SealedClient};
use portal_vault::{Vault, places};
use reqwest::{Method, StatusCode};
use secrecy::SecretString;

use crate::{
    browser::{Answer, Browser, GATEWAY, parameter},
    world::{VAULT_KEYS, World},
};

const OWN_CLIENT: &str = "acme-own-client";
const OWN_SECRET: &str = "acme-own-secret";
const ROW: &str = "0198c0de-0000-7000-8000-000000000001";

/// Registers Acme's own client with Genesys and with tenant-service.
fn give_acme_a_client(world: &World, kind: ClientKind) {
    let secret = (kind == ClientKind::Code).then(|| OWN_SECRET.to_owned());
    assert!(world.sandbox.add_oauth_client(OAuthClient {
        id: OWN_CLIENT.to_owned(),
        name: "Acme's own".to_owned(),
        org_id: seed::ACME_ORG_ID.to_owned(),
        kind,
        secret: secret.clone(),
        redirect_uris: vec![seed::DEFAULT_REDIRECT_URI.to_owned()],
        token_seconds: 3_600,
        scopes: Vec::new(),
        state: "active".to_owned(),
    }));
    let vault = Vault::from_keys(&VAULT_KEYS.into(), "k1").unwrap();
    let sealed = secret.map(|secret| {
        let place = places::CLIENT_SECRET.of("acme_corp", ROW);
        vault.seal(&place, &SecretString::from(secret)).unwrap()
    });
    world.directory.change_rules("acme_corp", |rules| {
        rules.sign_in_client = Some(SealedClient {
            region: "sandbox".to_owned(),
            client_id: OWN_CLIENT.to_owned(),
            sealed_client_secret: sealed,
            credential_row_id: ROW.to_owned(),
        });
    });
}

async fn sign_in_by(world: &World, browser: &Browser, query: &str) -> Answer {
    let callback = world.to_callback(browser, query).await;
    browser.get(&callback).await
}

fn client_of(authorize: &Answer) -> String {
    parameter(&authorize.location(), "client_id").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_own_client_signs_its_people_in_and_renews_and_revokes_their_tokens() {
    let world = World::start().await;
    give_acme_a_client(&world, ClientKind::Code);
    let browser = world.browser();
    for (query, client) in [
        ("tenant=acme_corp".to_owned(), OWN_CLIENT),
        (format!("genesys_org_id={}", seed::ACME_ORG_ID), OWN_CLIENT),
        ("tenant=globex_inc".to_owned(), seed::CONFIDENTIAL_CLIENT_ID),
        (String::new(), seed::CONFIDENTIAL_CLIENT_ID),
    ] {
        let login = browser
            .get(&format!("{GATEWAY}/api/agents/auth/login?{query}"))
            .await;
        assert_eq!(client_of(&login), client, "{query}");
    }

    let query = format!("tenant=acme_corp&login_hint={}", seed::ACME_AGENT);
    let page = sign_in_by(&world, &browser, &query).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    assert_eq!(
        world.value("SELECT genesys_client_id FROM genesys_user_sessions"),
        OWN_CLIENT
    );
    // Its refresh token is good for the tenant's client alone.
    world.db.execute(
        "UPDATE genesys_user_sessions SET genesys_checked_at = now() - interval '1 day', \
         genesys_token_expires_at = now() + interval '1 s'",
    );
    let message = page.outcome()["message"].clone();
    let (status, body) = world
        .refresh(message["refreshToken"].as_str().unwrap())
        .await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(
        world.value(
            "SELECT genesys_token_expires_at > now() + interval '50 min' FROM genesys_user_sessions"
        ),
        "true"
    );
    let (status, _) = world
        .call(
            Method::POST,
            "/api/agents/auth/logout",
            body["accessToken"].as_str().unwrap(),
        )
        .await;
    assert_eq!(status, StatusCode::OK);
    world.genesys_token_is_revoked().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_public_client_needs_no_secret() {
    // Even where the deployment does not send a challenge with its own client.
    let world = World::start_with(&[("GENESYS__USE_PKCE", "false")]).await;
    give_acme_a_client(&world, ClientKind::Pkce);
    let query = format!("tenant=acme_corp&login_hint={}", seed::ACME_AGENT);
    let page = sign_in_by(&world, &world.browser(), &query).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    assert_eq!(
        world.value("SELECT genesys_refresh_token IS NULL FROM genesys_user_sessions"),
        "true"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_was_begun_for_one_tenant_lets_nobody_of_another_in() {
    let world = World::start().await;
    give_acme_a_client(&world, ClientKind::Code);
    let query = format!("tenant=acme_corp&login_hint={}", seed::GLOBEX_AGENT);
    let page = sign_in_by(&world, &world.browser(), &query).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.body);
    assert!(page.body.contains("LOGIN_TENANT_MISMATCH"), "{}", page.body);
    assert_eq!(world.footprint(), "0 0 0");
    assert_eq!(
        world.value("SELECT concat_ws('|', tenant_id, outcome, details->>'reason') FROM audit_log"),
        "globex_inc|refused|other_tenant"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn links_for_tenants_that_are_not_there_all_look_the_same() {
    let world = World::start().await;
    world.directory.change("globex_inc", |tenant| {
        tenant.status = portal_tenant_client::TenantStatus::Suspended;
    });
    let mut answers = Vec::new();
    for query in [
        "tenant=nobody",
        "tenant=globex_inc",
        "tenant=..%2Fx",
        "genesys_org_id=nothing",
        &format!("tenant=acme_corp&genesys_org_id={}", seed::GLOBEX_ORG_ID),
    ] {
        let path = format!("/api/agents/auth/login?{query}");
        let (status, mut body) = world.call(Method::GET, &path, "x").await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{query}: {body}");
        assert_eq!(body["error"]["code"], "LOGIN_TENANT_UNKNOWN");
        body["error"]["request_id"].take();
        body["request_id"].take();
        answers.push(body["error"]["message"].clone());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    let page = world
        .browser()
        .get(&format!("{GATEWAY}/api/agents/auth/login?tenant=nobody"))
        .await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(page.body.contains("This link is for no organization here"));

    let (status, body) = world
        .call(
            Method::GET,
            "/api/agents/auth/login?tenant=acme_corp&region=mypurecloud.de",
            "x",
        )
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(body["error"]["code"], "REGION_MISMATCH");
}

fn mapping(genesys_role: &str, portal_role: &str) -> RoleMapping {
    RoleMapping {
        genesys_role: genesys_role.to_owned(),
        portal_role: portal_role.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_map_of_roles_goes_before_all_others_and_never_by_substring() {
    let world = World::start_with(&[("GENESYS__ADMIN_ROLES", "Acme Team Lead")]).await;
    world.directory.change_rules("acme_corp", |rules| {
        rules.role_mappings = vec![
            mapping("ACME TEAM LEAD", "supervisor"),
            mapping("master admin", "none"),
            mapping("Super", "admin"),
        ];
        rules.unmapped_role = "none".to_owned();
    });
    for (email, role) in [
        (seed::ACME_CUSTOM_ROLE, "supervisor"),
        (seed::ACME_SUPERVISOR, "supervisor"),
        (seed::ACME_AGENT, "agent"),
        // The other tenant has the usual map.
        (seed::GLOBEX_ADMIN, "admin"),
    ] {
        assert_eq!(world.sign_in(email).await.agent["role"], role, "{email}");
    }
    let before = world.footprint();
    // Taken away, and nothing else is left; and a person without any mapped role.
    for email in [seed::ACME_ADMIN, seed::ACME_EMPLOYEE] {
        let page = world.sign_in_page(email).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{email}");
        assert!(page.body.contains("ROLE_NOT_ALLOWED"), "{email}");
    }
    assert_eq!(world.footprint(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_may_allow_guests_for_itself() {
    let world = World::start().await;
    world
        .directory
        .change_rules("acme_corp", |rules| rules.allow_trustees = true);
    let person = world.sign_in(seed::TRUSTEE).await;
    assert_eq!(person.agent["tenant_id"], "acme_corp");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_an_administrator_gave_wins_and_a_change_ends_old_tokens() {
    let world = World::start().await;
    let first = world.sign_in(seed::ACME_AGENT).await;
    world
        .db
        .execute("UPDATE genesys_users SET role_override = 'supervisor'");
    let second = world.sign_in(seed::ACME_AGENT).await;
    assert_eq!(second.agent["role"], "supervisor");
    let profile = "/api/agents/profile";
    let (status, body) = world.call(Method::GET, profile, &first.access).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
    assert_eq!(body["error"]["code"], "TOKEN_REVOKED");
    let (status, body) = world.call(Method::GET, profile, &second.access).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["role"], "supervisor");
    assert_eq!(
        world.value("SELECT role_changed_at IS NOT NULL FROM genesys_users"),
        "true"
    );

    // Whatever happens to the roles at Genesys.
    world.sandbox.change_user(
        seed::ACME_AGENT,
        UserChange {
            email: None,
            name: None,
            state: None,
            roles: Some(vec!["Master Admin".to_owned()]),
        },
    );
    assert_eq!(
        world.sign_in(seed::ACME_AGENT).await.agent["role"],
        "supervisor"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_genesys_switched_off_comes_back_by_it_and_nobody_else_does() {
    let world = World::start().await;
    world.sign_in(seed::ACME_AGENT).await;
    for (by, status) in [
        ("admin", StatusCode::FORBIDDEN),
        ("operator", StatusCode::FORBIDDEN),
        ("genesys", StatusCode::OK),
    ] {
        world.db.execute(&format!(
            "UPDATE genesys_users SET is_active = false, deactivated_at = now(), deactivated_by = '{by}'"
        ));
        let page = world.sign_in_page(seed::ACME_AGENT).await;
        assert_eq!(page.status, status, "{by}: {}", page.body);
    }
    assert_eq!(
        world.value(
            "SELECT concat_ws('|', is_active, deactivated_at IS NULL, deactivated_by IS NULL) FROM genesys_users"
        ),
        "t|t|t"
    );
    assert_eq!(
        world.value("SELECT count(*) FROM outbox_events WHERE routing_key = 'user.updated'"),
        "1"
    );
}
