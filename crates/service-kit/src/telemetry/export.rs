//! The exporter's HTTP client.
//!
//! The batch processor exports from a thread of its own, outside any runtime, where a reqwest client
//! panics. So each request is run on the runtime that telemetry was set up on.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;

use crate::http_client::{self, ClientOptions};

/// Spans are worth no longer wait: the batch behind them is waiting, too.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct ExportClient {
    client: reqwest::Client,
    runtime: Handle,
}

impl ExportClient {
    pub(super) fn new() -> anyhow::Result<Self> {
        let options = ClientOptions {
            timeout: TIMEOUT,
            ..ClientOptions::default()
        };
        Ok(Self {
            client: http_client::build(&options)?,
            runtime: Handle::try_current()?,
        })
    }
}

#[async_trait]
impl HttpClient for ExportClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        self.runtime
            .spawn(async move { client.send_bytes(request).await })
            .await?
    }
}
