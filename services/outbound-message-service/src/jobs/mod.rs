//! Loops that look for work: woken by a signal and by a timer, safe on many replicas.

pub(crate) mod accounts;
mod backlog;

use std::{sync::Arc, time::Duration};

pub(crate) use backlog::{BacklogCensus, count_backlog};

use chrono::Utc;
use opentelemetry::{KeyValue, metrics::Gauge};
use portal_db::Db;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    config::MediaSection,
    usecases::{
        check_numbers::NumberChecker,
        dead_letters::tidy_letters,
        erasures,
        media::forget::forget_unused,
        sweep::Sweeper,
        webhooks::{Waiting, WebhookApplier},
    },
};

const SWEEP_INTERVAL: Duration = Duration::from_millis(500);
const INTAKE_INTERVAL: Duration = Duration::from_millis(500);
const MEDIA_INTERVAL: Duration = Duration::from_mins(1);
const CHECK_INTERVAL: Duration = Duration::from_secs(15);
const ERASE_INTERVAL: Duration = Duration::from_secs(1);
const TIDY_INTERVAL: Duration = Duration::from_secs(15);
/// After a failure, so that a database that is away is not stormed.
const PAUSE: Duration = Duration::from_secs(2);

/// Calls for numbers with due messages and ends what waited too long, until `stop`.
pub(crate) async fn sweep(sweeper: Sweeper, wake: Arc<Notify>, stop: CancellationToken) {
    let mut tidied: Option<Instant> = None;
    let gauges = WaitingGauges::new();
    while !stop.is_cancelled() {
        let pause = match sweep_once(&sweeper, &gauges, &mut tidied).await {
            Ok(()) => SWEEP_INTERVAL,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "sweeping failed");
                PAUSE
            }
        };
        wait(&wake, pause, &stop).await;
    }
}

async fn sweep_once(
    sweeper: &Sweeper,
    gauges: &WaitingGauges,
    tidied: &mut Option<Instant>,
) -> Result<(), portal_db::DbError> {
    sweeper.release_scheduled().await?;
    sweeper.end_lost().await?;
    sweeper.end_expired().await?;
    sweeper.settle_unknown().await?;
    sweeper.wake_due().await?;
    if tidied.is_none_or(|at| at.elapsed() > TIDY_INTERVAL) {
        sweeper.forget_keys().await?;
        gauges.record(&sweeper.count_waiting().await?);
        *tidied = Some(Instant::now());
    }
    Ok(())
}

/// Asks Meta about numbers until `stop`.
pub(crate) async fn check_numbers(
    checker: NumberChecker,
    wake: Arc<Notify>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        if let Err(error) = checker.check_due().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "numbers are asked about later"
            );
        }
        wait(&wake, CHECK_INTERVAL, &stop).await;
    }
}

/// Forgets settled dead letters and counts the open ones until `stop`.
pub(crate) async fn tidy_dead_letters(db: Db, stop: CancellationToken) {
    let open = opentelemetry::global::meter("outbound-message-service")
        .i64_gauge("dead_letters.open")
        .with_description("Deliveries that no handler took and nobody has decided on")
        .build();
    while !stop.is_cancelled() {
        match tidy_letters(&db).await {
            Ok(count) => open.record(count, &[]),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "dead letters are not counted for now"
            ),
        }
        tokio::select! {
            () = tokio::time::sleep(TIDY_INTERVAL) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Erases contacts until `stop`.
pub(crate) async fn erase_contacts(db: Db, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match erasures::erase_contacts(&db).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "messages of contacts are erased"),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "contacts cannot be erased for now"
            ),
        }
        tokio::select! {
            () = tokio::time::sleep(ERASE_INTERVAL) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Applies stored webhooks until `stop`.
pub(crate) async fn apply_webhooks(
    applier: WebhookApplier,
    wake: Arc<Notify>,
    stop: CancellationToken,
) {
    let backlog = Backlog::new();
    let mut tidied: Option<Instant> = None;
    while !stop.is_cancelled() {
        let pause = match apply_once(&applier).await {
            Ok(0) => INTAKE_INTERVAL,
            Ok(_) => continue,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "webhooks wait");
                PAUSE
            }
        };
        if tidied.is_none_or(|at| at.elapsed() > TIDY_INTERVAL) {
            match applier.tidy().await {
                Ok(waiting) => backlog.record(&waiting),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "old webhooks are kept for now"
                ),
            }
            tidied = Some(Instant::now());
        }
        wait(&wake, pause, &stop).await;
    }
}

async fn apply_once(applier: &WebhookApplier) -> Result<usize, portal_db::DbError> {
    Ok(applier.apply_due().await? + applier.retry_unmatched().await?)
}

/// Forgets files that nobody uses any more until `stop`.
pub(crate) async fn forget_media(db: Db, settings: MediaSection, stop: CancellationToken) {
    let never = Notify::new();
    while !stop.is_cancelled() {
        match forget_unused(&db, settings.keep(), settings.arrival()).await {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "files that nobody used are forgotten"),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "old files are kept for now"
            ),
        }
        wait(&never, MEDIA_INTERVAL, &stop).await;
    }
}

/// How many messages wait to be sent.
struct WaitingGauges {
    due: Gauge<i64>,
    held: Gauge<i64>,
}

impl WaitingGauges {
    fn new() -> Self {
        let meter = opentelemetry::global::meter("outbound-message-service");
        Self {
            due: meter
                .i64_gauge("messages.due")
                .with_description("Messages of all tenants that could be sent now")
                .build(),
            held: meter
                .i64_gauge("messages.held_numbers")
                .with_description("Numbers of all tenants whose sending waits")
                .build(),
        }
    }

    fn record(&self, waiting: &crate::store::sweep::Waiting) {
        self.due.record(waiting.due, &[]);
        self.held.record(waiting.held, &[]);
    }
}

/// How much of Meta's posts waits.
struct Backlog {
    size: Gauge<i64>,
    age: Gauge<f64>,
    unmatched: Gauge<i64>,
}

impl Backlog {
    fn new() -> Self {
        let meter = opentelemetry::global::meter("outbound-message-service");
        Self {
            size: meter
                .i64_gauge("webhooks.backlog")
                .with_description("Posts of Meta that are stored and not applied yet")
                .build(),
            age: meter
                .f64_gauge("webhooks.oldest_age")
                .with_unit("s")
                .with_description("Age of the oldest post that is not applied yet")
                .build(),
            unmatched: meter
                .i64_gauge("webhooks.unmatched")
                .with_description("Statuses whose message is not found, by state")
                .build(),
        }
    }

    fn record(&self, waiting: &Waiting) {
        self.size.record(waiting.posts, &[]);
        for (state, count) in [
            ("pending", waiting.unmatched),
            ("quarantined", waiting.quarantined),
        ] {
            self.unmatched
                .record(count, &[KeyValue::new("state", state)]);
        }
        let age = waiting
            .oldest
            .and_then(|at| (Utc::now() - at).to_std().ok())
            .unwrap_or_default();
        self.age.record(age.as_secs_f64(), &[]);
    }
}

async fn wait(wake: &Notify, limit: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = wake.notified() => {}
        () = tokio::time::sleep(limit) => {}
        () = stop.cancelled() => {}
    }
}
