//! An installation: three services, two tenants, and the verbs of an administrator.

use std::{collections::BTreeMap, net::TcpListener};

use portal_auth::{Passwords, random_token, sha256_hex};
use portal_sandbox::{NewWaba, Sandbox, SandboxConfig, seed};
use portal_service_kit::lifecycle::Shutdown;
use portal_test_harness::{
    Isolation, PrivateRedis, ServiceRole, TestDb, amqp_url_as, eventually, make_exchanges,
    redis_url,
};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::browser::Browser;

/// What secrets are sealed with; the active one is `k1`.
pub const VAULT_KEYS: &str = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// As `portalctl admin create` was given them.
pub const ADMIN_EMAIL: &str = "admin@platform.example";
/// See [`ADMIN_EMAIL`].
pub const ADMIN_PASSWORD: &str = "correct horse battery staple";

/// The ports that browsers see, and so must be known before anything starts; 0 takes a free one for
/// whoever does not care.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    pub gateway: u16,
    pub portal: u16,
    pub dashboard: u16,
}

impl Ports {
    /// Free ones.
    pub fn chosen() -> Self {
        // All are held until the last is found, so that none comes twice.
        let held = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [gateway, portal, dashboard] = held.map(|one| one.local_addr().unwrap().port());
        Self {
            gateway,
            portal,
            dashboard,
        }
    }

    /// Where a browser finds a port.
    pub fn origin(port: u16) -> String {
        format!("http://localhost:{port}")
    }

    fn redirect_uri(self) -> String {
        match self.gateway {
            0 => seed::DEFAULT_REDIRECT_URI.to_owned(),
            port => format!("{}/api/agents/auth/callback", Self::origin(port)),
        }
    }
}

/// What runs.
pub struct Installation {
    pub db: TestDb,
    pub sandbox: Sandbox,
    pub isolation: Isolation,
    pub tenants_url: String,
    pub portal_url: String,
    pub messages_url: String,
    pub http: reqwest::Client,
    pub service_key: String,
    admin_token: String,
    shutdown: Shutdown,
}

impl Installation {
    /// Everything runs; acme and globex are set up through the API, as an administrator would.
    pub async fn start() -> Self {
        Self::with_tenants(TestDb::new(), None).await
    }

    /// As [`Installation::start`], on a Redis that each service enters as a user of its own.
    pub async fn start_on(redis: &PrivateRedis) -> Self {
        Self::with_tenants(TestDb::new(), Some(redis)).await
    }

    /// As [`Installation::start`], in a schema of its own beside a legacy installation's tables.
    pub async fn start_beside_legacy() -> Self {
        Self::with_tenants(TestDb::beside_legacy(), None).await
    }

    /// Everything runs on a database that has its tenants already; Meta knows these accounts of theirs.
    pub async fn start_in(db: TestDb, accounts: Vec<NewWaba>) -> Self {
        let mut installation = Self::build(db, Ports::default(), None, accounts).await;
        installation.admin_token = installation.sign_in_admin().await;
        installation
    }

    /// Everything runs; there is nobody but the platform administrator.
    pub async fn without_tenants(ports: Ports) -> Self {
        Self::build(TestDb::new(), ports, None, Vec::new()).await
    }

    async fn with_tenants(db: TestDb, redis: Option<&PrivateRedis>) -> Self {
        let mut installation = Self::build(db, Ports::default(), redis, Vec::new()).await;
        installation.admin_token = installation.sign_in_admin().await;
        installation.set_up_tenants().await;
        installation
    }

    #[expect(
        clippy::too_many_lines,
        reason = "the three services' settings, one after the other"
    )]
    async fn build(
        db: TestDb,
        ports: Ports,
        redis: Option<&PrivateRedis>,
        accounts: Vec<NewWaba>,
    ) -> Self {
        let redirect_uri = ports.redirect_uri();
        let sandbox = Sandbox::start(SandboxConfig {
            redirect_uris: vec![redirect_uri.clone()],
            ..SandboxConfig::default()
        })
        .unwrap();
        // The services ask after their accounts as soon as they run.
        for account in accounts {
            sandbox.add_waba(account);
        }
        let mut isolation = Isolation::new();
        if redis.is_some() {
            // The users' rights are for keys without a prefix.
            isolation.redis_key_prefix.clear();
        }
        make_exchanges(&isolation).await;
        let shutdown = Shutdown::new();
        create_admin(&db).await;
        let service_key = random_token("svc_e2e_").unwrap();
        let key = service_key.expose_secret();

        let environment = |prefix: &str, role, more: &[(&str, &str)]| {
            let redis = redis.map_or_else(redis_url, |redis| redis.url(role));
            let urls = [db.url(role), redis, amqp_url_as(role)];
            settings(prefix, &urls, &isolation, more)
        };
        let tenants = tenant_service::Settings::load_from(&environment(
            "TENANT_SERVICE",
            ServiceRole::Tenant,
            &[
                ("SERVICE_KEYS__E2E", &sha256_hex(key)),
                ("LIMITS__LOGIN_ACCOUNT_BURST", "1000"),
                ("LIMITS__LOGIN_ADDRESS_BURST", "1000"),
                ("META__APP_ID", seed::APP_ID),
                ("META__APP_SECRET", seed::APP_SECRET),
                ("META__CONFIG_ID", seed::SIGNUP_CONFIG_ID),
                ("META__GRAPH_URL", &sandbox.base_url()),
                ("META__SDK_URL", &format!("{}/sdk.js", sandbox.base_url())),
                ("DASHBOARD__BIND", &local(ports.dashboard)),
                ("DASHBOARD__ORIGIN", &Ports::origin(ports.dashboard)),
                (
                    "ADMIN__REQUIRE_TOTP",
                    if ports.dashboard == 0 {
                        "false"
                    } else {
                        "true"
                    },
                ),
            ],
        ))
        .unwrap();
        let tenants = tenant_service::App::build(&tenants, shutdown.clone()).unwrap();
        let tenants_url = format!("http://{}", tenants.api_addr());
        tokio::spawn(tenants.run_until_stopped());

        let portal = agent_portal_service::Settings::load_from(&environment(
            "AGENT_PORTAL",
            ServiceRole::AgentPortal,
            &[
                ("PORTAL__BIND", &local(ports.portal)),
                ("PORTAL__ORIGIN", &Ports::origin(ports.portal)),
                ("PORTAL__API_ORIGIN", &Ports::origin(ports.gateway)),
                ("COOKIES__SECURE", "false"),
                ("TENANT_SERVICE__URL", &tenants_url),
                ("TENANT_SERVICE__SERVICE_KEY", key),
                ("GENESYS__REGIONS", "sandbox"),
                ("GENESYS__CLIENT_ID", seed::CONFIDENTIAL_CLIENT_ID),
                ("GENESYS__CLIENT_SECRET", seed::CONFIDENTIAL_CLIENT_SECRET),
                ("GENESYS__REDIRECT_URI", &redirect_uri),
                ("GENESYS__HOSTS__SANDBOX__LOGIN_URL", &sandbox.base_url()),
                ("GENESYS__HOSTS__SANDBOX__API_URL", &sandbox.base_url()),
            ],
        ))
        .unwrap();
        let portal = agent_portal_service::App::build(&portal, shutdown.clone()).unwrap();
        let portal_url = format!("http://{}", portal.api_addr());
        tokio::spawn(portal.run_until_stopped());

        let messages = outbound_message_service::Settings::load_from(&environment(
            "OUTBOUND",
            ServiceRole::Outbound,
            &[
                ("HTTP__ALLOWED_ORIGINS", &Ports::origin(ports.portal)),
                (
                    "AUTH__JWKS_URL",
                    &format!("{portal_url}/.well-known/jwks.json"),
                ),
                ("TENANT_SERVICE__URL", &tenants_url),
                ("TENANT_SERVICE__SERVICE_KEY", key),
                ("META__GRAPH_URL", &sandbox.base_url()),
                ("META__APP_SECRETS", seed::APP_SECRET),
                ("META__VERIFY_TOKEN", "verify-me"),
            ],
        ))
        .unwrap();
        let messages = outbound_message_service::App::build(&messages, shutdown.clone()).unwrap();
        let messages_url = format!("http://{}", messages.addr());
        tokio::spawn(messages.run_until_stopped());
        let webhooks = format!("{messages_url}/webhooks/whatsapp");
        sandbox.set_webhook_url(Some(webhooks.parse().unwrap()));

        let installation = Self {
            db,
            sandbox,
            isolation,
            tenants_url,
            portal_url,
            messages_url,
            http: crate::browser::client(),
            service_key: key.to_owned(),
            admin_token: String::new(),
            shutdown,
        };
        installation.wait_until_ready().await;
        installation
    }

    async fn wait_until_ready(&self) {
        for url in [&self.tenants_url, &self.portal_url, &self.messages_url] {
            eventually(&format!("{url} to be ready"), async || {
                let answer = self
                    .http
                    .get(format!("{url}/health/ready"))
                    .send()
                    .await
                    .ok()?;
                answer.status().is_success().then_some(())
            })
            .await;
        }
    }

    /// A fresh token of the platform administrator.
    pub async fn sign_in_admin(&self) -> String {
        let body = json!({"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD});
        let url = format!("{}/api/admin/auth/login", self.tenants_url);
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let answer: Value = answer.json().await.unwrap();
        answer["accessToken"].as_str().unwrap().to_owned()
    }

    /// A call of the administrator.
    pub async fn admin(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let request = self
            .http
            .request(method, format!("{}{path}", self.tenants_url));
        let answer = request
            .bearer_auth(&self.admin_token)
            .json(body)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        (status, answer.json().await.unwrap_or_default())
    }

    /// A new API key of a tenant, with all scopes.
    pub async fn api_key(&self, tenant: &str) -> String {
        let body =
            json!({"name": "test", "scopes": ["messages:send", "messages:read", "templates:read"]});
        let path = format!("/api/tenants/{tenant}/api-keys");
        let (status, answer) = self.admin(Method::POST, &path, &body).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        answer["key"].as_str().unwrap().to_owned()
    }

    async fn create_tenant(&self, tenant: &str, org: &str) {
        let body = json!({"tenant_id": tenant, "name": tenant, "genesys_org_id": org, "genesys_region": "sandbox"});
        let (status, answer) = self.admin(Method::POST, "/api/tenants", &body).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
    }

    async fn set_up_tenants(&self) {
        let acme = json!({"waba_id": seed::ACME_WABA_ID, "access_token": seed::ACME_TOKEN,
            "phone_number_id": seed::ACME_PHONE_NUMBER_ID,
            "display_phone_number": seed::ACME_DISPLAY_PHONE_NUMBER});
        let globex = json!({"waba_id": seed::GLOBEX_WABA_ID, "access_token": seed::GLOBEX_TOKEN,
            "phone_number_id": seed::GLOBEX_PHONE_NUMBER_ID,
            "display_phone_number": seed::GLOBEX_DISPLAY_PHONE_NUMBER});
        for (tenant, org, whatsapp) in [
            ("acme_corp", seed::ACME_ORG_ID, acme),
            ("globex_inc", seed::GLOBEX_ORG_ID, globex),
        ] {
            self.create_tenant(tenant, org).await;
            let path = format!("/api/tenants/{tenant}/whatsapp");
            let (status, answer) = self.admin(Method::PUT, &path, &whatsapp).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            assert!(
                !answer
                    .to_string()
                    .contains(whatsapp["access_token"].as_str().unwrap())
            );
        }
    }

    /// What people, sessions and keys of a tenant are, to see whether anything changed.
    pub fn fingerprint(&self, tenant: &str) -> Vec<String> {
        let of = |columns: &str, table: &str| {
            self.db.query(&format!(
                "SELECT md5(string_agg(row_to_json(r)::text, ',' ORDER BY row_to_json(r)::text)) \
                 FROM (SELECT {columns} FROM {table} WHERE tenant_id = '{tenant}') r"
            ))
        };
        [
            of("*", "genesys_users"),
            of(
                "session_id, refresh_token_hash, revoked_at",
                "genesys_user_sessions",
            ),
            of(
                "key_id, key_hash, expires_at, revoked_at",
                "tenant_api_keys",
            ),
            of("*", "user_sync_runs"),
            of(
                "conversation_id, status, assigned_to, unread_count, version",
                "conversations",
            ),
        ]
        .concat()
    }

    /// Signs a person in through Genesys and answers what the front end is told.
    pub async fn sign_in(&self, email: &str) -> (StatusCode, Value) {
        Browser::default().sign_in(self, email).await
    }

    /// As [`Installation::sign_in`], for somebody who gets in.
    pub async fn token(&self, email: &str) -> String {
        let (status, outcome) = self.sign_in(email).await;
        assert_eq!(status, StatusCode::OK, "{outcome}");
        outcome["accessToken"].as_str().unwrap().to_owned()
    }

    pub async fn get(&self, url: &str, token: &str) -> (StatusCode, Value) {
        let answer = self.http.get(url).bearer_auth(token).send().await.unwrap();
        let status = answer.status();
        (status, answer.json().await.unwrap_or_default())
    }

    pub async fn send(&self, token: &str, to: &str) -> (StatusCode, Value) {
        let request = self
            .http
            .post(format!("{}/api/messages/send", self.messages_url));
        let body = json!({"to": to, "text": "Test message"});
        let answer = request.bearer_auth(token).json(&body).send().await.unwrap();
        let status = answer.status();
        (status, answer.json().await.unwrap())
    }

    pub async fn message(&self, token: &str, id: &str) -> (StatusCode, Value) {
        self.get(&format!("{}/api/messages/{id}", self.messages_url), token)
            .await
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        self.shutdown.stop_now();
    }
}

fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// Settings of a service as its environment carries them.
fn settings(
    prefix: &str,
    [database, redis, amqp]: &[String; 3],
    isolation: &Isolation,
    more: &[(&str, &str)],
) -> BTreeMap<String, String> {
    let shared = [
        ("HTTP__BIND", "127.0.0.1:0"),
        ("HTTP__WORKERS", "1"),
        ("DATABASE__URL", database),
        ("DATABASE__POOL_SIZE", "5"),
        ("RABBITMQ__URL", amqp),
        ("RABBITMQ__NAMESPACE", &isolation.rabbitmq_namespace),
        ("REDIS__URL", redis),
        ("REDIS__KEY_PREFIX", &isolation.redis_key_prefix),
        ("VAULT__KEYS", VAULT_KEYS),
        ("VAULT__ACTIVE_KEY", "k1"),
        // A test is one address that does the work of many people.
        ("LIMITS__PER_ADDRESS_PER_MINUTE", "1000000"),
        ("LIMITS__PER_ADDRESS_BURST", "1000000"),
        ("LIMITS__PER_CALLER_PER_MINUTE", "1000000"),
    ];
    // No tenant's people call tenant-service.
    let of_tenants = [("LIMITS__PER_TENANT_PER_MINUTE", "1000000")];
    let of_tenants = of_tenants.iter().filter(|_| prefix != "TENANT_SERVICE");
    let all = shared.iter().chain(of_tenants).chain(more);
    all.map(|(key, value)| (format!("{prefix}__{key}"), (*value).to_owned()))
        .collect()
}

/// As `portalctl admin create` does.
async fn create_admin(db: &TestDb) {
    let hash = Passwords::new().hash(ADMIN_PASSWORD.into()).await.unwrap();
    db.execute(&format!(
        "INSERT INTO platform_admins (admin_id, email, name, password_hash) \
         VALUES ('{}', '{ADMIN_EMAIL}', 'Ada', '{hash}')",
        uuid::Uuid::now_v7(),
    ));
}
