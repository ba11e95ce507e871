//! The connection: made again and again until the service stops.
//!
//! lapin's own recovery is not used: it does not heal a channel that was closed by an error, so a
//! supervisor that rebuilds everything is needed in any case, and one mechanism is enough.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use lapin::{Connection, ConnectionProperties};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long the broker may take to answer before the connection counts as lost.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// With the jitter twice that: so long a broker that is back may be missed.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// A connection that stood so long was no flash: the next pause is short again.
const STEADY: Duration = Duration::from_secs(30);

/// How to reach the broker.
#[derive(Debug, Clone)]
pub struct BrokerOptions {
    /// An `amqp://` or `amqps://` URL.
    pub url: SecretString,
    /// Put before every exchange's and queue's name; empty in production.
    pub namespace: String,
    /// Shown in the broker's list of connections.
    pub name: &'static str,
}

/// Whether the process' broker connections stand; for health and metrics.
#[derive(Debug, Clone, Default)]
pub struct BrokerState {
    wanted: Arc<AtomicUsize>,
    up: Arc<AtomicUsize>,
}

impl BrokerState {
    /// Whether every connection that somebody wants stands, its queues bound and consumed.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed) >= self.wanted.load(Ordering::Relaxed)
    }

    /// Somebody wants a connection as long as the answer lives.
    pub(crate) fn want(&self) -> Wanted {
        self.wanted.fetch_add(1, Ordering::Relaxed);
        Wanted(self.clone())
    }

    /// What is wanted stands as long as the answer lives.
    pub(crate) fn mark_up(&self) -> Up {
        self.up.fetch_add(1, Ordering::Relaxed);
        Up(self.clone())
    }
}

#[derive(Debug)]
pub(crate) struct Wanted(BrokerState);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.wanted.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(crate) struct Up(BrokerState);

impl Drop for Up {
    fn drop(&mut self) {
        self.0.up.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that is made anew whenever it was lost, with growing pauses in between.
pub(crate) struct Link<'a> {
    options: &'a BrokerOptions,
    role: &'static str,
    shutdown: &'a CancellationToken,
    since: Instant,
    pauses: ExponentialBackoff,
}

impl<'a> Link<'a> {
    pub(crate) fn new(
        options: &'a BrokerOptions,
        role: &'static str,
        shutdown: &'a CancellationToken,
    ) -> Self {
        Self {
            options,
            role,
            shutdown,
            since: Instant::now(),
            pauses: pauses(),
        }
    }

    /// A fresh connection, as soon as there is one; `None` when the service stops.
    pub(crate) async fn connect(&mut self) -> Option<Connection> {
        while !self.shutdown.is_cancelled() {
            match connect(self.options, self.role).await {
                Ok(connection) => {
                    self.since = Instant::now();
                    return Some(connection);
                }
                Err(error) => self.pause(&error).await,
            }
        }
        None
    }

    /// Takes the connection back after its work ended, well or not.
    pub(crate) async fn ended(&mut self, connection: Connection, result: anyhow::Result<()>) {
        close(&connection).await;
        if self.since.elapsed() > STEADY {
            self.pauses = pauses();
        }
        if let Err(error) = result {
            self.pause(&error).await;
        }
    }

    async fn pause(&mut self, error: &anyhow::Error) {
        tracing::warn!(
            role = self.role,
            error = format!("{error:#}"),
            "no connection to the broker; connecting again"
        );
        let delay = self.pauses.next().unwrap_or(LONGEST_PAUSE);
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.shutdown.cancelled() => {}
        }
    }
}

fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}

async fn connect(options: &BrokerOptions, role: &'static str) -> anyhow::Result<Connection> {
    let properties = ConnectionProperties::default()
        .with_connection_name(format!("{} {role}", options.name).into());
    let connecting = Connection::connect(options.url.expose_secret(), properties);
    Ok(tokio::time::timeout(ANSWER_TIMEOUT * 2, connecting).await??)
}

async fn close(connection: &Connection) {
    if connection.status().connected() {
        let closing = connection.close(200, "done".into());
        if !matches!(
            tokio::time::timeout(ANSWER_TIMEOUT, closing).await,
            Ok(Ok(()))
        ) {
            tracing::debug!("the broker connection did not close in order");
        }
    }
}
