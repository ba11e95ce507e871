//! Starting, waiting, stopping; several replicas.

use std::process::Command;

use diesel::{Connection as _, PgConnection};
use diesel_migrations::MigrationHarness as _;
use portal_test_harness::{Isolation, ServiceRole, TestDb, eventually};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::world::{
    ADMIN_EMAIL, PASSWORD, SERVICE_KEY, World, environment, ok, refused, whatsapp_body,
    with_settings, with_world,
};

fn binary(
    environment: impl IntoIterator<Item = (String, String)>,
    command: &str,
) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tenant-service"))
        .env_clear()
        .envs(environment)
        .arg(command)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.success(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn a_missing_secret_is_named_and_ends_the_process() {
    let db = TestDb::unmigrated();
    let complete = environment(&db, &Isolation::new(), &[]);
    for (key, name) in [
        ("VAULT__KEYS", "vault.keys"),
        ("DATABASE__URL", "database.url"),
        ("RABBITMQ__URL", "rabbitmq.url"),
        ("REDIS__URL", "redis.url"),
    ] {
        let variable = format!("TENANT_SERVICE__{key}");
        for without in [None, Some(String::new())] {
            let mut environment = complete.clone();
            environment.remove(&variable);
            environment.extend(without.map(|value| (variable.clone(), value)));
            let (is_success, stdout, stderr) = binary(environment, "serve");
            assert!(!is_success);
            assert_eq!(
                stderr.trim_end(),
                format!("tenant-service needs {name}: set {variable} or {variable}_FILE")
            );
            assert_eq!(stdout, "");
        }
    }
    let mut environment = complete;
    environment.insert(
        "TENANT_SERVICE__VAULT__KEYS".to_owned(),
        "k1:c2hvcnQ=".to_owned(),
    );
    let (is_success, _, stderr) = binary(environment, "serve");
    assert!(!is_success);
    assert!(
        stderr.contains("vault.keys") && !stderr.contains("c2hvcnQ="),
        "{stderr}"
    );
}

#[test]
fn settings_are_shown_without_their_secrets() {
    let db = TestDb::unmigrated();
    let (is_success, stdout, _) = binary(environment(&db, &Isolation::new(), &[]), "check-config");
    assert!(is_success);
    assert!(stdout.contains("pool_size: 4"), "{stdout}");
    for secret in [
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "postgres://",
        "amqp://",
    ] {
        assert!(!stdout.contains(secret), "{secret}");
    }
}

#[test]
fn the_document_is_printed_without_any_setting() {
    let (is_success, stdout, _) = binary([], "openapi");
    assert!(is_success);
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
}

/// A free port; whoever takes it in between makes the test fail, not pass.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Good and bad requests with all kinds of secrets; answers the administrator's token.
async fn use_the_service(world: &World) -> String {
    let admin = world.admin().await;
    ok(
        admin
            .create(json!({"tenant_id": "acme_corp", "name": "Canary Ltd"}))
            .await,
        201,
    )
    .await;
    ok(admin.put_whatsapp("acme_corp", whatsapp_body(1)).await, 200).await;
    let lookup = world
        .get("/api/tenants/by-genesys-org/unknown?code=canary-code")
        .header("x-request-id", "req-canary")
        .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))
        .bearer_auth(SERVICE_KEY);
    refused(lookup.send().await.unwrap(), 404, "TENANT_NOT_FOUND").await;
    let wrong = json!({"email": "someone@example.com", "password": "canary-password"});
    let wrong = world
        .post("/api/admin/auth/login")
        .json(&wrong)
        .send()
        .await
        .unwrap();
    refused(wrong, 401, "INVALID_CREDENTIALS").await;
    admin.token
}

#[tokio::test]
async fn a_process_logs_json_without_secrets_and_stops_in_order() {
    let mut world = World::around(TestDb::new());
    world.db.execute(&format!(
        "INSERT INTO platform_admins (admin_id, email, name, password_hash) VALUES \
         (gen_random_uuid(), 'admin@example.com', 'Ada', '{}')",
        crate::world::PASSWORD_HASH
    ));
    let bind = format!("127.0.0.1:{}", free_port());
    let own = [("HTTP__BIND", bind.as_str()), ("TELEMETRY__LOG", "debug")];
    let settings = environment(&world.db, &world.isolation, &own);
    let mut process = tokio::process::Command::new(env!("CARGO_BIN_EXE_tenant-service"))
        .env_clear()
        .envs(settings.clone())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let stdout = process.stdout.take().unwrap();
    let reading = tokio::spawn(async move {
        let mut stdout = stdout;
        let mut text = String::new();
        stdout.read_to_string(&mut text).await.unwrap();
        text
    });
    world.base = Some(format!("http://{bind}"));
    eventually("the process is ready", async || {
        let response = world.get("/health/ready").send().await.ok()?;
        response.status().is_success().then_some(())
    })
    .await;
    let (is_ready, _, _) = binary(settings, "healthcheck");
    assert!(is_ready);

    let token = use_the_service(&world).await;
    let pid = process.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert!(process.wait().await.unwrap().success());
    let log = reading.await.unwrap();
    super::events::Broker::connect(&world)
        .await
        .clean_up()
        .await;

    for secret in [
        token.as_str(),
        "canary-code",
        "canary-password",
        "EAAGcanary",
        "example.com",
        "Canary Ltd",
        "4155550101",
        SERVICE_KEY,
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        PASSWORD,
    ] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines.iter().all(|line| line["service"] == "tenant-service"));
    let refusal = lines
        .iter()
        .find(|line| line["request_id"] == "req-canary")
        .unwrap();
    assert_eq!(refusal["message"], "request refused");
    assert_eq!(refusal["code"], "TENANT_NOT_FOUND");
    assert_eq!(refusal["trace_id"], TRACE);
    assert_eq!(refusal["span_id"].as_str().unwrap().len(), 16);
}

#[tokio::test]
async fn the_service_waits_for_its_schema_and_is_not_ready() {
    let db = TestDb::unmigrated();
    let owner = db.url(ServiceRole::Owner);
    let mut world = World::around(db);
    world.launch_replica(&[]);
    let ready = async || {
        let response = world.get("/health/ready").send().await.unwrap();
        (
            response.status().as_u16(),
            response.json::<Value>().await.unwrap(),
        )
    };
    let (status, body) = ready().await;
    assert_eq!(status, 503);
    assert_eq!(body["status"], "not_ready");
    assert_eq!(body["dependencies"]["database"]["status"], "up", "{body}");
    assert_eq!(body["dependencies"]["schema"]["status"], "down", "{body}");
    assert_eq!(
        body["dependencies"]["rabbitmq"]["required"], false,
        "{body}"
    );
    assert_eq!(
        world.get("/health/live").send().await.unwrap().status(),
        200
    );

    let lookup = world
        .get("/api/tenants/by-genesys-org/x")
        .send()
        .await
        .unwrap();
    assert_eq!(lookup.headers()["retry-after"], "2");
    refused(lookup, 503, "STARTING").await;
    let list = world
        .get("/api/tenants")
        .bearer_auth("x.y.z")
        .send()
        .await
        .unwrap();
    assert!([401, 503].contains(&list.status().as_u16()));
    let login = json!({"email": ADMIN_EMAIL, "password": PASSWORD});
    let login = world
        .post("/api/admin/auth/login")
        .json(&login)
        .send()
        .await
        .unwrap();
    refused(login, 503, "STARTING").await;

    let migrate = tokio::task::spawn_blocking(move || {
        let mut conn = PgConnection::establish(&owner).unwrap();
        conn.run_pending_migrations(portal_db_schema::MIGRATIONS)
            .unwrap();
    });
    migrate.await.unwrap();
    eventually("the service is ready", async || {
        (ready().await.0 == 200).then_some(())
    })
    .await;
    let lookup = world
        .get("/api/tenants/by-genesys-org/x")
        .send()
        .await
        .unwrap();
    refused(lookup, 404, "TENANT_NOT_FOUND").await;
    world.stop_replica().await.unwrap();
    super::events::Broker::connect(&world)
        .await
        .clean_up()
        .await;
}

#[tokio::test]
async fn replicas_share_keys_and_a_restart_keeps_tokens() {
    with_world(async |world| {
        let token = world.login().await;
        world.start_replica(&[]).await;
        let list = world.get("/api/tenants").bearer_auth(&token).send().await.unwrap();
        ok(list, 200).await;
        assert_eq!(world.db.query("SELECT count(*) FROM signing_keys"), ["1"]);
        let sealed = "SELECT count(*) FROM signing_keys WHERE position('\\x302e0201'::bytea IN private_key) > 0";
        assert_eq!(world.db.query(sealed), ["0"], "the key is not stored as it is");
        world.stop_replica().await.unwrap();
        world.stop_replica().await.unwrap();
        world.start_replica(&[]).await;
        let list = world.get("/api/tenants").bearer_auth(&token).send().await.unwrap();
        ok(list, 200).await;
    })
    .await;
}

#[tokio::test]
async fn broker_and_redis_may_be_away() {
    let settings = [
        ("RABBITMQ__URL", "amqp://guest:guest@127.0.0.1:9/%2f"),
        ("REDIS__URL", "redis://127.0.0.1:9/"),
    ];
    let db = TestDb::new();
    db.execute(&format!(
        "INSERT INTO platform_admins (admin_id, email, name, password_hash) VALUES \
         (gen_random_uuid(), 'admin@example.com', 'Ada', '{}')",
        crate::world::PASSWORD_HASH
    ));
    let mut world = World::around(db);
    world.launch_replica(&settings);
    let ready = eventually("the service is ready", async || {
        let response = world.get("/health").send().await.unwrap();
        let body: Value = response.json().await.unwrap();
        (body["status"] == "ready").then_some(body)
    })
    .await;
    assert_eq!(ready["dependencies"]["redis"]["status"], "down");
    assert_eq!(ready["dependencies"]["rabbitmq"]["status"], "down");
    let admin = world.admin().await;
    ok(
        admin
            .create(json!({"tenant_id": "acme", "name": "Acme"}))
            .await,
        201,
    )
    .await;
    ok(
        admin.patch("acme", json!({"status": "suspended"})).await,
        200,
    )
    .await;
    let waiting = "SELECT count(*) FROM outbox_events WHERE published_at IS NULL";
    assert_eq!(world.db.query(waiting), ["2"], "events wait for the broker");
    world.stop_replica().await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_away_is_a_503_that_says_when_to_come_again() {
    with_settings(&[("DATABASE__ACQUIRE_TIMEOUT_MS", "500")], async |world| {
        let admin = world.admin().await;
        // Nobody may connect any more, and who is connected is thrown out.
        let name = world.db.query("SELECT current_database()").remove(0);
        let server = std::env::var("TEST_DATABASE_URL").unwrap();
        let forbid = format!(
            "ALTER DATABASE {name} ALLOW_CONNECTIONS false; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        let allow = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true");
        let run = |sql: String, server: String| {
            tokio::task::spawn_blocking(move || {
                use diesel::connection::SimpleConnection as _;
                PgConnection::establish(&server)
                    .unwrap()
                    .batch_execute(&sql)
                    .unwrap();
            })
        };
        run(forbid, server.clone()).await.unwrap();
        let response = eventually("the database is away", async || {
            let response = admin.get("/api/tenants").await;
            (response.status() == 503).then_some(response)
        })
        .await;
        assert!(response.headers().contains_key("retry-after"));
        refused(response, 503, "AUTH_UNAVAILABLE").await;
        let health = world.get("/health/ready").send().await.unwrap();
        assert_eq!(health.status(), 503);
        run(allow, server).await.unwrap();
        eventually("the database is back", async || {
            (admin.get("/api/tenants").await.status() == 200).then_some(())
        })
        .await;
    })
    .await;
}
