//! What browsers are told as it happens. Changes append events to their own transaction; every process
//! looks for new ones of the tenants whose people listen here, whichever replica wrote them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use portal_db::{CrossTenantPath, Db, DbError, Scope, Tx};
use portal_types::{Clock, TenantId, UserId};
use serde_json::Value;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{Audience, EventId, LiveEvent},
    store::live_events,
};

/// Between two looks for new events of a tenant.
const LOOK: Duration = Duration::from_millis(500);
/// A transaction that began before another one may commit after it: so far back a look goes again.
const LATE_COMMIT: chrono::Duration = chrono::Duration::seconds(10);
/// How long events are kept, as the policy of the table says; a little less, for clocks that differ.
const KEPT: chrono::Duration = chrono::Duration::minutes(9);
/// Events that wait for a slow reader; one that falls behind is told to read everything anew.
const BUFFER: usize = 256;
/// Events of one look.
const BATCH: i64 = 1_000;

/// Adds an event to the transaction of the change that it tells of.
pub(crate) fn append(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    audience: Audience,
    kind: &str,
    data: &Value,
) -> Result<(), DbError> {
    live_events::insert(tx, tenant, audience, kind, data)
}

/// Why nobody is listened to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FeedError {
    #[error("the person has too many streams open")]
    TooManyOfUser,
    #[error("this process has too many streams open")]
    Full,
    #[error(transparent)]
    Db(#[from] DbError),
}

/// How many streams may be open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FeedLimits {
    pub(crate) per_user: usize,
    pub(crate) per_process: usize,
}

/// The events of this process' listeners.
#[derive(Clone)]
pub(crate) struct LiveFeed {
    db: Db,
    clock: Arc<dyn Clock>,
    limits: FeedLimits,
    stop: CancellationToken,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    tenants: HashMap<TenantId, broadcast::Sender<LiveEvent>>,
    open: HashMap<UserId, usize>,
}

/// Somebody who listens; counted while it lives.
pub(crate) struct Listener {
    /// What came since the listener was last here.
    pub(crate) missed: Vec<LiveEvent>,
    /// Whether more may have come than is still kept.
    pub(crate) is_gap: bool,
    events: broadcast::Receiver<LiveEvent>,
    told: HashSet<i64>,
    _place: Place,
}

/// What comes next.
pub(crate) enum Next {
    Event(LiveEvent),
    /// The listener was too slow, and events were lost to it.
    Gap,
    /// The process stops.
    End,
}

struct Place {
    shared: Arc<Mutex<Shared>>,
    user: UserId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = shared.open.get_mut(&self.user) {
            *open -= 1;
            if *open == 0 {
                shared.open.remove(&self.user);
            }
        }
    }
}

impl Listener {
    /// Waits for the next event, whoever it is for.
    pub(crate) async fn next(&mut self) -> Next {
        loop {
            match self.events.recv().await {
                // It may have been among those that were missed.
                Ok(event) if self.told.remove(&event.seq) => {}
                Ok(event) => return Next::Event(event),
                Err(broadcast::error::RecvError::Lagged(_)) => return Next::Gap,
                Err(broadcast::error::RecvError::Closed) => return Next::End,
            }
        }
    }
}

impl LiveFeed {
    /// A feed that ends with `stop`.
    pub(crate) fn new(
        db: Db,
        clock: Arc<dyn Clock>,
        limits: FeedLimits,
        stop: CancellationToken,
    ) -> Self {
        Self {
            db,
            clock,
            limits,
            stop,
            shared: Arc::default(),
        }
    }

    /// Listens to the tenant's events, from `last` on if the listener was here before.
    pub(crate) async fn listen(
        &self,
        tenant: &TenantId,
        user: UserId,
        last: Option<EventId>,
    ) -> Result<Listener, FeedError> {
        let place = self.take_place(user)?;
        // First the stream, then what was before it: nothing falls between the two.
        let events = self.subscribe(tenant);
        let mut missed = Vec::new();
        if let Some(last) = last {
            let now = self.clock.now();
            let scope = tenant.clone();
            let of = tenant.clone();
            missed = self
                .db
                .read("live_feed.missed", &scope, move |tx| {
                    live_events::list_since(tx, &of, last.seq, now, BATCH)
                })
                .await?;
        }
        let oldest_kept = (self.clock.now() - KEPT).timestamp_millis();
        let is_full = i64::try_from(missed.len()).is_ok_and(|count| count >= BATCH);
        Ok(Listener {
            told: missed.iter().map(|event| event.seq).collect(),
            is_gap: is_full || last.is_some_and(|last| last.millis < oldest_kept),
            missed,
            events,
            _place: place,
        })
    }

    fn take_place(&self, user: UserId) -> Result<Place, FeedError> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = shared.open.values().sum();
        if all >= self.limits.per_process {
            return Err(FeedError::Full);
        }
        let open = shared.open.entry(user).or_default();
        if *open >= self.limits.per_user {
            return Err(FeedError::TooManyOfUser);
        }
        *open += 1;
        Ok(Place {
            shared: Arc::clone(&self.shared),
            user,
        })
    }

    fn subscribe(&self, tenant: &TenantId) -> broadcast::Receiver<LiveEvent> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = shared.tenants.get(tenant) {
            return sender.subscribe();
        }
        let (sender, receiver) = broadcast::channel(BUFFER);
        shared.tenants.insert(tenant.clone(), sender.clone());
        let (feed, tenant) = (self.clone(), tenant.clone());
        tokio::spawn(async move { feed.watch(tenant, sender).await });
        receiver
    }

    /// Looks for the tenant's events while anybody listens.
    async fn watch(&self, tenant: TenantId, sender: broadcast::Sender<LiveEvent>) {
        let mut seen = Seen::default();
        while !self.stop.is_cancelled() {
            match self.look(&tenant, &mut seen).await {
                Ok(events) => {
                    for event in events {
                        // Without listeners there is nobody to miss it.
                        if sender.send(event).is_err() {
                            break;
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "live events cannot be read"),
            }
            if self.forget_unheard(&tenant, &sender) {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.stop.cancelled() => {}
            }
        }
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.tenants.remove(&tenant);
    }

    /// Under the lock that a new listener takes, too: either it comes before and is heard of, or it
    /// finds nobody watching.
    fn forget_unheard(&self, tenant: &TenantId, sender: &broadcast::Sender<LiveEvent>) -> bool {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let is_unheard = sender.receiver_count() == 0;
        if is_unheard {
            shared.tenants.remove(tenant);
        }
        is_unheard
    }

    async fn look(&self, tenant: &TenantId, seen: &mut Seen) -> Result<Vec<LiveEvent>, DbError> {
        let (of, newest) = (tenant.clone(), seen.newest);
        let since = self.clock.now() - LATE_COMMIT;
        let found = self
            .db
            .read("live_feed.look", tenant, move |tx| {
                // The first look only finds out where the tenant stands.
                let from = match newest {
                    Some(newest) => newest,
                    None => live_events::newest(tx, &of)?,
                };
                let events = live_events::list_since(tx, &of, from, since, BATCH)?;
                Ok::<_, DbError>((from, events))
            })
            .await?;
        Ok(seen.take(found.0, found.1, newest.is_none()))
    }

    /// Forgets events that are too old to be asked for.
    pub(crate) async fn sweep(&self) -> Result<usize, DbError> {
        let sweeper = Scope::CrossTenant(CrossTenantPath::SessionSweeper);
        self.db
            .write(
                "live_feed.sweep",
                sweeper,
                live_events::delete_old_any_tenant,
            )
            .await
    }
}

/// What a watcher has passed on, as far back as late commits can come.
#[derive(Default)]
struct Seen {
    newest: Option<i64>,
    lately: HashSet<i64>,
}

impl Seen {
    /// The events that are new, and which are to be remembered.
    fn take(&mut self, from: i64, events: Vec<LiveEvent>, is_first: bool) -> Vec<LiveEvent> {
        let newest = events.iter().map(|event| event.seq).max();
        self.newest = Some(newest.unwrap_or(from).max(from));
        let lately: HashSet<i64> = events.iter().map(|event| event.seq).collect();
        let fresh = events
            .into_iter()
            .filter(|event| !is_first && !self.lately.contains(&event.seq));
        let fresh = fresh.collect();
        self.lately = lately;
        fresh
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;
    use portal_types::Role;

    use super::*;

    fn event(seq: i64) -> LiveEvent {
        LiveEvent {
            seq,
            audience: Audience::AtLeast(Role::Agent),
            kind: "t".to_owned(),
            data: Value::Null,
            created_at: Utc::now(),
        }
    }

    fn seqs(events: &[LiveEvent]) -> Vec<i64> {
        events.iter().map(|event| event.seq).collect()
    }

    #[test]
    fn each_event_is_passed_on_once_also_one_that_was_committed_late() {
        let mut seen = Seen::default();
        assert_eq!(seqs(&seen.take(3, vec![event(3)], true)), [0_i64; 0]);
        assert_eq!(seqs(&seen.take(3, vec![event(3), event(5)], false)), [5]);
        // 4 had begun before 5 and ended after it.
        let look = vec![event(3), event(4), event(5), event(6)];
        assert_eq!(seqs(&seen.take(5, look, false)), [4, 6]);
        assert_eq!(seen.newest, Some(6));
        assert_eq!(seqs(&seen.take(6, vec![], false)), [0_i64; 0]);
        assert_eq!(seen.newest, Some(6));
    }
}
