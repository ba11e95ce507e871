//! The installation that the canaries are planted in.

use std::{collections::BTreeMap, sync::Mutex};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use deadpool_redis::redis::{self, AsyncCommands as _};
use portal_auth::{Passwords, sha256_hex};
use portal_e2e::browser::client;
use portal_sandbox::{Sandbox, SandboxConfig, seed};
use portal_test_harness::{
    CaughtEvent, EventListener, Isolation, ServiceRole, TestDb, amqp_url, eventually, redis_url,
};
use portal_vault::{
    Vault,
    places::{GENESYS_ACCESS_TOKEN, GENESYS_REFRESH_TOKEN, Place},
};
use reqwest::{Method, StatusCode, header};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use url::Url;

use super::processes::{Collector, Process, ports};

pub(super) const ADMIN_EMAIL: &str = "canary-ada@platform.example";
const ADMIN_NAME: &str = "Canary Ada Lovelace";
pub(super) const ADMIN_PASSWORD: &str = "canary-admin-password-Xq7";
pub(super) const WRONG_PASSWORD: &str = "canary-wrong-password-Zk2";
pub(super) const AGENT_EMAIL: &str = "canary.grace@acme.example";
pub(super) const AGENT_NAME: &str = "Canary Grace Hopper";
const CLIENT_SECRET: &str = "canary-genesys-code-secret-8Rt";
pub(super) const CC_SECRET: &str = "canary-genesys-cc-secret-5Ty";
const CLIENT_ID: &str = "sign-in-client";
pub(super) const GRAPH_TOKEN: &str = "EAAcanaryWhatsappToken00000000000000000077";
pub(super) const API_KEY: &str = "sk_canaryApiKey00000000000000000000000000000bb";
const APP_SECRET: &str = "canary-meta-app-secret-2Wq";
pub(super) const VERIFY_TOKEN: &str = "canary-verify-token-9Lp";
const VAULT_KEY: &str = "Y2FuYXJ5LXZhdWx0LWtleS0wMTIzNDU2Nzg5YWJjZGU=";
const DATABASE_PASSWORD: &str = "canary-database-password-3Nm";
pub(super) const TEXT: &str = "canary message text: where is my parcel?";
pub(super) const INBOUND_TEXT: &str = "canary inbound text: at the neighbour's";
pub(super) const CONTACT_NAME: &str = "Canary Linus Customer";
pub(super) const PHONE: &str = "+15550173399";
pub(super) const PIN: &str = "735926";
pub(super) const WABA: &str = "900000000000001";

/// A secret, and where it may be seen.
pub(super) struct Canary {
    pub(super) name: String,
    pub(super) value: String,
    /// Types of events that carry it by contract.
    events: &'static [&'static str],
}

impl Canary {
    fn new(name: &str, value: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: value.to_owned(),
            events: &[],
        }
    }

    const fn in_events(mut self, events: &'static [&'static str]) -> Self {
        self.events = events;
        self
    }

    pub(super) fn is_in(&self, text: &str) -> bool {
        if self.value.len() > 8 {
            return text.contains(&self.value);
        }
        // Six digits come by chance, in times for instance, but not as a value.
        ["\"", "=", ": ", "+"]
            .iter()
            .any(|before| text.contains(&format!("{before}{}", self.value)))
    }

    pub(super) fn may_be_in_event(&self, kind: &str) -> bool {
        self.events.iter().any(|prefix| kind.starts_with(prefix))
    }
}

/// What was planted, and everything that came out.
pub(super) struct Run {
    pub(super) canaries: Vec<Canary>,
    pub(super) logs: String,
    pub(super) traces: String,
    pub(super) errors: Vec<String>,
}

pub(super) struct World {
    pub(super) db: TestDb,
    pub(super) sandbox: Sandbox,
    pub(super) tenants_url: String,
    pub(super) portal_url: String,
    pub(super) messages_url: String,
    pub(super) admin_token: String,
    pub(super) service_key: String,
    isolation: Isolation,
    events: EventListener,
    http: reqwest::Client,
    collector: Collector,
    processes: Vec<Process>,
    canaries: Vec<Canary>,
    errors: Mutex<Vec<String>>,
}

impl World {
    #[expect(clippy::too_many_lines, reason = "the settings of three services")]
    pub(super) async fn start() -> Self {
        let db = TestDb::new();
        let hash = Passwords::new().hash(ADMIN_PASSWORD.into()).await.unwrap();
        db.execute(&format!(
            "INSERT INTO platform_admins (admin_id, email, name, password_hash) \
             VALUES ('{}', '{ADMIN_EMAIL}', '{ADMIN_NAME}', '{hash}')",
            uuid::Uuid::now_v7(),
        ));
        let sandbox = sandbox();
        let isolation = Isolation::new();
        let (collector, endpoint) = Collector::start();
        let service_key = format!("svc_canary_{}", uuid::Uuid::new_v4().simple());
        let [tenants, portal, pages, messages, dashboard] = ports();
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let environment = Environment {
            db: &db,
            isolation: &isolation,
            endpoint: &endpoint,
        };
        let (genesys, tenants_url) = (sandbox.base_url(), url(tenants));
        let jwks = format!("{}/.well-known/jwks.json", url(portal));
        let local = |port: u16| format!("127.0.0.1:{port}");
        let processes = vec![
            Process::start(
                "tenant",
                &environment.of(
                    "TENANT_SERVICE",
                    ServiceRole::Tenant,
                    &[
                        ("HTTP__BIND", &local(tenants)),
                        ("DASHBOARD__BIND", &local(dashboard)),
                        ("SERVICE_KEYS__CANARY", &sha256_hex(&service_key)),
                        ("ADMIN__REQUIRE_TOTP", "false"),
                    ],
                ),
            ),
            Process::start(
                "portal",
                &environment.of(
                    "AGENT_PORTAL",
                    ServiceRole::AgentPortal,
                    &[
                        ("HTTP__BIND", &local(portal)),
                        ("PORTAL__BIND", &local(pages)),
                        ("COOKIES__SECURE", "false"),
                        ("TENANT_SERVICE__URL", &tenants_url),
                        ("TENANT_SERVICE__SERVICE_KEY", &service_key),
                        ("GENESYS__REGIONS", "sandbox"),
                        ("GENESYS__CLIENT_ID", CLIENT_ID),
                        ("GENESYS__CLIENT_SECRET", CLIENT_SECRET),
                        ("GENESYS__REDIRECT_URI", seed::DEFAULT_REDIRECT_URI),
                        ("GENESYS__HOSTS__SANDBOX__LOGIN_URL", &genesys),
                        ("GENESYS__HOSTS__SANDBOX__API_URL", &genesys),
                    ],
                ),
            ),
            Process::start(
                "outbound",
                &environment.of(
                    "OUTBOUND",
                    ServiceRole::Outbound,
                    &[
                        ("HTTP__BIND", &local(messages)),
                        ("AUTH__JWKS_URL", &jwks),
                        ("TENANT_SERVICE__URL", &tenants_url),
                        ("TENANT_SERVICE__SERVICE_KEY", &service_key),
                        ("META__GRAPH_URL", &genesys),
                        ("META__APP_SECRETS", APP_SECRET),
                        ("META__VERIFY_TOKEN", VERIFY_TOKEN),
                    ],
                ),
            ),
        ];
        let messages_url = url(messages);
        let webhooks = format!("{messages_url}/webhooks/whatsapp");
        sandbox.set_webhook_url(Some(webhooks.parse().unwrap()));
        let world = Self {
            db,
            sandbox,
            tenants_url,
            portal_url: url(portal),
            messages_url,
            admin_token: String::new(),
            events: EventListener::start(&isolation, "#").await,
            isolation,
            http: client(),
            collector,
            processes,
            canaries: planted(&service_key),
            service_key,
            errors: Mutex::default(),
        };
        for url in [&world.tenants_url, &world.portal_url, &world.messages_url] {
            eventually("the services to be ready", async || {
                let asked = world
                    .http
                    .get(format!("{url}/health/ready"))
                    .send()
                    .await
                    .ok()?;
                asked.status().is_success().then_some(())
            })
            .await;
        }
        world
    }

    /// A call; what an error says is kept.
    pub(super) async fn call(
        &self,
        method: Method,
        url: &str,
        token: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let mut request = self.http.request(method, url);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), format!("{:?}", answer.headers()));
        let text = answer.text().await.unwrap();
        let value = serde_json::from_str(&text).unwrap_or_default();
        if !status.is_success() {
            self.errors
                .lock()
                .unwrap()
                .push(format!("{status} {headers} {text}"));
        }
        (status, value)
    }

    pub(super) async fn admin(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let url = format!("{}{path}", self.tenants_url);
        self.call(method, &url, &self.admin_token, body).await
    }

    /// One more canary, from an answer.
    pub(super) fn plant_from(&mut self, name: &str, value: &Value) -> String {
        let value = value.as_str().unwrap_or_else(|| panic!("{name}: {value}"));
        self.canaries.push(Canary::new(name, value));
        value.to_owned()
    }

    fn plant(&mut self, name: &str, value: &str) {
        self.canaries.push(Canary::new(name, value));
    }

    /// Signs the agent in, once with a state that was not given out; answers the page's message.
    pub(super) async fn sign_in(&mut self) -> Value {
        let mut login = Url::parse(&format!("{}/api/agents/auth/login", self.portal_url)).unwrap();
        login
            .query_pairs_mut()
            .append_pair("login_hint", AGENT_EMAIL);
        let begun = self.http.get(login).send().await.unwrap();
        let cookie = begun.headers()[header::SET_COOKIE].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        self.plant("a login's cookie", cookie.split_once('=').unwrap().1);
        let verifier = self.verifier().await;
        self.plant("a PKCE verifier", &verifier);
        let to_genesys = begun.headers()[header::LOCATION].to_str().unwrap();
        let at_genesys = self.http.get(to_genesys).send().await.unwrap();
        let back = Url::parse(at_genesys.headers()[header::LOCATION].to_str().unwrap()).unwrap();
        for (name, value) in back.query_pairs() {
            self.plant(&format!("the callback's {name}"), &value);
        }
        let query = back.query().unwrap();
        let callback = format!("{}{}?{query}", self.portal_url, back.path());
        let strange = callback.replace("state=", "state=x");
        let ask = async |url: &str, cookie: &str| {
            let page = self
                .http
                .get(url)
                .header(header::COOKIE, cookie)
                .send()
                .await
                .unwrap();
            let status = page.status();
            (status, page.text().await.unwrap())
        };
        let (status, page) = ask(&strange, &cookie).await;
        assert!(status.is_client_error(), "{status}");
        self.errors.lock().unwrap().push(page);
        let (status, page) = ask(&callback, &cookie).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        // A code that was used, and a state that is gone.
        let (status, again) = ask(&callback, &cookie).await;
        assert!(status.is_client_error(), "{status}");
        self.errors.lock().unwrap().push(again);
        let (_, data) = page.split_once("type=\"application/json\"").unwrap();
        let (_, data) = data.split_once('>').unwrap();
        let (data, _) = data.split_once("</script>").unwrap();
        serde_json::from_str::<Value>(data).unwrap()["message"].clone()
    }

    /// The verifier that the login put aside.
    async fn verifier(&self) -> String {
        let client = redis::Client::open(redis_url()).unwrap();
        let mut redis = client.get_multiplexed_async_connection().await.unwrap();
        let pattern = format!("{}*", self.isolation.redis_key_prefix);
        let keys: Vec<String> = redis.keys(pattern).await.unwrap();
        for key in keys {
            let Ok(Some(text)) = redis.get::<_, Option<String>>(&key).await else {
                continue;
            };
            let value: Value = serde_json::from_str(&text).unwrap_or_default();
            if let Some(verifier) = value["verifier"].as_str() {
                return verifier.to_owned();
            }
        }
        panic!("no login is under way")
    }

    /// Opens what the session keeps of Genesys.
    pub(super) fn tokens_of_genesys(&mut self) {
        let vault = Vault::from_keys(&format!("k1:{VAULT_KEY}").into(), "k1").unwrap();
        for (name, place) in [
            ("Genesys' access token", GENESYS_ACCESS_TOKEN),
            ("Genesys' refresh token", GENESYS_REFRESH_TOKEN),
        ] {
            let Place { table, column, .. } = place;
            let stored = self.db.query(&format!(
                "SELECT concat_ws(' ', session_id, encode({column}, 'hex')) FROM {table} \
                 WHERE {column} IS NOT NULL"
            ));
            assert!(!stored.is_empty(), "{name}");
            for row in stored {
                let (session, sealed) = row.split_once(' ').unwrap();
                let place = place.of("acme_corp", session);
                let token = vault.open(&place, &hex::decode(sealed).unwrap()).unwrap();
                self.plant(name, token.expose_secret());
            }
        }
    }

    #[expect(clippy::unused_self, reason = "the installation's secret signs")]
    pub(super) fn signature(&self, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, APP_SECRET.as_bytes());
        format!("sha256={}", hex::encode(hmac::sign(&key, body.as_bytes())))
    }

    pub(super) async fn webhook(&self, body: &str, signature: &str) -> StatusCode {
        let request = self
            .http
            .post(format!("{}/webhooks/whatsapp", self.messages_url));
        let answer = request
            .header("content-type", "application/json")
            .header("X-Hub-Signature-256", signature)
            .body(body.to_owned())
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        self.errors.lock().unwrap().push(text);
        status
    }

    /// All events, once none waits any more.
    pub(super) async fn events(&self) -> Vec<CaughtEvent> {
        eventually("all events to be published", async || {
            let waiting = "SELECT count(*) FROM outbox_events WHERE published_at IS NULL";
            (self.db.query(waiting) == ["0"]).then_some(())
        })
        .await;
        let mut events = Vec::new();
        while let Some(event) = self.events.poll().await {
            events.push(event);
        }
        events
    }

    /// Stops the services and hands over all that they said.
    pub(super) fn stop(self) -> Run {
        let logs = self.processes.into_iter().map(Process::stop).collect();
        Run {
            canaries: self.canaries,
            logs,
            traces: self.collector.text(),
            errors: self.errors.into_inner().unwrap(),
        }
    }
}

/// What is known before anything starts.
fn planted(service_key: &str) -> Vec<Canary> {
    let basic = STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}"));
    let mut canaries: Vec<_> = [
        ("an administrator's password", ADMIN_PASSWORD),
        ("a wrong password", WRONG_PASSWORD),
        ("an administrator's address", ADMIN_EMAIL),
        ("an administrator's name", ADMIN_NAME),
        ("a person's name", AGENT_NAME),
        ("the secret of the sign-in client", CLIENT_SECRET),
        ("the same as it travels", &basic),
        ("the secret of an organization's client", CC_SECRET),
        ("a WhatsApp token", GRAPH_TOKEN),
        ("a PIN", PIN),
        ("an API key", API_KEY),
        ("the app secret", APP_SECRET),
        ("the verify token", VERIFY_TOKEN),
        ("the vault's key", VAULT_KEY.trim_end_matches('=')),
        ("a service key", service_key),
        ("the database's password", DATABASE_PASSWORD),
    ]
    .map(|(name, value)| Canary::new(name, value))
    .into();
    canaries.push(Canary::new("a person's address", AGENT_EMAIL).in_events(&["user."]));
    canaries.push(Canary::new("a message's text", TEXT).in_events(&["message.accepted"]));
    let received = &["message.received"];
    canaries.push(Canary::new("the text of an answer", INBOUND_TEXT).in_events(received));
    canaries.push(Canary::new("a customer's name", CONTACT_NAME).in_events(received));
    canaries.push(
        Canary::new("a customer's number", PHONE.trim_start_matches('+')).in_events(&["message."]),
    );
    canaries
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::start(SandboxConfig::default()).unwrap();
    sandbox.change_webhook(|webhook| APP_SECRET.clone_into(&mut webhook.app_secret));
    let client = |id: &str, secret: &str, org: &str, kind: &str| {
        serde_json::from_value(json!({"id": id, "name": id, "org_id": org, "kind": kind,
            "secret": secret, "redirect_uris": [seed::DEFAULT_REDIRECT_URI]}))
        .unwrap()
    };
    let own = client(CLIENT_ID, CLIENT_SECRET, seed::VENDOR_ORG_ID, "code");
    assert!(sandbox.add_oauth_client(own));
    let theirs = client(
        "canary-cc",
        CC_SECRET,
        seed::ACME_ORG_ID,
        "client_credentials",
    );
    assert!(sandbox.add_oauth_client(theirs));
    let person = json!({"org_id": seed::ACME_ORG_ID, "email": AGENT_EMAIL, "name": AGENT_NAME,
        "roles": ["employee", "User"]});
    assert!(sandbox.add_user(serde_json::from_value(person).unwrap()));
    let phone = json!({"id": "900000000000002", "display_phone_number": "+1 555-010-0009",
        "country_code": "1", "verified_name": "Acme"});
    let account = json!({"waba": {"id": WABA, "name": "Acme", "phones": [phone]},
        "token": {"name": "canary", "value": GRAPH_TOKEN, "waba_ids": []}});
    sandbox.add_waba(serde_json::from_value(account).unwrap());
    sandbox
}

struct Environment<'a> {
    db: &'a TestDb,
    isolation: &'a Isolation,
    endpoint: &'a str,
}

impl Environment<'_> {
    fn of(
        &self,
        prefix: &str,
        role: ServiceRole,
        more: &[(&str, &str)],
    ) -> BTreeMap<String, String> {
        let database = self
            .db
            .url(role)
            .replacen('@', &format!(":{DATABASE_PASSWORD}@"), 1);
        let (amqp, redis, keys) = (amqp_url(), redis_url(), format!("k1:{VAULT_KEY}"));
        let shared = [
            ("HTTP__WORKERS", "1"),
            ("DATABASE__URL", &database),
            ("DATABASE__POOL_SIZE", "5"),
            ("RABBITMQ__URL", &amqp),
            ("RABBITMQ__NAMESPACE", &self.isolation.rabbitmq_namespace),
            ("REDIS__URL", &redis),
            ("REDIS__KEY_PREFIX", &self.isolation.redis_key_prefix),
            ("VAULT__KEYS", &keys),
            ("VAULT__ACTIVE_KEY", "k1"),
            ("TELEMETRY__LOG", "trace"),
            ("TELEMETRY__OTLP_ENDPOINT", self.endpoint),
        ];
        let all = shared.iter().chain(more);
        all.map(|(key, value)| (format!("{prefix}__{key}"), (*value).to_owned()))
            .collect()
    }
}
