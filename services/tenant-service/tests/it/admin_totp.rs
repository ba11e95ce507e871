//! The second factor of platform administrators.

use chrono::{TimeDelta, Utc};
use portal_auth::TotpSecret;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    authz_matrix::{Door, OPERATIONS, ask},
    world::{Admin, PASSWORD, World, bad_fields, ok, refused, with_settings, with_world},
};

/// The code of the present step (0), or of one beside it.
fn code(secret: &TotpSecret, steps: i64) -> String {
    let time = Utc::now() + TimeDelta::seconds(30 * steps);
    secret.code_at(time.timestamp().unsigned_abs()).unwrap()
}

async fn confirm(admin: &Admin<'_>, code: &str) -> reqwest::Response {
    let body = Some(json!({"totp_code": code}));
    let path = "/api/admin/me/totp/confirm";
    admin.send(Method::POST, path, body).await
}

/// Enrols an authenticator app; the code of the step before the present one was taken.
async fn enrol(admin: &Admin<'_>) -> TotpSecret {
    let begun = admin.send(Method::POST, "/api/admin/me/totp", None).await;
    let begun = ok(begun, 200).await;
    let secret = begun["secret"].as_str().unwrap();
    let uri = begun["otpauth_uri"].as_str().unwrap();
    assert!(uri.contains(&format!("secret={secret}")), "{uri}");
    let secret = TotpSecret::from_stored(secret.into());
    ok(confirm(admin, &code(&secret, -1)).await, 204).await;
    secret
}

#[tokio::test]
async fn each_code_works_once_and_every_refusal_is_the_same() {
    let settings = [("LIMITS__LOGIN_ACCOUNT_BURST", "100")];
    with_settings(&settings, async |world| {
        let admin = world.admin().await;
        let secret = enrol(&admin).await;
        let stored = "SELECT count(*) FROM platform_admins a WHERE a::text LIKE '%' || \
                      encode(convert_to('Agent', 'UTF8'), 'hex') || '%'";
        assert_eq!(world.db.query(stored), ["0"]);
        let sealed = world
            .db
            .query("SELECT length(totp_secret) > 60 FROM platform_admins");
        assert_eq!(sealed, ["true"]);

        let now = code(&secret, 0);
        let body = ok(world.sign_in(PASSWORD, Some(&now)).await, 200).await;
        assert_eq!(body["totpEnrolled"], true);
        let mut answers: Vec<Value> = Vec::new();
        let far = code(&secret, 10);
        for (password, code) in [
            (PASSWORD, None),
            (PASSWORD, Some(now.as_str())),
            (PASSWORD, Some(&code(&secret, -1))),
            (PASSWORD, Some(&far)),
            ("wrong", Some(&code(&secret, 1))),
        ] {
            let answer = world.sign_in(password, code).await;
            answers.push(refused(answer, 401, "INVALID_CREDENTIALS").await);
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:?}");
        let reasons = "SELECT details->>'reason' FROM audit_log \
                       WHERE outcome = 'refused' ORDER BY seq";
        assert_eq!(
            world.db.query(reasons),
            ["code", "code", "code", "code", "password"]
        );
        // Nothing was used up by the wrong password.
        let next = code(&secret, 1);
        ok(world.sign_in(PASSWORD, Some(&next)).await, 200).await;
        let bad = world.sign_in(PASSWORD, Some("12345x")).await;
        assert_eq!(bad_fields(bad).await, ["totp_code"]);
    })
    .await;
}

#[tokio::test]
async fn one_code_opens_one_session_however_many_ask_at_once() {
    let settings = [("LIMITS__LOGIN_ACCOUNT_BURST", "100")];
    with_settings(&settings, async |world| {
        let admin = world.admin().await;
        let secret = enrol(&admin).await;
        let now = code(&secret, 0);
        let attempts = (0..8).map(|_| world.sign_in(PASSWORD, Some(&now)));
        let answers = futures_util::future::join_all(attempts).await;
        let let_in = answers.iter().filter(|answer| answer.status() == 200);
        assert_eq!(let_in.count(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_second_factor_is_confirmed_changed_and_taken_away() {
    with_world(async |world| {
        let admin = world.admin().await;
        refused(confirm(&admin, "123456").await, 409, "TOTP_NOT_ENROLLED").await;
        let begin = async || admin.send(Method::POST, "/api/admin/me/totp", None).await;
        let first = ok(begin().await, 200).await;
        let second = ok(begin().await, 200).await;
        assert_ne!(first["secret"], second["secret"]);
        let old = TotpSecret::from_stored(first["secret"].as_str().unwrap().into());
        refused(
            confirm(&admin, &code(&old, 0)).await,
            400,
            "TOTP_CODE_WRONG",
        )
        .await;
        // Not confirmed: signing in asks for no code yet.
        let there = ok(world.sign_in(PASSWORD, None).await, 200).await;
        assert_eq!(there["totpEnrolled"], false);

        let secret = enrol(&admin).await;
        let me = ok(admin.get("/api/admin/me").await, 200).await;
        assert_eq!(me["totp_enrolled"], true);
        refused(begin().await, 409, "TOTP_ALREADY_ENROLLED").await;
        let used = confirm(&admin, &code(&secret, 0)).await;
        refused(used, 409, "TOTP_ALREADY_ENROLLED").await;

        let remove = async |password: &str, code: &str| {
            let body = json!({"password": password, "totp_code": code});
            let path = "/api/admin/me/totp";
            admin.send(Method::DELETE, path, Some(body)).await
        };
        let wrong = remove("wrong", &code(&secret, 0)).await;
        refused(wrong, 401, "INVALID_CREDENTIALS").await;
        let wrong = remove(PASSWORD, &code(&old, 0)).await;
        refused(wrong, 401, "INVALID_CREDENTIALS").await;
        ok(remove(PASSWORD, &code(&secret, 0)).await, 204).await;
        ok(world.sign_in(PASSWORD, None).await, 200).await;
        let there = Admin {
            world,
            token: there["accessToken"].as_str().unwrap().to_owned(),
        };
        refused(there.get("/api/admin/me").await, 401, "TOKEN_REVOKED").await;
        refused(remove(PASSWORD, "123456").await, 409, "TOTP_NOT_ENROLLED").await;
    })
    .await;
}

/// Doors that lead to a second factor, and the ways out.
const OPEN_BEFORE: [(&str, &str); 5] = [
    ("get", "/api/admin/me"),
    ("post", "/api/admin/me/totp"),
    ("post", "/api/admin/me/totp/confirm"),
    ("post", "/api/admin/auth/logout"),
    ("post", "/api/admin/auth/logout-all"),
];

async fn tokens(world: &World) -> (String, Value) {
    let body = ok(world.sign_in(PASSWORD, None).await, 200).await;
    (body["accessToken"].as_str().unwrap().to_owned(), body)
}

#[tokio::test]
async fn where_it_is_required_no_other_door_opens_before_it_is_enrolled() {
    let settings = [("ADMIN__REQUIRE_TOTP", "true")];
    with_settings(&settings, async |world| {
        let (token, body) = tokens(world).await;
        assert_eq!(
            (&body["totpEnrolled"], &body["totpRequired"]),
            (&json!(false), &json!(true))
        );
        for (method, path, door) in OPERATIONS {
            let is_open = OPEN_BEFORE.contains(&(method, path));
            if is_open || matches!(door, Door::Login) {
                continue;
            }
            let found = ask(world, method, path, Some(&token)).await;
            let expected = (403, "TOTP_ENROLMENT_REQUIRED".to_owned());
            assert_eq!(found, expected, "{method} {path}");
        }
        let admin = Admin { world, token };
        let refreshed = world
            .post("/api/admin/auth/refresh")
            .json(&json!({"refreshToken": body["refreshToken"]}));
        ok(refreshed.send().await.unwrap(), 200).await;
        ok(admin.get("/api/admin/me").await, 200).await;
        enrol(&admin).await;
        // The same token, from the moment on.
        ok(admin.get("/api/tenants").await, 200).await;
        let out = admin
            .send(Method::POST, "/api/admin/auth/logout", None)
            .await;
        ok(out, 200).await;
    })
    .await;
}
