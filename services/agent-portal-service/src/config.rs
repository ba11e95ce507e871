//! The settings and what must be true of them. Nothing else reads the environment.

use std::{collections::BTreeMap, time::Duration};

use portal_auth::SessionTimes;
use portal_genesys::{
    HostsSection, InvalidRegion, OAuthClient, Region, RoleMap, configured_region,
};
use portal_service_kit::config::{
    self, ConfigError, DatabaseSection, HttpSection, LimitsSection, Problems, RabbitMqSection,
    RedisSection, TelemetrySection, Validate, VaultSection, list,
};
use portal_types::Role;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use crate::{ENV_PREFIX, usecases::sync::SyncRules};

const DEFAULTS: &str = include_str!("../config.default.toml");
/// How long a rotated refresh token still gets its successor again.
const REPEAT_GRACE_SECONDS: i64 = 10;

/// All settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The API port.
    pub http: HttpSection,
    /// The portal's pages.
    pub portal: PortalSection,
    /// How often one may call.
    pub limits: LimitsSection,
    /// Cookies.
    pub cookies: CookiesSection,
    /// `PostgreSQL`.
    pub database: DatabaseSection,
    /// `RabbitMQ`.
    pub rabbitmq: RabbitMqSection,
    /// Redis.
    pub redis: RedisSection,
    /// Sealing of stored secrets.
    pub vault: VaultSection,
    /// Access tokens.
    pub tokens: TokensSection,
    /// Sessions.
    pub sessions: SessionsSection,
    /// Sign-in.
    pub sign_in: SignInSection,
    /// tenant-service.
    pub tenant_service: TenantServiceSection,
    /// Genesys Cloud.
    pub genesys: GenesysSection,
    /// Syncs of people.
    pub user_sync: UserSyncSection,
    /// Event streams.
    pub events: EventsSection,
    /// Logs and traces.
    pub telemetry: TelemetrySection,
}

impl Settings {
    /// Reads defaults, file and environment.
    pub fn load() -> Result<Self, ConfigError> {
        config::load(ENV_PREFIX, DEFAULTS)
    }

    /// As [`Settings::load`], with a given environment: for tests.
    pub fn load_from(environment: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        config::load_from(ENV_PREFIX, DEFAULTS, environment)
    }

    /// The origins that may begin a sign-in, our own portal first.
    pub fn portal_origins(&self) -> Vec<String> {
        let others = self.http.allowed_origins.iter();
        std::iter::once(&self.portal.origin)
            .chain(others.filter(|origin| **origin != self.portal.origin))
            .cloned()
            .collect()
    }
}

impl Validate for Settings {
    fn validate(&self, problems: &mut Problems) {
        problems.section("http", &self.http);
        problems.section("portal", &self.portal);
        problems.section("limits", &self.limits);
        problems.section("database", &self.database);
        problems.section("rabbitmq", &self.rabbitmq);
        problems.section("redis", &self.redis);
        problems.section("vault", &self.vault);
        problems.section("tokens", &self.tokens);
        problems.section("sessions", &self.sessions);
        problems.section("sign_in", &self.sign_in);
        problems.section("tenant_service", &self.tenant_service);
        problems.section("genesys", &self.genesys);
        problems.section("user_sync", &self.user_sync);
        problems.section("events", &self.events);
        problems.section("telemetry", &self.telemetry);
    }
}

/// The portal's pages.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortalSection {
    /// `host:port`; port 0 takes a free one.
    pub bind: String,
    /// Where browsers find the pages.
    pub origin: String,
    /// Where the pages find the API.
    pub api_origin: String,
}

impl Validate for PortalSection {
    fn validate(&self, problems: &mut Problems) {
        problems.require_origin("origin", &self.origin);
        problems.require_origin("api_origin", &self.api_origin);
    }
}

/// Cookies.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CookiesSection {
    /// For HTTPS only.
    pub secure: bool,
}

/// Access tokens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokensSection {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// How long they are valid.
    pub lifetime_seconds: u64,
}

impl TokensSection {
    /// How long they are valid.
    pub const fn lifetime(&self) -> Duration {
        Duration::from_secs(self.lifetime_seconds)
    }
}

impl Validate for TokensSection {
    fn validate(&self, problems: &mut Problems) {
        problems.require_text("issuer", &self.issuer);
        problems.require_text("audience", &self.audience);
        // Long enough to be of use, short enough for a service that cannot ask for revocations.
        problems.require_within("lifetime_seconds", self.lifetime_seconds, 30..=900);
    }
}

/// Sessions.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionsSection {
    /// Until a session ends that nobody uses.
    pub idle_minutes: u32,
    /// Until every session ends.
    pub absolute_hours: u32,
    /// How long ended ones are kept.
    pub keep_ended_days: u32,
}

impl SessionsSection {
    /// The limits.
    pub(crate) fn times(&self) -> SessionTimes {
        SessionTimes {
            idle: chrono::Duration::minutes(self.idle_minutes.into()),
            absolute: chrono::Duration::hours(self.absolute_hours.into()),
            repeat_grace: chrono::Duration::seconds(REPEAT_GRACE_SECONDS),
        }
    }
}

impl Validate for SessionsSection {
    fn validate(&self, problems: &mut Problems) {
        problems.require_within("idle_minutes", self.idle_minutes.into(), 5..=1_440);
        problems.require_within("absolute_hours", self.absolute_hours.into(), 1..=720);
        problems.require_within("keep_ended_days", self.keep_ended_days.into(), 1..=3_650);
    }
}

/// Sign-in.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInSection {
    /// Sign-ins that one address may begin.
    pub per_address_per_minute: u32,
}

impl Validate for SignInSection {
    fn validate(&self, problems: &mut Problems) {
        problems.require_within(
            "per_address_per_minute",
            self.per_address_per_minute.into(),
            1..=100_000,
        );
    }
}

/// tenant-service.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantServiceSection {
    /// Where it answers.
    pub url: Url,
    /// The key that it knows us by.
    #[serde(default)]
    pub service_key: SecretString,
}

impl Validate for TenantServiceSection {
    fn validate(&self, problems: &mut Problems) {
        if !matches!(self.url.scheme(), "http" | "https") {
            problems.add("url", "must be a URL such as http://tenant-service:3007");
        }
        problems.require_secret("service_key", &self.service_key);
    }
}

/// Genesys Cloud.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesysSection {
    /// Where Genesys sends browsers back to.
    pub redirect_uri: String,
    /// The regions that people may sign in from.
    #[serde(deserialize_with = "list")]
    pub regions: Vec<String>,
    /// The OAuth client of all regions without one of their own.
    pub client_id: String,
    /// Its secret.
    #[serde(default)]
    pub client_secret: SecretString,
    /// Send a PKCE challenge.
    pub use_pkce: bool,
    /// Let people in who belong to another organization.
    pub allow_trustees: bool,
    /// Accept addresses without TLS.
    pub allow_plain_http: bool,
    /// How long one answer may take.
    pub timeout_ms: u64,
    /// How long it holds that Genesys vouched for a person; 0 for the whole session.
    pub recheck_minutes: u32,
    /// OAuth clients of single regions.
    #[serde(default)]
    pub clients: BTreeMap<String, ClientSection>,
    /// Addresses of regions that are not Genesys' own.
    #[serde(default)]
    pub hosts: BTreeMap<String, HostsSection>,
    /// Further Genesys roles that make an agent.
    #[serde(deserialize_with = "list")]
    pub agent_roles: Vec<String>,
    /// Further Genesys roles that make a supervisor.
    #[serde(deserialize_with = "list")]
    pub supervisor_roles: Vec<String>,
    /// Further Genesys roles that make an administrator.
    #[serde(deserialize_with = "list")]
    pub admin_roles: Vec<String>,
}

/// Syncs of people with Genesys.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSyncSection {
    /// Between two syncs of a tenant that does not say; 0 is never.
    pub default_minutes: u32,
    /// People of one page.
    pub page_size: u32,
    /// How long a replica may be silent before another one takes its run.
    pub lease_seconds: u64,
    /// How long the call that begins a sync waits for its end.
    pub answer_within_seconds: u64,
}

impl UserSyncSection {
    pub(crate) fn rules(&self) -> SyncRules {
        SyncRules {
            page_size: self.page_size,
            default_minutes: self.default_minutes,
            lease: Duration::from_secs(self.lease_seconds),
            answer_within: Duration::from_secs(self.answer_within_seconds),
        }
    }
}

impl Validate for UserSyncSection {
    fn validate(&self, problems: &mut Problems) {
        problems.require_within("default_minutes", self.default_minutes.into(), 0..=10_080);
        problems.require_within("page_size", self.page_size.into(), 1..=500);
        problems.require_within("lease_seconds", self.lease_seconds, 2..=3_600);
        problems.require_within("answer_within_seconds", self.answer_within_seconds, 0..=50);
    }
}

/// Event streams.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsSection {
    /// That one person may have open.
    pub streams_per_user: usize,
    /// That this process carries.
    pub streams: usize,
    /// How long events are kept for those who were away.
    pub kept_minutes: u32,
    /// How long a reader may take none before its stream is ended.
    pub slow_reader_seconds: u64,
}

impl EventsSection {
    /// How long a reader may take none before its stream is ended.
    pub(crate) const fn patience(&self) -> Duration {
        Duration::from_secs(self.slow_reader_seconds)
    }
}

impl Validate for EventsSection {
    fn validate(&self, problems: &mut Problems) {
        for (key, count) in [
            ("streams_per_user", self.streams_per_user),
            ("streams", self.streams),
        ] {
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            problems.require_within(key, count, 1..=1_000_000);
        }
        // The database keeps them for ten minutes in any case.
        problems.require_within("kept_minutes", self.kept_minutes.into(), 10..=2_880);
        problems.require_within("slow_reader_seconds", self.slow_reader_seconds, 1..=300);
    }
}

/// An OAuth client.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSection {
    /// Its id.
    pub client_id: String,
    /// Its secret.
    #[serde(default)]
    pub client_secret: SecretString,
}

impl GenesysSection {
    fn region(&self, name: &str) -> Result<Option<Region>, InvalidRegion> {
        configured_region(&self.hosts, name, self.allow_plain_http)
    }

    /// The regions with their OAuth clients, in the order in which they are offered.
    pub fn sign_in_regions(&self) -> Vec<(Region, OAuthClient)> {
        let regions = self.regions.iter();
        regions
            .filter_map(|name| self.region(name).ok().flatten())
            .map(|region| {
                let client = self.client(region.name());
                (region, client)
            })
            .collect()
    }

    fn client(&self, region: &str) -> OAuthClient {
        let (client_id, secret) = match self.clients.get(region) {
            Some(own) => (&own.client_id, &own.client_secret),
            None => (&self.client_id, &self.client_secret),
        };
        OAuthClient {
            client_id: client_id.clone(),
            client_secret: Some(secret.clone()).filter(|secret| !secret.expose_secret().is_empty()),
        }
    }

    /// The portal roles of Genesys roles.
    pub fn role_map(&self) -> RoleMap {
        let own = [
            (&self.agent_roles, Role::Agent),
            (&self.supervisor_roles, Role::Supervisor),
            (&self.admin_roles, Role::Admin),
        ];
        let roles = own
            .into_iter()
            .flat_map(|(names, role)| names.iter().map(move |name| (name.clone(), role)));
        RoleMap::default().with_roles(roles)
    }

    /// How long it holds that Genesys vouched for a person.
    pub(crate) fn recheck_after(&self) -> Option<chrono::Duration> {
        (self.recheck_minutes > 0).then(|| chrono::Duration::minutes(self.recheck_minutes.into()))
    }

    /// How long one answer may take.
    pub const fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

impl Validate for GenesysSection {
    fn validate(&self, problems: &mut Problems) {
        let is_callback = Url::parse(&self.redirect_uri).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.query().is_none()
                && url.fragment().is_none()
        });
        if !is_callback {
            problems.add(
                "redirect_uri",
                "must be the URL of the callback, without query",
            );
        }
        if self.regions.is_empty() {
            problems.missing("regions");
        }
        for name in &self.regions {
            match self.region(name) {
                Ok(Some(_)) => {}
                Ok(None) => problems.add(
                    "regions",
                    &format!("names {name}, which is no region of Genesys and has no entry in genesys.hosts"),
                ),
                Err(error) => problems.add(&format!("hosts.{name}"), &error.to_string()),
            }
            if self.client(name).client_id.trim().is_empty() {
                problems.missing("client_id");
            }
        }
        problems.require_within("timeout_ms", self.timeout_ms, 100..=60_000);
        problems.require_within("recheck_minutes", self.recheck_minutes.into(), 0..=1_440);
    }
}

#[cfg(test)]
mod tests {
    use portal_vault::Vault;

    use super::*;

    fn needed() -> BTreeMap<String, String> {
        [
            (
                "DATABASE__URL",
                "postgres://agent_portal_service@localhost/x",
            ),
            ("RABBITMQ__URL", "amqp://localhost"),
            ("REDIS__URL", "redis://localhost"),
            (
                "VAULT__KEYS",
                "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            ),
            ("VAULT__ACTIVE_KEY", "k1"),
            ("TENANT_SERVICE__SERVICE_KEY", "svc_agent_portal_x"),
            ("GENESYS__CLIENT_ID", "client"),
        ]
        .into_iter()
        .map(|(key, value)| (format!("{ENV_PREFIX}__{key}"), value.to_owned()))
        .collect()
    }

    #[test]
    fn every_secret_that_is_missing_is_named() {
        let settings = Settings::load_from(&needed()).unwrap();
        let vault = Vault::from_keys(&settings.vault.keys, &settings.vault.active_key).unwrap();
        assert_eq!(vault.key_ids().collect::<Vec<_>>(), ["k1"]);
        for key in needed().keys() {
            let mut environment = needed();
            environment.remove(key);
            let error = Settings::load_from(&environment).unwrap_err().to_string();
            assert!(
                error.contains(&format!("set {key} or {key}_FILE")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_stand_in_is_a_region_with_addresses_from_the_environment() {
        let mut environment = needed();
        for (key, value) in [
            ("GENESYS__REGIONS", "sandbox,mypurecloud.de"),
            (
                "GENESYS__HOSTS__SANDBOX__LOGIN_URL",
                "http://localhost:3090",
            ),
            ("GENESYS__HOSTS__SANDBOX__API_URL", "http://127.0.0.1:3090"),
            ("GENESYS__CLIENTS__SANDBOX__CLIENT_ID", "other"),
        ] {
            environment.insert(format!("{ENV_PREFIX}__{key}"), value.to_owned());
        }
        let regions = Settings::load_from(&environment)
            .unwrap()
            .genesys
            .sign_in_regions();
        let found: Vec<_> = regions
            .iter()
            .map(|(region, client)| (region.name(), client.client_id.as_str()))
            .collect();
        assert_eq!(found, [("sandbox", "other"), ("mypurecloud.de", "client")]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (key, value, named) in [
            ("GENESYS__REGIONS", "example.com", "genesys.regions"),
            ("PORTAL__ORIGIN", "http://localhost:3014/", "portal.origin"),
            (
                "TOKENS__LIFETIME_SECONDS",
                "86400",
                "tokens.lifetime_seconds",
            ),
            ("SESSIONS__IDLE_MINUTES", "0", "sessions.idle_minutes"),
            (
                "TENANT_SERVICE__URL",
                "ftp://localhost",
                "tenant_service.url",
            ),
        ] {
            let mut environment = needed();
            environment.insert(format!("{ENV_PREFIX}__{key}"), value.to_owned());
            let error = Settings::load_from(&environment).unwrap_err().to_string();
            assert!(error.starts_with(named), "{error}");
        }
    }

    #[test]
    fn our_portal_is_the_first_origin_and_named_once() {
        let mut environment = needed();
        environment.insert(
            format!("{ENV_PREFIX}__HTTP__ALLOWED_ORIGINS"),
            "https://a.example,http://localhost:3014".to_owned(),
        );
        assert_eq!(
            Settings::load_from(&environment).unwrap().portal_origins(),
            ["http://localhost:3014", "https://a.example"]
        );
    }
}
