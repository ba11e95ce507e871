//! Genesys' tokens after the sign-in, and asking Genesys again whether somebody may go on.

use std::time::Duration;

use portal_sandbox::{Kind, Outage, UserChange, seed};
use reqwest::{Method, StatusCode};

use crate::world::World;

const NO_CHANGE: UserChange = UserChange {
    email: None,
    name: None,
    state: None,
    roles: None,
};

/// The next refresh asks Genesys.
fn make_due(world: &World) {
    world
        .db
        .execute("UPDATE genesys_user_sessions SET genesys_checked_at = now() - interval '16 min'");
}

/// The next need renews Genesys' token.
fn make_old(world: &World) {
    world.db.execute(
        "UPDATE genesys_user_sessions SET genesys_token_expires_at = now() + interval '59 s'",
    );
}

fn calls(world: &World, path: &str) -> usize {
    let calls = world.sandbox.journal().of_kind(Kind::Genesys);
    calls
        .iter()
        .filter(|call| call.path.ends_with(path))
        .count()
}

fn session(world: &World) -> String {
    world.value(
        "SELECT concat_ws('|', revoke_reason, revoked_at IS NOT NULL) FROM genesys_user_sessions",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn genesys_is_asked_again_after_a_while_and_only_then() {
    let world = World::start().await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    let (status, body) = world.refresh(&person.refresh).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(calls(&world, "/users/me"), 1, "the sign-in asked");

    make_due(&world);
    world.sandbox.change_user(
        seed::ACME_AGENT,
        UserChange {
            name: Some("Alicia".to_owned()),
            roles: Some(vec!["Supervisor".to_owned()]),
            ..NO_CHANGE
        },
    );
    let (status, body) = world.refresh(body["refreshToken"].as_str().unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(calls(&world, "/users/me"), 2);
    let access = body["accessToken"].as_str().unwrap();
    let profile = "/api/agents/profile";
    let (status, seen) = world.call(Method::GET, profile, access).await;
    assert_eq!(status, StatusCode::OK, "{seen}");
    assert_eq!(
        (&seen["role"], &seen["name"]),
        (&"supervisor".into(), &"Alicia".into())
    );
    // What names the old role is over.
    let (status, seen) = world.call(Method::GET, profile, &person.access).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{seen}");
    for event in ["user.updated", "user.role_changed"] {
        let sql = format!("SELECT count(*) FROM outbox_events WHERE routing_key = '{event}'");
        assert_eq!(world.value(&sql), "1", "{event}");
    }

    // Rights are taken away, too.
    make_due(&world);
    world.sandbox.change_user(
        seed::ACME_AGENT,
        UserChange {
            roles: Some(vec!["User".to_owned()]),
            ..NO_CHANGE
        },
    );
    let (status, body) = world.refresh(body["refreshToken"].as_str().unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(world.value("SELECT role FROM genesys_users"), "agent");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_may_not_go_on_is_out_in_all_sessions() {
    let world = World::start().await;
    world.directory.change_rules("acme_corp", |rules| {
        rules.unmapped_role = "none".to_owned();
    });
    for (change, code) in [
        (
            UserChange {
                roles: Some(vec!["employee".to_owned()]),
                ..NO_CHANGE
            },
            "ROLE_NOT_ALLOWED",
        ),
        (
            UserChange {
                state: Some("inactive".to_owned()),
                ..NO_CHANGE
            },
            "GENESYS_USER_INACTIVE",
        ),
    ] {
        world.db.execute("DELETE FROM genesys_user_sessions");
        world.sandbox.change_user(
            seed::ACME_AGENT,
            UserChange {
                state: Some("active".to_owned()),
                roles: Some(vec!["User".to_owned()]),
                ..NO_CHANGE
            },
        );
        let person = world.sign_in(seed::ACME_AGENT).await;
        let other = world.sign_in(seed::ACME_AGENT).await;
        world.sandbox.change_user(seed::ACME_AGENT, change);
        make_due(&world);
        let (status, body) = world.refresh(&person.refresh).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{body}");
        assert_eq!(body["error"]["code"], code);
        assert_eq!(
            world.value(
                "SELECT count(*) FROM genesys_user_sessions WHERE revoke_reason = 'genesys_refused'"
            ),
            "2"
        );
        for access in [&person.access, &other.access] {
            let (status, _) = world.call(Method::GET, "/api/agents/profile", access).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{code}");
        }
    }
    assert_eq!(
        world.value("SELECT string_agg(DISTINCT details->>'refusal', ' ') FROM audit_log WHERE action = 'session.end'"),
        "no_role person_inactive"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn while_genesys_is_away_people_go_on_and_it_is_asked_again_soon() {
    let world = World::start().await;
    let mut token = world.sign_in(seed::ACME_AGENT).await.refresh;
    for outage in [Outage::Unavailable, Outage::Drop] {
        make_due(&world);
        world.sandbox.set_genesys_outage(outage);
        let (status, body) = world.refresh(&token).await;
        world.sandbox.set_genesys_outage(Outage::None);
        assert_eq!(status, StatusCode::OK, "{body}");
        token = body["refreshToken"].as_str().unwrap().to_owned();
        assert_eq!(
            world.value(
                "SELECT genesys_checked_at < now() - interval '13 min' FROM genesys_user_sessions"
            ),
            "true"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_genesys_took_back_ends_the_session() {
    let world = World::start().await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    world.sandbox.revoke_genesys_tokens(seed::ACME_AGENT);
    make_due(&world);
    let (status, body) = world.refresh(&person.refresh).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
    assert_eq!(body["error"]["code"], "SESSION_REVOKED");
    assert_eq!(session(&world), "genesys_signed_out|t");
    assert_eq!(
        world.value("SELECT concat_ws('|', actor_kind, actor_id, details->>'reason') FROM audit_log WHERE action = 'session.end'"),
        "service|genesys-cloud|genesys_signed_out"
    );
    assert_eq!(
        calls(&world, "/oauth/token"),
        2,
        "the code, and one renewal"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_genesys_refuses_is_renewed_once() {
    let world = World::start().await;
    world
        .sandbox
        .change_genesys(|genesys| genesys.token_lifetime = Some(Duration::from_secs(1)));
    let person = world.sign_in(seed::ACME_AGENT).await;
    world
        .sandbox
        .change_genesys(|genesys| genesys.token_lifetime = None);
    // Genesys lets tokens idle out: we think that it is good.
    world.db.execute(
        "UPDATE genesys_user_sessions SET genesys_token_expires_at = now() + interval '1 hour'",
    );
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    make_due(&world);
    let (status, body) = world.refresh(&person.refresh).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(calls(&world, "/oauth/token"), 2);
    assert_eq!(session(&world), "f");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sessions_needs_at_once_send_the_refresh_token_once() {
    let world = World::start().await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    let before = world
        .value("SELECT encode(sha256(genesys_refresh_token), 'hex') FROM genesys_user_sessions");
    make_due(&world);
    make_old(&world);
    // Two replicas, and one of them without Redis.
    let (other, _) = {
        let mut second = world.environment().clone();
        second.insert(
            "AGENT_PORTAL__REDIS__URL".to_owned(),
            "redis://127.0.0.1:1/".to_owned(),
        );
        world.run_service_with(&second).await
    };
    let refresh = |api: String| {
        let request = world
            .http
            .post(format!("{api}/api/agents/auth/refresh"))
            .json(&serde_json::json!({"refreshToken": person.refresh}));
        crate::world::answer(request)
    };
    let answers = futures_util::future::join_all((0..20).map(|n| {
        refresh(if n % 2 == 0 {
            world.api.clone()
        } else {
            other.clone()
        })
    }))
    .await;
    assert!(answers.iter().all(|(status, _)| *status == StatusCode::OK));
    assert_eq!(
        calls(&world, "/oauth/token"),
        2,
        "the code, and one renewal"
    );
    let after = world
        .value("SELECT encode(sha256(genesys_refresh_token), 'hex') FROM genesys_user_sessions");
    assert_ne!(before, after, "the new refresh token is kept");
    assert_eq!(
        world.value("SELECT genesys_refresh_began_at IS NULL FROM genesys_user_sessions"),
        "true"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_lost_answer_the_refresh_token_is_not_sent_again() {
    let world = World::start_with(&[("GENESYS__TIMEOUT_MS", "500")]).await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    make_due(&world);
    make_old(&world);
    world.sandbox.set_genesys_outage(Outage::Drop);
    let (status, body) = world.refresh(&person.refresh).await;
    assert_eq!(status, StatusCode::OK, "nobody can tell yet: {body}");
    world.sandbox.set_genesys_outage(Outage::None);
    let sent = calls(&world, "/oauth/token");

    // Long after the answer could have come.
    make_due(&world);
    world.db.execute(
        "UPDATE genesys_user_sessions SET genesys_refresh_began_at = now() - interval '1 min'",
    );
    let (status, body) = world.refresh(body["refreshToken"].as_str().unwrap()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
    assert_eq!(session(&world), "genesys_signed_out|t");
    assert_eq!(calls(&world, "/oauth/token"), sent, "it was not sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_surely_did_nothing_costs_nothing() {
    let world = World::start().await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    make_due(&world);
    make_old(&world);
    world.sandbox.set_genesys_outage(Outage::Unavailable);
    let (status, body) = world.refresh(&person.refresh).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    world.sandbox.set_genesys_outage(Outage::None);
    make_due(&world);
    let (status, body) = world.refresh(body["refreshToken"].as_str().unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(
        world.value(
            "SELECT genesys_token_expires_at > now() + interval '1 hour' FROM genesys_user_sessions"
        ),
        "true"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_clients_session_goes_on_when_its_token_has_run_out() {
    let world = World::start_with(&[
        ("GENESYS__CLIENT_ID", seed::PKCE_CLIENT_ID),
        ("GENESYS__CLIENT_SECRET", ""),
    ])
    .await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    make_due(&world);
    world
        .db
        .execute("UPDATE genesys_user_sessions SET genesys_token_expires_at = now()");
    let (status, body) = world.refresh(&person.refresh).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(calls(&world, "/users/me"), 1, "only the sign-in asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_again_can_be_switched_off() {
    let world = World::start_with(&[("GENESYS__RECHECK_MINUTES", "0")]).await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    world.sandbox.revoke_genesys_tokens(seed::ACME_AGENT);
    make_due(&world);
    assert_eq!(world.refresh(&person.refresh).await.0, StatusCode::OK);
}
