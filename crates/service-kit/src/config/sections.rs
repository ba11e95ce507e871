//! The sections that services share.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use tracing_subscriber::filter::Targets;

use super::{Problems, Validate};
use crate::http::TrustedProxies;

/// PostgreSQL.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSection {
    /// `postgres://role:password@host:port/database`.
    #[serde(default)]
    pub url: SecretString,
    /// Connections of this process.
    #[serde(default = "default_pool_size")]
    pub pool_size: u32,
    /// How long a request waits for a connection before it is told to come again.
    #[serde(default = "default_acquire_timeout")]
    pub acquire_timeout_ms: u64,
    /// How long one statement may run.
    #[serde(default = "default_statement_timeout")]
    pub statement_timeout_ms: u64,
}

fn default_pool_size() -> u32 {
    16
}
fn default_acquire_timeout() -> u64 {
    2_000
}
fn default_statement_timeout() -> u64 {
    5_000
}

impl Validate for DatabaseSection {
    fn validate(&self, problems: &mut Problems) {
        require_url(problems, "url", &self.url, &["postgres", "postgresql"]);
        problems.require_within("pool_size", self.pool_size.into(), 1..=500);
        problems.require_within("acquire_timeout_ms", self.acquire_timeout_ms, 1..=60_000);
        problems.require_within(
            "statement_timeout_ms",
            self.statement_timeout_ms,
            1..=600_000,
        );
    }
}

/// `RabbitMQ`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RabbitMqSection {
    /// `amqp://user:password@host:port/vhost`.
    #[serde(default)]
    pub url: SecretString,
    /// Begins the name of every exchange and queue; empty in production.
    #[serde(default)]
    pub namespace: String,
}

impl Validate for RabbitMqSection {
    fn validate(&self, problems: &mut Problems) {
        require_url(problems, "url", &self.url, &["amqp", "amqps"]);
    }
}

/// Redis.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisSection {
    /// `redis://user:password@host:port/database`.
    #[serde(default)]
    pub url: SecretString,
    /// Begins every key; empty in production.
    #[serde(default)]
    pub key_prefix: String,
}

impl Validate for RedisSection {
    fn validate(&self, problems: &mut Problems) {
        require_url(problems, "url", &self.url, &["redis", "rediss"]);
    }
}

/// The keys that seal stored secrets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultSection {
    /// `id:base64-of-32-bytes[,id:base64-of-32-bytes…]`.
    #[serde(default)]
    pub keys: SecretString,
    /// The id of the key for new records.
    #[serde(default)]
    pub active_key: String,
}

impl Validate for VaultSection {
    fn validate(&self, problems: &mut Problems) {
        problems.require_secret("keys", &self.keys);
        problems.require_text("active_key", &self.active_key);
    }
}

/// The API port.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSection {
    /// `host:port`; port 0 takes a free one.
    pub bind: String,
    /// Origins whose pages may call the API, exact; a list or comma separated.
    #[serde(default, deserialize_with = "list")]
    pub allowed_origins: Vec<String>,
    /// The largest request body.
    #[serde(default = "default_body_limit")]
    pub body_limit_bytes: usize,
    /// The largest headers of a request, all together.
    #[serde(default = "default_header_limit")]
    pub header_limit_bytes: usize,
    /// How long a request's body may take to arrive.
    #[serde(default = "default_body_timeout")]
    pub body_timeout_seconds: u64,
    /// Connections of each worker at the same time; more wait until one ends.
    #[serde(default = "default_connections")]
    pub max_connections: usize,
    /// Tells browsers to come by HTTPS only, for a year.
    #[serde(default)]
    pub https_only: bool,
    /// Addresses or networks of proxies whose `X-Forwarded-For` is believed.
    #[serde(default, deserialize_with = "list")]
    pub trusted_proxies: Vec<String>,
    /// How long requests may go on after the order to stop.
    #[serde(default = "default_grace")]
    pub shutdown_grace_seconds: u64,
    /// Worker threads of each port; 0 takes one per core.
    #[serde(default)]
    pub workers: usize,
}

fn default_body_limit() -> usize {
    256 * 1024
}
fn default_header_limit() -> usize {
    16 * 1024
}
fn default_body_timeout() -> u64 {
    15
}
fn default_connections() -> usize {
    4_096
}
fn default_grace() -> u64 {
    20
}

impl HttpSection {
    /// How long a request's body may take to arrive.
    pub fn body_timeout(&self) -> Duration {
        Duration::from_secs(self.body_timeout_seconds)
    }

    /// How long requests may go on after the order to stop.
    pub fn shutdown_grace(&self) -> Duration {
        Duration::from_secs(self.shutdown_grace_seconds)
    }
}

impl Validate for HttpSection {
    fn validate(&self, problems: &mut Problems) {
        let resolves = self.bind.parse::<SocketAddr>().is_ok()
            || self
                .bind
                .to_socket_addrs()
                .is_ok_and(|mut found| found.next().is_some());
        if !resolves {
            problems.add("bind", "must be host:port");
        }
        for origin in &self.allowed_origins {
            let exact = url::Url::parse(origin)
                .is_ok_and(|url| url.origin().ascii_serialization() == *origin);
            if !exact {
                problems.add(
                    "allowed_origins",
                    "must list origins such as https://portal.example.com, without path or slash",
                );
            }
        }
        if TrustedProxies::parse(&self.trusted_proxies).is_err() {
            problems.add(
                "trusted_proxies",
                "must list IP addresses or networks (10.0.0.0/8)",
            );
        }
        problems.require_within(
            "body_limit_bytes",
            u64::try_from(self.body_limit_bytes).unwrap_or(u64::MAX),
            1_024..=128 * 1_024 * 1_024,
        );
        let size = |value| u64::try_from(value).unwrap_or(u64::MAX);
        // The server itself never reads more than 128 KiB of headers.
        problems.require_within(
            "header_limit_bytes",
            size(self.header_limit_bytes),
            1_024..=128 * 1_024,
        );
        problems.require_within("body_timeout_seconds", self.body_timeout_seconds, 1..=600);
        problems.require_within("max_connections", size(self.max_connections), 16..=100_000);
        problems.require_within(
            "shutdown_grace_seconds",
            self.shutdown_grace_seconds,
            0..=600,
        );
    }
}

/// Logs and traces.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetrySection {
    /// The collector's OTLP/HTTP address (`http://collector:4318`); without it nothing is sent.
    #[serde(default, deserialize_with = "non_empty")]
    pub otlp_endpoint: Option<String>,
    /// What is logged: a level, or `target=level` pairs (`info,portal_db=debug`).
    #[serde(default = "default_log")]
    pub log: String,
}

fn default_log() -> String {
    "info".to_owned()
}

impl Default for TelemetrySection {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            log: default_log(),
        }
    }
}

impl Validate for TelemetrySection {
    fn validate(&self, problems: &mut Problems) {
        if self.log.parse::<Targets>().is_err() {
            problems.add("log", "must be a level such as info, or target=level pairs");
        }
        if let Some(endpoint) = &self.otlp_endpoint
            && url::Url::parse(endpoint).is_err()
        {
            problems.add(
                "otlp_endpoint",
                "must be a URL such as http://collector:4318",
            );
        }
    }
}

fn require_url(problems: &mut Problems, key: &str, url: &SecretString, schemes: &[&str]) {
    let text = url.expose_secret();
    if text.trim().is_empty() {
        problems.missing(key);
        return;
    }
    let fits = url::Url::parse(text).is_ok_and(|url| schemes.contains(&url.scheme()));
    if !fits {
        let sentence = format!(
            "must be a URL that begins with {}://",
            schemes.join(":// or ")
        );
        problems.add(key, &sentence);
    }
}

/// Reads a list, or a text of comma separated parts as variables carry it.
pub fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Parts;
    impl<'de> serde::de::Visitor<'de> for Parts {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list or a comma separated text")
        }

        fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Self::Value, E> {
            Ok(split(value))
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(
            self,
            mut items: A,
        ) -> Result<Self::Value, A::Error> {
            let mut parts = Vec::new();
            while let Some(item) = items.next_element::<String>()? {
                parts.push(item);
            }
            Ok(parts)
        }
    }
    deserializer.deserialize_any(Parts)
}

fn split(value: &str) -> Vec<String> {
    value
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Reads a text that counts as absent when it is empty.
pub fn non_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value = Option::<String>::deserialize(deserializer)?;
    Ok(value.filter(|text| !text.trim().is_empty()))
}
