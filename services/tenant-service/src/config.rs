//! The service's settings. Nothing else reads the environment.

use std::{collections::BTreeMap, time::Duration};

use portal_auth::ServiceKeysSection;
use portal_genesys::{HostsSection, Region, configured_region};
use portal_service_kit::config::{
    self, ConfigError, DatabaseSection, HttpSection, Problems, RabbitMqSection, RedisSection,
    TelemetrySection, Validate, VaultSection,
};
use portal_whatsapp::MetaApp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

const DEFAULTS: &str = include_str!("../config.default.toml");

/// All settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub http: HttpSection,
    pub dashboard: DashboardSection,
    pub database: DatabaseSection,
    pub rabbitmq: RabbitMqSection,
    pub redis: RedisSection,
    pub vault: VaultSection,
    pub service_keys: ServiceKeysSection,
    pub admin: AdminSection,
    pub genesys: GenesysSection,
    pub limits: LimitsSection,
    pub meta: MetaSection,
    pub telemetry: TelemetrySection,
}

/// The admin dashboard.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DashboardSection {
    pub bind: String,
    pub origin: String,
    pub secure_cookies: bool,
}

/// Platform administrators.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminSection {
    pub token_lifetime_seconds: u64,
    pub session_idle_minutes: u32,
    pub session_hours: u32,
    pub require_totp: bool,
    pub lock_after_failures: u32,
    pub lock_minutes: u32,
}

/// Our Meta app and the Graph API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetaSection {
    pub app_id: String,
    pub app_secret: SecretString,
    pub config_id: String,
    pub graph_url: Url,
    pub graph_version: String,
    pub sdk_url: Url,
    pub connect_timeout_ms: u64,
    pub timeout_ms: u64,
    pub token_interval_seconds: u32,
    pub token_refresh_days: u32,
}

impl MetaSection {
    /// The app, where there is one.
    pub fn app(&self) -> Option<MetaApp> {
        let secret = self.app_secret.expose_secret();
        (!self.app_id.is_empty() && !secret.is_empty()).then(|| MetaApp {
            id: self.app_id.clone(),
            secret: self.app_secret.clone(),
        })
    }

    /// Meta's script, where organizations can sign up with it.
    pub fn signup_sdk(&self) -> Option<&Url> {
        (self.app().is_some() && !self.config_id.is_empty()).then_some(&self.sdk_url)
    }
}

/// Genesys Cloud.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesysSection {
    pub allow_plain_http: bool,
    pub timeout_ms: u64,
    /// Addresses of regions that are not Genesys' own.
    #[serde(default)]
    pub hosts: BTreeMap<String, HostsSection>,
}

impl GenesysSection {
    /// The regions that are not Genesys' own, by name.
    pub fn regions(&self) -> BTreeMap<String, Region> {
        let names = self.hosts.keys();
        names
            .filter_map(|name| {
                let region = configured_region(&self.hosts, name, self.allow_plain_http);
                Some((name.clone(), region.ok().flatten()?))
            })
            .collect()
    }
}

impl Validate for GenesysSection {
    fn validate(&self, problems: &mut Problems) {
        problems.require_within("timeout_ms", self.timeout_ms, 100..=60_000);
        for name in self.hosts.keys() {
            if let Err(error) = configured_region(&self.hosts, name, self.allow_plain_http) {
                problems.add(&format!("hosts.{name}"), &error.to_string());
            }
        }
    }
}

/// How often somebody may ask.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsSection {
    pub per_address_per_minute: u32,
    pub per_address_burst: u32,
    pub per_caller_per_minute: u32,
    pub lookup_burst: u32,
    pub lookups_per_minute: u32,
    pub login_account_burst: u32,
    pub logins_per_account_and_hour: u32,
    pub login_address_burst: u32,
    pub logins_per_address_and_hour: u32,
}

impl LimitsSection {
    /// The limits that every service has. No tenant's people call here, and no webhooks come.
    pub fn shared(&self) -> config::LimitsSection {
        config::LimitsSection {
            per_address_per_minute: self.per_address_per_minute,
            per_address_burst: self.per_address_burst,
            per_caller_per_minute: self.per_caller_per_minute,
            ..Default::default()
        }
    }
}

impl Settings {
    /// Reads defaults, file and environment.
    pub fn load() -> Result<Self, ConfigError> {
        config::load(crate::ENV_PREFIX, DEFAULTS)
    }

    /// As [`Settings::load`], with a given environment.
    pub fn load_from(environment: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        config::load_from(crate::ENV_PREFIX, DEFAULTS, environment)
    }

    /// How long an administrator's access token is valid.
    pub fn admin_token_lifetime(&self) -> Duration {
        Duration::from_secs(self.admin.token_lifetime_seconds)
    }
}

impl Validate for Settings {
    fn validate(&self, problems: &mut Problems) {
        problems.section("http", &self.http);
        problems.section("dashboard", &self.dashboard);
        problems.section("database", &self.database);
        problems.section("rabbitmq", &self.rabbitmq);
        problems.section("redis", &self.redis);
        problems.section("vault", &self.vault);
        problems.section("service_keys", &self.service_keys);
        problems.section("admin", &self.admin);
        problems.section("genesys", &self.genesys);
        problems.section("limits", &self.limits);
        problems.section("meta", &self.meta);
        problems.section("telemetry", &self.telemetry);
    }
}

impl Validate for DashboardSection {
    fn validate(&self, problems: &mut Problems) {
        problems.require_origin("origin", &self.origin);
    }
}

impl Validate for AdminSection {
    fn validate(&self, problems: &mut Problems) {
        let seconds = self.token_lifetime_seconds;
        problems.require_within("token_lifetime_seconds", seconds, 60..=3_600);
        for (key, value, most) in [
            ("session_idle_minutes", self.session_idle_minutes, 1_440),
            ("session_hours", self.session_hours, 168),
            ("lock_after_failures", self.lock_after_failures, 1_000),
            ("lock_minutes", self.lock_minutes, 1_440),
        ] {
            problems.require_within(key, value.into(), 1..=most);
        }
    }
}

impl Validate for MetaSection {
    fn validate(&self, problems: &mut Problems) {
        problems.require_text("graph_version", &self.graph_version);
        problems.require_within("connect_timeout_ms", self.connect_timeout_ms, 1..=60_000);
        // A signup is anybody's again after two minutes, so no call may take as long.
        problems.require_within("timeout_ms", self.timeout_ms, 1..=30_000);
        let interval = self.token_interval_seconds.into();
        problems.require_within("token_interval_seconds", interval, 0..=86_400);
        let days = self.token_refresh_days.into();
        problems.require_within("token_refresh_days", days, 0..=59);
    }
}

impl Validate for LimitsSection {
    fn validate(&self, problems: &mut Problems) {
        self.shared().validate(problems);
        for (key, value) in [
            ("lookup_burst", self.lookup_burst),
            ("lookups_per_minute", self.lookups_per_minute),
            ("login_account_burst", self.login_account_burst),
            (
                "logins_per_account_and_hour",
                self.logins_per_account_and_hour,
            ),
            ("login_address_burst", self.login_address_burst),
            (
                "logins_per_address_and_hour",
                self.logins_per_address_and_hour,
            ),
        ] {
            problems.require_within(key, value.into(), 1..=1_000_000);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_without_secrets_names_every_one_of_them() {
        let error = Settings::load_from(&BTreeMap::new())
            .unwrap_err()
            .to_string();
        for key in [
            "TENANT_SERVICE__DATABASE__URL",
            "TENANT_SERVICE__RABBITMQ__URL",
            "TENANT_SERVICE__REDIS__URL",
            "needs vault.keys: set TENANT_SERVICE__VAULT__KEYS or TENANT_SERVICE__VAULT__KEYS_FILE",
            "TENANT_SERVICE__VAULT__ACTIVE_KEY",
        ] {
            assert!(error.contains(key), "{key}: {error}");
        }
    }
}
