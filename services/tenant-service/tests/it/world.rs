//! A running service of one's own, with its database, its names on the broker and its keys in Redis.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use portal_auth::sha256_hex;
use portal_service_kit::{
    http_client::{self, ClientOptions},
    lifecycle::Shutdown,
};
use portal_tenant_client::{CachePolicy, TenantClient};
use portal_test_harness::{Isolation, ServiceRole, TestDb, amqp_url, eventually, redis_url};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tenant_service::{App, Settings};
use tokio::task::JoinHandle;

pub(crate) const ADMIN_EMAIL: &str = "Admin@Example.com";
pub(crate) const PASSWORD: &str = "correct horse battery staple";
/// Argon2id of the password, made once: making it takes long in a debug build.
pub(crate) const PASSWORD_HASH: &str = "$argon2id$v=19$m=47104,t=1,p=1$OIg0bcrSrXvQWknGXANk7g$\
                                        2l21UWSe5qRCWuWM0fCFV3LM483wFObdnC+CyspdzQQ";
pub(crate) const ADMIN_ID: &str = "0199f000-0000-7000-8000-00000000ad01";
pub(crate) const SERVICE_KEY: &str = "svc_outbound_test-key-of-the-outbound-service";
pub(crate) const VAULT_KEYS: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

pub(crate) struct World {
    pub(crate) db: TestDb,
    pub(crate) isolation: Isolation,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) client: reqwest::Client,
    /// A service that is no replica of this process.
    pub(crate) base: Option<String>,
}

pub(crate) struct Replica {
    pub(crate) base: String,
    pub(crate) dashboard: String,
    pub(crate) shutdown: Shutdown,
    pub(crate) running: JoinHandle<anyhow::Result<()>>,
}

/// The settings of a test, with some of its own.
pub(crate) fn environment(
    db: &TestDb,
    isolation: &Isolation,
    own: &[(&str, &str)],
) -> BTreeMap<String, String> {
    let common = [
        ("HTTP__BIND", "127.0.0.1:0".to_owned()),
        ("DASHBOARD__BIND", "127.0.0.1:0".to_owned()),
        ("HTTP__WORKERS", "1".to_owned()),
        ("HTTP__SHUTDOWN_GRACE_SECONDS", "5".to_owned()),
        ("DATABASE__URL", db.url(ServiceRole::Tenant)),
        ("DATABASE__POOL_SIZE", "4".to_owned()),
        ("RABBITMQ__URL", amqp_url()),
        ("RABBITMQ__NAMESPACE", isolation.rabbitmq_namespace.clone()),
        ("REDIS__URL", redis_url()),
        ("REDIS__KEY_PREFIX", isolation.redis_key_prefix.clone()),
        ("VAULT__KEYS", VAULT_KEYS.to_owned()),
        ("VAULT__ACTIVE_KEY", "k1".to_owned()),
        ("SERVICE_KEYS__OUTBOUND", sha256_hex(SERVICE_KEY)),
        ("ADMIN__REQUIRE_TOTP", "false".to_owned()),
        ("TELEMETRY__LOG", "warn".to_owned()),
    ];
    let own = own.iter().map(|(key, value)| (*key, (*value).to_owned()));
    common
        .into_iter()
        .chain(own)
        .map(|(key, value)| (format!("TENANT_SERVICE__{key}"), value))
        .collect()
}

/// Runs a test against a service that is ready and has one administrator, and cleans up after it.
pub(crate) async fn with_world(test: impl AsyncFnOnce(&mut World)) {
    with_settings(&[], test).await;
}

/// As [`with_world`], with settings of one's own.
pub(crate) async fn with_settings(own: &[(&str, &str)], test: impl AsyncFnOnce(&mut World)) {
    let db = TestDb::new();
    db.execute(&format!(
        "INSERT INTO platform_admins (admin_id, email, name, password_hash)
         VALUES ('{ADMIN_ID}', 'admin@example.com', 'Ada', '{PASSWORD_HASH}')"
    ));
    let mut world = World::around(db);
    world.start_replica(own).await;
    let outcome = AssertUnwindSafe(test(&mut world)).catch_unwind().await;
    world.clean_up().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

impl World {
    /// The client with which the other services ask the first replica.
    pub(crate) fn tenant_client(&self) -> TenantClient {
        TenantClient::new(
            http_client::build(&ClientOptions::default()).unwrap(),
            self.replicas[0].base.parse().unwrap(),
            SERVICE_KEY.into(),
            CachePolicy::default(),
        )
        .unwrap()
    }

    /// No row of the tables has the word `canary`, plain or as bytes.
    pub(crate) fn assert_no_canary_in(&self, tables: &[&str]) {
        for table in tables {
            let sql = format!(
                "SELECT count(*) FROM {table} t WHERE t::text LIKE '%canary%' \
                 OR t::text LIKE '%' || encode('canary', 'hex') || '%'"
            );
            assert_eq!(self.db.query(&sql), ["0"], "{table}");
        }
    }

    pub(crate) fn around(db: TestDb) -> Self {
        Self {
            db,
            isolation: Isolation::new(),
            replicas: Vec::new(),
            base: None,
            client: http_client::build(&ClientOptions {
                timeout: Duration::from_secs(30),
                ..ClientOptions::default()
            })
            .unwrap(),
        }
    }

    /// Starts one more process' worth of service and waits until it is ready.
    pub(crate) async fn start_replica(&mut self, own: &[(&str, &str)]) {
        self.launch_replica(own);
        eventually("the service is ready", async || {
            let response = self.get("/health/ready").send().await.ok()?;
            let body: Value = response.json().await.ok()?;
            // The broker is no condition of readiness, but tests want its queues in place.
            let is_connected = body["dependencies"]["rabbitmq"]["status"] == "up";
            (body["status"] == "ready" && is_connected).then_some(())
        })
        .await;
    }

    pub(crate) fn launch_replica(&mut self, own: &[(&str, &str)]) {
        let settings = Settings::load_from(&environment(&self.db, &self.isolation, own)).unwrap();
        let shutdown = Shutdown::new();
        let app = App::build(&settings, shutdown.clone()).unwrap();
        let base = format!("http://{}", app.api_addr());
        self.replicas.push(Replica {
            base,
            dashboard: format!("http://{}", app.dashboard_addr()),
            shutdown,
            running: tokio::spawn(app.run_until_stopped()),
        });
    }

    /// Stops the newest replica and gives what its run ended with.
    pub(crate) async fn stop_replica(&mut self) -> anyhow::Result<()> {
        let replica = self.replicas.pop().unwrap();
        replica.shutdown.stop();
        replica.running.await.unwrap()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let base = self
            .base
            .as_ref()
            .unwrap_or_else(|| &self.replicas.last().unwrap().base);
        self.client.request(method, format!("{base}{path}"))
    }

    /// Where the newest replica's dashboard is.
    pub(crate) fn dashboard(&self) -> &str {
        &self.replicas.last().unwrap().dashboard
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    pub(crate) async fn login(&self) -> String {
        let body = json!({"email": ADMIN_EMAIL, "password": PASSWORD});
        let response = self
            .post("/api/admin/auth/login")
            .json(&body)
            .send()
            .await
            .unwrap();
        let body = ok(response, 200).await;
        body["accessToken"].as_str().unwrap().to_owned()
    }

    /// Signs in, and gives the whole answer.
    pub(crate) async fn sign_in(&self, password: &str, code: Option<&str>) -> Response {
        let mut body = json!({"email": ADMIN_EMAIL, "password": password});
        if let Some(code) = code {
            body["totp_code"] = code.into();
        }
        let request = self.post("/api/admin/auth/login").json(&body);
        request.send().await.unwrap()
    }

    pub(crate) async fn admin(&self) -> Admin<'_> {
        Admin {
            world: self,
            token: self.login().await,
        }
    }

    async fn clean_up(&mut self) {
        while !self.replicas.is_empty() {
            drop(self.stop_replica().await);
        }
        super::events::Broker::connect(self).await.clean_up().await;
    }
}

/// A signed-in administrator.
pub(crate) struct Admin<'a> {
    pub(crate) world: &'a World,
    pub(crate) token: String,
}

impl Admin<'_> {
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let mut request = self.world.request(method, path).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn create(&self, body: Value) -> Response {
        self.send(Method::POST, "/api/tenants", Some(body)).await
    }

    pub(crate) async fn patch(&self, id: &str, body: Value) -> Response {
        self.send(Method::PATCH, &format!("/api/tenants/{id}"), Some(body))
            .await
    }

    pub(crate) async fn delete(&self, path: &str) -> Response {
        self.send(Method::DELETE, path, None).await
    }

    pub(crate) async fn put_whatsapp(&self, id: &str, body: Value) -> Response {
        self.send(
            Method::PUT,
            &format!("/api/tenants/{id}/whatsapp"),
            Some(body),
        )
        .await
    }

    /// Two tenants, each with its organization: `acme_corp` (`org-acme`) and `globex` (`org-globex`).
    pub(crate) async fn two_tenants(&self) {
        for (id, name) in [("acme_corp", "Acme Corp"), ("globex", "Globex")] {
            let org = format!("org-{}", id.trim_end_matches("_corp"));
            let body = json!({"tenant_id": id, "name": name, "genesys_org_id": org,
                              "genesys_region": "mypurecloud.com"});
            ok(self.create(body).await, 201).await;
        }
    }
}

pub(crate) fn whatsapp_body(number: u8) -> Value {
    json!({
        "waba_id": format!("10229012934000{number}"),
        "business_id": "5060708090",
        "phone_number_id": format!("10654032987000{number}"),
        "display_phone_number": format!("+1 415-555-010{number}"),
        "access_token": format!("EAAGcanary-token-of-tenant-{number}-wxy{number}"),
    })
}

/// The body of an answer with the expected status.
pub(crate) async fn ok(response: Response, status: u16) -> Value {
    let found = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(found, status, "{text}");
    if text.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(&text).unwrap()
    }
}

/// The message and details of an error with the expected status and code.
pub(crate) async fn refused(response: Response, status: u16, code: &str) -> Value {
    let body = ok(response, status).await;
    assert_eq!(body["error"]["code"], code, "{body}");
    assert!(
        body["requestId"].as_str().is_some_and(|id| !id.is_empty()),
        "{body}"
    );
    body["error"].clone()
}

/// The names of the fields that a validation error lists, sorted.
pub(crate) async fn bad_fields(response: Response) -> Vec<String> {
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let error = refused(response, 400, "VALIDATION_FAILED").await;
    let details = error["details"].as_array().unwrap();
    let mut fields: Vec<String> = details
        .iter()
        .map(|detail| detail["field"].as_str().unwrap().to_owned())
        .collect();
    fields.sort();
    fields
}

pub(crate) fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}
