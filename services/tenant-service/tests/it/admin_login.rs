//! Signing in as a platform administrator.

use reqwest::Response;
use serde_json::{Value, json};

use crate::world::{
    ADMIN_EMAIL, ADMIN_ID, PASSWORD, World, bad_fields, ok, refused, with_settings, with_world,
};

/// The same password with OWASP's floor: 19 MiB, two passes.
const WEAK_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$H7VyQ51Y5RoqEmgRqmsvxg$\
                         qfuf7P18n123id0A2EZMwP8xmB1Er7sizC7blRWqpIs";

async fn login(world: &World, email: &str, password: &str) -> Response {
    let body = json!({"email": email, "password": password});
    world
        .post("/api/admin/auth/login")
        .json(&body)
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn an_administrator_signs_in() {
    with_world(async |world| {
        let body = ok(login(world, ADMIN_EMAIL, PASSWORD).await, 200).await;
        assert_eq!(body["expiresIn"], 900);
        assert_eq!(
            (&body["totpEnrolled"], &body["totpRequired"]),
            (&json!(false), &json!(false))
        );
        let whom = json!({"admin_id": ADMIN_ID, "email": "admin@example.com", "name": "Ada"});
        assert_eq!(body["admin"], whom);
        let token = body["accessToken"].as_str().unwrap();
        let list = world
            .get("/api/tenants")
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        ok(list, 200).await;
        let since = "SELECT last_login_at IS NOT NULL FROM platform_admins";
        assert_eq!(world.db.query(since), ["true"]);
        let entries = "SELECT concat_ws(' ', action, outcome, actor_kind, actor_id) FROM audit_log";
        assert_eq!(
            world.db.query(entries),
            [format!("admin.login succeeded platform_admin {ADMIN_ID}")]
        );
    })
    .await;
}

#[tokio::test]
async fn every_refusal_is_the_same_and_is_in_the_audit_log() {
    with_world(async |world| {
        world.db.execute(
            "INSERT INTO platform_admins (admin_id, email, name, password_hash, is_active)
             SELECT gen_random_uuid(), 'locked@example.com', 'Lo', password_hash, false
             FROM platform_admins",
        );
        let mut answers: Vec<Value> = Vec::new();
        for (email, password) in [
            (ADMIN_EMAIL, "correct horse battery stapl"),
            ("nobody@example.com", PASSWORD),
            ("locked@example.com", PASSWORD),
            ("' OR 1=1 --@x", PASSWORD),
        ] {
            let error = refused(
                login(world, email, password).await,
                401,
                "INVALID_CREDENTIALS",
            );
            answers.push(error.await);
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:?}");
        let refusals =
            "SELECT concat_ws(' ', actor_kind, outcome) FROM audit_log ORDER BY audit_id";
        assert_eq!(
            world.db.query(refusals),
            [
                "platform_admin refused",
                "anonymous refused",
                "platform_admin refused",
                "anonymous refused"
            ]
        );
        let leaks = "SELECT count(*) FROM audit_log a WHERE a::text LIKE '%example.com%'";
        assert_eq!(world.db.query(leaks), ["0"]);
    })
    .await;
}

#[tokio::test]
async fn a_weak_hash_is_replaced_when_its_owner_signs_in() {
    with_world(async |world| {
        world.db.execute(&format!(
            "UPDATE platform_admins SET password_hash = '{WEAK_HASH}'"
        ));
        let hash = "SELECT password_hash FROM platform_admins";
        refused(
            login(world, ADMIN_EMAIL, "wrong").await,
            401,
            "INVALID_CREDENTIALS",
        )
        .await;
        assert_eq!(world.db.query(hash), [WEAK_HASH]);
        ok(login(world, ADMIN_EMAIL, PASSWORD).await, 200).await;
        let stronger = world.db.query(hash).remove(0);
        assert!(
            stronger.starts_with("$argon2id$v=19$m=47104,t=1,p=1$"),
            "{stronger}"
        );
        ok(login(world, ADMIN_EMAIL, PASSWORD).await, 200).await;
    })
    .await;
}

#[tokio::test]
async fn attempts_are_limited_per_account() {
    let settings = [
        ("LIMITS__LOGIN_ACCOUNT_BURST", "2"),
        ("LIMITS__LOGINS_PER_ACCOUNT_AND_HOUR", "1"),
    ];
    with_settings(&settings, async |world| {
        for email in ["ADMIN@example.com", "admin@EXAMPLE.com"] {
            refused(
                login(world, email, "wrong").await,
                401,
                "INVALID_CREDENTIALS",
            )
            .await;
        }
        // Also with the right password: otherwise the limit would tell which one is right.
        let limited = login(world, ADMIN_EMAIL, PASSWORD).await;
        assert!(limited.headers().contains_key("retry-after"));
        refused(limited, 429, "RATE_LIMITED").await;
        let other = login(world, "other@example.com", "wrong").await;
        refused(other, 401, "INVALID_CREDENTIALS").await;
    })
    .await;
}

/// No limits but the account's own lock, which comes after three failures.
const LOCKS: [(&str, &str); 3] = [
    ("LIMITS__LOGIN_ACCOUNT_BURST", "1000"),
    ("LIMITS__LOGIN_ADDRESS_BURST", "1000"),
    ("ADMIN__LOCK_AFTER_FAILURES", "3"),
];

#[tokio::test]
async fn failures_in_a_row_lock_the_account_for_longer_each_time() {
    with_settings(&LOCKS, async |world| {
        let minutes = "SELECT round(extract(epoch FROM locked_until - now()) / 60)::int \
                       FROM platform_admins";
        let mut answers = Vec::new();
        for expected in ["", "", "15"] {
            let answer = login(world, ADMIN_EMAIL, "wrong").await;
            answers.push(refused(answer, 401, "INVALID_CREDENTIALS").await);
            assert_eq!(world.db.query(minutes), [expected]);
        }
        // Locked: the right password does not open it, and what is tried meanwhile counts nothing.
        for password in [PASSWORD, "wrong", PASSWORD] {
            let answer = login(world, ADMIN_EMAIL, password).await;
            answers.push(refused(answer, 401, "INVALID_CREDENTIALS").await);
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:?}");
        let failures = "SELECT failed_logins FROM platform_admins";
        assert_eq!(world.db.query(failures), ["3"]);
        let reasons = "SELECT details->>'reason' FROM audit_log ORDER BY seq";
        assert_eq!(
            world.db.query(reasons),
            [
                "password", "password", "password", "locked", "locked", "locked"
            ]
        );
        let told = "SELECT count(*) FROM audit_log WHERE details ? 'locked_until'";
        assert_eq!(world.db.query(told), ["1"]);

        let over = "UPDATE platform_admins SET locked_until = now() - interval '1 second'";
        world.db.execute(over);
        for expected in ["0", "0", "30"] {
            refused(
                login(world, ADMIN_EMAIL, "wrong").await,
                401,
                "INVALID_CREDENTIALS",
            )
            .await;
            if expected == "30" {
                assert_eq!(world.db.query(minutes), [expected]);
            }
        }
        world.db.execute(over);
        ok(login(world, ADMIN_EMAIL, PASSWORD).await, 200).await;
        assert_eq!(world.db.query(failures), ["0"]);
    })
    .await;
}

#[tokio::test]
async fn without_redis_the_lock_holds_on_every_replica() {
    let nowhere = ("REDIS__URL", "redis://127.0.0.1:9/");
    let settings = [&LOCKS[..], &[nowhere]].concat();
    with_settings(&settings, async |world| {
        for _ in 0..3 {
            refused(
                login(world, ADMIN_EMAIL, "wrong").await,
                401,
                "INVALID_CREDENTIALS",
            )
            .await;
        }
        world.start_replica(&settings).await;
        refused(
            login(world, ADMIN_EMAIL, PASSWORD).await,
            401,
            "INVALID_CREDENTIALS",
        )
        .await;
        world
            .db
            .execute("UPDATE platform_admins SET locked_until = now()");
        ok(login(world, ADMIN_EMAIL, PASSWORD).await, 200).await;
    })
    .await;
}

#[tokio::test]
async fn fifty_wrong_passwords_at_once_count_every_one() {
    with_settings(&LOCKS, async |world| {
        world
            .db
            .execute("UPDATE platform_admins SET failed_logins = -100");
        let attempts = (0..50).map(|_| login(world, ADMIN_EMAIL, "wrong"));
        for answer in futures_util::future::join_all(attempts).await {
            refused(answer, 401, "INVALID_CREDENTIALS").await;
        }
        assert_eq!(
            world.db.query("SELECT failed_logins FROM platform_admins"),
            ["-50"]
        );
    })
    .await;
}

#[tokio::test]
async fn a_limited_account_is_in_the_audit_log_once_a_minute() {
    let settings = [("LIMITS__LOGIN_ACCOUNT_BURST", "1")];
    with_settings(&settings, async |world| {
        for email in [ADMIN_EMAIL, "nobody@example.com"] {
            refused(
                login(world, email, "wrong").await,
                401,
                "INVALID_CREDENTIALS",
            )
            .await;
            for _ in 0..3 {
                refused(login(world, email, PASSWORD).await, 429, "RATE_LIMITED").await;
            }
        }
        let lines = "SELECT concat_ws(' ', actor_kind, actor_id) FROM audit_log \
                     WHERE details->>'reason' = 'rate_limited' ORDER BY seq";
        assert_eq!(
            world.db.query(lines),
            [format!("platform_admin {ADMIN_ID}"), "anonymous".to_owned()]
        );
    })
    .await;
}

#[tokio::test]
async fn attempts_are_limited_per_address() {
    let settings = [
        ("LIMITS__LOGIN_ADDRESS_BURST", "2"),
        ("LIMITS__LOGINS_PER_ADDRESS_AND_HOUR", "1"),
        ("HTTP__TRUSTED_PROXIES", "127.0.0.0/8"),
    ];
    with_settings(&settings, async |world| {
        let attempt = async |client: &str, number: u8| {
            let body = json!({"email": format!("a{number}@example.com"), "password": "x"});
            let request = world
                .post("/api/admin/auth/login")
                .header("x-forwarded-for", client);
            request.json(&body).send().await.unwrap()
        };
        for number in 0..2 {
            let response = attempt("203.0.113.7", number).await;
            refused(response, 401, "INVALID_CREDENTIALS").await;
        }
        refused(attempt("203.0.113.7", 3).await, 429, "RATE_LIMITED").await;
        refused(attempt("203.0.113.8", 4).await, 401, "INVALID_CREDENTIALS").await;
    })
    .await;
}

#[tokio::test]
async fn bad_input_is_named_without_its_values() {
    with_world(async |world| {
        let fields = bad_fields(login(world, "nobody", "").await).await;
        assert_eq!(fields, ["email", "password"]);
        let long = login(world, ADMIN_EMAIL, &"x".repeat(2_000)).await;
        assert_eq!(bad_fields(long).await, ["password"]);
        let body = json!({"email": 7, "password": {"secret": "canary"}, "otp": "1"});
        let response = world
            .post("/api/admin/auth/login")
            .json(&body)
            .send()
            .await
            .unwrap();
        let error = refused(response, 400, "VALIDATION_FAILED").await;
        assert!(!error.to_string().contains("canary"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_character_that_cannot_be_stored_is_bad_input_at_every_door() {
    with_world(async |world| {
        let fields = bad_fields(login(world, "a\u{0}@example.com", "wrong").await).await;
        assert_eq!(fields, ["email"]);
        let lookup = world
            .get("/api/tenants/by-genesys-org/a%00b")
            .send()
            .await
            .unwrap();
        assert_eq!(bad_fields(lookup).await, ["genesys_org_id"]);
    })
    .await;
}
