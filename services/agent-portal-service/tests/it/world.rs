//! The service with everything around it, and the verbs of its callers.

use std::{collections::BTreeMap, time::Duration};

use agent_portal_service::{App, Settings};
use portal_sandbox::{Sandbox, SandboxConfig, seed};
use portal_service_kit::{
    http_client::{self, ClientOptions},
    lifecycle::Shutdown,
};
use portal_test_harness::{
    EventListener, Isolation, ServiceRole, TestDb, amqp_url, eventually, publish_event, redis_url,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    browser::{Answer, Browser, GATEWAY, PORTAL},
    directory::{Directory, SERVICE_KEY, tenant},
};

pub(crate) const VAULT_KEYS: &str = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

pub(crate) struct World {
    pub(crate) db: TestDb,
    pub(crate) sandbox: Sandbox,
    pub(crate) directory: Directory,
    pub(crate) isolation: Isolation,
    pub(crate) http: reqwest::Client,
    pub(crate) api: String,
    pub(crate) portal: String,
    environment: BTreeMap<String, String>,
    shutdown: Shutdown,
}

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) agent: Value,
}

impl World {
    /// Waits until a token was given back to Genesys.
    pub(crate) async fn genesys_token_is_revoked(&self) {
        portal_test_harness::eventually("the token to be revoked", async || {
            let calls = self
                .sandbox
                .journal()
                .of_kind(portal_sandbox::Kind::Genesys);
            calls
                .iter()
                .any(|call| call.method == "DELETE")
                .then_some(())
        })
        .await;
    }

    /// Everything runs, with two tenants: `acme_corp` and `globex_inc`.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// As [`World::start`], with settings changed.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let mut world = Self::prepare(settings);
        let (api, portal) = world.run_service().await;
        (world.api, world.portal) = (api, portal);
        world
    }

    /// Everything but the service itself.
    pub(crate) fn prepare(settings: &[(&str, &str)]) -> Self {
        let db = TestDb::new();
        let isolation = Isolation::new();
        let sandbox = Sandbox::start(SandboxConfig::default()).unwrap();
        let directory = Directory::start();
        for id in ["acme_corp", "globex_inc"] {
            db.execute(&format!(
                "INSERT INTO tenants (tenant_id, name) VALUES ('{id}', 'name')"
            ));
            directory.put(tenant(id));
        }
        let mut environment: BTreeMap<String, String> = [
            ("HTTP__BIND", "127.0.0.1:0"),
            ("HTTP__WORKERS", "1"),
            ("TELEMETRY__LOG", "off"),
            ("PORTAL__BIND", "127.0.0.1:0"),
            ("COOKIES__SECURE", "false"),
            ("DATABASE__URL", &db.url(ServiceRole::AgentPortal)),
            ("DATABASE__POOL_SIZE", "6"),
            ("DATABASE__ACQUIRE_TIMEOUT_MS", "5000"),
            ("RABBITMQ__URL", &amqp_url()),
            ("RABBITMQ__NAMESPACE", &isolation.rabbitmq_namespace),
            ("REDIS__URL", &redis_url()),
            ("REDIS__KEY_PREFIX", &isolation.redis_key_prefix),
            ("VAULT__KEYS", VAULT_KEYS),
            ("VAULT__ACTIVE_KEY", "k1"),
            ("TENANT_SERVICE__URL", &directory.url),
            ("TENANT_SERVICE__SERVICE_KEY", SERVICE_KEY),
            ("GENESYS__REGIONS", "sandbox,mypurecloud.de"),
            ("GENESYS__HOSTS__SANDBOX__LOGIN_URL", &sandbox.base_url()),
            ("GENESYS__HOSTS__SANDBOX__API_URL", &sandbox.base_url()),
            ("GENESYS__REDIRECT_URI", seed::DEFAULT_REDIRECT_URI),
            ("GENESYS__CLIENT_ID", seed::CONFIDENTIAL_CLIENT_ID),
            ("GENESYS__CLIENT_SECRET", seed::CONFIDENTIAL_CLIENT_SECRET),
            ("HTTP__ALLOWED_ORIGINS", "https://front.example"),
        ]
        .into_iter()
        .map(|(key, value)| (format!("AGENT_PORTAL__{key}"), value.to_owned()))
        .collect();
        for (key, value) in settings {
            environment.insert(format!("AGENT_PORTAL__{key}"), (*value).to_owned());
        }
        Self {
            db,
            sandbox,
            directory,
            isolation,
            http: http_client::build(&ClientOptions::default()).unwrap(),
            api: String::new(),
            portal: String::new(),
            environment,
            shutdown: Shutdown::new(),
        }
    }

    /// Changes a setting for what is started next.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.environment
            .insert(format!("AGENT_PORTAL__{key}"), value.to_owned());
    }

    pub(crate) fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings::load_from(&self.environment).unwrap()
    }

    /// Binds the service in this process without waiting for it to be ready.
    pub(crate) fn spawn_service(&self) -> (String, String) {
        self.spawn_with(&self.settings())
    }

    fn spawn_with(&self, settings: &Settings) -> (String, String) {
        let app = App::build(settings, self.shutdown.clone()).unwrap();
        let addresses = (
            format!("http://{}", app.api_addr()),
            format!("http://{}", app.portal_addr()),
        );
        tokio::spawn(app.run_until_stopped());
        addresses
    }

    /// One more replica of the service in this process; answers where it is.
    pub(crate) async fn run_service(&self) -> (String, String) {
        let (api, portal) = self.spawn_service();
        self.is_ready(&api).await;
        (api, portal)
    }

    /// As [`World::run_service`], with settings of its own.
    pub(crate) async fn run_service_with(
        &self,
        environment: &BTreeMap<String, String>,
    ) -> (String, String) {
        let (api, portal) = self.spawn_with(&Settings::load_from(environment).unwrap());
        self.is_ready(&api).await;
        (api, portal)
    }

    pub(crate) async fn is_ready(&self, api: &str) {
        eventually("the service to be ready", async || {
            let answer = self.http.get(format!("{api}/health/ready")).send();
            answer.await.ok()?.status().is_success().then_some(())
        })
        .await;
    }

    pub(crate) fn stop_service(&mut self) {
        self.shutdown.stop();
        self.shutdown = Shutdown::new();
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.http.clone(), &self.api, &self.portal)
    }

    /// From the login link to the address that Genesys sends the browser back to.
    pub(crate) async fn to_callback(&self, browser: &Browser, query: &str) -> String {
        let login = browser
            .get(&format!("{GATEWAY}/api/agents/auth/login?{query}"))
            .await;
        let authorize = login.location();
        browser.get(authorize.as_str()).await.location().to_string()
    }

    /// Signs in with the popup page; answers that page.
    pub(crate) async fn sign_in_page(&self, email: &str) -> Answer {
        let browser = self.browser();
        let callback = self
            .to_callback(&browser, &format!("login_hint={email}"))
            .await;
        browser.get(&callback).await
    }

    pub(crate) async fn sign_in(&self, email: &str) -> Person {
        let page = self.sign_in_page(email).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        let message = page.outcome()["message"].clone();
        let text = |name: &str| message[name].as_str().unwrap().to_owned();
        Person {
            access: text("accessToken"),
            refresh: text("refreshToken"),
            agent: message["agent"].clone(),
        }
    }

    /// Calls the API with a token.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: &str,
    ) -> (StatusCode, Value) {
        self.call_at(&self.api, method, path, token).await
    }

    /// As [`World::call`], at one of several replicas.
    pub(crate) async fn call_at(
        &self,
        api: &str,
        method: Method,
        path: &str,
        token: &str,
    ) -> (StatusCode, Value) {
        let request = self.http.request(method, format!("{api}{path}"));
        answer(request.bearer_auth(token)).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> (StatusCode, Value) {
        let request = self
            .http
            .post(format!("{}/api/agents/auth/refresh", self.api))
            .json(&json!({"refreshToken": token}));
        answer(request).await
    }

    /// The one value of a query that sees everything.
    pub(crate) fn value(&self, sql: &str) -> String {
        let mut rows = self.db.query(sql);
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows.remove(0)
    }

    /// How many rows of users, sessions and outbox there are: what a refused sign-in must not leave.
    pub(crate) fn footprint(&self) -> String {
        self.value(
            "SELECT concat_ws(' ', (SELECT count(*) FROM genesys_users), \
             (SELECT count(*) FROM genesys_user_sessions), (SELECT count(*) FROM outbox_events))",
        )
    }

    /// Catches events from now on.
    pub(crate) async fn listen(&self, binding: &str) -> EventListener {
        EventListener::start(&self.isolation, binding).await
    }

    /// Publishes an event as tenant-service would; answers the body, to be published again.
    pub(crate) async fn publish(&self, kind: &str, tenant: &str) -> Value {
        let event = json!({
            "specversion": "1.0", "id": uuid::Uuid::now_v7(), "source": "/services/tenant-service",
            "type": format!("com.agentportal.{kind}.v1"), "subject": tenant,
            "time": chrono::Utc::now(), "tenantid": tenant,
            "data": {"tenant_id": tenant, "name": "name", "status": "suspended", "changed": ["status"]},
        });
        self.publish_body(kind, &event).await;
        event
    }

    pub(crate) async fn publish_body(&self, kind: &str, event: &Value) {
        publish_event(&self.isolation, kind, event).await;
    }

    /// Waits until the queue of tenant events is bound: what is published before is lost.
    pub(crate) async fn consumers_are_up(&self) {
        let url = format!("{}/health/ready", self.api);
        eventually("the consumers", async || {
            let report: Value = self.http.get(&url).send().await.ok()?.json().await.ok()?;
            (report["dependencies"]["rabbitmq"]["status"] == "up").then_some(())
        })
        .await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.stop_now();
    }
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let response = request
        .timeout(Duration::from_secs(30))
        .send()
        .await
        .unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

/// What the portal's pages send along when they ask their own server.
pub(crate) const OWN_PAGE: [(&str, &str); 3] = [
    ("origin", PORTAL),
    ("x-portal-request", "1"),
    ("sec-fetch-site", "same-origin"),
];
