//! Asking tenant-service.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use portal_auth::{ApiKey, ApiKeyDirectory, DirectoryUnavailable, TenantRates};
use portal_service_kit::http_client::traced;
use portal_types::{TenantId, UserId};
use reqwest::{RequestBuilder, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::memory::Memory;
use crate::model::{ApiKeyRecord, KnownKey};
use crate::{CachePolicy, GenesysProfile, SendingProfile, TenantClientError, TenantRecord};

/// Longest answer that is read.
const MAX_BODY_BYTES: usize = 256 * 1024;
/// How long a question beside requests rests after it failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Codes of the contract for "there is no such thing". Any other 404 is the wrong address.
const NOT_THERE: [&str; 2] = ["TENANT_NOT_FOUND", "API_KEY_NOT_FOUND"];

/// The base URL is no `http(s)://host` address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the base URL of tenant-service must be an http or https address with a host")]
pub struct InvalidBaseUrl;

/// Client of tenant-service. Cheap to clone; all clones share one memory.
#[derive(Clone)]
pub struct TenantClient {
    inner: Arc<Inner>,
}

struct Inner {
    http: reqwest::Client,
    base_url: Url,
    credential: SecretString,
    by_org: Memory<String, TenantRecord>,
    profiles: Memory<TenantId, SendingProfile>,
    genesys: Memory<TenantId, GenesysProfile>,
    api_keys: Memory<String, KnownKey>,
    asking: Asking,
}

impl fmt::Debug for TenantClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantClient").finish_non_exhaustive()
    }
}

impl TenantClient {
    /// Makes a client for `base_url` (`http://tenant-service:3007`) with the service credential
    /// `svc_…`.
    ///
    /// `http` must not follow redirects (they would carry the credential) and must have time-outs:
    /// `portal_service_kit::http_client::build` makes such a client.
    pub fn new(
        http: reqwest::Client,
        base_url: Url,
        credential: SecretString,
        policy: CachePolicy,
    ) -> Result<Self, InvalidBaseUrl> {
        if !matches!(base_url.scheme(), "http" | "https") || !base_url.has_host() {
            return Err(InvalidBaseUrl);
        }
        Ok(Self {
            inner: Arc::new(Inner {
                http,
                base_url,
                credential,
                by_org: Memory::new(policy),
                profiles: Memory::new(policy),
                genesys: Memory::new(policy),
                api_keys: Memory::new(policy),
                asking: Asking::default(),
            }),
        })
    }

    /// The tenant of a Genesys organization; `None` when no tenant has it.
    pub async fn by_genesys_org(
        &self,
        genesys_org_id: &str,
    ) -> Result<Option<TenantRecord>, TenantClientError> {
        let path = ["by-genesys-org", genesys_org_id];
        self.inner
            .by_org
            .get(&genesys_org_id.to_owned(), self.inner.ask(&path))
            .await
    }

    /// What is needed to send in the name of a tenant; `None` when there is no such tenant.
    pub async fn sending_profile(
        &self,
        tenant_id: &TenantId,
    ) -> Result<Option<SendingProfile>, TenantClientError> {
        let path = [tenant_id.as_str(), "sending-profile"];
        self.inner
            .profiles
            .get(tenant_id, self.inner.ask(&path))
            .await
    }

    /// How the tenant's people sign in, and which portal roles they get; `None` when there is no
    /// such tenant.
    pub async fn genesys_profile(
        &self,
        tenant_id: &TenantId,
    ) -> Result<Option<GenesysProfile>, TenantClientError> {
        let path = [tenant_id.as_str(), "genesys-profile"];
        self.inner
            .genesys
            .get(tenant_id, self.inner.ask(&path))
            .await
    }

    /// Gives a tenant another name, in the name of one of its administrators; false when there is no
    /// such tenant.
    pub async fn rename(
        &self,
        tenant_id: &TenantId,
        name: &str,
        by: UserId,
    ) -> Result<bool, TenantClientError> {
        let request = self
            .inner
            .http
            .patch(self.inner.url(&[tenant_id.as_str(), "profile"]))
            .json(&serde_json::json!({ "name": name, "changed_by": by }));
        let renamed: Option<serde_json::Value> = self.inner.call(request).await?;
        self.invalidate(tenant_id).await;
        Ok(renamed.is_some())
    }

    /// Forgets what is remembered of a tenant, because an event told that it changed; old answers
    /// do not serve again either. Answers that an organization has no tenant are forgotten too:
    /// the change may be that it has one now.
    pub async fn invalidate(&self, tenant_id: &TenantId) {
        self.inner
            .by_org
            .forget(|_, tenant| tenant.is_none_or(|tenant| tenant.tenant_id == *tenant_id))
            .await;
        self.inner.profiles.forget(|key, _| key == tenant_id).await;
        self.inner.genesys.forget(|key, _| key == tenant_id).await;
        self.inner
            .api_keys
            .forget(|_, known| known.is_none_or(|known| known.key.tenant_id == *tenant_id))
            .await;
    }
}

#[async_trait]
impl ApiKeyDirectory for TenantClient {
    async fn find(&self, digest: &[u8; 32]) -> Result<Option<Arc<ApiKey>>, DirectoryUnavailable> {
        let digest = hex::encode(digest);
        let ask = self.inner.find_api_key(&digest);
        let found = self.inner.api_keys.get(&digest, ask).await;
        let known = found.map_err(|error| {
            tracing::warn!(%error, "an API key cannot be looked up");
            DirectoryUnavailable
        })?;
        // What is remembered may have been said before the key's end.
        let now = Utc::now();
        Ok(known
            .filter(|known| known.expires_at.is_none_or(|end| end > now))
            .map(|known| known.key))
    }
}

#[async_trait]
impl TenantRates for TenantClient {
    /// From memory; what is not there is asked for beside the request, which does not wait.
    async fn per_minute(&self, tenant: &TenantId) -> Option<u32> {
        let (profile, is_due) = self.inner.profiles.peek(tenant).await;
        if is_due && self.inner.asking.insert(tenant) {
            let (client, tenant) = (self.clone(), tenant.clone());
            tokio::spawn(async move {
                if let Err(error) = client.sending_profile(&tenant).await {
                    tracing::warn!(%error, "a tenant's own rate limit cannot be asked for");
                    // The same is not asked again at once, by every request.
                    tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                }
                client.inner.asking.remove(&tenant);
            });
        }
        profile.and_then(|profile| profile.rate_limit)
    }
}

/// The tenants that are being asked for, each once.
#[derive(Default)]
struct Asking(Mutex<HashSet<TenantId>>);

impl Asking {
    fn insert(&self, tenant: &TenantId) -> bool {
        let mut tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.insert(tenant.clone())
    }

    fn remove(&self, tenant: &TenantId) {
        let mut tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.remove(tenant);
    }
}

/// The conventional error body, as far as it is needed.
#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorCode,
}

#[derive(Deserialize)]
struct ErrorCode {
    code: String,
}

impl Inner {
    async fn ask<T: DeserializeOwned>(
        &self,
        path: &[&str],
    ) -> Result<Option<T>, TenantClientError> {
        self.call(self.http.get(self.url(path))).await
    }

    /// The digest goes into the body and not into the address: it is as good as a name.
    async fn find_api_key(&self, digest: &str) -> Result<Option<KnownKey>, TenantClientError> {
        let request = self
            .http
            .post(self.url(&["verify-api-key"]))
            .json(&serde_json::json!({ "digest": digest }));
        let found: Option<ApiKeyRecord> = self.call(request).await?;
        Ok(found.map(KnownKey::from))
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .pop_if_empty()
                .extend(["api", "tenants"])
                .extend(path);
        }
        url
    }

    #[tracing::instrument(name = "tenant_service.call", skip_all, fields(otel.kind = "client"))]
    async fn call<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<Option<T>, TenantClientError> {
        let request = request.bearer_auth(self.credential.expose_secret());
        let response = traced(request)
            .send()
            .await
            .or(Err(TenantClientError::Unavailable))?;
        let status = response.status().as_u16();
        let body = read(response, status).await?;
        match status {
            200 => serde_json::from_slice(&body)
                .map(Some)
                .or(Err(TenantClientError::Protocol { status })),
            404 if is_not_there(&body) => Ok(None),
            401 | 403 => Err(TenantClientError::Unauthorized { status }),
            408 | 429 | 500.. => Err(TenantClientError::Unavailable),
            _ => Err(TenantClientError::Protocol { status }),
        }
    }
}

fn is_not_there(body: &[u8]) -> bool {
    serde_json::from_slice(body)
        .is_ok_and(|body: ErrorBody| NOT_THERE.contains(&body.error.code.as_str()))
}

async fn read(mut response: Response, status: u16) -> Result<Vec<u8>, TenantClientError> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .or(Err(TenantClientError::Unavailable))?
    {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(TenantClientError::Protocol { status });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
