//! Calls of the Platform API.

use std::time::{Duration, Instant};

use portal_service_kit::http_client::traced;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use url::Url;

use crate::answer::Answer;
use crate::identity::{OrganizationWire, TokenWire, UserWire};
use crate::{ErrorKind, GenesysError, Identity, Organization, Region, RetryPolicy};

/// Client of Genesys Cloud, for all regions. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GenesysClient {
    http: reqwest::Client,
    retry: RetryPolicy,
}

impl GenesysClient {
    /// Makes a client. `http` must neither follow redirects nor repeat requests, and must have
    /// time-outs: `portal_service_kit::http_client::build` makes such a client.
    pub fn new(http: reqwest::Client, retry: RetryPolicy) -> Self {
        Self { http, retry }
    }

    /// The same client, more or less patient.
    #[must_use]
    pub fn with_retry(&self, retry: RetryPolicy) -> Self {
        Self {
            http: self.http.clone(),
            retry,
        }
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Who the bearer of `token` is: the user, their roles and their organization.
    ///
    /// One call, and one more for each of organization and token that its answer leaves out.
    /// Expansions are best effort at Genesys; roles that are left out are unknown.
    #[tracing::instrument(name = "genesys.me", skip_all, fields(otel.kind = "client", genesys.region = region.name()))]
    pub async fn me(
        &self,
        region: &Region,
        token: &SecretString,
    ) -> Result<Identity, GenesysError> {
        let mut url = region.api_url(&["users", "me"]);
        url.query_pairs_mut()
            .append_pair("expand", "authorization,organization,token");
        let mut user: UserWire = self.get(url, token).await?;
        let organization: OrganizationWire = match user.organization.take() {
            Some(organization) => organization,
            None => {
                self.get(region.api_url(&["organizations", "me"]), token)
                    .await?
            }
        };
        let about_token: TokenWire = match user.token.take() {
            Some(about_token) => about_token,
            None => self.get(region.api_url(&["tokens", "me"]), token).await?,
        };
        user.into_identity(organization, about_token)
            .ok_or_else(|| GenesysError::new(ErrorKind::Protocol))
    }

    /// The organization that `token` acts in; a client's own token (client credentials) has no user
    /// and can be asked for nothing else.
    #[tracing::instrument(name = "genesys.organization", skip_all, fields(otel.kind = "client", genesys.region = region.name()))]
    pub async fn organization(
        &self,
        region: &Region,
        token: &SecretString,
    ) -> Result<Organization, GenesysError> {
        let url = region.api_url(&["organizations", "me"]);
        let organization: OrganizationWire = self.get(url, token).await?;
        organization
            .into_organization()
            .ok_or_else(|| GenesysError::new(ErrorKind::Protocol))
    }

    /// Revokes `token`; a token that Genesys no longer knows is as good as revoked.
    #[tracing::instrument(name = "genesys.revoke", skip_all, fields(otel.kind = "client", genesys.region = region.name()))]
    pub async fn revoke(&self, region: &Region, token: &SecretString) -> Result<(), GenesysError> {
        let request = self.http.delete(region.api_url(&["tokens", "me"]));
        let answer = Answer::to(traced(request.bearer_auth(token.expose_secret()))).await?;
        if answer.status.is_success() || answer.status.as_u16() == 401 {
            Ok(())
        } else {
            Err(answer.into_error())
        }
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        url: Url,
        token: &SecretString,
    ) -> Result<T, GenesysError> {
        self.get_paced(url, token)
            .await
            .map(|(value, _pause)| value)
    }

    /// Reads, and tells how long to wait before the next call.
    pub(crate) async fn get_paced<T: DeserializeOwned>(
        &self,
        url: Url,
        token: &SecretString,
    ) -> Result<(T, Option<Duration>), GenesysError> {
        let began = Instant::now();
        let mut failed = 0;
        loop {
            let error = match self.get_once(&url, token).await {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            failed += 1;
            let Some(wait) = self
                .retry
                .wait(&error, failed, began.elapsed(), rand::random())
            else {
                return Err(error);
            };
            tracing::info!(%error, failed, "a read from Genesys is tried again");
            tokio::time::sleep(wait).await;
        }
    }

    async fn get_once<T: DeserializeOwned>(
        &self,
        url: &Url,
        token: &SecretString,
    ) -> Result<(T, Option<Duration>), GenesysError> {
        let request = self
            .http
            .get(url.clone())
            .bearer_auth(token.expose_secret());
        let answer = Answer::to(traced(request)).await?;
        if !answer.status.is_success() {
            return Err(answer.into_error());
        }
        let value = serde_json::from_slice(&answer.body)
            .map_err(|_unreadable| answer.error(ErrorKind::Protocol, None))?;
        Ok((value, answer.pause))
    }
}
