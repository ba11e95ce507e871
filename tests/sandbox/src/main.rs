//! `portal-sandbox`: the stand-ins as a program, for the local stack.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use portal_sandbox::{Sandbox, SandboxConfig, StatusDelays, seed};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use url::Url;

/// Stand-ins for Genesys Cloud and the Meta Graph API. For development and tests only.
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// Address to listen on
    #[arg(long, env = "SANDBOX_BIND", default_value = "127.0.0.1:3090")]
    bind: SocketAddr,
    /// Receiver of status webhooks; without it none are sent
    #[arg(long, env = "SANDBOX_WEBHOOK_URL")]
    webhook_url: Option<Url>,
    /// Secret of the Meta app; signs webhooks
    #[arg(long, env = "SANDBOX_APP_SECRET", default_value = seed::APP_SECRET, hide_env_values = true)]
    app_secret: String,
    /// Registered callback of the sign-in clients; repeat it, or join several by commas
    #[arg(long = "redirect-uri", env = "SANDBOX_REDIRECT_URI", value_delimiter = ',',
          default_value = seed::DEFAULT_REDIRECT_URI)]
    redirect_uris: Vec<String>,
    /// Milliseconds between acceptance, sent, delivered and read
    #[arg(long, env = "SANDBOX_STATUS_DELAY_MS", default_value_t = 300)]
    status_delay_ms: u64,
    /// Genesys requests a minute and token before 429
    #[arg(long, env = "SANDBOX_RATE_LIMIT", default_value_t = 300)]
    rate_limit: u32,
    /// Milliseconds added to every Graph answer
    #[arg(long, env = "SANDBOX_GRAPH_LATENCY_MS", default_value_t = 0)]
    graph_latency_ms: u64,
    /// Calls kept in the journal
    #[arg(long, env = "SANDBOX_JOURNAL_CAPACITY", default_value_t = 50_000)]
    journal_capacity: usize,
    /// Sends kept in the compact list
    #[arg(long, env = "SANDBOX_SENDS_CAPACITY", default_value_t = 1_000_000)]
    sends_capacity: usize,
    /// How much of sends and webhooks the journal keeps
    #[arg(long, env = "SANDBOX_JOURNAL", value_enum, default_value_t = JournalMode::Full)]
    journal: JournalMode,
    /// Threads that serve HTTP
    #[arg(long, env = "SANDBOX_WORKERS", default_value_t = 2)]
    workers: usize,
    /// Form of the log lines
    #[arg(long, env = "SANDBOX_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Log filter; `info` shows each call
    #[arg(long, env = "SANDBOX_LOG", default_value = "info,actix_server=warn")]
    log: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum JournalMode {
    Full,
    Compact,
}

impl Flags {
    fn into_config(self) -> SandboxConfig {
        let mut config = SandboxConfig {
            bind: self.bind,
            redirect_uris: self.redirect_uris,
            journal_capacity: self.journal_capacity,
            sends_capacity: self.sends_capacity,
            journal_detail: self.journal == JournalMode::Full,
            workers: self.workers,
            ..SandboxConfig::default()
        };
        config.webhook.url = self.webhook_url;
        config.webhook.app_secret = self.app_secret;
        config.webhook.delays = StatusDelays::every(Duration::from_millis(self.status_delay_ms));
        config.genesys.rate_limit_per_minute = self.rate_limit;
        config.graph.latency = Duration::from_millis(self.graph_latency_ms);
        config
    }
}

fn start_log(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).context("the log filter does not parse")?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stdout().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    start_log(flags.log_format, &flags.log)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    let sandbox = Sandbox::start(flags.into_config())?;
    tracing::info!(url = sandbox.base_url(), "sandbox ready");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("sandbox stopping");
    sandbox.stop().await;
    Ok(())
}
