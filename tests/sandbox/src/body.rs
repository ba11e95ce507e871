//! Bodies as the journal keeps them: text, because parsed ones of fifty thousand calls would take
//! several times the memory.

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::crypto::fingerprint;

/// Names whose values are secrets, in queries, forms and JSON bodies.
const SECRET_NAMES: [&str; 11] = [
    "code",
    "code_verifier",
    "access_token",
    "refresh_token",
    "client_secret",
    "input_token",
    "fb_exchange_token",
    "revoke_token",
    "assertion",
    "appsecret_proof",
    "pin",
];

/// A request or response body, secrets fingerprinted.
#[derive(Debug, Clone, Default)]
pub struct Body(Option<Box<RawValue>>);

impl Body {
    /// What came over the wire; what is not JSON is kept as a text.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Self::default();
        }
        let Ok(raw) = serde_json::from_slice::<&RawValue>(bytes) else {
            return Self::of_value(&Value::String(String::from_utf8_lossy(bytes).into_owned()));
        };
        // Nearly all bodies are without secrets and need no parsing.
        if !SECRET_NAMES
            .iter()
            .any(|name| raw.get().contains(name) && *name != "code")
        {
            return Self(Some(raw.to_owned()));
        }
        match serde_json::from_slice(bytes) {
            Ok(mut value) => {
                hide(&mut value);
                Self::of_value(&value)
            }
            Err(_) => Self::default(),
        }
    }

    /// A form, as an object.
    pub(crate) fn of_form(form: Vec<(String, String)>) -> Self {
        let shown = form
            .into_iter()
            .map(|(name, value)| {
                let value = Value::String(shown(&name, &value));
                (name, value)
            })
            .collect::<serde_json::Map<_, _>>();
        Self::of_value(&Value::Object(shown))
    }

    pub(crate) fn of_value(value: &Value) -> Self {
        Self(serde_json::value::to_raw_value(value).ok())
    }

    /// True when there was no body, or a page.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The body, `null` when there was none.
    pub fn json(&self) -> Value {
        self.0
            .as_ref()
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default()
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// The value to show for a parameter.
pub(crate) fn shown(name: &str, value: &str) -> String {
    if SECRET_NAMES.contains(&name) {
        fingerprint(value)
    } else {
        value.to_owned()
    }
}

/// `code` is no secret in JSON: there it is an error code.
fn hide(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name != "code" => *text = shown(name, text),
                    other => hide(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_become_fingerprints_and_error_codes_stay() {
        let body = Body::of(br#"{"access_token":"T","nested":[{"refresh_token":"R"}],"code":"x"}"#);
        let shown = body.json();
        assert_eq!(shown["access_token"], fingerprint("T"));
        assert_eq!(shown["nested"][0]["refresh_token"], fingerprint("R"));
        assert_eq!(shown["code"], "x");

        let form = vec![
            ("code".to_owned(), "C".to_owned()),
            ("state".to_owned(), "s".to_owned()),
        ];
        let shown = json!({"code": fingerprint("C"), "state": "s"});
        assert_eq!(Body::of_form(form).json(), shown);
    }

    #[test]
    fn what_is_not_json_is_kept_as_text() {
        assert_eq!(Body::of(b"{oops").json(), json!("{oops"));
        assert!(Body::of(b"").is_empty());
    }
}
