//! The one factory of outgoing HTTP clients.
//!
//! No redirects (they would carry tokens to other hosts), no hidden retries (a message must never
//! be sent twice by a library), HTTP/1.1, no proxies from the environment.

pub mod guarded;

use std::time::Duration;

use crate::telemetry::propagation;

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// For the connection.
    pub connect_timeout: Duration,
    /// For the whole exchange, from the connection to the last byte of the answer.
    pub timeout: Duration,
    /// Who we say we are.
    pub user_agent: String,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(15),
            user_agent: concat!("agent-portal/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Makes a client.
pub fn build(options: &ClientOptions) -> reqwest::Result<reqwest::Client> {
    builder(options).build()
}

fn builder(options: &ClientOptions) -> reqwest::ClientBuilder {
    #[expect(clippy::disallowed_methods, reason = "this is the one legal place")]
    let builder = reqwest::Client::builder();
    builder
        .connect_timeout(options.connect_timeout)
        .timeout(options.timeout)
        .user_agent(&options.user_agent)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .http1_only()
        .no_proxy()
}

/// Adds the trace headers of the current span to a request.
pub fn traced(request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
    propagation::current_trace_headers()
        .into_iter()
        .fold(request, |request, (name, value)| {
            request.header(name, value)
        })
}
