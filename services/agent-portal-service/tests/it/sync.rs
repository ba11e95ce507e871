//! Syncs of people with Genesys.

use portal_sandbox::{Sandbox, User, UserChange, seed};
use portal_tenant_client::SealedClient;
use portal_test_harness::eventually;
use portal_vault::{Vault, places};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{Person, VAULT_KEYS, World};

const SYNC: &str = "/api/organization/sync-users";

/// Gives acme a client that reads its people.
fn with_client(world: &World, tenant: &str, client_id: &str, secret: &str) {
    let vault = Vault::from_keys(&VAULT_KEYS.into(), "k1").unwrap();
    let sealed = vault
        .seal(&places::CLIENT_SECRET.of(tenant, "row"), &secret.into())
        .unwrap();
    world.directory.change_rules(tenant, |rules| {
        rules.sync_client = Some(SealedClient {
            region: "sandbox".to_owned(),
            client_id: client_id.to_owned(),
            sealed_client_secret: Some(sealed),
            credential_row_id: "row".to_owned(),
        });
    });
}

pub(crate) fn acme_client(world: &World) {
    with_client(
        world,
        "acme_corp",
        seed::ACME_CC_CLIENT_ID,
        seed::ACME_CC_CLIENT_SECRET,
    );
}

fn add_people(sandbox: &Sandbox, count: usize) {
    for number in 0..count {
        let user = User {
            id: uuid::Uuid::new_v5(
                &uuid::Uuid::NAMESPACE_OID,
                format!("crowd-{number}").as_bytes(),
            )
            .to_string(),
            org_id: seed::ACME_ORG_ID.to_owned(),
            email: format!("crowd{number:04}@acme.example"),
            name: format!("Crowd {number:04}"),
            title: None,
            department: None,
            state: "active".to_owned(),
            version: 1,
            roles: vec!["employee".to_owned(), "User".to_owned()],
            home_org_id: None,
            home_user_id: None,
        };
        assert!(sandbox.add_user(user));
    }
}

pub(crate) async fn sync(world: &World, admin: &Person) -> (StatusCode, Value) {
    world.call(Method::POST, SYNC, &admin.access).await
}

async fn ends(world: &World, admin: &Person, run: &str, status: &str) -> Value {
    eventually(&format!("the sync to be {status}"), async || {
        let (_, body) = world
            .call(Method::GET, &format!("{SYNC}/{run}"), &admin.access)
            .await;
        (body["status"] == status).then_some(body)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_organization_is_synced_page_by_page_and_then_again_without_a_change() {
    let world = World::start().await;
    acme_client(&world);
    add_people(&world.sandbox, 1_200);
    let admin = world.sign_in(seed::ACME_ADMIN).await;

    let (status, body) = sync(&world, &admin).await;
    assert!(status.is_success(), "{body}");
    let run = body["run_id"].as_str().unwrap();
    let first = ends(&world, &admin, run, "completed").await;
    // Acme's active people but the administrator, who is known, and whoever works as a guest.
    let people = world.value("SELECT count(*) FROM genesys_users WHERE tenant_id = 'acme_corp'");
    let created = first["results"]["created"].as_i64().unwrap();
    assert_eq!(people, (created + 1).to_string());
    assert!(created >= 1_200, "{first}");
    assert!(first["pages"].as_i64().unwrap() > 10, "{first}");

    let (_, body) = sync(&world, &admin).await;
    let again = ends(
        &world,
        &admin,
        body["run_id"].as_str().unwrap(),
        "completed",
    )
    .await;
    assert_eq!(again["results"]["created"], 0, "{again}");
    assert_eq!(again["results"]["updated"], 0, "{again}");
    assert_eq!(again["results"]["deactivated"], 0, "{again}");
    let (_, list) = world.call(Method::GET, SYNC, &admin.access).await;
    assert_eq!(list["total"], 2);
    let audited = "SELECT count(*) FROM audit_log WHERE action IN ('user.sync', 'user.sync.end')";
    assert_eq!(world.value(audited), "4");
    let told = "SELECT count(*) FROM outbox_events WHERE routing_key = 'user.provisioned'";
    assert_eq!(world.value(told), (created + 1).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_left_is_switched_off_and_comes_back_with_genesys() {
    let world = World::start().await;
    acme_client(&world);
    let admin = world.sign_in(seed::ACME_ADMIN).await;
    let agent = world.sign_in(seed::ACME_AGENT).await;
    let events = world.listen("user.deactivated").await;
    let change = |state: &str| UserChange {
        state: Some(state.to_owned()),
        ..UserChange::default()
    };
    world
        .sandbox
        .change_user(seed::ACME_AGENT, change("inactive"));

    let (status, body) = sync(&world, &admin).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["results"]["deactivated"], 1, "{body}");
    let (status, _) = world
        .call(Method::GET, "/api/agents/profile", &agent.access)
        .await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        events.next().await.envelope["data"]["user_id"],
        agent.agent["user_id"]
    );

    world
        .sandbox
        .change_user(seed::ACME_AGENT, change("active"));
    let (_, body) = sync(&world, &admin).await;
    assert_eq!(body["results"]["updated"], 1, "{body}");
    world.sign_in(seed::ACME_AGENT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_roles_follow_genesys_and_an_administrators_word_stands() {
    let world = World::start().await;
    acme_client(&world);
    let admin = world.sign_in(seed::ACME_ADMIN).await;
    let agent = world.sign_in(seed::ACME_AGENT).await;
    let supervisor = world.sign_in(seed::ACME_SUPERVISOR).await;
    let path = format!(
        "/api/organization/users/{}",
        supervisor.agent["user_id"].as_str().unwrap()
    );
    crate::people::send(
        &world,
        Method::PATCH,
        &path,
        &admin,
        &json!({"role": "admin"}),
    )
    .await;
    world.sandbox.change_user(
        seed::ACME_AGENT,
        UserChange {
            name: Some("Renamed".to_owned()),
            roles: Some(vec!["employee".to_owned(), "Supervisor".to_owned()]),
            ..UserChange::default()
        },
    );
    let (_, body) = sync(&world, &admin).await;
    assert_eq!(body["results"]["updated"], 1, "{body}");
    let of = |person: &Person| {
        let id = person.agent["user_id"].as_str().unwrap();
        world.value(&format!(
            "SELECT name || ' ' || role FROM genesys_users WHERE user_id = '{id}'"
        ))
    };
    assert_eq!(of(&agent), "Renamed supervisor");
    assert!(of(&supervisor).ends_with(" admin"), "{}", of(&supervisor));
    let (status, _) = world
        .call(Method::GET, "/api/agents/profile", &agent.access)
        .await;
    assert_eq!(
        status,
        StatusCode::UNAUTHORIZED,
        "the token names the old role"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_interrupted_is_finished_by_another_replica() {
    let mut world = World::prepare(&[
        ("USER_SYNC__PAGE_SIZE", "10"),
        ("USER_SYNC__LEASE_SECONDS", "2"),
        ("USER_SYNC__ANSWER_WITHIN_SECONDS", "0"),
    ]);
    let (api, portal) = world.run_service().await;
    (world.api, world.portal) = (api, portal);
    acme_client(&world);
    add_people(&world.sandbox, 300);
    let admin = world.sign_in(seed::ACME_ADMIN).await;
    world
        .sandbox
        .change_genesys(|genesys| genesys.latency = std::time::Duration::from_millis(60));
    let (status, body) = sync(&world, &admin).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    let run = body["run_id"].as_str().unwrap().to_owned();
    // A second order joins the run.
    let (_, joined) = sync(&world, &admin).await;
    assert_eq!(joined["run_id"], run);
    eventually("some pages to be read", async || {
        let page: i32 = world
            .value("SELECT next_page FROM user_sync_runs")
            .parse()
            .unwrap();
        (page > 5).then_some(())
    })
    .await;
    // Whoever works on it now is as good as dead: it believes to have the run, and has lost it.
    world
        .db
        .execute("UPDATE user_sync_runs SET lease_until = now() - interval '1 hour'");
    let before: i32 = world
        .value("SELECT next_page FROM user_sync_runs")
        .parse()
        .unwrap();
    world.stop_service();
    let (api, portal) = world.run_service().await;
    (world.api, world.portal) = (api, portal);
    let done = ends(&world, &admin, &run, "completed").await;
    assert!(
        done["page"].as_i64().unwrap() >= i64::from(before),
        "{done}"
    );
    let people: i64 = world
        .value("SELECT count(*) FROM genesys_users")
        .parse()
        .unwrap();
    assert_eq!(
        done["results"]["created"].as_i64().unwrap() + 1,
        people,
        "each was counted once"
    );
    assert!(people > 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn genesys_limits_are_kept() {
    let world = World::start_with(&[("USER_SYNC__PAGE_SIZE", "50")]).await;
    acme_client(&world);
    add_people(&world.sandbox, 300);
    let admin = world.sign_in(seed::ACME_ADMIN).await;
    // The window is a minute: the run has to stop before it is used up.
    world
        .sandbox
        .change_genesys(|genesys| genesys.rate_limit_per_minute = 5);
    world
        .http
        .post(format!("{}{SYNC}", world.api))
        .bearer_auth(&admin.access)
        .timeout(std::time::Duration::from_secs(3))
        .send()
        .await
        .ok();
    eventually("the run to come near the limit", async || {
        let page: i32 = world
            .value("SELECT coalesce(max(next_page), 0) FROM user_sync_runs")
            .parse()
            .unwrap();
        (page >= 3).then_some(())
    })
    .await;
    eventually("the run to rest", async || {
        let rests = "SELECT updated_at < now() - interval '1 second' FROM user_sync_runs";
        (world.value(rests) == "true").then_some(())
    })
    .await;
    let calls = world
        .sandbox
        .journal()
        .of_kind(portal_sandbox::Kind::Genesys);
    let refused = calls.iter().filter(|call| call.status == Some(429)).count();
    assert_eq!(refused, 0, "it waits before it is told to");
    assert_eq!(world.value("SELECT status FROM user_sync_runs"), "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_client_is_said_and_runs_are_their_tenants_own() {
    let world = World::start().await;
    let admin = world.sign_in(seed::ACME_ADMIN).await;
    let (status, body) = sync(&world, &admin).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (StatusCode::CONFLICT, &json!("GENESYS_CREDENTIALS_MISSING"))
    );
    let agent = world.sign_in(seed::ACME_AGENT).await;
    assert_eq!(sync(&world, &agent).await.0, StatusCode::FORBIDDEN);
    world.db.execute(
        "INSERT INTO user_sync_runs (run_id, tenant_id, status, cause, finished_at) \
         VALUES (gen_random_uuid(), 'acme_corp', 'completed', 'admin', now())",
    );
    let run = world.value("SELECT run_id FROM user_sync_runs");
    let globex = world.sign_in(seed::GLOBEX_ADMIN).await;
    let (status, body) = world
        .call(Method::GET, &format!("{SYNC}/{run}"), &globex.access)
        .await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (StatusCode::NOT_FOUND, &json!("SYNC_NOT_FOUND"))
    );
    let (_, list) = world.call(Method::GET, SYNC, &globex.access).await;
    assert_eq!(list["total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_genesys_refuses_or_that_is_anothers_ends_the_run() {
    for (client, secret) in [
        (seed::ACME_CC_CLIENT_ID, "wrong"),
        // It would bring another organization's people in.
        (seed::GLOBEX_CC_CLIENT_ID, seed::GLOBEX_CC_CLIENT_SECRET),
    ] {
        let world = World::start().await;
        with_client(&world, "acme_corp", client, secret);
        let admin = world.sign_in(seed::ACME_ADMIN).await;
        let (status, body) = sync(&world, &admin).await;
        assert_eq!(
            (status, &body["error"]["code"]),
            (StatusCode::BAD_GATEWAY, &json!("SYNC_FAILED")),
            "{client}: {body}"
        );
        assert_eq!(world.value("SELECT count(*) FROM genesys_users"), "1");
        assert_eq!(world.value("SELECT status FROM user_sync_runs"), "failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sees_nobody_any_more_switches_nobody_off() {
    let world = World::start().await;
    acme_client(&world);
    let admin = world.sign_in(seed::ACME_ADMIN).await;
    world.sign_in(seed::ACME_AGENT).await;
    // As a client is whose role lost its divisions: people that it cannot find, of whom it cannot say
    // that they left.
    world.db.execute(
        "UPDATE genesys_users SET genesys_user_id = 'unseen-' || genesys_user_id; \
         INSERT INTO genesys_users (user_id, tenant_id, genesys_org_id, genesys_user_id, name) \
         SELECT gen_random_uuid(), 'acme_corp', 'o', 'unseen-' || n, 'n' FROM generate_series(1, 30) n",
    );
    let (status, body) = sync(&world, &admin).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(body["results"]["deactivated"], 0, "{body}");
    assert_eq!(
        world.value("SELECT count(*) FROM genesys_users WHERE NOT is_active"),
        "0"
    );
}
