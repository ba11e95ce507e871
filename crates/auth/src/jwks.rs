//! Another service's published keys, kept at hand.
//!
//! Keys are fresh for 5 minutes and still used for an hour when they cannot be fetched again. A
//! token with an unknown key id makes us look again at most once per 30 seconds, whoever sends it.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use jsonwebtoken::DecodingKey;
use portal_service_kit::http_client;
use tokio::sync::Mutex;

use crate::keys::{Jwks, by_id};

/// More than an issuer publishes.
const MAX_DOCUMENT_BYTES: usize = 64 * 1024;

/// A request is waiting for the answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);

/// How long published keys are believed without asking again; what publishes them says the same in
/// `Cache-Control`.
pub const JWKS_FRESH_FOR: Duration = Duration::from_mins(5);

/// How often an issuer looks for changed keys.
pub const KEYS_RELOAD: Duration = Duration::from_mins(1);

/// From when the next key stands in the database until it signs, so that everybody has seen it
/// then: a replica may be a whole look late, and a document may come from a cache on the way.
pub const PUBLISH_AHEAD: Duration =
    Duration::from_secs(KEYS_RELOAD.as_secs() + 2 * JWKS_FRESH_FOR.as_secs());

/// How long keys are believed.
#[derive(Debug, Clone, Copy)]
pub struct JwksOptions {
    /// Without asking again.
    pub fresh_for: Duration,
    /// While asking again fails.
    pub stale_for: Duration,
    /// Between two looks for an unknown key id.
    pub unknown_pause: Duration,
    /// Between two tries that fail.
    pub failure_pause: Duration,
}

impl Default for JwksOptions {
    fn default() -> Self {
        Self {
            fresh_for: JWKS_FRESH_FOR,
            stale_for: Duration::from_hours(1),
            unknown_pause: Duration::from_secs(30),
            failure_pause: Duration::from_secs(1),
        }
    }
}

/// Fetches and keeps a JWKS document; clones share it.
#[derive(Clone)]
pub struct JwksClient(Arc<Inner>);

struct Inner {
    url: String,
    client: reqwest::Client,
    options: JwksOptions,
    known: RwLock<Option<Known>>,
    // Held while fetching: one fetch for all that wait.
    last_try: Mutex<Option<Instant>>,
}

#[derive(Clone)]
struct Known {
    keys: Arc<HashMap<String, DecodingKey>>,
    at: Instant,
}

impl std::fmt::Debug for JwksClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwksClient")
            .field("url", &self.0.url)
            .finish_non_exhaustive()
    }
}

/// What a look for a key found.
pub(crate) enum Found {
    Key(Box<DecodingKey>),
    Unknown,
    Unavailable,
}

impl JwksClient {
    /// Keys at `url`. Fetches nothing yet.
    pub fn new(url: &str, client: reqwest::Client, options: JwksOptions) -> Self {
        Self(Arc::new(Inner {
            url: url.to_owned(),
            client,
            options,
            known: RwLock::new(None),
            last_try: Mutex::new(None),
        }))
    }

    pub(crate) async fn find(&self, kid: &str) -> Found {
        let options = &self.0.options;
        let known = self.known();
        if let Some(known) = &known
            && known.at.elapsed() < options.fresh_for
            && let Some(key) = known.keys.get(kid)
        {
            return Found::Key(Box::new(key.clone()));
        }
        // Somebody is fetching already: do not wait for it while the old key may still be used.
        if let Some(known) = &known
            && known.at.elapsed() < options.stale_for
            && let Some(key) = known.keys.get(kid)
            && self.0.last_try.try_lock().is_err()
        {
            return Found::Key(Box::new(key.clone()));
        }
        let known = self.refresh(known).await;
        match known {
            Some(known) if known.at.elapsed() < options.stale_for => match known.keys.get(kid) {
                Some(key) => Found::Key(Box::new(key.clone())),
                None if known.at.elapsed() < options.fresh_for => Found::Unknown,
                // The issuer may have a new key that could not be fetched: nobody can tell.
                None => Found::Unavailable,
            },
            _ => Found::Unavailable,
        }
    }

    fn known(&self) -> Option<Known> {
        self.0
            .known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Fetches, unless somebody just did; answers what is known then.
    async fn refresh(&self, seen: Option<Known>) -> Option<Known> {
        let mut last_try = self.0.last_try.lock().await;
        let known = self.known();
        let is_newer = match (&known, &seen) {
            (Some(known), Some(seen)) => known.at > seen.at,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if is_newer {
            return known;
        }
        let options = &self.0.options;
        let is_fresh = known
            .as_ref()
            .is_some_and(|known| known.at.elapsed() < options.fresh_for);
        let pause = if is_fresh {
            options.unknown_pause
        } else {
            options.failure_pause
        };
        if last_try.is_some_and(|at| at.elapsed() < pause) {
            return known;
        }
        *last_try = Some(Instant::now());
        let fetched = tokio::time::timeout(FETCH_TIMEOUT, self.fetch()).await;
        match fetched.unwrap_or_else(|late| Err(late.into())) {
            Ok(keys) => {
                let fetched = Known {
                    keys: Arc::new(keys),
                    at: Instant::now(),
                };
                *self.0.known.write().unwrap_or_else(PoisonError::into_inner) =
                    Some(fetched.clone());
                Some(fetched)
            }
            Err(error) => {
                tracing::warn!(error = %format!("{error:#}"), "token keys cannot be fetched");
                known
            }
        }
    }

    async fn fetch(&self) -> anyhow::Result<HashMap<String, DecodingKey>> {
        let request = http_client::traced(self.0.client.get(&self.0.url));
        let response = request.send().await.map_err(reqwest::Error::without_url)?;
        anyhow::ensure!(
            response.status().is_success(),
            "the answer was {}",
            response.status()
        );
        let body = response
            .bytes()
            .await
            .map_err(reqwest::Error::without_url)?;
        anyhow::ensure!(
            body.len() <= MAX_DOCUMENT_BYTES,
            "the document is too large"
        );
        let keys = by_id(&serde_json::from_slice::<Jwks>(&body)?);
        anyhow::ensure!(!keys.is_empty(), "the document has no usable key");
        Ok(keys)
    }
}
