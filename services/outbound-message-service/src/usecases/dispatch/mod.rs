//! Sending: takes what is due of all numbers, in fair turns, and records what Meta answered.
//!
//! The attempt is committed before the request is made and one attempt is one request, so whatever
//! stops in between, it is known that Meta may have got the message; such a message is never sent
//! again by itself.
//!
//! A *turn* of a number claims the heads of many lanes in one transaction (`turn`); each is sent
//! in the number's pace (`send`, `pacer`); outcomes are recorded together (`record`). Whose turn
//! it is says the `board`.

mod board;
mod pacer;
mod record;
mod send;
mod turn;
mod window;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use opentelemetry::metrics::{Counter, Gauge};
use portal_cache::Cache;
use portal_db::Db;
use portal_events::RelayWaker;
use portal_tenant_client::TenantClient;
use portal_types::TenantId;
use portal_vault::Vault;
use portal_whatsapp::{GraphClient, callback::CallbackKey};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::usecases::{hints::LINGER, media::bring::MediaDesk};
use board::Board;
use pacer::Pacer;
use record::{Recorder, Settled};

/// Claims at the same time: more would only wait for each other in the database.
const CLAIMS: usize = 4;
const GAUGE_INTERVAL: Duration = Duration::from_secs(5);

/// Calls for a number's turn. Does nothing in a process that does not send.
#[derive(Clone, Default)]
pub(crate) struct DispatchWaker(Option<Arc<Desk>>);

/// Who is to be served, shared by all that call, claim and record.
struct Desk {
    board: Mutex<Board>,
    changed: Notify,
}

impl Desk {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DispatchWaker {
    /// A waker for at most `limit` messages under way at once.
    pub(crate) fn new(limit: usize) -> Self {
        Self(Some(Arc::new(Desk {
            board: Mutex::new(Board::new(limit)),
            changed: Notify::new(),
        })))
    }

    /// Something of the number was committed that may be sent now.
    pub(crate) fn wake(&self, tenant: &TenantId, phone_number_id: &str) {
        if let Some(desk) = &self.0 {
            desk.board().wake(tenant, phone_number_id);
            desk.changed.notify_one();
        }
    }

    /// A hint came: it stands for what is committed shortly after it, too.
    pub(crate) fn hinted(&self, tenant: &TenantId, phone_number_id: &str) {
        self.wake(tenant, phone_number_id);
        if self.0.is_some() {
            let (waker, tenant) = (self.clone(), tenant.clone());
            let phone_number_id = phone_number_id.to_owned();
            tokio::spawn(async move {
                tokio::time::sleep(LINGER).await;
                waker.wake(&tenant, &phone_number_id);
            });
        }
    }
}

/// What sending needs.
pub(crate) struct DispatcherParts {
    pub(crate) db: Db,
    pub(crate) cache: Cache,
    pub(crate) tenants: TenantClient,
    pub(crate) vault: Arc<Vault>,
    pub(crate) graph: GraphClient,
    pub(crate) media: MediaDesk,
    pub(crate) callback_key: CallbackKey,
    pub(crate) relay: RelayWaker,
    pub(crate) lease: Duration,
    pub(crate) max_retries: i32,
    pub(crate) pair_burst: u32,
    pub(crate) attempts: Counter<u64>,
    pub(crate) duplicates: Counter<u64>,
}

/// Sends what is due.
pub(crate) struct Dispatcher {
    inner: Arc<Inner>,
    recorder: Recorder,
    settled: mpsc::UnboundedReceiver<Settled>,
}

struct Inner {
    parts: DispatcherParts,
    desk: Arc<Desk>,
    pacer: Pacer,
    /// To the recorder; what is under way is bounded by the board.
    settle: mpsc::UnboundedSender<Settled>,
    claims: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Dispatcher {
    /// A dispatcher that serves the numbers that `waker` is called for, until `stop`.
    pub(crate) fn new(
        parts: DispatcherParts,
        waker: &DispatchWaker,
        stop: CancellationToken,
    ) -> Option<Self> {
        let desk = Arc::clone(waker.0.as_ref()?);
        let (settle, settled) = mpsc::unbounded_channel();
        let recorder = Recorder {
            db: parts.db.clone(),
            relay: parts.relay.clone(),
            desk: Arc::clone(&desk),
            max_retries: parts.max_retries,
            duplicates: parts.duplicates.clone(),
        };
        let inner = Arc::new(Inner {
            pacer: Pacer::new(parts.cache.clone(), parts.pair_burst),
            parts,
            desk,
            settle,
            claims: Arc::new(Semaphore::new(CLAIMS)),
            tasks: TaskTracker::new(),
            stop,
        });
        Some(Self {
            inner,
            recorder,
            settled,
        })
    }

    /// Sends until the order to stop; then finishes the requests that have begun, and gives back
    /// what was only claimed.
    pub(crate) async fn run(self) {
        let Self {
            inner,
            recorder,
            settled,
        } = self;
        let recording = tokio::spawn(recorder.run(settled));
        let gauges = tokio::spawn(record_gauges(Arc::clone(&inner.desk), inner.stop.clone()));
        inner.serve().await;
        inner.tasks.close();
        inner.tasks.wait().await;
        // The last sender: the recorder ends after what is left.
        drop(inner);
        for task in [recording, gauges] {
            if let Err(error) = task.await {
                tracing::error!(error = %error, "a part of the dispatcher broke");
            }
        }
    }
}

impl Inner {
    async fn serve(self: &Arc<Self>) {
        loop {
            let permit = tokio::select! {
                permit = Arc::clone(&self.claims).acquire_owned() => permit,
                () = self.stop.cancelled() => return,
            };
            let turn = loop {
                let next = self.desk.board().next();
                if let Some(turn) = next {
                    break turn;
                }
                tokio::select! {
                    () = self.desk.changed.notified() => {}
                    () = self.stop.cancelled() => return,
                }
            };
            let inner = Arc::clone(self);
            self.tasks.spawn(async move {
                inner.take_turn(turn).await;
                drop(permit);
            });
        }
    }

    /// Calls for the number again after `wait`.
    fn wake_later(self: &Arc<Self>, tenant: &TenantId, phone_number_id: &str, wait: Duration) {
        let (inner, tenant) = (Arc::clone(self), tenant.clone());
        let phone_number_id = phone_number_id.to_owned();
        self.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(wait) => {
                    inner.desk.board().wake(&tenant, &phone_number_id);
                    inner.desk.changed.notify_one();
                }
                () = inner.stop.cancelled() => {}
            }
        });
    }
}

async fn record_gauges(desk: Arc<Desk>, stop: CancellationToken) {
    let meter = opentelemetry::global::meter("outbound-message-service");
    let gauge = |name, description| -> Gauge<u64> {
        meter.u64_gauge(name).with_description(description).build()
    };
    let under_way = gauge(
        "messages.under_way",
        "Messages of this process that are claimed and not recorded yet",
    );
    let waiting = gauge(
        "messages.waiting_for_pace",
        "Claimed messages of this process that wait for their number's pace",
    );
    while !stop.is_cancelled() {
        let (all, waits) = {
            let board = desk.board();
            (board.under_way(), board.waiting())
        };
        under_way.record(u64::try_from(all).unwrap_or(u64::MAX), &[]);
        waiting.record(u64::try_from(waits).unwrap_or(u64::MAX), &[]);
        tokio::select! {
            () = tokio::time::sleep(GAUGE_INTERVAL) => {}
            () = stop.cancelled() => {}
        }
    }
}
