//! One webhook request: signed, tried, repeated until the receiver answers 200.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::Utc;
use serde_json::Value;
use url::Url;

use crate::body::Body;
use crate::crypto::hmac_sha256_hex;
use crate::journal::{Entry, Kind};
use crate::state::State;

/// A request to the receiver.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) body: String,
    /// What the journal says of it.
    pub(crate) note: String,
    pub(crate) phone_number_id: Option<String>,
    pub(crate) wamid: Option<String>,
    /// Signed with another secret.
    pub(crate) forged: bool,
}

impl Delivery {
    pub(crate) fn new(body: &Value, note: impl Into<String>) -> Self {
        Self {
            body: escaped(body),
            note: note.into(),
            phone_number_id: None,
            wamid: None,
            forged: false,
        }
    }

    fn entry(&self, url: &Url, number: u32) -> Entry {
        let forged = if self.forged { ", forged" } else { "" };
        Entry {
            seq: 0,
            at: Utc::now(),
            kind: Kind::Webhook,
            method: "POST".to_owned(),
            path: url.path().to_owned(),
            query: BTreeMap::new(),
            status: None,
            hung_up: false,
            phone_number_id: self.phone_number_id.clone(),
            token: None,
            headers: BTreeMap::new(),
            request: Body::of(self.body.as_bytes()),
            response: Body::default(),
            wamid: self.wamid.clone(),
            magic: None,
            note: Some(format!("{}{forged}, try {number}", self.note)),
        }
    }
}

/// Delivers in the background, with all tries.
pub(crate) fn deliver(state: &Arc<State>, delivery: Delivery) {
    let task = {
        let state = Arc::clone(state);
        async move {
            if !try_once(&state, &delivery, 1).await && !delivery.forged {
                repeat(state, delivery).await;
            }
        }
    };
    state.spawn(task);
}

/// The receiver and the secret are read anew for each try, as a change at Meta works at once.
pub(crate) async fn repeat(state: Arc<State>, delivery: Delivery) {
    let pauses = state.settings().webhook.retry.clone();
    for (number, pause) in (2..).zip(pauses) {
        tokio::time::sleep(pause).await;
        if try_once(&state, &delivery, number).await {
            return;
        }
    }
    tracing::warn!(note = delivery.note, "a webhook was given up");
}

/// True when there is nothing more to do.
pub(crate) async fn try_once(state: &Arc<State>, delivery: &Delivery, number: u32) -> bool {
    let settings = state.settings();
    let Some(url) = settings.webhook.url.clone() else {
        return true;
    };
    let Ok(_place) = state.webhook_places.acquire().await else {
        return true;
    };
    let secret = if delivery.forged {
        "not the app secret"
    } else {
        &settings.webhook.app_secret
    };
    let signature = hmac_sha256_hex(secret, delivery.body.as_bytes());
    let seq = settings
        .journal_detail
        .then(|| state.journal.open(delivery.entry(&url, number)));
    let outcome = state
        .http
        .post(url)
        .timeout(settings.webhook.timeout)
        .header("content-type", "application/json")
        .header("x-hub-signature-256", format!("sha256={signature}"))
        .body(delivery.body.clone())
        .send()
        .await;
    let (status, problem) = match &outcome {
        Ok(response) => (Some(response.status().as_u16()), None),
        Err(error) if error.is_timeout() => (None, Some("no answer in time")),
        Err(error) if error.is_connect() => (None, Some("connection refused")),
        Err(_) => (None, Some("connection lost")),
    };
    // Meta counts nothing but 200 as success.
    let delivered = status == Some(200);
    let counter = if delivered {
        &state.webhooks_delivered
    } else {
        &state.webhook_tries_failed
    };
    counter.fetch_add(1, Ordering::Relaxed);
    if let Some(seq) = seq {
        state.journal.update(seq, |entry| {
            entry.status = status;
            entry.hung_up = status.is_none();
            if let (Some(problem), Some(note)) = (problem, entry.note.as_mut()) {
                note.push_str(": ");
                note.push_str(problem);
            }
        });
    }
    delivered
}

/// Meta escapes slashes and everything beyond ASCII. Whoever verifies the signature over
/// re-serialised JSON fails on that, and should.
fn escaped(value: &Value) -> String {
    let plain = value.to_string();
    if plain.is_ascii() {
        return plain.replace('/', "\\/");
    }
    let mut out = String::with_capacity(plain.len() + plain.len() / 16);
    for c in plain.chars() {
        if c == '/' {
            out.push_str("\\/");
        } else if c.is_ascii() {
            out.push(c);
        } else {
            let mut units = [0_u16; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a string cannot fail.
                write!(out, "\\u{unit:04x}").unwrap_or_default();
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn escapes_keep_the_meaning() {
        let value = json!({"a/b": "Grüße 👍 \"x\" \\"});
        let text = escaped(&value);
        assert_eq!(text, r#"{"a\/b":"Gr\u00fc\u00dfe \ud83d\udc4d \"x\" \\"}"#);
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value);
        assert_eq!(escaped(&json!({"a": "b/c"})), r#"{"a":"b\/c"}"#);
    }
}
