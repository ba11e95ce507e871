//! Ending sessions: at once, everywhere, whatever happens to Redis.

use portal_auth::{RevocationSubject, Revocations, Standing};
use portal_cache::{Cache, Key};
use portal_sandbox::{Kind, seed};
use portal_test_harness::{eventually, redis_url};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::world::{Person, World};

const SESSIONS: &str = "/api/agents/auth/sessions";
const PROFILE: &str = "/api/agents/profile";

fn list(world: &World) -> (Cache, Revocations) {
    let prefix = &world.isolation.redis_key_prefix;
    let cache = Cache::connect(&redis_url().into(), prefix).unwrap();
    let list = Revocations::new(cache.clone(), std::time::Duration::from_mins(5));
    (cache, list)
}

fn session_of(person: &Person) -> String {
    person.refresh.split('.').nth(1).unwrap().to_owned()
}

async fn is_out(world: &World, person: &Person) -> bool {
    let (status, body) = world.call(Method::GET, PROFILE, &person.access).await;
    assert!(
        status == StatusCode::OK || body["error"]["code"] == "TOKEN_REVOKED",
        "{status} {body}"
    );
    status == StatusCode::UNAUTHORIZED
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_works_at_once_on_every_replica() {
    let world = World::start().await;
    let (second, _) = world.run_service().await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    let other = world.sign_in(seed::ACME_AGENT).await;
    let events = world.listen("session.revoked").await;

    let (status, body) = world
        .call_at(
            &second,
            Method::POST,
            "/api/agents/auth/logout",
            &person.access,
        )
        .await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(body["message"].is_string() && body.as_object().unwrap().len() == 1);
    for api in [&world.api, &second] {
        let (status, body) = world
            .call_at(api, Method::GET, PROFILE, &person.access)
            .await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(body["error"]["code"], "TOKEN_REVOKED");
    }
    let (status, body) = world.refresh(&person.refresh).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(body["error"]["code"], "SESSION_REVOKED");
    assert!(!is_out(&world, &other).await, "the other session lives");

    // Every other service reads the same list.
    let (_, list) = list(&world);
    let session = session_of(&person).parse().unwrap();
    let subject = [RevocationSubject::Session(session)];
    assert_eq!(list.standing(&subject, 0).await, Standing::Ended);

    let event = events.next().await.envelope;
    assert_eq!(event["data"]["session_id"], session_of(&person));
    assert_eq!(event["data"]["reason"], "logout");
    eventually("Genesys to forget its token", async || {
        let calls = world.sandbox.journal().of_kind(Kind::Genesys);
        let is_revoked = calls
            .iter()
            .any(|call| call.method == "DELETE" && call.path == "/api/v2/tokens/me");
        is_revoked.then_some(())
    })
    .await;
    assert_eq!(
        world.value("SELECT count(*) FROM audit_log WHERE action = 'session.end' AND details->>'reason' = 'logout'"),
        "1"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_everywhere_ends_all_sessions_of_the_person_alone() {
    let world = World::start().await;
    let mut mine = Vec::new();
    for _ in 0..3 {
        mine.push(world.sign_in(seed::ACME_AGENT).await);
    }
    let colleague = world.sign_in(seed::ACME_SUPERVISOR).await;
    let (status, body) = world
        .call(Method::POST, "/api/agents/auth/logout-all", &mine[0].access)
        .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["sessionCount"], 3);
    for person in &mine {
        assert!(is_out(&world, person).await);
    }
    assert!(!is_out(&world, &colleague).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_and_end_their_own_sessions() {
    let world = World::start().await;
    let one = world.sign_in(seed::ACME_AGENT).await;
    let two = world.sign_in(seed::ACME_AGENT).await;
    let colleague = world.sign_in(seed::ACME_SUPERVISOR).await;
    let ids = |body: &Value| -> Vec<(String, bool)> {
        let sessions = body["sessions"].as_array().unwrap();
        let id = |s: &Value| s["session_id"].as_str().unwrap().to_owned();
        sessions
            .iter()
            .map(|s| (id(s), s["is_current"].as_bool().unwrap()))
            .collect()
    };
    let (_, body) = world.call(Method::GET, SESSIONS, &one.access).await;
    assert_eq!(body["total"], 2);
    assert_eq!(
        ids(&body),
        [(session_of(&two), false), (session_of(&one), true)]
    );

    let path = |id: &str| format!("{SESSIONS}/{id}");
    // A colleague's session is none of theirs, nor is one that never was.
    for id in [session_of(&colleague), uuid::Uuid::now_v7().to_string()] {
        let (status, body) = world.call(Method::DELETE, &path(&id), &one.access).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(body["error"]["code"], "SESSION_NOT_FOUND");
    }
    let (status, body) = world.call(Method::DELETE, &path("x"), &one.access).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body["error"]["details"][0]["field"], "session_id");
    assert!(!is_out(&world, &colleague).await);

    let (status, _) = world
        .call(Method::DELETE, &path(&session_of(&two)), &one.access)
        .await;
    assert_eq!(status, StatusCode::OK);
    assert!(is_out(&world, &two).await);
    let (status, _) = world
        .call(Method::DELETE, &path(&session_of(&two)), &one.access)
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND, "it has ended already");
    let (_, body) = world.call(Method::GET, SESSIONS, &one.access).await;
    assert_eq!(ids(&body), [(session_of(&one), true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_list_that_was_lost_with_redis_comes_back() {
    let world = World::start().await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    world
        .call(Method::POST, "/api/agents/auth/logout", &person.access)
        .await;
    let (cache, list) = list(&world);
    let subject = [RevocationSubject::Session(
        session_of(&person).parse().unwrap(),
    )];
    // The list is whole, and its owner knows.
    let mark = Key::<i64>::global("revocations-whole", &[]);
    eventually("the list to be whole", async || {
        list.is_whole().await.then_some(())
    })
    .await;
    // Long ago for "recently", not for tokens that are still valid.
    world
        .db
        .execute("UPDATE genesys_user_sessions SET revoked_at = now() - interval '4 min'");
    let key = Key::<i64>::global("revoked", &["sid", &session_of(&person)]);
    cache.delete(&key).await.unwrap();
    cache.delete(&mark).await.unwrap();
    // Not for a moment: without the mark the rows are asked.
    assert!(is_out(&world, &person).await);
    eventually("the list to be whole again", async || {
        let standing = list.standing(&subject, 0).await;
        (list.is_whole().await && standing == Standing::Ended).then_some(())
    })
    .await;
    assert!(is_out(&world, &person).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenants_sessions_end_and_no_others() {
    let world = World::start().await;
    world.consumers_are_up().await;
    let agent = world.sign_in(seed::ACME_AGENT).await;
    let admin = world.sign_in(seed::ACME_ADMIN).await;
    let stranger = world.sign_in(seed::GLOBEX_AGENT).await;
    let events = world.listen("session.revoked").await;

    let event = world.publish("tenant.suspended", "acme_corp").await;
    for person in [&agent, &admin] {
        eventually("the session to end", async || {
            is_out(&world, person).await.then_some(())
        })
        .await;
    }
    assert!(!is_out(&world, &stranger).await);
    for _ in 0..2 {
        let revoked = events.next().await.envelope;
        assert_eq!(revoked["tenantid"], "acme_corp");
        assert_eq!(revoked["data"]["reason"], "tenant_suspended");
    }
    assert_eq!(
        world.value("SELECT string_agg(DISTINCT revoke_reason, ',') FROM genesys_user_sessions"),
        "tenant_suspended"
    );

    // Delivered again, after the tenant was resumed and somebody signed in: nothing happens.
    let again = world.sign_in(seed::ACME_AGENT).await;
    world.publish_body("tenant.suspended", &event).await;
    // The queue is in order: when the next event is applied, this one was.
    let marker = world.publish("tenant.deleted", "globex_inc").await;
    eventually("the marker", async || {
        is_out(&world, &stranger).await.then_some(())
    })
    .await;
    assert!(!is_out(&world, &again).await);
    assert_eq!(world.value("SELECT count(*) FROM inbox_events"), "2");
    assert_eq!(
        world.value(
            "SELECT revoke_reason FROM genesys_user_sessions WHERE tenant_id = 'globex_inc'"
        ),
        "tenant_deleted"
    );
    let late = world.value(&format!(
        "SELECT details->>'sessions' FROM audit_log WHERE action = 'session.end_of_tenant' AND details->>'event_id' = '{}'",
        marker["id"].as_str().unwrap()
    ));
    assert_eq!(late, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_suspension_spares_who_signed_in_afterwards() {
    let world = World::start().await;
    world.consumers_are_up().await;
    let early = world.sign_in(seed::ACME_AGENT).await;
    let suspended_at = chrono::Utc::now();
    let late = world.sign_in(seed::ACME_AGENT).await;
    let event = serde_json::json!({
        "specversion": "1.0", "id": uuid::Uuid::now_v7(), "source": "/services/tenant-service",
        "type": "com.agentportal.tenant.suspended.v1", "subject": "acme_corp",
        "time": suspended_at, "tenantid": "acme_corp", "data": {},
    });
    world.publish_body("tenant.suspended", &event).await;
    eventually("the early one to end", async || {
        is_out(&world, &early).await.then_some(())
    })
    .await;
    assert!(!is_out(&world, &late).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_are_over_are_ended_and_later_forgotten() {
    let mut world = World::prepare(&[]);
    let (api, portal) = world.run_service().await;
    (world.api, world.portal) = (api, portal);
    let idle = world.sign_in(seed::ACME_AGENT).await;
    let old = world.sign_in(seed::GLOBEX_AGENT).await;
    world
        .call(Method::POST, "/api/agents/auth/logout", &old.access)
        .await;
    world.stop_service();
    world.db.execute(&format!(
        "UPDATE genesys_user_sessions SET idle_expires_at = now() - interval '1 min' WHERE session_id = '{}'; \
         UPDATE genesys_user_sessions SET revoked_at = now() - interval '31 days' WHERE session_id = '{}'",
        session_of(&idle),
        session_of(&old)
    ));
    // Sweeping is among the first things that a starting service does.
    let (api, portal) = world.run_service().await;
    (world.api, world.portal) = (api, portal);
    let rows = eventually("the sweep", async || {
        let rows = world.db.query(
            "SELECT concat_ws('|', session_id, revoke_reason, genesys_access_token IS NULL) FROM genesys_user_sessions",
        );
        (rows == [format!("{}|expired|t", session_of(&idle))]).then_some(rows)
    })
    .await;
    assert_eq!(rows.len(), 1);
    assert_eq!(
        world.value("SELECT payload->'data'->>'reason' FROM outbox_events WHERE routing_key = 'session.revoked' \
                     AND tenant_id = 'acme_corp'"),
        "expired"
    );
    eventually("its access token to be refused", async || {
        is_out(&world, &idle).await.then_some(())
    })
    .await;
}
