//! Access tokens and their keys: what others can check, and what is refused at every door.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use portal_auth::{AccessSubject, Issuer, SigningKey, SigningKeys};
use portal_sandbox::seed;
use portal_types::{Clock, Role, SessionId, TenantId, UserId};
use portal_vault::{Binding, Vault};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::world::{Person, VAULT_KEYS, World};

pub(crate) const ISSUER: &str = "agent-portal-service";
pub(crate) const AUDIENCE: &str = "agent-portal";

const PROFILE: &str = "/api/agents/profile";

/// Every door that wants a signed-in person, out of the document: a new one is in here by itself.
fn doors() -> Vec<(Method, String)> {
    let document = serde_json::to_value(agent_portal_service::routes::document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let doors: Vec<_> = paths
        .iter()
        .flat_map(|(path, item)| {
            let operations = item.as_object().unwrap().iter();
            let guarded = operations.filter(|(_, operation)| operation.get("security").is_some());
            guarded.map(move |(method, _)| {
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                // Not a session's id: who calls is asked before what.
                let path = ["{session_id}", "{user_id}", "{run_id}", "{conversation_id}"]
                    .iter()
                    .fold(path.clone(), |path, id| path.replace(id, "x"));
                (method, path)
            })
        })
        .collect();
    assert_eq!(doors.len(), 35, "{doors:?}");
    doors
}

#[derive(Debug)]
struct Then(DateTime<Utc>);

impl Clock for Then {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }
}

/// The service's own key, out of its table.
pub(crate) fn own_key(world: &World) -> SigningKey {
    let kid = world.value("SELECT kid FROM signing_keys WHERE status = 'active'");
    let sealed = world
        .value("SELECT translate(encode(private_key, 'base64'), E'\\n', '') FROM signing_keys");
    let vault = Vault::from_keys(&VAULT_KEYS.into(), "k1").unwrap();
    let binding = Binding {
        table: "signing_keys",
        column: "private_key",
        tenant_id: "platform",
        row_id: &kid,
    };
    let stored = vault.open(&binding, &STANDARD.decode(sealed).unwrap());
    SigningKey::from_stored(&stored.unwrap()).unwrap()
}

fn issue(issuer: &Issuer, person: &Person) -> String {
    let id = |name: &str| person.agent[name].as_str().unwrap();
    let subject = AccessSubject {
        user_id: id("user_id").parse::<UserId>().unwrap(),
        tenant_id: TenantId::parse(id("tenant_id")).unwrap(),
        role: Role::Admin,
        session_id: SessionId::generate(),
    };
    issuer
        .issue_access(&subject)
        .unwrap()
        .token
        .expose_secret()
        .to_owned()
}

fn claims(token: &str, part: usize) -> Value {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let part = token.split('.').nth(part).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_says_what_the_contract_says_and_its_key_is_published() {
    let world = World::start().await;
    let person = world.sign_in(seed::ACME_SUPERVISOR).await;
    let header = claims(&person.access, 0);
    assert_eq!(
        (&header["alg"], &header["typ"]),
        (&json!("EdDSA"), &json!("at+jwt"))
    );
    let body = claims(&person.access, 1);
    let mut names: Vec<&String> = body.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(
        names,
        [
            "aud", "exp", "iat", "iss", "jti", "nbf", "role", "sid", "sub", "tenantId", "type",
            "userId"
        ]
    );
    assert_eq!(
        (&body["iss"], &body["aud"]),
        (&json!(ISSUER), &json!(AUDIENCE))
    );
    assert_eq!(
        (&body["sub"], &body["userId"]),
        (&person.agent["user_id"], &person.agent["user_id"])
    );
    assert_eq!(
        (&body["tenantId"], &body["role"]),
        (&json!("acme_corp"), &json!("supervisor"))
    );
    assert_eq!(body["type"], "access");
    assert_eq!(body["sid"], person.refresh.split('.').nth(1).unwrap());
    assert_eq!(
        body["exp"].as_u64().unwrap() - body["iat"].as_u64().unwrap(),
        300
    );

    let (status, jwks) = world.call(Method::GET, "/.well-known/jwks.json", "x").await;
    assert_eq!(status, StatusCode::OK);
    let keys = jwks["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0]["kid"], header["kid"]);
    assert_eq!(
        (&keys[0]["kty"], &keys[0]["crv"]),
        (&json!("OKP"), &json!("Ed25519"))
    );
    let mut members: Vec<&String> = keys[0].as_object().unwrap().keys().collect();
    members.sort();
    assert_eq!(
        members,
        ["alg", "crv", "kid", "kty", "use", "x"],
        "nothing secret"
    );
}

/// Tokens that are not good, by what is wrong with them.
async fn bad_tokens(world: &World, person: &Person) -> Vec<(&'static str, String, &'static str)> {
    let (head, signature) = person.access.rsplit_once('.').unwrap();
    let flipped: String = signature.chars().rev().collect();
    let parts: Vec<&str> = person.access.split('.').collect();
    let mut raised = claims(&person.access, 1);
    raised["role"] = json!("admin");
    let raised = {
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        format!(
            "{}.{}.{}",
            parts[0],
            URL_SAFE_NO_PAD.encode(raised.to_string()),
            parts[2]
        )
    };

    let own = SigningKeys::new(own_key(world), &[]);
    let stranger = SigningKeys::new(SigningKey::generate().unwrap(), &[]);
    let long_ago = Arc::new(Then(Utc::now() - chrono::Duration::seconds(400)));
    let good = Issuer::new(ISSUER, AUDIENCE, own.clone());
    // The key is the right one: without this the others would prove nothing.
    let (status, _) = world
        .call(Method::GET, PROFILE, &issue(&good, person))
        .await;
    assert_eq!(status, StatusCode::OK);

    vec![
        ("garbage", "abc".to_owned(), "TOKEN_INVALID"),
        (
            "tampered signature",
            format!("{head}.{flipped}"),
            "TOKEN_INVALID",
        ),
        ("tampered claims", raised, "TOKEN_INVALID"),
        (
            "a stranger's key",
            issue(&Issuer::new(ISSUER, AUDIENCE, stranger), person),
            "TOKEN_INVALID",
        ),
        (
            "expired",
            issue(&good.clone().with_clock(long_ago), person),
            "TOKEN_EXPIRED",
        ),
        (
            "another audience",
            issue(&Issuer::new(ISSUER, "tenant-service", own.clone()), person),
            "TOKEN_INVALID",
        ),
        (
            "another service's",
            issue(
                &Issuer::new("tenant-service", AUDIENCE, own.clone()),
                person,
            ),
            "TOKEN_INVALID",
        ),
        (
            "an administrator's",
            good.issue_admin(uuid::Uuid::now_v7(), uuid::Uuid::now_v7())
                .unwrap()
                .token
                .expose_secret()
                .to_owned(),
            "TOKEN_INVALID",
        ),
        ("a refresh token", person.refresh.clone(), "TOKEN_INVALID"),
        (
            "a service's key",
            "svc_outbound-message-service_x".to_owned(),
            "TOKEN_INVALID",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_token_is_refused_at_every_door() {
    let world = World::start().await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    let cases = bad_tokens(&world, &person).await;
    for (method, path) in doors() {
        for (name, token, code) in &cases {
            let (status, body) = world.call(method.clone(), &path, token).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{name} at {path}: {body}");
            assert_eq!(&body["error"]["code"], code, "{name} at {path}");
        }
        let request = world
            .http
            .request(method.clone(), format!("{}{path}", world.api));
        let missing = request.send().await.unwrap();
        assert_eq!(missing.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(missing.headers()["www-authenticate"], "Bearer");
        let missing: Value = missing.json().await.unwrap();
        assert_eq!(missing["error"]["code"], "TOKEN_MISSING");
        assert!(missing["requestId"].is_string());
    }
    assert_eq!(
        world.value("SELECT count(*) FROM genesys_user_sessions WHERE revoked_at IS NOT NULL"),
        "0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_at_once_share_one_key_that_is_stored_sealed() {
    let world = World::prepare(&[]);
    let addresses: Vec<_> = (0..4).map(|_| world.spawn_service().0).collect();
    let mut kids = Vec::new();
    for api in &addresses {
        let jwks = portal_test_harness::eventually("the keys", async || {
            let (status, jwks) = world
                .call_at(api, Method::GET, "/.well-known/jwks.json", "x")
                .await;
            if status == StatusCode::SERVICE_UNAVAILABLE {
                assert_eq!(jwks["error"]["code"], "STARTING");
                return None;
            }
            Some(jwks)
        })
        .await;
        assert_eq!(jwks["keys"].as_array().unwrap().len(), 1);
        kids.push(jwks["keys"][0]["kid"].clone());
    }
    kids.dedup();
    assert_eq!(kids.len(), 1);
    let key = own_key(&world);
    assert_eq!(key.kid(), kids[0].as_str().unwrap());
    let der = STANDARD.encode(key.pkcs8());
    assert!(
        !world
            .value("SELECT k::text FROM signing_keys k")
            .contains(&der)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_key_is_published_until_its_last_token_has_expired() {
    let mut world = World::prepare(&[]);
    let (api, portal) = world.run_service().await;
    (world.api, world.portal) = (api, portal);
    let before = world.sign_in(seed::ACME_AGENT).await;
    world.stop_service();
    world
        .db
        .execute("UPDATE signing_keys SET status = 'retired', retired_at = now()");
    let (api, portal) = world.run_service().await;
    (world.api, world.portal) = (api, portal);
    let after = world.sign_in(seed::ACME_AGENT).await;
    assert_ne!(
        claims(&before.access, 0)["kid"],
        claims(&after.access, 0)["kid"]
    );
    for person in [&before, &after] {
        let (status, body) = world
            .call(Method::GET, "/api/agents/profile", &person.access)
            .await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
    world.stop_service();
    world.db.execute(
        "UPDATE signing_keys SET retired_at = now() - interval '7 min' WHERE status = 'retired'",
    );
    let (api, portal) = world.run_service().await;
    (world.api, world.portal) = (api, portal);
    let (_, jwks) = world.call(Method::GET, "/.well-known/jwks.json", "x").await;
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 1);
    assert_eq!(jwks["keys"][0]["kid"], claims(&after.access, 0)["kid"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_agent_signup_is_gone() {
    let world = World::start().await;
    for path in ["/api/agents/signup", "/api/agents/whatsapp/setup"] {
        let (status, body) = world.call(Method::POST, path, "x").await;
        assert_eq!(status, StatusCode::GONE);
        assert_eq!(body["error"]["code"], "AGENT_SIGNUP_REMOVED");
        assert!(
            body["error"]["message"]
                .as_str()
                .unwrap()
                .contains("administrator")
        );
    }
    let (status, body) = world.call(Method::GET, "/api/agents/signup", "x").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{body}");
}
