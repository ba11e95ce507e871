use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    http: HttpSection,
    vault: VaultSection,
    database: DatabaseSection,
    telemetry: TelemetrySection,
}

impl Validate for Settings {
    fn validate(&self, problems: &mut Problems) {
        problems.section("http", &self.http);
        problems.section("vault", &self.vault);
        problems.section("database", &self.database);
        problems.section("telemetry", &self.telemetry);
    }
}

const DEFAULTS: &str = r#"
[http]
bind = "127.0.0.1:0"
allowed_origins = ["http://localhost:3014"]
[vault]
active_key = "k1"
[database]
pool_size = 8
[telemetry]
"#;

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    [
        ("DEMO__VAULT__KEYS", "k1:12345"),
        ("DEMO__DATABASE__URL", "postgres://u:p@localhost/db"),
    ]
    .iter()
    .chain(pairs)
    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
    .collect()
}

fn load_with(pairs: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    load_from("DEMO", DEFAULTS, &environment(pairs))
}

#[test]
fn later_sources_win() {
    let dir = std::env::temp_dir().join(format!("service-kit-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir(&dir).unwrap();
    let file = dir.join("settings.toml");
    std::fs::write(&file, "[database]\npool_size = 9\nacquire_timeout_ms = 7\n").unwrap();
    let secret = dir.join("keys");
    std::fs::write(&secret, "  7777  \n").unwrap();

    let settings = load_with(&[
        ("DEMO_CONFIG", file.to_str().unwrap()),
        ("DEMO__DATABASE__POOL_SIZE", "10"),
        ("DEMO__VAULT__KEYS_FILE", secret.to_str().unwrap()),
        (
            "DEMO__HTTP__ALLOWED_ORIGINS",
            "https://a.example, https://b.example:8443",
        ),
        ("OTHER__DATABASE__POOL_SIZE", "99"),
    ])
    .unwrap();

    assert_eq!(settings.database.pool_size, 10);
    assert_eq!(settings.database.acquire_timeout_ms, 7);
    assert_eq!(
        settings.vault.keys.expose_secret(),
        "7777",
        "a secret of digits stays a text"
    );
    assert_eq!(
        settings.http.allowed_origins,
        ["https://a.example", "https://b.example:8443"]
    );
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let settings = load_with(&[("DEMO__TELEMETRY__OTLP_ENDPOINT", ""), ("DEMO_CONFIG", "")]);
    assert_eq!(settings.unwrap().telemetry.otlp_endpoint, None);
}

#[test]
fn every_missing_secret_is_named_with_its_variables() {
    let error = load_from::<Settings>("DEMO", DEFAULTS, &BTreeMap::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "needs vault.keys: set DEMO__VAULT__KEYS or DEMO__VAULT__KEYS_FILE; \
         needs database.url: set DEMO__DATABASE__URL or DEMO__DATABASE__URL_FILE"
    );
}

#[test]
fn an_unknown_key_is_named_with_its_variable() {
    let error = load_with(&[("DEMO__HTTP__PORT", "1")])
        .unwrap_err()
        .to_string();
    assert!(error.contains("http.port"), "{error}");
    assert!(error.contains("DEMO__HTTP__PORT"), "{error}");
    assert!(error.contains("`bind`"), "{error}");
}

#[test]
fn a_wrong_type_is_named_without_its_value() {
    let error = load_with(&[("DEMO__DATABASE__POOL_SIZE", "s3cret")])
        .unwrap_err()
        .to_string();
    assert!(error.contains("database.pool_size"), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
}

#[test]
fn values_that_do_not_fit_are_reported_at_once() {
    let error = load_with(&[
        ("DEMO__HTTP__BIND", "nowhere"),
        ("DEMO__HTTP__ALLOWED_ORIGINS", "https://a.example/"),
        ("DEMO__HTTP__TRUSTED_PROXIES", "proxy"),
        ("DEMO__DATABASE__URL", "mysql://localhost"),
        ("DEMO__TELEMETRY__LOG", "portal=loud"),
    ])
    .unwrap_err()
    .to_string();
    for key in [
        "http.bind",
        "http.allowed_origins",
        "http.trusted_proxies",
        "database.url",
        "telemetry.log",
    ] {
        assert!(error.contains(key), "{key}: {error}");
    }
}

#[test]
fn an_unreadable_secret_file_names_the_variable() {
    let error = load_with(&[("DEMO__VAULT__KEYS_FILE", "/nonexistent/keys")]).unwrap_err();
    assert!(
        error.to_string().contains("DEMO__VAULT__KEYS_FILE"),
        "{error}"
    );
}

#[test]
fn debug_of_settings_shows_no_secret() {
    let shown = format!("{:?}", load_with(&[]).unwrap());
    assert!(
        !shown.contains("k1:12345") && !shown.contains("u:p@"),
        "{shown}"
    );
    let _: SecretString = SecretString::default();
}
