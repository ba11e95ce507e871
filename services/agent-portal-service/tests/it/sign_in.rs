//! Signing in: who comes in, as whom, and what is told.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use portal_sandbox::{Kind, UserChange, seed};
use portal_test_harness::CaughtEvent;
use portal_vault::{Binding, Vault};
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::{
    browser::{GATEWAY, parameter},
    world::{VAULT_KEYS, World},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_login_link_leads_to_genesys_with_state_and_challenge() {
    let world = World::start().await;
    let browser = world.browser();
    let login = browser
        .get(&format!(
            "{GATEWAY}/api/agents/auth/login?login_hint=agent@acme.example"
        ))
        .await;
    assert_eq!(login.status, StatusCode::FOUND);
    let url = login.location();
    assert_eq!(
        url.as_str().split('?').next().unwrap(),
        format!("{}/oauth/authorize", world.sandbox.base_url())
    );
    let get = |name| parameter(&url, name).unwrap_or_default();
    assert_eq!(get("response_type"), "code");
    assert_eq!(get("client_id"), seed::CONFIDENTIAL_CLIENT_ID);
    assert_eq!(get("redirect_uri"), seed::DEFAULT_REDIRECT_URI);
    assert_eq!(get("code_challenge_method"), "S256");
    assert_eq!(get("login_hint"), "agent@acme.example");
    // 256 bits each, base64url.
    assert_eq!((get("state").len(), get("code_challenge").len()), (43, 43));
    let cookie = login.header("set-cookie");
    assert!(cookie.starts_with("ap_login="), "{cookie}");
    assert!(
        cookie.contains("HttpOnly; SameSite=Lax; Path=/; Max-Age=600"),
        "{cookie}"
    );

    let german = browser
        .get(&format!(
            "{GATEWAY}/api/agents/auth/login?region=mypurecloud.de"
        ))
        .await;
    assert!(
        german
            .location()
            .as_str()
            .starts_with("https://login.mypurecloud.de/oauth/authorize?"),
        "{german:?}"
    );
    assert_eq!(
        browser.cookie("ap_login").unwrap(),
        cookie_value(cookie),
        "one cookie for both"
    );
}

fn cookie_value(set_cookie: &str) -> String {
    let pair = set_cookie.split(';').next().unwrap();
    pair.split_once('=').unwrap().1.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_are_for_https_alone_unless_switched_off() {
    let world = World::start_with(&[("COOKIES__SECURE", "true")]).await;
    let login = world
        .browser()
        .get(&format!("{GATEWAY}/api/agents/auth/login"))
        .await;
    let cookie = login.header("set-cookie");
    assert!(cookie.starts_with("__Host-ap_login="), "{cookie}");
    assert!(cookie.contains("Secure"), "{cookie}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_sign_in_provisions_the_person_and_tells_the_opener() {
    let world = World::start().await;
    let events = world.listen("#").await;
    let page = world.sign_in_page(seed::ACME_AGENT).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);

    let outcome = page.outcome();
    assert_eq!(outcome["targetOrigin"], "http://localhost:3014");
    let message = &outcome["message"];
    assert_eq!(message["type"], "GENESYS_AUTH_SUCCESS");
    assert_eq!(message["expiresIn"], 300);
    assert_eq!(message["isNewTenant"], false);
    assert_eq!(message["onboardingCompleted"], true);
    assert_eq!(message["genesysOrg"]["id"], seed::ACME_ORG_ID);
    assert_eq!(message["genesysOrg"]["name"], "Acme Corp");
    assert!(
        message["genesysOrg"]
            .as_object()
            .unwrap()
            .contains_key("domain")
    );
    let user_id = world.value("SELECT user_id FROM genesys_users");
    assert_eq!(
        message["agent"],
        json!({
            "user_id": user_id, "name": "Alice Agent", "email": seed::ACME_AGENT,
            "role": "agent", "tenant_id": "acme_corp",
        })
    );
    assert!(message["refreshToken"].as_str().unwrap().starts_with("rt_"));

    let row = world.value(
        "SELECT concat_ws('|', tenant_id, genesys_org_id, genesys_user_id, role, is_active, \
         last_login_at IS NOT NULL) FROM genesys_users",
    );
    let genesys_id = seed::user_id(seed::ACME_AGENT);
    assert_eq!(
        row,
        format!("acme_corp|{}|{genesys_id}|agent|t|t", seed::ACME_ORG_ID)
    );

    let session_id = world.value("SELECT session_id FROM genesys_user_sessions");
    for expected in ["user.provisioned", "session.started"] {
        let CaughtEvent {
            routing_key: kind,
            envelope: event,
            ..
        } = events.next().await;
        assert_eq!(kind, expected);
        assert_eq!(event["source"], "/services/agent-portal-service");
        assert_eq!(event["tenantid"], "acme_corp");
        assert_eq!(event["data"]["user_id"], user_id.as_str());
        assert_eq!(event["requestid"], page.header("x-request-id"));
        if kind == "session.started" {
            assert_eq!(event["subject"], session_id.as_str());
        } else {
            assert_eq!(event["data"]["role"], "agent");
            assert_eq!(event["data"]["email"], seed::ACME_AGENT);
        }
    }
    let audit = world.value(
        "SELECT concat_ws('|', tenant_id, actor_kind, actor_id, action, target, outcome) FROM audit_log",
    );
    assert_eq!(
        audit,
        format!("acme_corp|user|{user_id}|session.start|{session_id}|succeeded")
    );

    // One call for the code, one for who it is.
    let calls: Vec<String> = world
        .sandbox
        .journal()
        .of_kind(Kind::Genesys)
        .iter()
        .map(|call| format!("{} {}", call.method, call.path))
        .collect();
    assert_eq!(
        calls,
        [
            "GET /oauth/authorize",
            "POST /oauth/token",
            "GET /api/v2/users/me"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_genesys_are_stored_sealed_and_ours_hashed() {
    let world = World::start().await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    let row = world.value(
        "SELECT concat_ws('|', session_id, translate(encode(genesys_access_token, 'base64'), E'\\n', ''), \
         length(refresh_token_hash), genesys_region) FROM genesys_user_sessions",
    );
    let parts: Vec<&str> = row.split('|').collect();
    assert_eq!((parts[2], parts[3]), ("32", "sandbox"));
    let sealed = STANDARD.decode(parts[1]).unwrap();
    let vault = Vault::from_keys(&VAULT_KEYS.into(), "k1").unwrap();
    let binding = |tenant_id| Binding {
        table: "genesys_user_sessions",
        column: "genesys_access_token",
        tenant_id,
        row_id: parts[0],
    };
    let token = vault.open(&binding("acme_corp"), &sealed).unwrap();
    assert!(vault.open(&binding("globex_inc"), &sealed).is_err());
    // Nothing that somebody could use lies open in any column of any row.
    let everything = world.value(
        "SELECT string_agg(t, ' ') FROM (SELECT s::text AS t FROM genesys_user_sessions s \
         UNION ALL SELECT o::text FROM outbox_events o UNION ALL SELECT a::text FROM audit_log a \
         UNION ALL SELECT k::text FROM signing_keys k) x",
    );
    let secret = person.refresh.rsplit('.').next().unwrap();
    for plain in [token.expose_secret(), secret, &person.access] {
        assert!(!everything.contains(plain));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_runs_under_its_own_policy_and_tells_the_right_origin_alone() {
    let world = World::start().await;
    let page = world.sign_in_page(seed::ACME_AGENT).await;
    let policy = page.header("content-security-policy").to_owned();
    let nonce = policy
        .split("script-src 'nonce-")
        .nth(1)
        .and_then(|rest| rest.split('\'').next())
        .unwrap();
    assert!(nonce.len() >= 22, "{policy}");
    for directive in [
        "default-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(directive), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.header("cross-origin-opener-policy"), "unsafe-none");

    // Every script either is data or carries the nonce, and nothing else could run.
    for tag in page.body.split("<script").skip(1) {
        let attributes = tag.split('>').next().unwrap();
        let is_data = attributes.contains("application/json");
        assert!(
            is_data || attributes.contains(&format!("nonce=\"{nonce}\"")),
            "{attributes}"
        );
    }
    for tag in page.body.split("<style").skip(1) {
        assert!(tag.split('>').next().unwrap().contains(nonce));
    }
    for forbidden in [" onclick", " onload", "javascript:", "style=\""] {
        assert!(!page.body.contains(forbidden), "{forbidden}");
    }
    assert!(
        page.body
            .contains("postMessage(outcome.message, outcome.targetOrigin)")
    );
    assert!(!page.body.contains("'*'") && !page.body.contains("\"*\""));

    let again = world.sign_in_page(seed::ACME_AGENT).await;
    assert!(!again.body.contains(nonce), "a nonce is used once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_origin_that_began_the_sign_in_is_told() {
    let world = World::start().await;
    let browser = world.browser();
    for (query, referer, origin) in [
        ("origin=https://front.example", "", "https://front.example"),
        (
            "",
            "https://front.example/some/page?x=1",
            "https://front.example",
        ),
        ("", "https://evil.example/", "http://localhost:3014"),
        (
            "origin=http://localhost:3014",
            "https://front.example/",
            "http://localhost:3014",
        ),
    ] {
        let url = format!(
            "{GATEWAY}/api/agents/auth/login?login_hint={}&{query}",
            seed::ACME_AGENT
        );
        let login = browser
            .send(reqwest::Method::GET, &url, &[("referer", referer)])
            .await;
        let callback = browser.get(login.location().as_str()).await.location();
        let page = browser.get(callback.as_str()).await;
        assert_eq!(page.outcome()["targetOrigin"], origin, "{query} {referer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_of_genesys_become_roles_of_the_portal() {
    let world = World::start_with(&[("GENESYS__SUPERVISOR_ROLES", "Chief, Acme Team Lead")]).await;
    for (email, role) in [
        (seed::ACME_AGENT, "agent"),
        (seed::ACME_SUPERVISOR, "supervisor"),
        (seed::ACME_ADMIN, "admin"),
        (seed::ACME_EMPLOYEE, "agent"),
        (seed::ACME_CUSTOM_ROLE, "supervisor"),
        (seed::GLOBEX_ADMIN, "admin"),
    ] {
        let person = world.sign_in(email).await;
        assert_eq!(person.agent["role"], role, "{email}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_sign_in_finds_the_person_and_tells_what_changed() {
    let world = World::start().await;
    let events = world.listen("user.*").await;
    let first = world.sign_in(seed::ACME_AGENT).await;
    assert_eq!(events.next().await.routing_key, "user.provisioned");
    // Nothing changed: nothing is told.
    let second = world.sign_in(seed::ACME_AGENT).await;
    assert_eq!(second.agent["user_id"], first.agent["user_id"]);

    world.sandbox.change_user(
        seed::ACME_AGENT,
        UserChange {
            email: Some("alicia@acme.example".to_owned()),
            name: Some("Alicia Agent".to_owned()),
            state: None,
            roles: Some(vec!["employee".to_owned(), "Supervisor".to_owned()]),
        },
    );
    let third = world.sign_in("alicia@acme.example").await;
    assert_eq!(
        third.agent["user_id"], first.agent["user_id"],
        "an e-mail is no key"
    );
    assert_eq!(third.agent["role"], "supervisor");
    for expected in ["user.updated", "user.role_changed"] {
        let CaughtEvent {
            routing_key: kind,
            envelope: event,
            ..
        } = events.next().await;
        assert_eq!(kind, expected);
        assert_eq!(event["data"]["email"], "alicia@acme.example");
        assert_eq!(event["data"]["role"], "supervisor");
    }
    assert_eq!(
        world.value("SELECT concat_ws('|', name, genesys_email, role) FROM genesys_users"),
        "Alicia Agent|alicia@acme.example|supervisor"
    );
    assert_eq!(
        world.value("SELECT count(*) FROM genesys_user_sessions"),
        "3"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_first_sign_ins_at_once_make_one_person() {
    let world = World::start().await;
    let people =
        futures_util::future::join_all((0..6).map(|_| world.sign_in(seed::ACME_AGENT))).await;
    assert_eq!(world.value("SELECT count(*) FROM genesys_users"), "1");
    assert_eq!(
        world.value("SELECT count(*) FROM genesys_user_sessions"),
        "6"
    );
    assert_eq!(
        world.value("SELECT count(*) FROM outbox_events WHERE routing_key = 'user.provisioned'"),
        "1"
    );
    assert!(people.iter().all(|person| person.agent == people[0].agent));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_client_signs_people_in_by_its_challenge_alone() {
    let world = World::start_with(&[
        ("GENESYS__CLIENT_ID", seed::PKCE_CLIENT_ID),
        ("GENESYS__CLIENT_SECRET", ""),
    ])
    .await;
    // An empty variable counts as not set, and the default is empty, too.
    world.sign_in(seed::ACME_AGENT).await;
}
