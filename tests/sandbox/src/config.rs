//! What the sandbox can be told: at the start (flags, tests) and, for most of it, at run time
//! through `/control` or the setters of [`crate::Sandbox`].

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::graph::faults::Faults;
use crate::graph::pacing::Pacing;
use crate::seed;

/// Everything the sandbox starts with; `Default` suits tests.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// Where to listen; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Callbacks registered for both seeded sign-in clients, compared exactly.
    pub redirect_uris: Vec<String>,
    /// Where status webhooks go and how.
    pub webhook: WebhookSettings,
    /// Behaviour of the Genesys side.
    pub genesys: GenesysSettings,
    /// Behaviour of the Graph side.
    pub graph: GraphSettings,
    /// Calls kept in the journal; the oldest fall out.
    pub journal_capacity: usize,
    /// Sends kept in the compact list; the oldest fall out.
    pub sends_capacity: usize,
    /// Sends and status webhooks are entered in the journal in full; off in load tests, where the
    /// compact list of sends remains.
    pub journal_detail: bool,
    /// Threads that serve HTTP.
    pub workers: usize,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            redirect_uris: vec![seed::DEFAULT_REDIRECT_URI.to_owned()],
            webhook: WebhookSettings::default(),
            genesys: GenesysSettings::default(),
            graph: GraphSettings::default(),
            journal_capacity: 50_000,
            sends_capacity: 1_000_000,
            journal_detail: true,
            workers: 2,
        }
    }
}

/// How status webhooks are built, signed, timed and repeated.
#[derive(Clone)]
pub struct WebhookSettings {
    /// The receiver; without one no webhook is sent.
    pub url: Option<Url>,
    /// Secret of the Meta app: signs webhooks, proves tokens, half of the app token.
    pub app_secret: String,
    /// When each status follows the acceptance of a message.
    pub delays: StatusDelays,
    /// Pauses between tries while the receiver does not answer 200; then the webhook is given up.
    pub retry: Vec<Duration>,
    /// How long the receiver may take to answer.
    pub timeout: Duration,
    /// Shape of the payload.
    pub payload: PayloadVersion,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            url: None,
            app_secret: seed::APP_SECRET.to_owned(),
            delays: StatusDelays::every(Duration::from_millis(20)),
            retry: default_retry(),
            timeout: Duration::from_secs(10),
            payload: PayloadVersion::V24,
        }
    }
}

impl fmt::Debug for WebhookSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSettings")
            .field("url", &self.url.as_ref().map(Url::as_str))
            .field("delays", &self.delays)
            .field("payload", &self.payload)
            .finish_non_exhaustive()
    }
}

/// Quick tries first, then slower ones: about six minutes in all, so that a receiver which is
/// down for a minute loses nothing. Meta goes on for seven days.
fn default_retry() -> Vec<Duration> {
    let millis = [
        100, 200, 400, 800, 1_000, 2_000, 2_000, 4_000, 5_000, 5_000, 10_000, 10_000, 15_000,
        15_000, 30_000, 30_000, 60_000, 60_000, 120_000,
    ];
    millis.into_iter().map(Duration::from_millis).collect()
}

/// Times after acceptance at which a status is produced.
#[derive(Debug, Clone, Copy)]
pub struct StatusDelays {
    /// Until `sent` or `failed`.
    pub sent: Duration,
    /// Until `delivered`.
    pub delivered: Duration,
    /// Until `read`.
    pub read: Duration,
}

impl StatusDelays {
    /// `sent`, `delivered` and `read` one `step` apart.
    pub fn every(step: Duration) -> Self {
        Self {
            sent: step,
            delivered: step * 2,
            read: step * 3,
        }
    }
}

/// Graph webhook version, set per app at Meta. From v24 on the `conversation` object is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PayloadVersion {
    /// With `conversation`.
    V23,
    /// Without it.
    V24,
}

/// What a whole side does instead of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outage {
    /// Works.
    #[default]
    None,
    /// Answers 503 with the vendor's error body.
    Unavailable,
    /// Answers 502 with an HTML page, like an edge in front of the vendor.
    BadGateway,
    /// Closes the connection without an answer.
    Drop,
    /// Takes the request and stays silent for [`GraphSettings::hang`], then closes.
    Hang,
}

/// Knobs of the Genesys side.
#[derive(Debug, Clone)]
pub struct GenesysSettings {
    /// Requests a minute and token before 429.
    pub rate_limit_per_minute: u32,
    /// Life of an authorization code.
    pub code_lifetime: Duration,
    /// Replaces the client's own access-token life when set.
    pub token_lifetime: Option<Duration>,
    /// Added before every answer.
    pub latency: Duration,
    /// See [`Outage`].
    pub outage: Outage,
}

impl Default for GenesysSettings {
    fn default() -> Self {
        Self {
            rate_limit_per_minute: 300,
            code_lifetime: Duration::from_mins(1),
            token_lifetime: None,
            latency: Duration::ZERO,
            outage: Outage::None,
        }
    }
}

/// Knobs of the Graph side.
#[derive(Debug, Clone)]
pub struct GraphSettings {
    /// Added before every answer.
    pub latency: Duration,
    /// See [`Outage`].
    pub outage: Outage,
    /// How slow the "slow answer" magic number is.
    pub slow_answer: Duration,
    /// How long a silent answer stays silent.
    pub hang: Duration,
    /// Life of a code of Embedded Signup.
    pub code_lifetime: Duration,
    /// Last path segments of calls that answer 503 while all others work.
    pub failing: Vec<String>,
    /// Life of an uploaded file.
    pub media_lifetime: Duration,
    /// Life of a file that came with an incoming message.
    pub inbound_media_lifetime: Duration,
    /// Life of a download URL.
    pub media_url_lifetime: Duration,
    /// Content types that may be sent besides the documented ones.
    pub extra_types: Vec<String>,
    /// Free-form messages outside the 24-hour window are accepted and then fail with 131047.
    pub enforce_window: bool,
    /// Faults by chance.
    pub faults: Faults,
    /// Meta's limits.
    pub pacing: Pacing,
}

impl Default for GraphSettings {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            outage: Outage::None,
            slow_answer: Duration::from_secs(3),
            hang: Duration::from_mins(1),
            code_lifetime: Duration::from_secs(30),
            failing: Vec::new(),
            media_lifetime: Duration::from_hours(30 * 24),
            inbound_media_lifetime: Duration::from_hours(7 * 24),
            media_url_lifetime: Duration::from_mins(5),
            extra_types: Vec::new(),
            enforce_window: false,
            faults: Faults::default(),
            pacing: Pacing::default(),
        }
    }
}
