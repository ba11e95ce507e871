//! What all handlers share: the two worlds, the settings of the moment, the journal and the
//! background tasks. All of it lives in memory.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{GenesysSettings, GraphSettings, SandboxConfig, WebhookSettings};
use crate::genesys::world::GenesysWorld;
use crate::graph::faults::{Dice, Faults, Orders};
use crate::graph::pacing::Limiter;
use crate::graph::webhooks::Batcher;
use crate::graph::world::GraphWorld;
use crate::journal::Journal;
use crate::links::Links;

/// The part of the configuration that can change while the sandbox runs.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) webhook: WebhookSettings,
    pub(crate) genesys: GenesysSettings,
    pub(crate) graph: GraphSettings,
    /// Sends and webhooks are entered in full.
    pub(crate) journal_detail: bool,
}

impl Settings {
    fn from_config(config: &SandboxConfig) -> Self {
        Self {
            webhook: config.webhook.clone(),
            genesys: config.genesys.clone(),
            graph: config.graph.clone(),
            journal_detail: config.journal_detail,
        }
    }
}

pub(crate) struct State {
    config: SandboxConfig,
    settings: Mutex<Arc<Settings>>,
    genesys: Mutex<GenesysWorld>,
    graph: Mutex<GraphWorld>,
    links: Mutex<Links>,
    orders: Mutex<Orders>,
    limiter: Mutex<Limiter>,
    /// Sends by number and recipient, while something is left to chance.
    sends: Mutex<HashMap<(String, String), u32>>,
    pub(crate) batcher: Batcher,
    pub(crate) webhooks_delivered: AtomicU64,
    pub(crate) webhook_tries_failed: AtomicU64,
    /// Calls that a "fail N times" number has already refused, by sender, recipient and number.
    refusals: Mutex<HashMap<(String, String, String), u32>>,
    pub(crate) journal: Journal,
    pub(crate) http: reqwest::Client,
    /// Webhook requests under way at once; the rest wait for a place.
    pub(crate) webhook_places: Arc<Semaphore>,
    runtime: Handle,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A handler that panicked has not left half a change worth refusing all later calls for.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// Must be called inside the tokio runtime that is to run the background tasks.
    pub(crate) fn new(config: SandboxConfig) -> anyhow::Result<Self> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the sandbox checks our crates from outside and uses none of them"
        )]
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent("facebookexternalua")
            .build()
            .context("building the webhook client")?;
        Ok(Self {
            settings: Mutex::new(Arc::new(Settings::from_config(&config))),
            genesys: Mutex::new(GenesysWorld::seeded(&config.redirect_uris)),
            graph: Mutex::new(GraphWorld::seeded()),
            links: Mutex::default(),
            orders: Mutex::default(),
            limiter: Mutex::default(),
            sends: Mutex::default(),
            batcher: Batcher::default(),
            webhooks_delivered: AtomicU64::new(0),
            webhook_tries_failed: AtomicU64::new(0),
            refusals: Mutex::default(),
            journal: Journal::new(config.journal_capacity, config.sends_capacity),
            http,
            webhook_places: Arc::new(Semaphore::new(64)),
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            config,
        })
    }

    /// Back to the start: seeds, settings, counters and an empty journal.
    pub(crate) fn reset(&self) {
        *lock(&self.settings) = Arc::new(Settings::from_config(&self.config));
        *lock(&self.genesys) = GenesysWorld::seeded(&self.config.redirect_uris);
        *lock(&self.graph) = GraphWorld::seeded();
        *lock(&self.links) = Links::default();
        *lock(&self.orders) = Orders::default();
        *lock(&self.limiter) = Limiter::default();
        lock(&self.sends).clear();
        self.batcher.clear();
        self.webhooks_delivered.store(0, Ordering::Relaxed);
        self.webhook_tries_failed.store(0, Ordering::Relaxed);
        lock(&self.refusals).clear();
        self.journal.clear();
    }

    /// As they are now; a later change makes new ones.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&lock(&self.settings))
    }

    pub(crate) fn change_settings(&self, change: impl FnOnce(&mut Settings)) {
        change(Arc::make_mut(&mut lock(&self.settings)));
    }

    pub(crate) fn genesys(&self) -> MutexGuard<'_, GenesysWorld> {
        lock(&self.genesys)
    }

    pub(crate) fn graph(&self) -> MutexGuard<'_, GraphWorld> {
        lock(&self.graph)
    }

    pub(crate) fn orders(&self) -> MutexGuard<'_, Orders> {
        lock(&self.orders)
    }

    pub(crate) fn limiter(&self) -> MutexGuard<'_, Limiter> {
        lock(&self.limiter)
    }

    /// The dice of the next send from this number to this recipient; none when nothing is left to
    /// chance.
    pub(crate) fn dice(&self, faults: &Faults, number: &str, recipient: &str) -> Option<Dice> {
        if !faults.by_chance() {
            return None;
        }
        let mut sends = lock(&self.sends);
        let count = sends
            .entry((number.to_owned(), recipient.to_owned()))
            .or_default();
        *count += 1;
        Some(Dice::new(faults.seed, number, recipient, *count))
    }

    pub(crate) fn links(&self) -> MutexGuard<'_, Links> {
        lock(&self.links)
    }

    /// True for the first `times` calls with this key; then false once, and the count starts anew.
    pub(crate) fn refuses_again(&self, key: &(String, String, String), times: u32) -> bool {
        let mut refusals = lock(&self.refusals);
        let seen = refusals.entry(key.clone()).or_insert(0);
        if *seen < times {
            *seen += 1;
            true
        } else {
            refusals.remove(key);
            false
        }
    }

    /// Runs on the caller's runtime, not on the HTTP worker, so that it outlives the request.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn_on(
            async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = task => {}
                }
            },
            &self.runtime,
        );
    }

    pub(crate) fn background_tasks(&self) -> usize {
        self.tasks.len()
    }

    pub(crate) async fn stop_tasks(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(Duration::from_secs(5), self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("background tasks did not end in time");
        }
    }
}
