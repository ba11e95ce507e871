//! Who is let in: nobody without a good token.

use portal_types::{Role, SessionId};
use reqwest::StatusCode;
use serde_json::json;

use crate::{
    sisters::{AUDIENCE, ISSUER, issue, new_issuer},
    world::World,
};

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_token_is_refused_at_every_door() {
    let world = World::start().await;
    let good = world.sisters.token("acme");
    let (head, signature) = good.rsplit_once('.').unwrap();
    let flipped: String = signature.chars().rev().collect();
    let stranger = new_issuer(ISSUER, AUDIENCE);
    // Signed with the right key, for somebody else or by somebody else's name.
    let keys = world.sisters.issuer.keys().clone();
    let other_audience = portal_auth::Issuer::new(ISSUER, "tenant-service", keys.clone());
    let other_issuer = portal_auth::Issuer::new("tenant-service", AUDIENCE, keys);
    let cases = [
        ("tampered", format!("{head}.{flipped}"), "TOKEN_INVALID"),
        ("garbage", "abc".to_owned(), "TOKEN_INVALID"),
        (
            "unknown key",
            issue(&stranger, "acme", SessionId::generate(), Role::Agent),
            "TOKEN_INVALID",
        ),
        (
            "other audience",
            issue(&other_audience, "acme", SessionId::generate(), Role::Agent),
            "TOKEN_INVALID",
        ),
        (
            "other issuer",
            issue(&other_issuer, "acme", SessionId::generate(), Role::Agent),
            "TOKEN_INVALID",
        ),
        (
            "a service's key",
            "svc_agent-portal-service_abc".to_owned(),
            "TOKEN_INVALID",
        ),
    ];
    // A bad body and a bad id: a stranger is not told what good ones look like.
    let body = json!({"to": "", "text": 5});
    let id = uuid::Uuid::now_v7().to_string();
    for (name, token, code) in &cases {
        for (status, answer) in [world.post(token, &body).await, world.get(token, &id).await] {
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{name}: {answer}");
            assert_eq!(&answer["error"]["code"], code, "{name}");
        }
    }
    for url in [
        "/api/messages/send".to_owned(),
        format!("/api/messages/{id}"),
    ] {
        let request = if url.ends_with("send") {
            world.http.post(format!("{}{url}", world.url)).json(&body)
        } else {
            world.http.get(format!("{}{url}", world.url))
        };
        let missing = request.send().await.unwrap();
        assert_eq!(missing.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(missing.headers()["www-authenticate"], "Bearer");
        let missing: serde_json::Value = missing.json().await.unwrap();
        assert_eq!(missing["error"]["code"], "TOKEN_MISSING");
    }
    assert_eq!(world.db.query("SELECT count(*) FROM messages"), ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_is_out_at_once() {
    let world = World::start().await;
    let session = SessionId::generate();
    let token = world.sisters.token_for("acme", session);
    world.send(&token, "+1234567890").await;
    world.revocations().revoke_session(session).await.unwrap();
    let (status, answer) = world
        .post(&token, &json!({"to": "+1234567890", "text": "x"}))
        .await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer["error"]["code"], "TOKEN_REVOKED");
}
