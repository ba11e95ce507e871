//! Keys of services that call each other: `svc_<name>_<secret>`, known here only by digest.

use std::collections::BTreeMap;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use portal_service_kit::config::{Problems, Validate};
use serde::Deserialize;

use crate::secret::sha256;

/// How every service key begins.
pub(crate) const PREFIX: &str = "svc_";

/// Settings: for each service that may call, the SHA-256 digests (hex) of its keys. Two digests
/// let a key be changed without a gap.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct ServiceKeysSection(BTreeMap<String, Digests>);

#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
struct Digests(#[serde(deserialize_with = "portal_service_kit::config::list")] Vec<String>);

impl Validate for ServiceKeysSection {
    fn validate(&self, problems: &mut Problems) {
        for (name, digests) in &self.0 {
            if digests
                .0
                .iter()
                .any(|digest| parse_digest(digest).is_none())
            {
                problems.add(
                    name,
                    "must be SHA-256 digests of service keys, 64 hex digits each",
                );
            }
        }
    }
}

fn parse_digest(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text.trim(), &mut bytes).ok()?;
    Some(bytes)
}

/// The keys that are taken.
#[derive(Debug, Clone, Default)]
pub struct ServiceKeys(Vec<(String, [u8; 32])>);

impl ServiceKeys {
    /// The keys of validated settings.
    pub fn new(section: &ServiceKeysSection) -> Self {
        let keys = section.0.iter().flat_map(|(name, digests)| {
            digests
                .0
                .iter()
                .filter_map(|text| Some((name.clone(), parse_digest(text)?)))
        });
        Self(keys.collect())
    }

    /// One more key, given whole: for tests and for tools that make keys.
    #[must_use]
    pub fn with_key(mut self, name: &str, key: &str) -> Self {
        self.0.push((name.to_owned(), sha256(key)));
        self
    }

    /// The service whose key this is. Compares with every key, whatever it finds.
    pub fn find(&self, key: &str) -> Option<&str> {
        let digest = sha256(key);
        let mut found = None;
        for (name, known) in &self.0 {
            if verify_slices_are_equal(known, &digest).is_ok() {
                found = Some(name.as_str());
            }
        }
        found.filter(|_| key.starts_with(PREFIX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::sha256_hex;

    #[test]
    fn keys_are_found_by_digest() {
        let text = format!(
            r#"{{"outbound": "{},{}", "agent_portal": ["{}"]}}"#,
            sha256_hex("svc_outbound_old"),
            sha256_hex("svc_outbound_new"),
            sha256_hex("svc_agent_portal_x"),
        );
        let section: ServiceKeysSection = serde_json::from_str(&text).unwrap();
        let mut problems = Problems::new("T");
        section.validate(&mut problems);
        assert_eq!(problems.found(), [""; 0]);
        let keys = ServiceKeys::new(&section);
        assert_eq!(keys.find("svc_outbound_old"), Some("outbound"));
        assert_eq!(keys.find("svc_outbound_new"), Some("outbound"));
        assert_eq!(keys.find("svc_agent_portal_x"), Some("agent_portal"));
        assert_eq!(keys.find("svc_outbound_other"), None);
        assert_eq!(
            ServiceKeys::default().with_key("x", "plain").find("plain"),
            None
        );
    }

    #[test]
    fn digests_of_the_wrong_form_stop_the_start() {
        let section: ServiceKeysSection = serde_json::from_str(r#"{"outbound": "abc"}"#).unwrap();
        let mut problems = Problems::new("TENANT_SERVICE");
        problems.section("service_keys", &section);
        assert!(problems.found()[0].contains("TENANT_SERVICE__SERVICE_KEYS__OUTBOUND"));
    }
}
