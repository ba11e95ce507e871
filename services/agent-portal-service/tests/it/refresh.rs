//! Refresh tokens: each works once, a lost answer costs nothing, a copy costs the session.

use std::collections::HashSet;

use portal_sandbox::seed;
use portal_tenant_client::TenantStatus;
use portal_test_harness::CaughtEvent;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{World, answer};

fn text(body: &serde_json::Value, name: &str) -> String {
    body[name]
        .as_str()
        .unwrap_or_else(|| panic!("{body}"))
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_gives_new_tokens_of_the_same_session() {
    let world = World::start().await;
    let events = world.listen("session.*").await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    assert_eq!(events.next().await.routing_key, "session.started");
    let (status, body) = world.refresh(&person.refresh).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["expiresIn"], 300);
    assert_eq!(body.as_object().unwrap().len(), 3);
    assert_ne!(text(&body, "refreshToken"), person.refresh);
    let access = text(&body, "accessToken");
    assert_ne!(access, person.access);
    let (status, profile) = world
        .call(Method::GET, "/api/agents/profile", &access)
        .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(profile["user_id"], person.agent["user_id"]);
    let CaughtEvent {
        routing_key: kind,
        envelope: event,
        ..
    } = events.next().await;
    assert_eq!(kind, "session.refreshed");
    assert_eq!(event["data"]["user_id"], person.agent["user_id"]);
    // And so on.
    let (status, _) = world.refresh(&text(&body, "refreshToken")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        world.value("SELECT generation FROM genesys_user_sessions"),
        "2"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_whose_answer_was_lost_may_be_repeated() {
    let world = World::start().await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    let (_, lost) = world.refresh(&person.refresh).await;
    let (status, repeated) = world.refresh(&person.refresh).await;
    assert_eq!(status, StatusCode::OK, "{repeated}");
    assert_eq!(
        repeated["refreshToken"], lost["refreshToken"],
        "the very same successor"
    );
    assert_eq!(
        world.value("SELECT generation FROM genesys_user_sessions"),
        "1"
    );
    assert_eq!(
        world.value("SELECT count(*) FROM outbox_events WHERE routing_key = 'session.refreshed'"),
        "1"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_refreshes_at_once_leave_one_family_with_one_successor() {
    let world = World::start().await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    let answers =
        futures_util::future::join_all((0..50).map(|_| world.refresh(&person.refresh))).await;
    let successors: HashSet<String> = answers
        .iter()
        .map(|(status, body)| {
            assert_eq!(*status, StatusCode::OK, "{body}");
            text(body, "refreshToken")
        })
        .collect();
    assert_eq!(successors.len(), 1);
    assert_eq!(
        world.value(
            "SELECT concat_ws('|', generation, revoked_at IS NULL) FROM genesys_user_sessions"
        ),
        "1|t"
    );
    let successor = successors.into_iter().next().unwrap();
    assert_eq!(world.refresh(&successor).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_used_before_ends_the_session() {
    let world = World::start().await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    let (_, first) = world.refresh(&person.refresh).await;
    let (_, second) = world.refresh(&text(&first, "refreshToken")).await;
    let events = world.listen("session.revoked").await;
    // Two generations old: within the 10 seconds, too, this is no lost answer.
    let (status, body) = world.refresh(&person.refresh).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(body["error"]["code"], "REFRESH_TOKEN_REUSED");
    let event = events.next().await.envelope;
    assert_eq!(event["data"]["reason"], "token_reused");
    assert_eq!(
        world.value("SELECT concat_ws('|', revoke_reason, genesys_access_token IS NULL, genesys_refresh_token IS NULL) FROM genesys_user_sessions"),
        "token_reused|t|t"
    );
    assert_eq!(
        world.value("SELECT concat_ws('|', actor_kind, action, outcome, details->>'reason') FROM audit_log WHERE action = 'session.refresh'"),
        "anonymous|session.refresh|refused|token_reused"
    );
    // The newest tokens, whoever has them, are worth nothing any more, at once.
    let (status, body) = world.refresh(&text(&second, "refreshToken")).await;
    assert_eq!(
        (status, text(&body["error"], "code").as_str()),
        (StatusCode::UNAUTHORIZED, "SESSION_REVOKED")
    );
    let (status, body) = world
        .call(
            Method::GET,
            "/api/agents/profile",
            &text(&second, "accessToken"),
        )
        .await;
    assert_eq!(
        (status, text(&body["error"], "code").as_str()),
        (StatusCode::UNAUTHORIZED, "TOKEN_REVOKED")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_that_comes_too_late_ends_the_session() {
    let world = World::start().await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    world.refresh(&person.refresh).await;
    world
        .db
        .execute("UPDATE genesys_user_sessions SET rotated_at = rotated_at - interval '11 s'");
    let (status, body) = world.refresh(&person.refresh).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(body["error"]["code"], "REFRESH_TOKEN_REUSED");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_when_idle_and_in_any_case() {
    let world = World::start().await;
    for column in ["idle_expires_at", "expires_at"] {
        let person = world.sign_in(seed::ACME_AGENT).await;
        world.db.execute(&format!(
            "UPDATE genesys_user_sessions SET {column} = now() - interval '1 s' WHERE revoked_at IS NULL"
        ));
        let (status, body) = world.refresh(&person.refresh).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{column}: {body}");
        let code = text(&body["error"], "code");
        // The sweeper may have been there first.
        assert!(
            ["SESSION_EXPIRED", "SESSION_REVOKED"].contains(&code.as_str()),
            "{code}"
        );
    }
    let person = world.sign_in(seed::ACME_AGENT).await;
    let limits = "SELECT concat_ws('|', round(extract(epoch FROM idle_expires_at - rotated_at) / 60), \
                  round(extract(epoch FROM expires_at - created_at) / 3600)) FROM genesys_user_sessions \
                  ORDER BY created_at DESC LIMIT 1";
    assert_eq!(world.value(limits), "60|12");
    // Use puts the idle end off, but never beyond the absolute one.
    world.db.execute(
        "UPDATE genesys_user_sessions SET expires_at = now() + interval '10 min' WHERE revoked_at IS NULL",
    );
    assert_eq!(world.refresh(&person.refresh).await.0, StatusCode::OK);
    assert_eq!(
        world.value("SELECT idle_expires_at = expires_at FROM genesys_user_sessions ORDER BY created_at DESC LIMIT 1"),
        "true"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_not_ours_are_refused_and_end_nothing() {
    let world = World::start().await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    let parts: Vec<&str> = person.refresh.split('.').collect();
    let (tenant, session, tail) = (parts[0], parts[1], parts[2]);
    let flipped: String = tail.chars().rev().collect();
    let globex = world.sign_in(seed::GLOBEX_AGENT).await;
    let theirs: Vec<&str> = globex.refresh.split('.').collect();
    for bad in [
        String::new(),
        "rt_".to_owned(),
        person.access.clone(),
        // Whoever knows a session's id must not be able to end it.
        format!("{tenant}.{session}.{flipped}"),
        format!("{tenant}.{session}.{}", theirs[2]),
        format!("{}.{session}.{tail}", theirs[0]),
        format!("{tenant}.{}.{tail}", theirs[1]),
        "x".repeat(10_000),
    ] {
        let (status, body) = world.refresh(&bad).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
        assert_eq!(body["error"]["code"], "REFRESH_TOKEN_INVALID");
    }
    assert_eq!(
        world.value("SELECT count(*) FROM genesys_user_sessions WHERE revoked_at IS NULL"),
        "2"
    );
    assert_eq!(world.refresh(&person.refresh).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_as_it_should_be_is_refused() {
    let world = World::start().await;
    let url = format!("{}/api/agents/auth/refresh", world.api);
    for (body, field) in [
        (json!({}), "refreshToken"),
        (json!({"refreshToken": 7}), "refreshToken"),
        (
            json!({"refreshToken": "x", "refresh_token": "y"}),
            "refresh_token",
        ),
    ] {
        let (status, answer) = answer(world.http.post(&url).json(&body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert_eq!(answer["error"]["details"][0]["field"], field);
    }
    let large = json!({"refreshToken": "x".repeat(300_000)});
    let (status, body) = answer(world.http.post(&url).json(&large)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_may_not_go_on_gets_no_new_tokens() {
    let world = World::start().await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    world.directory.change("acme_corp", |tenant| {
        tenant.status = TenantStatus::Suspended;
    });
    let (status, body) = world.refresh(&person.refresh).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{body}");
    assert_eq!(body["error"]["code"], "TENANT_SUSPENDED");
    drop(world);

    let world = World::start().await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    world
        .db
        .execute("UPDATE genesys_users SET is_active = false");
    let (status, body) = world.refresh(&person.refresh).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{body}");
    assert_eq!(body["error"]["code"], "USER_DEACTIVATED");
    assert_eq!(
        world.value("SELECT generation FROM genesys_user_sessions"),
        "0",
        "nothing was used up"
    );
    // A new role is in the next token.
    world
        .db
        .execute("UPDATE genesys_users SET is_active = true, role = 'admin'");
    let (_, body) = world.refresh(&person.refresh).await;
    let (_, profile) = world
        .call(
            Method::GET,
            "/api/agents/profile",
            &text(&body, "accessToken"),
        )
        .await;
    assert_eq!(profile["role"], "admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_go_on_while_tenant_service_is_away() {
    let world = World::start().await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    world.directory.set_away(true);
    assert_eq!(world.refresh(&person.refresh).await.0, StatusCode::OK);
}
