//! What a tenant chose for its sending: who reads it, who writes it, what follows.

use portal_sandbox::magic_recipient;
use portal_types::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::World;

const PATH: &str = "/api/messages/policy";

async fn read(world: &World, token: &str) -> (StatusCode, Value) {
    world.call(Method::GET, token, PATH, None).await
}

async fn write(world: &World, token: &str, body: &Value) -> (StatusCode, Value) {
    world.call(Method::PUT, token, PATH, Some(body)).await
}

fn defaults() -> Value {
    json!({
        "window_policy": "enforce", "unknown_policy": "at_most_once",
        "unknown_horizon_seconds": null, "treat_5xx_as_unknown": false, "allow_raw": false,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_chooses_for_the_tenant_alone_and_it_is_audited() {
    let world = World::start().await;
    let admin = world.sisters.token_as(Role::Admin, "acme");
    let other = world.sisters.token_as(Role::Admin, "globex");
    assert_eq!(read(&world, &admin).await, (StatusCode::OK, defaults()));

    let mut chosen = defaults();
    chosen["unknown_policy"] = json!("at_least_once");
    chosen["unknown_horizon_seconds"] = json!(120);
    chosen["allow_raw"] = json!(true);
    let answer = write(&world, &admin, &chosen).await;
    assert_eq!(answer, (StatusCode::OK, chosen.clone()));
    assert_eq!(read(&world, &admin).await.1, chosen);
    assert_eq!(read(&world, &other).await.1, defaults(), "not another's");
    // The same once more is no change; what is left out becomes the default.
    write(&world, &admin, &chosen).await;
    let (_, answer) = write(&world, &admin, &json!({"window_policy": "meta_decides"})).await;
    let mut expected = defaults();
    expected["window_policy"] = json!("meta_decides");
    assert_eq!(answer, expected);

    let audited = world.db.query(
        "SELECT concat_ws(' ', tenant_id, actor_kind, target, details #>> '{after,unknown_policy}', \
         details #>> '{after,window_policy}') FROM audit_log \
         WHERE action = 'sending_policy.write' ORDER BY seq",
    );
    assert_eq!(
        audited,
        [
            "acme user acme at_least_once enforce",
            "acme user acme at_most_once meta_decides"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_door_opens_to_supervisors_and_keys_for_reading_and_to_administrators_for_writing() {
    let world = World::start().await;
    let agent = world.sisters.token("acme");
    let supervisor = world.sisters.token_as(Role::Supervisor, "acme");
    let (_, reader) = world.sisters.api_key("acme", &["messages:read"]);
    let (_, sender) = world.sisters.api_key("acme", &["messages:send"]);
    for (token, may_read) in [
        (&agent, false),
        (&supervisor, true),
        (&reader, true),
        (&sender, false),
    ] {
        let (status, answer) = read(&world, token).await;
        assert_eq!(status == StatusCode::OK, may_read, "{answer}");
        let (status, answer) = write(&world, token, &json!({"bad": true})).await;
        let shut = [StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED];
        assert!(shut.contains(&status), "{answer}");
    }
    let admin = world.sisters.token_as(Role::Admin, "acme");
    for (bad, field) in [
        (
            json!({"unknown_horizon_seconds": 119}),
            "unknown_horizon_seconds",
        ),
        (
            json!({"unknown_horizon_seconds": 86_401}),
            "unknown_horizon_seconds",
        ),
        (json!({"window_policy": "never"}), "window_policy"),
        (json!({"alow_raw": true}), "alow_raw"),
    ] {
        let (status, answer) = write(&world, &admin, &bad).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert!(answer.to_string().contains(field), "{answer}");
    }
    assert_eq!(
        world.db.query("SELECT count(*) FROM sending_policies"),
        ["0"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_unknown_outcome_is_given_up_after_its_tenants_horizon() {
    // By the deployment's default it would be given up at once.
    let world = World::start_with(&[
        ("DELIVERY__UNKNOWN_HORIZON_SECONDS", "1"),
        ("DELIVERY__HORIZON_NEEDS_WEBHOOKS", "false"),
    ])
    .await;
    let admin = world.sisters.token_as(Role::Admin, "acme");
    write(&world, &admin, &json!({"unknown_horizon_seconds": 600})).await;
    let lost = magic_recipient("602", 0);
    let patient = world.send(&admin, &lost).await;
    let globex = world.sisters.token("globex");
    let hasty = world.send(&globex, &lost).await;
    world.reaches(&admin, &patient, "unknown").await;
    let failed = world.reaches(&globex, &hasty, "failed").await;
    assert_eq!(failed["error"]["class"], "undetermined");
    assert_eq!(world.get(&admin, &patient).await.1["status"], "unknown");
    // Once the time is over, it is given up, too.
    world.db.execute("UPDATE messages SET unknown_since = now() - interval '601 seconds' WHERE status = 'unknown'");
    let failed = world.reaches(&admin, &patient, "failed").await;
    assert_eq!(failed["error"]["class"], "undetermined");
}
