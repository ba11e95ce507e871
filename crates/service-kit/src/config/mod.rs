//! Settings of a service: embedded defaults, then a file, then the environment.
//!
//! Later sources win: the embedded `config.default.toml`; the file that `<PREFIX>_CONFIG` names;
//! `<PREFIX>__SECTION__KEY`; the content of the file that `<PREFIX>__SECTION__KEY_FILE` names.
//! An empty variable counts as not set. Unknown keys fail, and every problem is reported at once.

mod limits;
mod problems;
mod sections;

use std::collections::BTreeMap;

use ::config::{Config, Environment, File, FileFormat};
use serde::de::DeserializeOwned;

pub use limits::LimitsSection;
pub use problems::{Problems, Validate};
pub use sections::{
    DatabaseSection, HttpSection, RabbitMqSection, RedisSection, TelemetrySection, VaultSection,
    list, non_empty,
};

/// Why a service has no usable settings. The text is for the person who starts it; it never holds
/// a value.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A source cannot be read or is not what it should be.
    #[error("cannot read its settings: {0}")]
    Source(String),
    /// A key is unknown or its value has the wrong type.
    #[error("cannot use the setting {key}: {problem} (set {variable})")]
    Key {
        /// The dotted key.
        key: String,
        /// What is wrong, without the value.
        problem: String,
        /// The environment variable of the key.
        variable: String,
    },
    /// Settings are missing or do not fit; the sentences are joined by `; `.
    #[error("{0}")]
    Invalid(String),
}

/// Reads and validates the settings of the service whose variables begin with `prefix`.
pub fn load<T: DeserializeOwned + Validate>(
    prefix: &str,
    default_toml: &str,
) -> Result<T, ConfigError> {
    let environment = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    load_from(prefix, default_toml, &environment)
}

/// As [`load`], with a given environment: for tests and for tools.
pub fn load_from<T: DeserializeOwned + Validate>(
    prefix: &str,
    default_toml: &str,
    environment: &BTreeMap<String, String>,
) -> Result<T, ConfigError> {
    let mut builder = Config::builder().add_source(File::from_str(default_toml, FileFormat::Toml));
    if let Some(path) = environment
        .get(&format!("{prefix}_CONFIG"))
        .filter(|p| !p.is_empty())
    {
        builder = builder.add_source(File::new(path, FileFormat::Toml).required(true));
    }
    let variables = variables(prefix, environment)?;
    let settings = builder
        .add_source(
            Environment::default()
                .separator("__")
                .ignore_empty(true)
                .source(Some(variables)),
        )
        .build()
        .map_err(|error| ConfigError::Source(error.to_string()))?;
    let settings: T = serde_path_to_error::deserialize(settings)
        .map_err(|error| key_error(prefix, &error.path().to_string(), error.inner()))?;

    let mut problems = Problems::new(prefix);
    settings.validate(&mut problems);
    problems.into_result()?;
    Ok(settings)
}

/// The service's variables without their prefix, `_FILE` ones replaced by what their file holds.
fn variables(
    prefix: &str,
    environment: &BTreeMap<String, String>,
) -> Result<::config::Map<String, String>, ConfigError> {
    let start = format!("{prefix}__");
    let mut variables = ::config::Map::new();
    let mut from_files = ::config::Map::new();
    for (name, value) in environment {
        let Some(key) = name.strip_prefix(&start).filter(|_| !value.is_empty()) else {
            continue;
        };
        if let Some(key) = key.strip_suffix("_FILE") {
            let content = std::fs::read_to_string(value).map_err(|error| {
                ConfigError::Source(format!(
                    "{name} names {value}, which cannot be read: {error}"
                ))
            })?;
            from_files.insert(key.to_owned(), content.trim().to_owned());
        } else {
            variables.insert(key.to_owned(), value.clone());
        }
    }
    variables.extend(from_files);
    Ok(variables)
}

/// Names the key of a serde error, without its value: it may be a secret.
fn key_error(prefix: &str, path: &str, error: &::config::ConfigError) -> ConfigError {
    let text = root_cause(error);
    let (key, problem) = if let Some(name) = quoted_after(&text, "unknown field `") {
        let expected = text.split_once("`, ").map_or("", |(_, rest)| rest);
        (
            join(path, name),
            format!("there is no such key, {expected}"),
        )
    } else if let Some(name) = quoted_after(&text, "missing field `") {
        (join(path, name), "it is missing".to_owned())
    } else if let Some((_, expected)) = text.rsplit_once("expected ") {
        let expected = expected.split(" for key").next().unwrap_or(expected);
        (path.to_owned(), format!("it must be {expected}"))
    } else {
        (path.to_owned(), "its value has the wrong form".to_owned())
    };
    let variable = problems::variable(prefix, &key);
    ConfigError::Key {
        key,
        problem,
        variable,
    }
}

fn root_cause(error: &::config::ConfigError) -> String {
    match error {
        ::config::ConfigError::At { error, .. } => root_cause(error),
        other => other.to_string(),
    }
}

fn quoted_after<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.split_once(start)?.1.split('`').next()
}

fn join(path: &str, name: &str) -> String {
    let path = path.trim_matches('.');
    if path.is_empty() || path == name || path.ends_with(&format!(".{name}")) {
        if path.is_empty() {
            name.to_owned()
        } else {
            path.to_owned()
        }
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests;
