//! Authorization addresses and the token endpoint.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use portal_genesys::{
    AuthorizeRequest, ErrorKind, GenesysError, OAuthClient, Pkce, Region, Tokens, authorize_url,
    new_state,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use url::Url;

use crate::fake::{Fake, Reply, Request};
use crate::{client, client_with, kind, nobody, region};

/// A secret that looks different when it is percent-encoded.
const SECRET: &str = "s3c/r+t=:%";

fn confidential() -> OAuthClient {
    OAuthClient {
        client_id: "client-1".to_owned(),
        client_secret: Some(SECRET.into()),
    }
}

fn public() -> OAuthClient {
    OAuthClient {
        client_id: "client-1".to_owned(),
        client_secret: None,
    }
}

fn redirect_uri() -> Url {
    "http://localhost:3000/api/agents/auth/callback"
        .parse()
        .unwrap()
}

fn answer() -> Value {
    json!({"access_token": "at-1", "token_type": "bearer", "expires_in": 86399, "refresh_token": "rt-1"})
}

async fn exchange(
    region: &Region,
    oauth: &OAuthClient,
    verifier: Option<&str>,
) -> Result<Tokens, GenesysError> {
    let verifier = verifier.map(SecretString::from);
    let code = SecretString::from("code-1");
    client()
        .exchange_code(region, oauth, &redirect_uri(), &code, verifier.as_ref())
        .await
}

fn form(request: &Request) -> HashMap<String, String> {
    url::form_urlencoded::parse(request.body.as_bytes())
        .into_owned()
        .collect()
}

fn expected_form(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn the_authorization_address_has_what_genesys_documents() {
    let region = Region::production("mypurecloud.de").unwrap();
    let redirect_uri = redirect_uri();
    let plain = AuthorizeRequest {
        redirect_uri: &redirect_uri,
        state: "st&te",
        code_challenge: None,
        login_hint: None,
        prompt_login: false,
    };
    let full = AuthorizeRequest {
        code_challenge: Some("ch"),
        login_hint: Some("jane@acme.example"),
        prompt_login: true,
        ..plain
    };
    let basics = [
        ("response_type", "code"),
        ("client_id", "client-1"),
        ("redirect_uri", redirect_uri.as_str()),
        ("state", "st&te"),
    ];
    let extras = [
        ("code_challenge", "ch"),
        ("code_challenge_method", "S256"),
        ("login_hint", "jane@acme.example"),
        ("prompt", "login"),
    ];
    for (request, expected) in [(plain, basics.to_vec()), (full, [basics, extras].concat())] {
        let url = authorize_url(&region, &confidential(), &request);
        assert!(
            url.as_str()
                .starts_with("https://login.mypurecloud.de/oauth/authorize?"),
            "{url}"
        );
        let pairs: Vec<_> = url.query_pairs().into_owned().collect();
        assert_eq!(pairs.len(), expected.len(), "{url}");
        assert_eq!(
            pairs.into_iter().collect::<HashMap<_, _>>(),
            expected_form(&expected)
        );
    }
}

#[test]
fn states_and_verifiers_are_long_and_never_the_same() {
    assert_ne!(new_state(), new_state());
    assert_eq!(
        BASE64_URL_SAFE_NO_PAD.decode(new_state()).unwrap().len(),
        32
    );
    let (one, other) = (Pkce::generate(), Pkce::generate());
    assert_ne!(one.challenge, other.challenge);
    assert!((43..=128).contains(&one.verifier.expose_secret().len()));
    assert_eq!(
        BASE64_URL_SAFE_NO_PAD.decode(&one.challenge).unwrap().len(),
        32
    );
    assert!(!format!("{one:?}").contains(one.verifier.expose_secret()));
}

#[tokio::test]
async fn a_confidential_client_sends_its_secret_unencoded_in_the_header_only() {
    let fake = Fake::start(vec![Reply::json(200, &answer())]).await;
    let tokens = exchange(&region(&fake), &confidential(), Some("verifier-1"))
        .await
        .unwrap();
    assert_eq!(tokens.access_token.expose_secret(), "at-1");
    assert_eq!(tokens.refresh_token.unwrap().expose_secret(), "rt-1");
    assert_eq!(tokens.expires_in, Duration::from_secs(86_399));

    let request = fake.only_request();
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("POST", "/oauth/token")
    );
    assert_eq!(
        request.header("authorization"),
        format!(
            "Basic {}",
            BASE64_STANDARD.encode(format!("client-1:{SECRET}"))
        )
    );
    assert_eq!(
        request.header("content-type"),
        "application/x-www-form-urlencoded"
    );
    assert_eq!(
        form(&request),
        expected_form(&[
            ("grant_type", "authorization_code"),
            ("code", "code-1"),
            ("redirect_uri", redirect_uri().as_str()),
            ("code_verifier", "verifier-1"),
        ])
    );
}

#[tokio::test]
async fn pkce_can_be_left_out_with_a_confidential_client() {
    let fake = Fake::start(vec![Reply::json(200, &answer())]).await;
    exchange(&region(&fake), &confidential(), None)
        .await
        .unwrap();
    assert!(!form(&fake.only_request()).contains_key("code_verifier"));
}

#[tokio::test]
async fn a_public_client_names_itself_and_sends_no_secret() {
    // What Genesys gives public clients has no refresh token, and null members occur.
    let body = json!({"access_token": "at-1", "token_type": "Bearer", "expires_in": 600, "error": null, "refresh_token": null});
    let fake = Fake::start(vec![Reply::json(200, &body)]).await;
    let tokens = exchange(&region(&fake), &public(), Some("verifier-1"))
        .await
        .unwrap();
    assert!(tokens.refresh_token.is_none());
    let request = fake.only_request();
    assert_eq!(request.header("authorization"), "");
    assert_eq!(
        form(&request),
        expected_form(&[
            ("grant_type", "authorization_code"),
            ("code", "code-1"),
            ("redirect_uri", redirect_uri().as_str()),
            ("code_verifier", "verifier-1"),
            ("client_id", "client-1"),
        ])
    );
}

#[tokio::test]
async fn a_refresh_brings_the_next_refresh_token() {
    let fake = Fake::start(vec![Reply::json(200, &answer())]).await;
    let old = SecretString::from("rt-0");
    let tokens = client()
        .refresh(&region(&fake), &confidential(), &old)
        .await
        .unwrap();
    assert_eq!(tokens.refresh_token.unwrap().expose_secret(), "rt-1");
    let expected = expected_form(&[("grant_type", "refresh_token"), ("refresh_token", "rt-0")]);
    assert_eq!(form(&fake.only_request()), expected);
}

#[tokio::test]
async fn an_answer_without_a_lifetime_is_taken_for_the_shortest() {
    let body = json!({"access_token": "at-1", "token_type": "bearer"});
    let fake = Fake::start(vec![Reply::json(200, &body)]).await;
    let tokens = exchange(&region(&fake), &confidential(), None)
        .await
        .unwrap();
    assert_eq!(tokens.expires_in, Duration::from_mins(5));
}

#[tokio::test]
async fn refusals_go_by_their_error_and_not_by_their_status() {
    for (status, error, expected) in [
        (400, "invalid_grant", ErrorKind::InvalidGrant),
        (401, "invalid_grant", ErrorKind::InvalidGrant),
        (400, "invalid_client", ErrorKind::InvalidClient),
        (401, "invalid_client", ErrorKind::InvalidClient),
        (400, "unauthorized_client", ErrorKind::InvalidClient),
        (400, "unsupported_grant_type", ErrorKind::InvalidClient),
        (400, "invalid_request", ErrorKind::Refused),
        (400, "something_new", ErrorKind::Refused),
    ] {
        let body = json!({"error": error, "description": "d", "error_description": "d"});
        let reply = Reply::json(status, &body).with("inin-correlation-id", "corr-1");
        let fake = Fake::start(vec![reply]).await;
        let failed = exchange(&region(&fake), &confidential(), None)
            .await
            .unwrap_err();
        assert_eq!(failed.kind, expected, "{error}");
        assert_eq!(failed.status, Some(status));
        assert_eq!(failed.code.as_deref(), Some(error));
        assert_eq!(failed.correlation_id.as_deref(), Some("corr-1"));
        fake.only_request();
    }
}

#[tokio::test]
async fn an_exchange_is_never_repeated() {
    for (reply, expected) in [
        (
            Reply::json(429, "{}").with("retry-after", "3"),
            ErrorKind::RateLimited {
                retry_after: Some(Duration::from_secs(3)),
            },
        ),
        (
            Reply::json(500, &json!({"error": "invalid_grant"})),
            ErrorKind::Unavailable,
        ),
        (Reply::json(502, "<html>"), ErrorKind::Unavailable),
        (Reply::json(503, ""), ErrorKind::Unavailable),
        (Reply::Close, ErrorKind::Unavailable),
        (Reply::Raw(b"nonsense".to_vec()), ErrorKind::Unavailable),
        (
            Reply::json(302, "").with("location", "/elsewhere"),
            ErrorKind::Protocol,
        ),
        (Reply::json(400, "<html>"), ErrorKind::Protocol),
        (Reply::json(200, "{}"), ErrorKind::Protocol),
        (Reply::json(200, ""), ErrorKind::Protocol),
        (
            Reply::json(200, r#"{"access_token":"at-1","token_ty"#),
            ErrorKind::Protocol,
        ),
        (
            Reply::json(200, &json!({"access_token": "at-1", "token_type": "mac"})),
            ErrorKind::Protocol,
        ),
        (
            Reply::json(200, &format!("\"{}\"", "x".repeat(5 << 20))),
            ErrorKind::Protocol,
        ),
    ] {
        let fake = Fake::start(vec![reply]).await;
        let failed = exchange(&region(&fake), &confidential(), None)
            .await
            .unwrap_err();
        assert_eq!(failed.kind, expected, "{failed:?}");
        let shown = format!("{failed} {failed:?}");
        assert!(
            !shown.contains("at-1") && !shown.contains(SECRET),
            "{shown}"
        );
        fake.only_request();
    }
}

#[tokio::test]
async fn a_token_endpoint_that_is_silent_or_gone_is_unavailable() {
    let fake = Fake::start(vec![Reply::Silence]).await;
    let code = SecretString::from("code-1");
    let hasty = client_with(Duration::from_millis(300));
    let silent = hasty
        .exchange_code(
            &region(&fake),
            &confidential(),
            &redirect_uri(),
            &code,
            None,
        )
        .await;
    assert_eq!(kind(silent), ErrorKind::Unavailable);
    fake.only_request();
    let gone = exchange(&nobody().await, &confidential(), None).await;
    assert_eq!(kind(gone), ErrorKind::Unavailable);
}
