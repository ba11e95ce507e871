//! Settings. Nothing else reads the environment.

use std::time::Duration;

use ipnet::IpNet;
use portal_service_kit::config::{
    self, ConfigError, DatabaseSection, HttpSection, LimitsSection, Problems, RabbitMqSection,
    RedisSection, TelemetrySection, Validate, VaultSection,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

const PREFIX: &str = "OUTBOUND";
const DEFAULTS: &str = include_str!("../config.default.toml");

/// All settings; `config.default.toml` explains them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The API port.
    pub http: HttpSection,
    /// How often one may call.
    pub limits: LimitsSection,
    /// PostgreSQL.
    pub database: DatabaseSection,
    /// RabbitMQ.
    pub rabbitmq: RabbitMqSection,
    /// Redis.
    pub redis: RedisSection,
    /// The keys that open stored tokens.
    pub vault: VaultSection,
    /// Whose access tokens are taken.
    pub auth: AuthSection,
    /// Where tenants are asked for.
    pub tenant_service: TenantServiceSection,
    /// The Graph API.
    pub meta: MetaSection,
    /// Files.
    pub media: MediaSection,
    /// Workers.
    pub delivery: DeliverySection,
    /// Meta's webhooks.
    pub webhooks: WebhooksSection,
    /// Templates and tokens of tenants' accounts.
    pub templates: TemplatesSection,
    /// Taking messages.
    pub acceptance: AcceptanceSection,
    /// Idempotency keys.
    pub idempotency: IdempotencySection,
    /// Published events.
    pub events: EventsSection,
    /// Logs and traces.
    pub telemetry: TelemetrySection,
}

/// Whose access tokens are taken.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSection {
    /// Where the keys are published.
    pub jwks_url: Url,
    /// The `iss` of tokens.
    pub issuer: String,
    /// The `aud` of tokens.
    pub audience: String,
}

/// Where tenants are asked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantServiceSection {
    /// Its base URL.
    pub url: Url,
    /// Our key for it.
    pub service_key: SecretString,
}

/// The Graph API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetaSection {
    /// Its base URL.
    pub graph_url: Url,
    /// The version segment of its paths.
    pub graph_version: String,
    /// How long connecting may take.
    pub connect_timeout_ms: u64,
    /// How long a whole request may take.
    pub timeout_ms: u64,
    /// Hosts beside the Graph API that files come from, with the token.
    #[serde(deserialize_with = "config::list")]
    pub media_hosts: Vec<String>,
    /// Secrets that sign webhooks, comma separated.
    pub app_secrets: SecretString,
    /// What the verification of the webhook must present.
    pub verify_token: SecretString,
}

impl MetaSection {
    /// The secrets, one by one.
    pub fn app_secrets(&self) -> Vec<SecretString> {
        let all = self.app_secrets.expose_secret().split(',').map(str::trim);
        all.filter(|secret| !secret.is_empty())
            .map(SecretString::from)
            .collect()
    }
}

/// Files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaSection {
    /// Bytes of all files of a tenant together.
    pub quota_bytes_per_tenant: u64,
    /// How long the file of one request may take to arrive.
    pub arrival_seconds: u32,
    /// How long a file is kept after its last use.
    pub keep_days: u16,
    /// How long a file may take to Meta or from it.
    pub transfer_seconds: u32,
    /// Whether files behind links are fetched here; Meta does otherwise.
    pub fetch_links: bool,
    /// How long the file behind a link may take.
    pub fetch_seconds: u32,
    /// Networks that links may lead to although they are not public, for development.
    #[serde(default, deserialize_with = "config::list")]
    pub fetch_from_networks: Vec<String>,
}

impl MediaSection {
    /// How long the file of one request may take to arrive.
    pub fn arrival(&self) -> Duration {
        Duration::from_secs(self.arrival_seconds.into())
    }

    /// How long a file may take to Meta or from it.
    pub fn transfer(&self) -> Duration {
        Duration::from_secs(self.transfer_seconds.into())
    }

    /// How long the file behind a link may take.
    pub fn fetch(&self) -> Duration {
        Duration::from_secs(self.fetch_seconds.into())
    }

    /// Networks that links may lead to although they are not public.
    pub fn trusted_networks(&self) -> Result<Vec<IpNet>, ipnet::AddrParseError> {
        let networks = self.fetch_from_networks.iter();
        networks.map(|network| network.parse()).collect()
    }

    /// How long a file is kept after its last use.
    pub fn keep(&self) -> Duration {
        Duration::from_hours(u64::from(self.keep_days) * 24)
    }
}

/// Workers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliverySection {
    /// Whether this process sends.
    pub enabled: bool,
    /// Messages that are under way at the same time.
    pub concurrency: u16,
    /// How long a worker may take for one request.
    pub lease_seconds: u32,
    /// Tries after failures that pass.
    pub max_retries: u16,
    /// How long a message may wait to be sent.
    pub time_to_live_seconds: u32,
    /// How long a lost answer may stay unknown.
    pub unknown_horizon_seconds: u32,
    /// Whether that time runs only while webhooks of the number arrive.
    pub horizon_needs_webhooks: bool,
    /// Messages that one recipient may get at once from one number.
    pub pair_burst: u32,
}

/// Meta's webhooks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhooksSection {
    /// Whether this process applies them.
    pub enabled: bool,
    /// Posts that are applied side by side, by tasks of this process.
    pub appliers: u16,
    /// The vault key that signs notes; empty is the active one.
    pub callback_key: String,
}

/// Templates and tokens of tenants' accounts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplatesSection {
    /// Whether this process asks Meta for them.
    pub enabled: bool,
    /// Between two complete readings of an account's templates.
    pub sync_interval_seconds: u32,
    /// Between two tries of a token that works.
    pub token_interval_seconds: u32,
}

/// Taking messages.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptanceSection {
    /// Requests that may wait for their commit.
    pub queue: usize,
    /// Transactions at the same time.
    pub writers: usize,
    /// Messages of one transaction.
    pub batch: usize,
    /// How long a request may wait for its commit to begin.
    pub patience_ms: u64,
    /// Messages of a tenant that may wait to be sent.
    pub tenant_backlog: u64,
    /// Messages of all tenants that may wait to be sent.
    pub total_backlog: u64,
    /// The largest body of many messages.
    pub bulk_body_limit_bytes: usize,
    /// How often what waits is counted.
    pub count_every_ms: u64,
}

/// Idempotency keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdempotencySection {
    /// How long a key is remembered.
    pub window_seconds: u32,
}

/// Published events.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsSection {
    /// Whether `message.accepted` carries the content.
    pub include_content: bool,
}

impl Settings {
    /// Reads them from defaults, file and environment.
    pub fn load() -> Result<Self, ConfigError> {
        config::load(PREFIX, DEFAULTS)
    }

    /// As [`Settings::load`], with a given environment: for tests.
    pub fn load_from(
        environment: &std::collections::BTreeMap<String, String>,
    ) -> Result<Self, ConfigError> {
        config::load_from(PREFIX, DEFAULTS, environment)
    }

    /// The vault key that signs notes.
    pub fn callback_key(&self) -> &str {
        let own = self.webhooks.callback_key.trim();
        if own.is_empty() {
            self.vault.active_key.trim()
        } else {
            own
        }
    }

    /// How long a whole request to Meta may take.
    pub fn graph_timeout(&self) -> Duration {
        Duration::from_millis(self.meta.timeout_ms)
    }
}

impl Validate for Settings {
    fn validate(&self, problems: &mut Problems) {
        problems.section("http", &self.http);
        problems.section("limits", &self.limits);
        problems.section("database", &self.database);
        problems.section("rabbitmq", &self.rabbitmq);
        problems.section("redis", &self.redis);
        problems.section("vault", &self.vault);
        problems.section("tenant_service", &self.tenant_service);
        problems.section("meta", &self.meta);
        problems.section("media", &self.media);
        problems.section("delivery", &self.delivery);
        problems.section("telemetry", &self.telemetry);
        for (key, value) in [
            (
                "templates.sync_interval_seconds",
                self.templates.sync_interval_seconds,
            ),
            (
                "templates.token_interval_seconds",
                self.templates.token_interval_seconds,
            ),
        ] {
            problems.require_within(key, value.into(), 60..=86_400);
        }
        problems.section("acceptance", &self.acceptance);
        problems.require_within(
            "idempotency.window_seconds",
            self.idempotency.window_seconds.into(),
            86_400..=2_592_000,
        );
        problems.require_within("webhooks.appliers", self.webhooks.appliers.into(), 1..=32);
        let lease_ms = u64::from(self.delivery.lease_seconds) * 1000;
        if lease_ms <= self.meta.timeout_ms {
            problems.add(
                "delivery.lease_seconds",
                "must be longer than meta.timeout_ms",
            );
        }
    }
}

impl Validate for TenantServiceSection {
    fn validate(&self, problems: &mut Problems) {
        problems.require_secret("service_key", &self.service_key);
    }
}

impl Validate for MetaSection {
    fn validate(&self, problems: &mut Problems) {
        if self.app_secrets().is_empty() {
            problems.missing("app_secrets");
        }
        problems.require_secret("verify_token", &self.verify_token);
        problems.require_text("graph_version", &self.graph_version);
        problems.require_within("connect_timeout_ms", self.connect_timeout_ms, 1..=60_000);
        problems.require_within("timeout_ms", self.timeout_ms, 1..=120_000);
    }
}

impl Validate for MediaSection {
    fn validate(&self, problems: &mut Problems) {
        problems.require_within(
            "quota_bytes_per_tenant",
            self.quota_bytes_per_tenant,
            1_048_576..=1_099_511_627_776,
        );
        problems.require_within("arrival_seconds", self.arrival_seconds.into(), 1..=3600);
        problems.require_within("transfer_seconds", self.transfer_seconds.into(), 1..=600);
        problems.require_within("fetch_seconds", self.fetch_seconds.into(), 1..=120);
        if self.trusted_networks().is_err() {
            problems.add(
                "fetch_from_networks",
                "must list networks such as 127.0.0.0/8",
            );
        }
        problems.require_within("keep_days", self.keep_days.into(), 1..=3650);
    }
}

impl Validate for AcceptanceSection {
    fn validate(&self, problems: &mut Problems) {
        problems.require_within("queue", self.queue as u64, 1..=1_000_000);
        problems.require_within("writers", self.writers as u64, 1..=16);
        problems.require_within("batch", self.batch as u64, 1..=10_000);
        problems.require_within(
            "bulk_body_limit_bytes",
            self.bulk_body_limit_bytes as u64,
            1024..=64 * 1024 * 1024,
        );
        problems.require_within("patience_ms", self.patience_ms, 1..=60_000);
        problems.require_within("tenant_backlog", self.tenant_backlog, 1..=u64::MAX);
        problems.require_within("total_backlog", self.total_backlog, 1..=u64::MAX);
        problems.require_within("count_every_ms", self.count_every_ms, 10..=60_000);
    }
}

impl Validate for DeliverySection {
    fn validate(&self, problems: &mut Problems) {
        problems.require_within("concurrency", self.concurrency.into(), 1..=4096);
        problems.require_within("pair_burst", self.pair_burst.into(), 1..=1_000_000);
        problems.require_within("lease_seconds", self.lease_seconds.into(), 1..=3600);
        problems.require_within("max_retries", self.max_retries.into(), 0..=20);
        problems.require_within(
            "time_to_live_seconds",
            self.time_to_live_seconds.into(),
            1..=2_592_000,
        );
        problems.require_within(
            "unknown_horizon_seconds",
            self.unknown_horizon_seconds.into(),
            1..=86_400,
        );
    }
}
