//! An installation to be measured: outbound-message-service and the sandbox as processes, real
//! PostgreSQL, RabbitMQ and Redis, and tenants with a number each.

use std::{collections::BTreeMap, net::TcpListener, time::Duration};

use portal_auth::Revocations;
use portal_cache::Cache;
use portal_sisters::{Account, Sisters, profile_with};
use portal_test_harness::{Isolation, ServiceRole, TestDb, amqp_url, eventually, redis_url};
use portal_vault::Vault;
use serde_json::json;

use crate::process::Process;

pub(crate) const VAULT_KEYS: &str = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A tenant with one number.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its id.
    pub id: String,
    /// Its number's id.
    pub phone_number_id: String,
    /// A signed-in agent's token.
    pub token: String,
}

/// What is measured, and what stands around it.
pub struct World {
    /// The database.
    pub db: TestDb,
    /// The names at broker and Redis.
    pub isolation: Isolation,
    /// The stand-in for the two sister services.
    pub sisters: Sisters,
    /// The tenants.
    pub tenants: Vec<Tenant>,
    /// The sandbox, which stands for Meta.
    pub sandbox: Process,
    /// The sandbox's address (`http://…`).
    pub sandbox_url: String,
    /// A client for control calls.
    pub http: reqwest::Client,
    environment: BTreeMap<String, String>,
}

/// A service as it runs.
pub struct Running {
    /// The process.
    pub process: Process,
    /// `host:port` of its API.
    pub address: String,
}

impl World {
    /// Everything but the service itself, with so many tenants.
    pub async fn prepare(tenants: usize) -> Self {
        let db = TestDb::new();
        let isolation = Isolation::new();
        let sisters = Sisters::start();
        let http = client();
        let (sandbox, sandbox_url) = start_sandbox(&http).await;
        let environment = environment(&db, &isolation, &sisters, &sandbox_url);
        let mut world = Self {
            db,
            isolation,
            sisters,
            tenants: Vec::new(),
            sandbox,
            sandbox_url,
            http,
            environment,
        };
        for n in 0..tenants {
            let tenant = world.add_tenant(n).await;
            world.tenants.push(tenant);
        }
        world
    }

    async fn add_tenant(&self, n: usize) -> Tenant {
        let id = format!("bench{n}");
        let (waba_id, phone_number_id) = (format!("90000{n:04}"), format!("91000{n:04}"));
        let token = format!("EAAbench{n:04}");
        let display_phone_number = format!("+1 555-02{:02}-{:04}", n / 10_000, n % 10_000);
        self.db.execute(&format!(
            "INSERT INTO tenants (tenant_id, name) VALUES ('{id}', 'name')"
        ));
        let waba = json!({
            "waba": {"id": waba_id, "name": id, "phones": [{
                "id": phone_number_id, "display_phone_number": display_phone_number,
                "country_code": "1", "verified_name": id,
            }]},
            "token": {"name": id, "value": token, "waba_ids": [waba_id]},
        });
        self.control(reqwest::Method::POST, "wabas", &waba).await;
        let account = Account {
            waba_id: &waba_id,
            phone_number_id: &phone_number_id,
            display_phone_number: &display_phone_number,
            token: &token,
        };
        let vault = Vault::from_keys(&VAULT_KEYS.into(), "k1").expect("a key");
        self.sisters.put(profile_with(&vault, &id, &account));
        Tenant {
            token: self.sisters.token(&id),
            id,
            phone_number_id,
        }
    }

    /// A call of the sandbox's `/control/…`.
    pub async fn control(
        &self,
        method: reqwest::Method,
        path: &str,
        body: &serde_json::Value,
    ) -> serde_json::Value {
        let url = format!("{}/control/{path}", self.sandbox_url);
        let answer = self.http.request(method, url).json(body).send().await;
        let answer = answer.expect("the sandbox answers");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Runs outbound-message-service with some settings (`SECTION__KEY`) changed, and waits until it
    /// is ready; Meta's webhooks go to it.
    pub async fn start_service(&self, label: &str, settings: &[(&str, &str)]) -> Running {
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let mut environment = self.environment.clone();
        for (key, value) in [("HTTP__BIND", address.as_str())].iter().chain(settings) {
            environment.insert(format!("OUTBOUND__{key}"), (*value).to_owned());
        }
        let process = Process::start("outbound-message-service", label, &[], &environment);
        wait_for(&self.http, &format!("http://{address}/health/ready")).await;
        let prefix = &self.isolation.redis_key_prefix;
        let cache = Cache::connect(&redis_url().into(), prefix).expect("a Redis URL");
        let revocations = Revocations::new(cache, Duration::from_hours(1));
        // As agent-portal-service does, which keeps the list.
        let begun = revocations.begin_rebuild().await.expect("Redis answers");
        assert!(revocations.mark_whole(begun).await.expect("Redis answers"));
        let webhook = json!({"url": format!("http://{address}/webhooks/whatsapp")});
        self.control(reqwest::Method::PUT, "webhook", &webhook)
            .await;
        Running { process, address }
    }
}

async fn start_sandbox(http: &reqwest::Client) -> (Process, String) {
    let bind = format!("127.0.0.1:{}", free_port());
    let arguments = ["--bind", &bind, "--log", "warn", "--workers", "1"];
    let process = Process::start("portal-sandbox", "sandbox", &arguments, []);
    let url = format!("http://{bind}");
    wait_for(http, &format!("{url}/health")).await;
    (process, url)
}

fn environment(
    db: &TestDb,
    isolation: &Isolation,
    sisters: &Sisters,
    sandbox_url: &str,
) -> BTreeMap<String, String> {
    [
        ("DATABASE__URL", db.url(ServiceRole::Outbound).as_str()),
        ("RABBITMQ__URL", &amqp_url()),
        ("RABBITMQ__NAMESPACE", &isolation.rabbitmq_namespace),
        ("REDIS__URL", &redis_url()),
        ("REDIS__KEY_PREFIX", &isolation.redis_key_prefix),
        ("VAULT__KEYS", VAULT_KEYS),
        ("VAULT__ACTIVE_KEY", "k1"),
        (
            "AUTH__JWKS_URL",
            &format!("{}/.well-known/jwks.json", sisters.url),
        ),
        ("TENANT_SERVICE__URL", &sisters.url),
        (
            "TENANT_SERVICE__SERVICE_KEY",
            "svc_outbound-message-service_bench",
        ),
        ("META__GRAPH_URL", sandbox_url),
        ("META__APP_SECRETS", portal_sandbox::seed::APP_SECRET),
        ("META__VERIFY_TOKEN", "verify-me"),
    ]
    .into_iter()
    .chain(UNLIMITED)
    .map(|(key, value)| (format!("OUTBOUND__{key}"), value.to_owned()))
    .collect()
}

/// Limits that count, and refuse nobody.
pub(crate) const UNLIMITED: [(&str, &str); 4] = [
    ("LIMITS__PER_ADDRESS_PER_MINUTE", "10000000"),
    ("LIMITS__PER_ADDRESS_BURST", "10000000"),
    ("LIMITS__PER_CALLER_PER_MINUTE", "10000000"),
    ("LIMITS__PER_TENANT_PER_MINUTE", "10000000"),
];

pub(crate) async fn wait_for(http: &reqwest::Client, url: &str) {
    eventually(url, async || {
        let answer = http.get(url).send().await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;
}

pub(crate) fn free_port() -> u16 {
    let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
    held.local_addr().expect("its number").port()
}

#[expect(clippy::disallowed_methods, reason = "a plain client, as callers have")]
pub(crate) fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().timeout(Duration::from_secs(10));
    builder.build().expect("a client")
}
