//! The portal's pages and their own server side.

use portal_sandbox::seed;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{
    browser::{Browser, PORTAL, parameter},
    world::{OWN_PAGE, World},
};

const TOKEN: &str = "http://localhost:3014/session/token";
const END: &str = "http://localhost:3014/session/end";

/// From the button to the workspace, as a browser goes.
async fn sign_in(browser: &Browser, email: &str) {
    let begin = browser
        .get(&format!("{PORTAL}/session/begin?login_hint={email}"))
        .await;
    assert_eq!(begin.status, StatusCode::SEE_OTHER, "{}", begin.body);
    let mut url = begin.location();
    for _ in 0..3 {
        url = browser.get(url.as_str()).await.location();
    }
    assert_eq!(url.path(), "/session/complete", "{url}");
    let complete = browser.get(url.as_str()).await;
    assert_eq!(complete.header("location"), "/workspace");
}

async fn token(browser: &Browser) -> crate::browser::Answer {
    browser.send(Method::POST, TOKEN, &OWN_PAGE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_way_from_the_button_to_the_workspace_and_out_again() {
    let world = World::start().await;
    let browser = world.browser();
    assert_eq!(
        browser.get(&format!("{PORTAL}/")).await.header("location"),
        "/login"
    );
    let login = browser.get(&format!("{PORTAL}/login")).await;
    assert!(
        login.body.contains(r#"href="/session/begin""#),
        "{}",
        login.body
    );
    sign_in(&browser, seed::ACME_AGENT).await;
    assert_eq!(
        browser.get(&format!("{PORTAL}/")).await.header("location"),
        "/workspace"
    );
    assert_eq!(
        browser
            .get(&format!("{PORTAL}/login"))
            .await
            .header("location"),
        "/workspace"
    );

    let cookie = browser.cookie("ap_session").unwrap();
    let fresh = token(&browser).await;
    assert_eq!(fresh.status, StatusCode::OK, "{}", fresh.body);
    let body = fresh.json();
    assert_eq!(body["expiresIn"], 300);
    assert!(
        !fresh.body.contains("rt_"),
        "the refresh token stays in the cookie"
    );
    let set = fresh.header("set-cookie");
    assert!(set.contains("HttpOnly; SameSite=Strict; Path=/"), "{set}");
    assert_ne!(
        browser.cookie("ap_session").unwrap(),
        cookie,
        "it is rotated"
    );
    let access = body["accessToken"].as_str().unwrap().to_owned();
    let (status, profile) = world
        .call(Method::GET, "/api/agents/profile", &access)
        .await;
    assert_eq!(
        (status, &profile["name"]),
        (StatusCode::OK, &json!("Alice Agent"))
    );

    let end = browser.send(Method::POST, END, &OWN_PAGE).await;
    assert_eq!(end.status, StatusCode::OK, "{}", end.body);
    assert_eq!(browser.cookie("ap_session"), None);
    let (status, _) = world
        .call(Method::GET, "/api/agents/profile", &access)
        .await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let gone = token(&browser).await;
    assert_eq!(gone.status, StatusCode::UNAUTHORIZED);
    assert_eq!(gone.json()["error"]["code"], "SESSION_MISSING");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_portals_own_pages_get_tokens() {
    let world = World::start().await;
    let browser = world.browser();
    sign_in(&browser, seed::ACME_AGENT).await;
    for headers in [
        &[][..],
        &[("origin", PORTAL)],
        &[("x-portal-request", "1")],
        &[
            ("origin", "https://evil.example"),
            ("x-portal-request", "1"),
        ],
        &[
            ("origin", "https://front.example"),
            ("x-portal-request", "1"),
        ],
        &[
            ("origin", PORTAL),
            ("x-portal-request", "1"),
            ("sec-fetch-site", "cross-site"),
        ],
    ] {
        for url in [TOKEN, END] {
            let refused = browser.send(Method::POST, url, headers).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{headers:?}");
            assert_eq!(refused.json()["error"]["code"], "ORIGIN_NOT_ALLOWED");
        }
        let preflight = [headers, &[("access-control-request-method", "POST")]].concat();
        let options = browser.send(Method::OPTIONS, TOKEN, &preflight).await;
        assert_eq!(
            options.header("access-control-allow-origin"),
            "",
            "{headers:?}"
        );
    }
    assert_eq!(
        token(&browser).await.status,
        StatusCode::OK,
        "the session was not touched"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_works_once_and_only_in_the_browser_that_began() {
    let world = World::start().await;
    let attacker = world.browser();
    let to_code = async |browser: &Browser| {
        let begin = browser
            .get(&format!(
                "{PORTAL}/session/begin?login_hint={}",
                seed::ACME_AGENT
            ))
            .await;
        let mut url = begin.location();
        for _ in 0..3 {
            url = browser.get(url.as_str()).await.location();
        }
        url
    };
    // A link with the attacker's code must not sign the victim in as the attacker.
    let link = to_code(&attacker).await;
    let victim = world.browser();
    let refused = victim.get(link.as_str()).await;
    assert!(
        refused
            .header("location")
            .starts_with("/login?error=LOGIN_STATE_FOREIGN")
    );
    assert_eq!(victim.cookie("ap_session"), None);
    let used_up = attacker.get(link.as_str()).await;
    assert!(
        used_up
            .header("location")
            .starts_with("/login?error=LOGIN_STATE_UNKNOWN")
    );

    let link = to_code(&attacker).await;
    assert_eq!(
        attacker.get(link.as_str()).await.header("location"),
        "/workspace"
    );
    let again = attacker.get(link.as_str()).await;
    assert!(
        again
            .header("location")
            .starts_with("/login?error=LOGIN_STATE_UNKNOWN")
    );
    for made_up in ["?code=x", "?code=", ""] {
        let refused = attacker
            .get(&format!("{PORTAL}/session/complete{made_up}"))
            .await;
        assert!(
            refused
                .header("location")
                .starts_with("/login?error=LOGIN_STATE_UNKNOWN")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_sign_in_goes_back_to_a_page_that_says_what_to_do() {
    let world = World::start().await;
    let browser = world.browser();
    let begin = browser
        .get(&format!(
            "{PORTAL}/session/begin?login_hint={}",
            seed::INITECH_AGENT
        ))
        .await;
    let mut url = begin.location();
    for _ in 0..3 {
        url = browser.get(url.as_str()).await.location();
    }
    assert!(
        url.as_str()
            .starts_with(&format!("{PORTAL}/login?error=TENANT_NOT_FOUND&request="))
    );
    let page = browser.get(url.as_str()).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains(r#"role="alert""#));
    assert!(
        page.body
            .contains("Tenant not found for this Genesys organization")
    );
    assert!(page.body.contains("Ask your administrator"));
    assert!(page.body.contains(&parameter(&url, "request").unwrap()));
    // What comes from the address is never trusted.
    let page = browser
        .get(&format!(
            "{PORTAL}/login?error=<script>x</script>&request=<b>"
        ))
        .await;
    assert!(page.body.contains("The sign-in did not work"));
    assert!(
        !page.body.contains("<script>x") && !page.body.contains("<b>"),
        "{}",
        page.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_over_takes_its_cookie_along() {
    let world = World::start().await;
    let browser = world.browser();
    sign_in(&browser, seed::ACME_AGENT).await;
    world
        .db
        .execute("UPDATE genesys_user_sessions SET revoked_at = now(), revoke_reason = 'logout'");
    let over = token(&browser).await;
    assert_eq!(over.status, StatusCode::UNAUTHORIZED);
    assert_eq!(over.json()["error"]["code"], "SESSION_REVOKED");
    assert_eq!(browser.cookie("ap_session"), None);
    browser.set_cookie("ap_session", "junk");
    assert_eq!(
        token(&browser).await.json()["error"]["code"],
        "REFRESH_TOKEN_INVALID"
    );
    assert_eq!(browser.cookie("ap_session"), None);
    // Ending a session that is over already is no failure.
    sign_in(&browser, seed::ACME_AGENT).await;
    world
        .db
        .execute("UPDATE genesys_user_sessions SET revoked_at = now(), revoke_reason = 'logout'");
    let end = browser.send(Method::POST, END, &OWN_PAGE).await;
    assert_eq!(end.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_run_under_a_strict_policy_without_any_inline_code() {
    let world = World::start().await;
    let browser = world.browser();
    for path in ["/login", "/workspace", "/profile"] {
        let page = browser.get(&format!("{PORTAL}{path}")).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        let policy = page.header("content-security-policy");
        assert_eq!(
            policy,
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
             connect-src 'self' http://localhost:3000; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        );
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert_eq!(
            page.header("cross-origin-opener-policy"),
            "same-origin-allow-popups"
        );
        assert!(!page.body.contains("{{"), "{path}");
        assert!(
            !page.body.contains("style=") && !page.body.contains("<style"),
            "{path}"
        );
        for tag in page.body.split("<script").skip(1) {
            assert!(
                tag.starts_with(r#" type="module" src="/assets/"#),
                "{path}: {tag}"
            );
        }
        // Everything that the page needs is there.
        for part in page.body.split(['"', '\'']) {
            if part.starts_with("/assets/") {
                let asset = browser.get(&format!("{PORTAL}{part}")).await;
                assert_eq!(asset.status, StatusCode::OK, "{part}");
            }
        }
    }
    let script = browser.get(&format!("{PORTAL}/assets/session.js")).await;
    assert!(
        script.header("content-type").contains("javascript"),
        "{script:?}"
    );
    assert!(!script.body.contains("localStorage"));
    let etag = script.header("etag").to_owned();
    let cached = browser
        .send(
            Method::GET,
            &format!("{PORTAL}/assets/session.js"),
            &[("if-none-match", &etag)],
        )
        .await;
    assert_eq!(
        (cached.status, cached.body.as_str()),
        (StatusCode::NOT_MODIFIED, "")
    );
    for nothing in [
        "/assets/nothing.js",
        "/assets/..%2fpages%2flogin.html",
        "/pages/login.html",
        "/x",
    ] {
        let page = browser.get(&format!("{PORTAL}{nothing}")).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{nothing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_region_there_is_nothing_to_choose() {
    let world = World::start().await;
    let page = world.browser().get(&format!("{PORTAL}/login")).await;
    assert!(page.body.contains(r#"<option value="sandbox">"#));
    assert!(page.body.contains(r#"<option value="mypurecloud.de">"#));
    drop(world);
    let world = World::start_with(&[("GENESYS__REGIONS", "sandbox")]).await;
    let page = world.browser().get(&format!("{PORTAL}/login")).await;
    assert!(!page.body.contains("<select"), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_portals_origin_may_call_the_api_and_others_may_not() {
    let world = World::start().await;
    for (origin, is_allowed) in [
        (PORTAL, true),
        ("https://front.example", true),
        ("https://evil.example", false),
        ("null", false),
    ] {
        let request = world
            .http
            .request(Method::OPTIONS, format!("{}/api/agents/profile", world.api))
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization");
        let answer = request.send().await.unwrap();
        let allowed = answer.headers().get("access-control-allow-origin");
        assert_eq!(
            allowed.is_some_and(|value| value == origin),
            is_allowed,
            "{origin}"
        );
    }
}
