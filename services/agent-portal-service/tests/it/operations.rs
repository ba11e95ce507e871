//! Start, health, metrics, sub-commands.

use portal_sandbox::seed;
use portal_test_harness::{ServiceRole, TestDb, eventually};
use serde_json::Value;

use crate::{
    directory::SERVICE_KEY,
    process::{Process, command},
    world::World,
};

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

#[tokio::test(flavor = "multi_thread")]
async fn sub_commands_answer_for_containers_and_operators() {
    let world = World::start().await;
    let address = world.api.strip_prefix("http://").unwrap();
    for (bind, code) in [(address, 0), ("127.0.0.1:1", 1)] {
        let output = command()
            .arg("healthcheck")
            .envs(world.environment())
            .env("AGENT_PORTAL__HTTP__BIND", bind)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{bind}: {output:?}");
    }
    let output = command()
        .arg("check-config")
        .envs(world.environment())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let settings = String::from_utf8(output.stdout).unwrap();
    assert!(settings.contains("lifetime_seconds: 300"), "{settings}");
    for secret in SECRETS {
        assert!(!settings.contains(secret), "{settings}");
    }
}

/// From the settings of [`World`].
const SECRETS: [&str; 3] = [
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    seed::CONFIDENTIAL_CLIENT_SECRET,
    SERVICE_KEY,
];

#[tokio::test(flavor = "multi_thread")]
async fn logs_hold_no_secret_and_no_name() {
    let mut world = World::prepare(&[("TELEMETRY__LOG", "debug")]);
    let log = std::env::temp_dir().join(format!("{}.log", uuid::Uuid::now_v7()));
    let process = Process::start_logging_to(&world, &log);
    let addresses = eventually("the addresses in the log", async || {
        let lines = std::fs::read_to_string(&log).unwrap();
        let line = lines.lines().find(|line| line.contains("listening\""))?;
        serde_json::from_str::<Value>(line).ok()
    })
    .await;
    let url = |name: &str| format!("http://{}", addresses[name].as_str().unwrap());
    (world.api, world.portal) = (url("api"), url("portal"));
    world.is_ready(&world.api).await;

    // Let in, refused, refreshed, reused, ended: every way leaves its own lines.
    let browser = world.browser();
    let callback = world
        .to_callback(&browser, &format!("login_hint={}", seed::ACME_AGENT))
        .await;
    let page = browser.get(&callback).await;
    let message = page.outcome()["message"].clone();
    let text = |name: &str| message[name].as_str().unwrap().to_owned();
    world.sign_in_page(seed::INITECH_AGENT).await;
    let refresh = text("refreshToken");
    let (_, first) = world.refresh(&refresh).await;
    let next = first["refreshToken"].as_str().unwrap().to_owned();
    let (_, second) = world.refresh(&next).await;
    world.refresh(&refresh).await;
    world.refresh("rt_canary").await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    let logout = "/api/agents/auth/logout";
    world
        .call(reqwest::Method::POST, logout, &person.access)
        .await;
    drop(process);

    let lines = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    assert!(lines.contains("a refresh token was used twice"), "{lines}");
    assert!(lines.contains("request refused"), "{lines}");
    let parameter = |name| crate::browser::parameter(&callback.parse().unwrap(), name).unwrap();
    let tail = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    let hidden = [
        parameter("code"),
        parameter("state"),
        browser.cookie("ap_login").unwrap(),
        text("accessToken"),
        tail(&refresh),
        tail(&next),
        tail(second["refreshToken"].as_str().unwrap()),
        person.access,
        "rt_canary".to_owned(),
        "acme.example".to_owned(),
        "initech.example".to_owned(),
        "Alice".to_owned(),
    ];
    for secret in hidden.iter().map(String::as_str).chain(SECRETS) {
        let line = lines.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
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
        assert_eq!(body["dependencies"]["signing_keys"]["status"], "down");
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
        "signing_keys",
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
