//! The service with everything around it, and the verbs of its callers.

use std::{collections::BTreeMap, time::Duration};

use outbound_message_service::{App, Settings};
use portal_auth::Revocations;
use portal_cache::Cache;
use portal_sandbox::{Sandbox, SandboxConfig, seed};
use portal_service_kit::lifecycle::Shutdown;
use portal_test_harness::{
    EventListener, Isolation, ServiceRole, TestDb, amqp_url, eventually, publish_event, redis_url,
};
use portal_vault::Vault;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::sisters::{Sisters, profile};

const VAULT_KEYS: &str = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// The servers behind the service: those of the test run, unless a test brings its own.
pub(crate) struct Servers {
    pub(crate) db: TestDb,
    pub(crate) amqp_url: String,
    pub(crate) redis_url: String,
}

impl Servers {
    pub(crate) fn shared() -> Self {
        Self {
            db: TestDb::new(),
            amqp_url: amqp_url(),
            redis_url: redis_url(),
        }
    }
}

pub(crate) struct World {
    pub(crate) db: TestDb,
    pub(crate) sandbox: Sandbox,
    pub(crate) sisters: Sisters,
    pub(crate) vault: Vault,
    pub(crate) isolation: Isolation,
    pub(crate) http: reqwest::Client,
    pub(crate) url: String,
    redis_url: String,
    environment: BTreeMap<String, String>,
    shutdown: Shutdown,
}

impl World {
    /// Everything runs, with two tenants: acme and globex.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// As [`World::start`], with settings changed.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let mut world = Self::prepare(settings);
        world.run_service().await;
        world
    }

    /// Everything but the service itself.
    pub(crate) fn prepare(settings: &[(&str, &str)]) -> Self {
        Self::prepare_on(Servers::shared(), settings)
    }

    /// As [`World::prepare`], on servers of the test's own.
    pub(crate) fn prepare_on(servers: Servers, settings: &[(&str, &str)]) -> Self {
        let Servers {
            db,
            amqp_url,
            redis_url,
        } = servers;
        let isolation = Isolation::new();
        let sandbox = Sandbox::start(SandboxConfig {
            // The long form of the chaos suite is judged by it.
            journal_capacity: 1_000_000,
            ..SandboxConfig::default()
        })
        .unwrap();
        let sisters = Sisters::start();
        let vault = Vault::from_keys(&VAULT_KEYS.into(), "k1").unwrap();
        for tenant in ["acme", "globex"] {
            db.execute(&format!(
                "INSERT INTO tenants (tenant_id, name) VALUES ('{tenant}', 'name')"
            ));
            let profile = profile(&vault, tenant);
            let whatsapp = profile.whatsapp.as_ref().unwrap();
            let (waba, number) = (&whatsapp.waba_id, &whatsapp.phone_number_id);
            let display = &whatsapp.display_phone_number;
            // As tenant-service keeps them: webhooks are routed by them.
            db.execute(&format!(
                "WITH c AS (INSERT INTO tenant_whatsapp_config (config_id, tenant_id, waba_id, \
                     access_token, access_token_last4, access_token_fingerprint) \
                     VALUES (gen_random_uuid(), '{tenant}', '{waba}', '', '', '') RETURNING config_id) \
                 INSERT INTO tenant_whatsapp_numbers (tenant_id, phone_number_id, config_id, \
                     display_phone_number, is_default) \
                 SELECT '{tenant}', '{number}', config_id, '{display}', true FROM c"
            ));
            sisters.put(profile);
        }
        let mut environment: BTreeMap<String, String> = [
            ("HTTP__BIND", "127.0.0.1:0"),
            ("HTTP__WORKERS", "1"),
            ("DATABASE__URL", &db.url(ServiceRole::Outbound)),
            ("DATABASE__POOL_SIZE", "6"),
            ("RABBITMQ__URL", &amqp_url),
            ("RABBITMQ__NAMESPACE", &isolation.rabbitmq_namespace),
            ("REDIS__URL", &redis_url),
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
                "svc_outbound-message-service_test",
            ),
            ("META__GRAPH_URL", &sandbox.base_url()),
            ("META__APP_SECRETS", seed::APP_SECRET),
            ("META__VERIFY_TOKEN", "verify-me"),
            ("META__TIMEOUT_MS", "2000"),
            // Links in tests lead nowhere.
            ("MEDIA__FETCH_LINKS", "false"),
            ("DELIVERY__LEASE_SECONDS", "3"),
            // Meta is asked for templates and about tokens by the tests that are about them.
            ("TEMPLATES__ENABLED", "false"),
        ]
        .into_iter()
        .map(|(key, value)| (format!("OUTBOUND__{key}"), value.to_owned()))
        .collect();
        for (key, value) in settings {
            environment.insert(format!("OUTBOUND__{key}"), (*value).to_owned());
        }
        Self {
            db,
            sandbox,
            sisters,
            vault,
            isolation,
            http: reqwest_client(),
            url: String::new(),
            redis_url,
            environment,
            shutdown: Shutdown::new(),
        }
    }

    pub(crate) fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// Changes a setting for what is started next.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.environment
            .insert(format!("OUTBOUND__{key}"), value.to_owned());
    }

    /// Runs the service in this process and leads Meta's webhooks to it.
    pub(crate) async fn run_service(&mut self) {
        self.launch_service();
        self.wait_until_ready().await;
    }

    /// As [`World::run_service`], without waiting.
    pub(crate) fn launch_service(&mut self) {
        let settings = Settings::load_from(&self.environment).unwrap();
        let app = App::build(&settings, self.shutdown.clone()).unwrap();
        self.url = format!("http://{}", app.addr());
        tokio::spawn(app.run_until_stopped());
        self.lead_webhooks_here();
    }

    /// Waits until the service takes calls and its queues are there: an event before is lost.
    pub(crate) async fn wait_until_ready(&self) {
        self.wait_until_broker_is("up").await;
    }

    /// Waits until the service takes calls, with or without a broker.
    pub(crate) async fn wait_until_broker_is(&self, state: &str) {
        let ready = format!("{}/health/ready", self.url);
        eventually("the service to be ready", async || {
            let answer = self.http.get(&ready).send().await.ok()?;
            let report: Value = answer.error_for_status().ok()?.json().await.ok()?;
            (report["dependencies"]["rabbitmq"]["status"] == state).then_some(())
        })
        .await;
        // As agent-portal-service does, which keeps the list.
        let revocations = self.revocations();
        eventually("the list to be whole", async || {
            let begun = revocations.begin_rebuild().await.ok()?;
            let marked = revocations.mark_whole(begun).await;
            marked.ok()?.then_some(())
        })
        .await;
    }

    /// The list of what was ended, as its owners write it.
    pub(crate) fn revocations(&self) -> Revocations {
        let prefix = &self.isolation.redis_key_prefix;
        let cache = Cache::connect(&self.redis_url.as_str().into(), prefix).unwrap();
        Revocations::new(cache, Duration::from_mins(5))
    }

    pub(crate) fn lead_webhooks_here(&self) {
        let url = format!("{}/webhooks/whatsapp", self.url);
        self.sandbox.set_webhook_url(Some(url.parse().unwrap()));
    }

    /// Stops the service that runs in this process.
    pub(crate) fn stop_service(&mut self) {
        self.shutdown.stop();
        self.shutdown = Shutdown::new();
    }

    pub(crate) async fn post(&self, token: &str, body: &Value) -> (StatusCode, Value) {
        self.post_to("/api/messages/send", token, body).await
    }

    pub(crate) async fn post_to(
        &self,
        path: &str,
        token: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let request = self.http.post(format!("{}{path}", self.url)).json(body);
        answer(request.bearer_auth(token)).await
    }

    pub(crate) async fn get(&self, token: &str, id: &str) -> (StatusCode, Value) {
        let request = self.http.get(format!("{}/api/messages/{id}", self.url));
        answer(request.bearer_auth(token)).await
    }

    /// Calls any door of the service; `path` begins with a slash.
    pub(crate) async fn call(
        &self,
        method: Method,
        token: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (StatusCode, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.json(body);
        }
        answer(request.bearer_auth(token)).await
    }

    /// Sends a text and answers the message's id.
    pub(crate) async fn send(&self, token: &str, to: &str) -> String {
        let (status, body) = self
            .post(token, &json!({"to": to, "text": "Test message"}))
            .await;
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        body["message_id"].as_str().unwrap().to_owned()
    }

    /// Waits until the message has the status.
    pub(crate) async fn reaches(&self, token: &str, id: &str, status: &str) -> Value {
        eventually(&format!("{id} to be {status}"), async || {
            let (_, message) = self.get(token, id).await;
            (message["status"] == status).then_some(message)
        })
        .await
    }

    /// Waits until the message failed whose outcome is unknown: its horizon runs only while webhooks of
    /// its number arrive, so others are sent meanwhile.
    pub(crate) async fn settles(&self, token: &str, id: &str) -> Value {
        eventually(&format!("{id} to be settled"), async || {
            self.send(token, "+15551234567").await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            let (_, message) = self.get(token, id).await;
            (message["status"] == "failed").then_some(message)
        })
        .await
    }

    /// Catches events from now on.
    pub(crate) async fn listen(&self, binding: &str) -> EventListener {
        EventListener::start(&self.isolation, binding).await
    }

    /// Publishes an event as a sister service would.
    pub(crate) async fn publish(&self, kind: &str, tenant: &str, data: Value) {
        let envelope = json!({
            "specversion": "1.0", "id": uuid::Uuid::now_v7(), "source": "/services/tenant-service",
            "type": format!("com.agentportal.{kind}.v1"), "subject": tenant,
            "time": chrono::Utc::now(), "tenantid": tenant, "data": data,
        });
        publish_event(&self.isolation, kind, &envelope).await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.stop_now();
    }
}

#[expect(clippy::disallowed_methods, reason = "a plain client, as callers have")]
pub(crate) fn reqwest_client() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap()
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}
