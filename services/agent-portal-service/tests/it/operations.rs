//! Start, health, metrics, sub-commands.

use std::process::Command;

use portal_sandbox::seed;
use portal_test_harness::{ServiceRole, TestDb, eventually};
use serde_json::Value;

use crate::world::World;

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent-portal-service"));
    command.env_clear();
    command
}

#[test]
fn a_missing_secret_is_named_and_the_process_ends() {
    for sub_command in ["serve", "check-config"] {
        let output = command()
            .arg(sub_command)
            .env("AGENT_PORTAL__GENESYS__CLIENT_ID", "client")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let message = String::from_utf8(output.stderr).unwrap();
        for key in [
            "database.url",
            "rabbitmq.url",
            "redis.url",
            "vault.keys",
            "vault.active_key",
            "tenant_service.service_key",
        ] {
            assert!(message.contains(key), "{key} in {message}");
        }
        assert!(!message.contains("genesys.client_id"), "{message}");
        assert!(
            message.contains("AGENT_PORTAL__VAULT__KEYS_FILE"),
            "{message}"
        );
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn the_document_can_be_printed_without_any_setting() {
    let output = command().arg("openapi").output().unwrap();
    assert!(output.status.success());
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["title"], "agent-portal-service");
}

#[test]
fn a_service_that_is_not_there_is_not_healthy() {
    let output = command()
        .args(["healthcheck", "--url", "http://127.0.0.1:1"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_waits_not_ready_until_the_schema_is_there() {
    let mut world = World::prepare(&[]);
    let empty = TestDb::unmigrated();
    world.set("DATABASE__URL", &empty.url(ServiceRole::AgentPortal));
    let (api, portal) = world.spawn_service();
    let report = async |url: &str| {
        let answer = world
            .http
            .get(format!("{url}/health/ready"))
            .send()
            .await
            .unwrap();
        (
            answer.status().as_u16(),
            answer.json::<Value>().await.unwrap(),
        )
    };
    for url in [&api, &portal] {
        let (status, body) = report(url).await;
        assert_eq!(status, 503, "{body}");
        assert_eq!(body["dependencies"]["schema"]["status"], "down");
        assert_eq!(body["dependencies"]["signing-keys"]["status"], "down");
        assert_eq!(body["dependencies"]["database"]["status"], "up");
        let live = world
            .http
            .get(format!("{url}/health/live"))
            .send()
            .await
            .unwrap();
        assert_eq!(live.status(), 200);
    }
    // Tokens cannot be checked yet, which is not the same as a bad token.
    let early = world
        .http
        .get(format!("{api}/api/agents/profile"))
        .bearer_auth("eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IngifQ.e30.x")
        .send()
        .await
        .unwrap();
    assert_eq!(early.status(), 503);

    migrate(&empty);
    eventually("readiness", async || {
        (report(&api).await.0 == 200).then_some(())
    })
    .await;
    let names = [
        "database",
        "rabbitmq",
        "redis",
        "schema",
        "signing-keys",
        "tenant-service",
    ];
    eventually("every dependency", async || {
        let (_, body) = report(&api).await;
        let all = names
            .iter()
            .all(|name| body["dependencies"][name]["status"] == "up");
        all.then_some(())
    })
    .await;
    assert_eq!(
        report(&api).await.1["dependencies"]
            .as_object()
            .unwrap()
            .len(),
        names.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_ins_are_counted_by_outcome_from_zero_on() {
    let world = World::start().await;
    let metrics = async || {
        let answer = world
            .http
            .get(format!("{}/metrics", world.api))
            .send()
            .await
            .unwrap();
        answer.text().await.unwrap()
    };
    let count = |metrics: &str, outcome: &str| -> Option<f64> {
        let line = metrics.lines().find(|line| {
            line.starts_with("portal_sign_ins_total")
                && line.contains(&format!("outcome=\"{outcome}\""))
        })?;
        line.rsplit(' ').next()?.parse().ok()
    };
    let before = metrics().await;
    for outcome in ["success", "unknown_tenant", "foreign_state", "genesys_away"] {
        assert_eq!(count(&before, outcome), Some(0.0), "{outcome}: {before}");
    }
    world.sign_in(seed::ACME_AGENT).await;
    world.sign_in_page(seed::INITECH_AGENT).await;
    let after = metrics().await;
    assert_eq!(count(&after, "success"), Some(1.0));
    assert_eq!(count(&after, "unknown_tenant"), Some(1.0));
    assert!(after.contains("http_server_request_duration"), "{after}");
    // No label may come from a caller.
    assert!(!after.contains("acme") && !after.contains("initech"));
}

fn migrate(db: &TestDb) {
    use diesel::Connection as _;
    use diesel_migrations::MigrationHarness as _;
    let mut owner = diesel::PgConnection::establish(&db.url(ServiceRole::Owner)).unwrap();
    owner
        .run_pending_migrations(portal_db_schema::MIGRATIONS)
        .unwrap();
}
