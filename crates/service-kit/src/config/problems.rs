//! Collects everything that is wrong with the settings, to report it at once.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::ConfigError;

/// Settings that can tell what is wrong with them.
pub trait Validate {
    /// Adds every problem; keys are relative to this section.
    fn validate(&self, problems: &mut Problems);
}

/// The problems found so far, each with its key.
#[derive(Debug)]
pub struct Problems {
    prefix: String,
    section: Vec<String>,
    found: Vec<String>,
}

impl Problems {
    /// None yet; `prefix` begins the environment variables that the sentences name.
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            section: Vec::new(),
            found: Vec::new(),
        }
    }

    /// Checks a section under its name.
    pub fn section(&mut self, name: &str, section: &impl Validate) {
        self.section.push(name.to_owned());
        section.validate(self);
        self.section.pop();
    }

    /// Adds a problem: `sentence` goes on after the key, for example `must not be 0`.
    pub fn add(&mut self, key: &str, sentence: &str) {
        let key = self.full_key(key);
        let variable = variable(&self.prefix, &key);
        self.found
            .push(format!("{key} {sentence} (set {variable})"));
    }

    /// Adds the problem that a setting without default is not given.
    pub fn missing(&mut self, key: &str) {
        let key = self.full_key(key);
        let variable = variable(&self.prefix, &key);
        self.found
            .push(format!("needs {key}: set {variable} or {variable}_FILE"));
    }

    /// A secret that must be there; an empty one counts as missing.
    pub fn require_secret(&mut self, key: &str, secret: &SecretString) {
        if secret.expose_secret().trim().is_empty() {
            self.missing(key);
        }
    }

    /// A text that must be there.
    pub fn require_text(&mut self, key: &str, text: &str) {
        if text.trim().is_empty() {
            self.missing(key);
        }
    }

    /// A number that must be within limits.
    pub fn require_within(&mut self, key: &str, value: u64, limits: std::ops::RangeInclusive<u64>) {
        if !limits.contains(&value) {
            let sentence = format!("must be {} to {}", limits.start(), limits.end());
            self.add(key, &sentence);
        }
    }

    /// The origin of a web page: a scheme, a host and perhaps a port.
    pub fn require_origin(&mut self, key: &str, origin: &str) {
        let is_origin = Url::parse(origin).is_ok_and(|url| {
            url.origin().is_tuple() && url.origin().ascii_serialization() == origin
        });
        if !is_origin {
            let sentence =
                "must be an origin such as https://portal.example.com, without path or slash";
            self.add(key, sentence);
        }
    }

    /// The sentences so far.
    pub fn found(&self) -> &[String] {
        &self.found
    }

    /// Fails if there are any.
    pub fn into_result(self) -> Result<(), ConfigError> {
        if self.found.is_empty() {
            Ok(())
        } else {
            Err(ConfigError::Invalid(self.found.join("; ")))
        }
    }

    fn full_key(&self, key: &str) -> String {
        self.section
            .iter()
            .map(String::as_str)
            .chain([key])
            .collect::<Vec<_>>()
            .join(".")
    }
}

/// The environment variable of a dotted key.
pub(super) fn variable(prefix: &str, key: &str) -> String {
    format!("{prefix}__{}", key.replace('.', "__").to_uppercase())
}
