//! The sign-in dance: authorize, form, codes, refresh, logout.

use portal_sandbox::{LOGIN_COOKIE, seed};
use serde_json::json;

use crate::support::{
    CONFIDENTIAL, REDIRECT, api, authorize, client, config, expect_json, pkce, redirect_query,
    sign_in, start, token,
};

type Basic<'b> = (&'b str, &'b str);
type Parameters<'p> = &'p [(&'p str, &'p str)];

#[tokio::test]
async fn a_public_client_signs_in_with_pkce_and_gets_no_refresh_token() {
    let sandbox = start();
    let pkce = pkce();
    let more = [
        ("state", "a b&c"),
        ("code_challenge", pkce.challenge.as_str()),
        ("code_challenge_method", "S256"),
        ("login_hint", seed::ACME_AGENT),
    ];
    let answer = redirect_query(&authorize(&sandbox, seed::PKCE_CLIENT_ID, &more).await);
    assert_eq!(answer["state"], "a b&c");

    let form = [
        ("grant_type", "authorization_code"),
        ("code", answer["code"].as_str()),
        ("code_verifier", pkce.verifier.as_str()),
        ("client_id", seed::PKCE_CLIENT_ID),
        ("redirect_uri", REDIRECT),
    ];
    let body = expect_json(token(&sandbox, None, &form).await, 200).await;
    assert_eq!(body["token_type"], "bearer");
    assert_eq!(body["expires_in"], 86_400);
    assert!(body.get("refresh_token").is_none());

    let me = api(
        &sandbox,
        body["access_token"].as_str().unwrap(),
        "/users/me",
    )
    .await;
    assert_eq!(expect_json(me, 200).await["email"], seed::ACME_AGENT);

    // Single use.
    let again = expect_json(token(&sandbox, None, &form).await, 400).await;
    assert_eq!(
        again,
        json!({
            "error": "invalid_grant",
            "description": "the authorization code is not valid",
            "error_description": "the authorization code is not valid",
        })
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn a_code_is_bound_to_verifier_redirect_uri_and_client() {
    let mut config = config();
    config
        .redirect_uris
        .push("http://localhost:9/other".to_owned());
    let sandbox = portal_sandbox::Sandbox::start(config).unwrap();
    let pkce = pkce();
    let wrong = crate::support::pkce();
    let attempts = [
        (Some(wrong.verifier.as_str()), REDIRECT, Some(CONFIDENTIAL)),
        (Some("short"), REDIRECT, Some(CONFIDENTIAL)),
        (None, REDIRECT, Some(CONFIDENTIAL)),
        (
            Some(pkce.verifier.as_str()),
            "http://localhost:9/other",
            Some(CONFIDENTIAL),
        ),
        (Some(pkce.verifier.as_str()), REDIRECT, None),
    ];
    for (verifier, redirect_uri, basic) in attempts {
        let more = [
            ("code_challenge", pkce.challenge.as_str()),
            ("code_challenge_method", "S256"),
            ("login_hint", seed::ACME_AGENT),
        ];
        let answer = redirect_query(&authorize(&sandbox, CONFIDENTIAL.0, &more).await);
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", answer["code"].as_str()),
            ("redirect_uri", redirect_uri),
        ];
        form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        if basic.is_none() {
            form.push(("client_id", seed::PKCE_CLIENT_ID));
        }
        let body = expect_json(token(&sandbox, basic, &form).await, 400).await;
        assert_eq!(
            body["error"], "invalid_grant",
            "{verifier:?} {redirect_uri}"
        );
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn an_expired_code_is_refused() {
    let sandbox = start();
    sandbox.change_genesys(|genesys| genesys.code_lifetime = std::time::Duration::ZERO);
    let answer = authorize(
        &sandbox,
        CONFIDENTIAL.0,
        &[("login_hint", seed::ACME_AGENT)],
    )
    .await;
    let code = redirect_query(&answer)["code"].clone();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
    ];
    let body = expect_json(token(&sandbox, Some(CONFIDENTIAL), &form).await, 400).await;
    assert_eq!(body["error"], "invalid_grant");
    sandbox.stop().await;
}

#[tokio::test]
async fn refreshing_rotates_and_a_used_refresh_token_is_dead() {
    let sandbox = start();
    let (access, refresh) = sign_in(&sandbox, seed::ACME_ADMIN).await;
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.as_str()),
    ];
    let body = expect_json(token(&sandbox, Some(CONFIDENTIAL), &form).await, 200).await;
    assert_ne!(body["access_token"], access.as_str());
    assert_ne!(body["refresh_token"], refresh.as_str());

    let again = expect_json(token(&sandbox, Some(CONFIDENTIAL), &form).await, 400).await;
    assert_eq!(again["error"], "invalid_grant");

    let next = [
        ("grant_type", "refresh_token"),
        ("refresh_token", body["refresh_token"].as_str().unwrap()),
    ];
    let refused = expect_json(
        token(&sandbox, Some((CONFIDENTIAL.0, "wrong")), &next).await,
        401,
    )
    .await;
    assert_eq!(refused["error"], "invalid_client");
    expect_json(token(&sandbox, Some(CONFIDENTIAL), &next).await, 200).await;
    sandbox.stop().await;
}

#[tokio::test]
async fn what_cannot_be_trusted_gets_a_page_and_no_redirect() {
    let sandbox = start();
    let url = format!("{}/oauth/authorize", sandbox.base_url());
    let queries = [
        format!("response_type=code&client_id=<nobody>&redirect_uri={REDIRECT}"),
        format!(
            "response_type=code&client_id={}&redirect_uri=https://evil.example/",
            CONFIDENTIAL.0
        ),
        format!(
            "response_type=code&client_id={}&redirect_uri={REDIRECT}/",
            CONFIDENTIAL.0
        ),
        format!("response_type=code&client_id={}", CONFIDENTIAL.0),
        format!("response_type=code&redirect_uri={REDIRECT}"),
        format!(
            "response_type=code&client_id={}&redirect_uri={REDIRECT}&redirect_uri=https://evil.example/",
            CONFIDENTIAL.0
        ),
    ];
    for query in queries {
        let answer = client().get(format!("{url}?{query}")).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{query}");
        assert!(answer.headers().get("location").is_none());
        assert!(answer.headers().get("inin-correlation-id").is_some());
        let page = answer.text().await.unwrap();
        assert!(page.contains("<h1>Sign-in request refused</h1>"));
        assert!(!page.contains("<nobody>"));
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn other_faults_go_back_to_the_client_with_error_and_state() {
    let sandbox = start();
    let challenge = pkce().challenge;
    let c = challenge.as_str();
    let table: [(&str, Parameters<'_>, &str); 6] = [
        (seed::PKCE_CLIENT_ID, &[], "invalid_request"),
        (
            seed::PKCE_CLIENT_ID,
            &[("code_challenge", c)],
            "invalid_request",
        ),
        (
            CONFIDENTIAL.0,
            &[("code_challenge", c), ("code_challenge_method", "plain")],
            "invalid_request",
        ),
        (
            CONFIDENTIAL.0,
            &[
                ("code_challenge", "short"),
                ("code_challenge_method", "S256"),
            ],
            "invalid_request",
        ),
        (CONFIDENTIAL.0, &[("org", "acme")], "invalid_request"),
        (CONFIDENTIAL.0, &[("state", "twice")], "invalid_request"),
    ];
    for (client_id, more, error) in table {
        let mut query = vec![("state", "s"), ("login_hint", seed::ACME_AGENT)];
        query.extend_from_slice(more);
        let answer = redirect_query(&authorize(&sandbox, client_id, &query).await);
        assert_eq!(answer["error"], error, "{more:?}");
        assert_eq!(answer["state"], "s");
        assert!(!answer["error_description"].is_empty());
        assert!(!answer.contains_key("code"));
    }
    let implicit = format!(
        "{}/oauth/authorize?response_type=token&client_id={}&redirect_uri={REDIRECT}",
        sandbox.base_url(),
        CONFIDENTIAL.0
    );
    let answer = redirect_query(&client().get(implicit).send().await.unwrap());
    assert_eq!(answer["error"], "unsupported_response_type");
    sandbox.stop().await;
}

#[tokio::test]
async fn the_form_lists_people_signs_in_and_denies() {
    let sandbox = start();
    let answer = authorize(&sandbox, CONFIDENTIAL.0, &[("state", "s")]).await;
    assert_eq!(answer.status(), 200);
    let page = answer.text().await.unwrap();
    for email in [seed::ACME_AGENT, seed::GLOBEX_ADMIN, seed::TRUSTEE] {
        assert!(page.contains(email), "{email}");
    }
    let hidden = "name=\"request\" value=\"";
    let request = page
        .split_once(hidden)
        .unwrap()
        .1
        .split_once('"')
        .unwrap()
        .0;
    let request = request.replace("&amp;", "&");
    let post = |form: Vec<(&'static str, String)>| {
        let url = format!("{}/oauth/authorize/login", sandbox.base_url());
        client().post(url).form(&form).send()
    };

    let denied = post(vec![("request", request.clone()), ("deny", "1".to_owned())])
        .await
        .unwrap();
    let denied = redirect_query(&denied);
    assert_eq!(
        (denied["error"].as_str(), denied["state"].as_str()),
        ("access_denied", "s")
    );

    let nobody = vec![
        ("request", request.clone()),
        ("email", "no@body.example".to_owned()),
    ];
    let nobody = post(nobody).await.unwrap();
    assert_eq!(nobody.status(), 200);
    assert!(nobody.text().await.unwrap().contains("role=\"alert\""));

    let agent = vec![
        ("request", request.clone()),
        ("email", "AGENT@acme.example".to_owned()),
    ];
    let agent = post(agent).await.unwrap();
    assert_eq!(redirect_query(&agent)["state"], "s");
    let cookie = agent.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with(LOGIN_COOKIE) && cookie.contains("HttpOnly"));

    // A forged form cannot bring its own redirect URI.
    let forged = request.replace("callback", "elsewhere");
    let forged = vec![("request", forged), ("email", seed::ACME_AGENT.to_owned())];
    assert_eq!(post(forged).await.unwrap().status(), 400);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_remembered_login_needs_no_form_until_logout_or_prompt() {
    let sandbox = start();
    let answer = authorize(
        &sandbox,
        CONFIDENTIAL.0,
        &[("login_hint", seed::ACME_AGENT)],
    )
    .await;
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    let cookie = cookie.split_once(';').unwrap().0.to_owned();
    let (access, _) = sign_in(&sandbox, seed::ACME_AGENT).await;
    let url = format!(
        "{}/oauth/authorize?response_type=code&client_id={}&redirect_uri={REDIRECT}",
        sandbox.base_url(),
        CONFIDENTIAL.0
    );
    let open = |url: String| client().get(url).header("cookie", &cookie).send();

    assert_eq!(open(url.clone()).await.unwrap().status(), 302);
    assert_eq!(
        open(format!("{url}&prompt=login")).await.unwrap().status(),
        200
    );

    let logout = format!(
        "{}/logout?client_id={}&redirect_uri={REDIRECT}",
        sandbox.base_url(),
        CONFIDENTIAL.0
    );
    let gone = open(logout).await.unwrap();
    assert_eq!(gone.headers()["location"], REDIRECT);
    assert_eq!(open(url).await.unwrap().status(), 200);
    // An explicit logout ends the person's tokens too.
    assert_eq!(api(&sandbox, &access, "/users/me").await.status(), 401);
    sandbox.stop().await;
}

#[tokio::test]
async fn token_requests_that_do_not_fit_name_the_fault() {
    let sandbox = start();
    let acme = (seed::ACME_CC_CLIENT_ID, seed::ACME_CC_CLIENT_SECRET);
    let table: [(Option<Basic<'_>>, Parameters<'_>, u16, &str); 7] = [
        (Some(acme), &[], 400, "invalid_request"),
        (
            Some(acme),
            &[("grant_type", "password")],
            400,
            "unsupported_grant_type",
        ),
        (
            None,
            &[("grant_type", "client_credentials")],
            401,
            "invalid_client",
        ),
        (
            None,
            &[
                ("grant_type", "client_credentials"),
                ("client_id", acme.0),
                ("client_secret", acme.1),
            ],
            401,
            "invalid_client",
        ),
        (
            Some((acme.0, "wrong")),
            &[("grant_type", "client_credentials")],
            401,
            "invalid_client",
        ),
        (
            Some(CONFIDENTIAL),
            &[("grant_type", "client_credentials")],
            400,
            "unauthorized_client",
        ),
        (
            Some(CONFIDENTIAL),
            &[
                ("grant_type", "authorization_code"),
                ("code", "nonsense"),
                ("redirect_uri", "x"),
            ],
            400,
            "invalid_grant",
        ),
    ];
    for (basic, form, status, error) in table {
        let body = expect_json(token(&sandbox, basic, form).await, status).await;
        assert_eq!(body["error"], error, "{form:?}");
        assert_eq!(body.as_object().unwrap().len(), 3);
    }
    let url = format!("{}/oauth/token", sandbox.base_url());
    let json = client()
        .post(url)
        .basic_auth(acme.0, Some(acme.1))
        .json(&json!({"grant_type": "client_credentials"}));
    let body = expect_json(json.send().await.unwrap(), 400).await;
    assert_eq!(body["error"], "invalid_request");
    sandbox.stop().await;
}
