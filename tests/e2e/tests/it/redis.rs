//! Redis stopped, Redis emptied, and Redis with the smallest rights for each service.

use portal_e2e::{browser::client, installation::Installation};
use portal_sandbox::seed;
use portal_test_harness::{PrivateRedis, ServiceRole, eventually};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

async fn signed_in(world: &Installation, email: &str) -> String {
    let (status, outcome) = world.sign_in(email).await;
    assert_eq!(status, StatusCode::OK, "{outcome}");
    outcome["accessToken"].as_str().unwrap().to_owned()
}

async fn log_out(world: &Installation, token: &str) {
    let answer = world
        .http
        .post(format!("{}/api/agents/auth/logout", world.portal_url))
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
}

/// How the portal and the messages answer somebody.
async fn doors(world: &Installation, token: &str) -> [StatusCode; 2] {
    let profile = format!("{}/api/agents/profile", world.portal_url);
    [
        world.get(&profile, token).await.0,
        world.send(token, "+1234567890").await.0,
    ]
}

const OPEN: [StatusCode; 2] = [StatusCode::OK, StatusCode::ACCEPTED];
const SHUT: [StatusCode; 2] = [StatusCode::UNAUTHORIZED; 2];

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_work_goes_on_and_who_was_ended_stays_out() {
    let redis = PrivateRedis::start();
    let world = Installation::start_on(&redis).await;
    let agent = signed_in(&world, seed::ACME_AGENT).await;
    let admin = signed_in(&world, seed::ACME_ADMIN).await;
    let ended_agent = signed_in(&world, seed::ACME_AGENT).await;
    let ended_admin = signed_in(&world, seed::ACME_ADMIN).await;
    for token in [&agent, &admin, &ended_agent, &ended_admin] {
        assert_eq!(doors(&world, token).await, OPEN);
    }
    for token in [&ended_agent, &ended_admin] {
        log_out(&world, token).await;
    }

    redis.stop();
    assert_eq!(doors(&world, &agent).await, OPEN);
    assert_eq!(doors(&world, &admin).await, OPEN);
    assert_eq!(doors(&world, &ended_agent).await, SHUT);
    assert_eq!(doors(&world, &ended_admin).await, SHUT);
    // Who is ended now is out by the rows, a moment later at most.
    let message = world.send(&agent, "+1234567890").await.1;
    assert_eq!(message["status"], "accepted");
    // The list cannot be written, and the answer may say so; the rows are.
    let logout = format!("{}/api/agents/auth/logout", world.portal_url);
    let answer = world.http.post(logout).bearer_auth(&admin).send().await;
    assert!(answer.unwrap().status() != StatusCode::UNAUTHORIZED);
    eventually("the rows to speak", async || {
        (doors(&world, &admin).await == SHUT).then_some(())
    })
    .await;
    // A sign-in says what is the matter.
    let login = format!("{}/api/agents/auth/login", world.portal_url);
    let answer = client().get(login).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"]["code"], "SIGN_IN_UNAVAILABLE");

    redis.resume();
    eventually("sign-ins again", async || {
        let begun = client()
            .get(format!("{}/api/agents/auth/login", world.portal_url))
            .send();
        (begun.await.unwrap().status() == StatusCode::FOUND).then_some(())
    })
    .await;
    assert_eq!(doors(&world, &agent).await, OPEN);
    assert_eq!(doors(&world, &ended_agent).await, SHUT);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_revives_nobody_not_for_a_moment() {
    let redis = PrivateRedis::start();
    let world = Installation::start_on(&redis).await;
    let (agent, ended) = (
        signed_in(&world, seed::ACME_AGENT).await,
        signed_in(&world, seed::ACME_AGENT).await,
    );
    let suspended = signed_in(&world, seed::GLOBEX_AGENT).await;
    log_out(&world, &ended).await;
    let suspend = json!({"status": "suspended"});
    let (status, answer) = world
        .admin(Method::PATCH, "/api/tenants/globex_inc", &suspend)
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    eventually("the suspension", async || {
        (doors(&world, &suspended).await == SHUT).then_some(())
    })
    .await;
    for _ in 0..5 {
        redis.flush();
        assert_eq!(doors(&world, &ended).await, SHUT);
        assert_eq!(doors(&world, &suspended).await, SHUT);
        assert_eq!(doors(&world, &agent).await, OPEN);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_service_has_the_rights_that_it_needs_in_redis_and_no_other() {
    let redis = PrivateRedis::start();
    let world = Installation::start_on(&redis).await;
    let token = signed_in(&world, seed::ACME_AGENT).await;
    assert_eq!(doors(&world, &token).await, OPEN);
    log_out(&world, &token).await;
    assert_eq!(doors(&world, &token).await, SHUT);
    for status in ["suspended", "active"] {
        let change = json!({"status": status});
        let (code, answer) = world
            .admin(Method::PATCH, "/api/tenants/globex_inc", &change)
            .await;
        assert_eq!(code, StatusCode::OK, "{answer}");
    }
    // Nothing that a service wanted was refused.
    assert_eq!(redis.operate("ACL LOG"), "*0\r\n");

    let all = [
        ServiceRole::Tenant,
        ServiceRole::AgentPortal,
        ServiceRole::Outbound,
    ];
    for role in all {
        assert_eq!(redis.ask_as(role, "PING"), "+PONG\r\n");
        for command in [
            "FLUSHALL",
            "FLUSHDB",
            "KEYS *",
            "SCAN 0",
            "CONFIG GET *",
            "ACL LIST",
            "MONITOR",
            "DEL g:revoked:sid:x",
            "GET something",
            "SHUTDOWN NOSAVE",
        ] {
            let answer = redis.ask_as(role, command);
            assert!(
                answer.starts_with("-NOPERM"),
                "{role:?} {command}: {answer}"
            );
        }
    }
    for (role, command) in [
        (ServiceRole::Tenant, "GET g:login:x"),
        (ServiceRole::Tenant, "SET g:revocations-whole 1"),
        (ServiceRole::AgentPortal, "GET g:login-account:x"),
        (ServiceRole::Outbound, "GET g:handoff:x"),
        (ServiceRole::Outbound, "SET g:revoked:sid:x 1"),
    ] {
        let answer = redis.ask_as(role, command);
        assert!(
            answer.starts_with("-NOPERM"),
            "{role:?} {command}: {answer}"
        );
    }
}
