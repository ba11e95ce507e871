//! The relay: publishes what the outbox holds.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use lapin::Connection;
use opentelemetry::{KeyValue, metrics::Gauge};
use portal_db::{CrossTenantPath, Db, Scope, inbox, outbox};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    broker::{BrokerOptions, BrokerState, Link, Wanted},
    publisher::Publisher,
};

const RELAY: Scope = Scope::CrossTenant(CrossTenantPath::Relay);
/// So large that the waits for the database and for the broker's confirms weigh little.
const BATCH: i64 = 512;
/// Commits of other replicas and of a woken relay that missed its call are found by looking.
const POLL: Duration = Duration::from_millis(250);
const LEASE_SECONDS: i32 = 15;
const LEASE_RENEWAL: Duration = Duration::from_secs(5);
const HOUSEKEEPING: Duration = Duration::from_secs(10);
/// Published rows tell the way of a message for a week; inbox rows outlive any replay that is let in.
const OUTBOX_DAYS: i64 = 7;
const INBOX_DAYS: i64 = 14;

/// Somebody asked the relay to give way so lately that it does.
const GIVES_WAY: Duration = Duration::from_millis(100);
/// While it gives way it rests so many times as long as it worked.
const REST: u32 = 4;
/// Events are not held up for longer by that.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Talks to the relay of this process.
#[derive(Debug, Clone, Default)]
pub struct RelayWaker(Arc<Calls>);

#[derive(Debug, Default)]
struct Calls {
    committed: Notify,
    gives_way_until: Mutex<Option<Instant>>,
}

impl RelayWaker {
    /// Something was committed that is to be published.
    pub fn wake(&self) {
        self.0.committed.notify_one();
    }

    /// Callers wait for their commits: until they do not, events take but a part of what database
    /// and machine can do. They are published in larger batches then, some seconds later at most.
    pub fn give_way(&self) {
        let until = Instant::now() + GIVES_WAY;
        *self.0.until() = Some(until);
    }
}

impl Calls {
    fn until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.gives_way_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn give_way(&self) -> bool {
        self.until().is_some_and(|until| Instant::now() < until)
    }
}

/// Publishes the outbox rows of one service, one replica at a time.
#[derive(Debug)]
pub struct Relay {
    db: Db,
    broker: BrokerOptions,
    state: BrokerState,
    _wanted: Wanted,
    service: &'static str,
    waker: RelayWaker,
    backlog: Gauge<i64>,
    oldest: Gauge<f64>,
}

impl Relay {
    /// A relay for the rows of `service` (its database role).
    pub fn new(
        db: Db,
        broker: BrokerOptions,
        state: BrokerState,
        service: &'static str,
        waker: RelayWaker,
    ) -> Self {
        let meter = opentelemetry::global::meter("portal-events");
        Self {
            db,
            broker,
            _wanted: state.want(),
            state,
            service,
            waker,
            backlog: meter
                .i64_gauge("outbox.backlog")
                .with_description("Committed events that are not published yet")
                .build(),
            oldest: meter
                .f64_gauge("outbox.oldest_age")
                .with_unit("s")
                .with_description("Age of the oldest event that is not published yet")
                .build(),
        }
    }

    /// Publishes until `shutdown` is cancelled. A broker or database that is away is waited for.
    pub async fn run(self, shutdown: CancellationToken) {
        let holder = Uuid::now_v7();
        let mut link = Link::new(&self.broker, "publish", &shutdown);
        while let Some(connection) = link.connect().await {
            let result = self.publish_on(&connection, holder, &shutdown).await;
            link.ended(connection, result).await;
        }
        let released = self
            .db
            .write("relay.release_lease", RELAY, move |tx| {
                outbox::release_relay_lease(tx, holder)
            })
            .await;
        if let Err(error) = released {
            tracing::debug!(error = %error, "the relay's lease is left to run out");
        }
    }

    async fn publish_on(
        &self,
        connection: &Connection,
        holder: Uuid,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<()> {
        let publisher = Publisher::open(connection, &self.broker.namespace).await?;
        let _up = self.state.mark_up();
        let mut lease_checked: Option<Instant> = None;
        let mut kept_house: Option<Instant> = None;
        while !shutdown.is_cancelled() {
            if lease_checked.is_none_or(|at| at.elapsed() > LEASE_RENEWAL) {
                let service = self.service;
                let held = self
                    .db
                    .write("relay.hold_lease", RELAY, move |tx| {
                        outbox::hold_relay_lease(tx, service, holder, LEASE_SECONDS)
                    })
                    .await;
                match held {
                    Ok(true) => lease_checked = Some(Instant::now()),
                    Ok(false) => {
                        self.pause(POLL * 4, shutdown).await;
                        continue;
                    }
                    Err(error) => {
                        tracing::warn!(error = %error, "the relay cannot reach the database");
                        self.pause(Duration::from_secs(1), shutdown).await;
                        continue;
                    }
                }
            }
            if kept_house.is_none_or(|at| at.elapsed() > HOUSEKEEPING) {
                self.keep_house().await;
                kept_house = Some(Instant::now());
            }
            let begun = Instant::now();
            match self.publish_some(&publisher).await? {
                None => self.pause(POLL, shutdown).await,
                Some(oldest) => self.rest(begun.elapsed(), oldest, shutdown).await,
            }
        }
        Ok(())
    }

    /// Publishes one batch; answers since when its oldest event waited, if one was published. Errors
    /// are the broker's.
    async fn publish_some(&self, publisher: &Publisher) -> anyhow::Result<Option<DateTime<Utc>>> {
        let service = self.service;
        let listed = self
            .db
            .read("relay.list", RELAY, move |tx| {
                outbox::list_unpublished_any_tenant(tx, service, BATCH)
            })
            .await;
        let batch = match listed {
            Ok(batch) => batch,
            Err(error) => {
                tracing::warn!(error = %error, "the relay cannot read the outbox");
                return Ok(None);
            }
        };
        let Some(oldest) = batch.first().map(|event| event.created_at) else {
            return Ok(None);
        };
        fail::fail_point!("relay.after-claim", |_| std::process::abort());
        let confirmed = publisher.publish(&batch).await?;
        fail::fail_point!("relay.before-mark", |_| std::process::abort());
        let is_any = !confirmed.is_empty();
        let marked = self
            .db
            .write("relay.mark", RELAY, move |tx| {
                outbox::mark_published_any_tenant(tx, &confirmed)
            })
            .await;
        match marked {
            Ok(()) => Ok(is_any.then_some(oldest)),
            Err(error) => {
                tracing::warn!(error = %error, "published events stay unmarked and are published again");
                Ok(None)
            }
        }
    }

    /// After a batch that took `worked`, while callers wait for their commits.
    async fn rest(&self, worked: Duration, oldest: DateTime<Utc>, shutdown: &CancellationToken) {
        let waited = (Utc::now() - oldest).to_std().unwrap_or_default();
        if waited < LONGEST_WAIT && self.waker.0.give_way() {
            tokio::select! {
                () = tokio::time::sleep(worked * REST) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    async fn pause(&self, limit: Duration, shutdown: &CancellationToken) {
        tokio::select! {
            () = self.waker.0.committed.notified() => {}
            () = tokio::time::sleep(limit) => {}
            () = shutdown.cancelled() => {}
        }
    }

    async fn keep_house(&self) {
        let service = self.service;
        let now = Utc::now();
        let result = self
            .db
            .write("relay.keep_house", RELAY, move |tx| {
                let before = now - chrono::Duration::days(OUTBOX_DAYS);
                outbox::delete_published_any_tenant(tx, service, before)?;
                outbox::backlog_any_tenant(tx, service)
            })
            .await;
        match result {
            Ok((count, oldest)) => {
                let labels = [KeyValue::new("service", service)];
                self.backlog.record(count, &labels);
                let age = oldest.map_or(0, |at| (now - at).num_milliseconds());
                #[expect(clippy::cast_precision_loss, reason = "an age in milliseconds fits")]
                self.oldest.record(age as f64 / 1000.0, &labels);
            }
            Err(error) => tracing::warn!(error = %error, "the outbox could not be tidied"),
        }
        let swept = self
            .db
            .write("inbox.sweep", Scope::Service, move |tx| {
                inbox::delete_received_before(tx, now - chrono::Duration::days(INBOX_DAYS))
            })
            .await;
        if let Err(error) = swept {
            tracing::warn!(error = %error, "the inbox could not be tidied");
        }
    }
}
