//! Start, health, metrics.

use std::process::Command;

use outbound_message_service::{App, Settings};
use portal_sandbox::{magic_recipient, seed};
use portal_service_kit::lifecycle::Shutdown;
use portal_test_harness::{ServiceRole, TestDb, eventually};
use serde_json::{Value, json};

use crate::{worker::Worker, world::World};

#[test]
fn a_missing_secret_is_named_and_the_process_ends() {
    let output = Command::new(env!("CARGO_BIN_EXE_outbound-message-service"))
        .env_clear()
        .env("OUTBOUND__META__APP_SECRETS", "s")
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
        "meta.verify_token",
    ] {
        assert!(message.contains(key), "{key} in {message}");
    }
    assert!(!message.contains("meta.app_secrets"), "{message}");
    assert!(message.contains("OUTBOUND__VAULT__KEYS"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_waits_not_ready_until_the_schema_is_there() {
    let mut world = World::prepare(&[]);
    let empty = TestDb::unmigrated();
    world.set("DATABASE__URL", &empty.url(ServiceRole::Outbound));
    let settings = Settings::load_from(world.environment()).unwrap();
    let shutdown = Shutdown::new();
    let app = App::build(&settings, shutdown.clone()).unwrap();
    let url = format!("http://{}", app.addr());
    tokio::spawn(app.run_until_stopped());
    let ready = async || {
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
    let (status, report) = ready().await;
    assert_eq!(status, 503, "{report}");
    assert_eq!(report["dependencies"]["schema"]["status"], "down");
    assert_eq!(report["dependencies"]["database"]["status"], "up");
    let live = world
        .http
        .get(format!("{url}/health/live"))
        .send()
        .await
        .unwrap();
    assert_eq!(live.status(), 200);

    migrate(&empty);
    eventually("readiness", async || (ready().await.0 == 200).then_some(())).await;
    eventually("the broker", async || {
        (ready().await.1["dependencies"]["rabbitmq"]["status"] == "up").then_some(())
    })
    .await;
    let metrics = eventually("the outbox to be measured", async || {
        let metrics = world
            .http
            .get(format!("{url}/metrics"))
            .send()
            .await
            .unwrap();
        let metrics = metrics.text().await.unwrap();
        metrics.contains("outbox_backlog").then_some(metrics)
    })
    .await;
    assert!(
        metrics.contains("http_server_request_duration"),
        "{metrics}"
    );
    assert!(metrics.contains("webhooks_backlog"), "{metrics}");
    shutdown.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_hold_no_secret_no_text_and_no_number() {
    let mut world = World::prepare(&[("TELEMETRY__LOG", "debug")]);
    let log = std::env::temp_dir().join(format!("{}.log", uuid::Uuid::now_v7()));
    let _worker = Worker::start_logging_to(&world, &log);
    world.url = eventually("the address in the log", async || {
        let lines = std::fs::read_to_string(&log).unwrap();
        let (_, rest) = lines.split_once("listening on: ")?;
        let (address, _) = rest.split_once('"')?;
        Some(format!("http://{address}"))
    })
    .await;
    world.lead_webhooks_here();
    world.wait_until_ready().await;
    let token = world.sisters.token("acme");
    let text = "canary-in-a-text";
    let mut numbers = Vec::new();
    // Taken, refused, lost: every way leaves its own lines.
    for (magic, end) in [
        ("000", "retry_wait"),
        ("026", "failed"),
        ("100", "failed"),
        ("601", "read"),
    ] {
        let to = magic_recipient(magic, 0);
        let body = json!({"to": to, "text": text});
        let (_, accepted) = world.post(&token, &body).await;
        let id = accepted["message_id"].as_str().unwrap();
        world.reaches(&token, id, end).await;
        numbers.push(to.trim_start_matches('+').to_owned());
    }
    let bad = world
        .http
        .post(format!("{}/webhooks/whatsapp", world.url))
        .body(text)
        .send();
    assert_eq!(bad.await.unwrap().status(), 401);
    let lines = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    assert!(lines.contains("an attempt failed"), "{lines}");
    let secrets = [
        text,
        &token,
        seed::ACME_TOKEN,
        seed::APP_SECRET,
        "verify-me",
    ];
    for secret in secrets
        .into_iter()
        .chain(numbers.iter().map(String::as_str))
    {
        let line = lines.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} in the log");
    }
}

fn migrate(db: &TestDb) {
    use diesel::Connection as _;
    use diesel_migrations::MigrationHarness as _;
    let mut owner = diesel::PgConnection::establish(&db.url(ServiceRole::Owner)).unwrap();
    owner
        .run_pending_migrations(portal_db_schema::MIGRATIONS)
        .unwrap();
}
