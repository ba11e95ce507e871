//! What browsers are told as it happens.
//!
//! A change adds its events to its own transaction, without numbers. Whoever listens numbers what is
//! committed, one replica at a time, so that a tenant's events have consecutive numbers which become
//! visible in their order: who has read up to a number has missed nothing below it, whichever replica
//! is asked. Where nobody listens, the sweep numbers.

mod listener;
mod watch;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use portal_db::{CrossTenantPath, Db, DbError, Scope, Tx};
use portal_types::{Clock, Role, TenantId, UserId};
use tokio::{
    sync::{Notify, watch as channel},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub(crate) use listener::{Listener, Next};

use crate::{
    domain::{EventId, LiveEvent, NewLiveEvent, Place, Reset},
    store::{live_events, users},
};

/// Events of one read.
const PAGE: i64 = 500;
/// What readers who are a little behind find without asking the database: so many events, and none
/// for longer, so that what is erased there is not told from memory.
const RECENT: usize = 2_048;
const RECENT_FOR: Duration = Duration::from_secs(10);
/// Events that the sweep forgets in one transaction.
const SWEEP: i64 = 5_000;

/// Adds an event to the transaction of the change that it tells of.
pub(crate) fn append(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    event: NewLiveEvent<'_>,
) -> Result<(), DbError> {
    live_events::insert(tx, tenant, event)
}

/// Why nobody is listened to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FeedError {
    #[error("the person has too many streams open")]
    TooManyOfUser,
    #[error("this process has too many streams open")]
    Full,
    #[error("the person may not sign in any more")]
    Unwelcome,
    #[error(transparent)]
    Db(#[from] DbError),
}

/// How the feed is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FeedRules {
    /// Streams that one person may have open here.
    pub(crate) per_user: usize,
    /// Streams of this process.
    pub(crate) per_process: usize,
    /// How long events are kept.
    pub(crate) kept: chrono::Duration,
}

/// Tells the feed of this process that something was committed, so that it looks at once.
#[derive(Clone, Default)]
pub(crate) struct FeedWaker(Arc<Notify>);

impl FeedWaker {
    pub(crate) fn wake(&self) {
        self.0.notify_one();
    }
}

/// The events of this process' listeners.
#[derive(Clone)]
pub(crate) struct LiveFeed {
    db: Db,
    clock: Arc<dyn Clock>,
    rules: FeedRules,
    waker: FeedWaker,
    stop: CancellationToken,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    tenants: HashMap<TenantId, Channel>,
    open: HashMap<UserId, usize>,
}

/// The events of a tenant that somebody here listens to.
struct Channel {
    /// The last event that was read.
    head: channel::Sender<Place>,
    recent: Arc<Mutex<Recent>>,
}

/// The last events, without a gap, up to the head.
#[derive(Default)]
struct Recent(VecDeque<(Instant, Arc<LiveEvent>)>);

impl Recent {
    fn push(&mut self, events: Vec<LiveEvent>) {
        let now = Instant::now();
        self.0
            .extend(events.into_iter().map(|event| (now, Arc::new(event))));
        let surplus = self.0.len().saturating_sub(RECENT);
        self.0.drain(..surplus);
        self.forget();
    }

    fn forget(&mut self) {
        let too_old = self
            .0
            .iter()
            .take_while(|(at, _)| at.elapsed() > RECENT_FOR);
        let count = too_old.count();
        self.0.drain(..count);
    }

    /// The events after this number; nothing when they are not all here.
    fn after(&self, sequence: i64) -> Option<Vec<Arc<LiveEvent>>> {
        let (_, first) = self.0.front()?;
        if first.place.sequence > sequence + 1 {
            return None;
        }
        let from = self
            .0
            .partition_point(|(_, event)| event.place.sequence <= sequence);
        Some(self.0.range(from..).map(|(_, e)| Arc::clone(e)).collect())
    }
}

/// One of the streams that may be open; free again with the value.
struct Seat {
    shared: Arc<Mutex<Shared>>,
    user: UserId,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        if let Some(open) = shared.open.get_mut(&self.user) {
            *open -= 1;
            if *open == 0 {
                shared.open.remove(&self.user);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where somebody begins to read.
#[derive(Clone, Copy)]
struct Start {
    place: Place,
    reset: Option<Reset>,
    role: Role,
}

impl LiveFeed {
    /// A feed that ends with `stop`.
    pub(crate) fn new(
        db: Db,
        clock: Arc<dyn Clock>,
        rules: FeedRules,
        waker: FeedWaker,
        stop: CancellationToken,
    ) -> Self {
        Self {
            db,
            clock,
            rules,
            waker,
            stop,
            shared: Arc::default(),
        }
    }

    /// Listens to the tenant's events, from `last` on if the listener was here before.
    pub(crate) async fn listen(
        &self,
        tenant: &TenantId,
        user: UserId,
        last: LastRead,
    ) -> Result<Listener, FeedError> {
        let seat = self.take_seat(user)?;
        let of = tenant.clone();
        let start = self
            .db
            .write("live_feed.listen", tenant, move |tx| {
                start(tx, &of, user, last)
            })
            .await?;
        let (head, recent) = self.subscribe(tenant, start.place);
        Ok(Listener::new(
            self.clone(),
            tenant.clone(),
            head,
            recent,
            start,
            seat,
        ))
    }

    fn take_seat(&self, user: UserId) -> Result<Seat, FeedError> {
        let mut shared = lock(&self.shared);
        let all: usize = shared.open.values().sum();
        if all >= self.rules.per_process {
            return Err(FeedError::Full);
        }
        let open = shared.open.entry(user).or_default();
        if *open >= self.rules.per_user {
            return Err(FeedError::TooManyOfUser);
        }
        *open += 1;
        Ok(Seat {
            shared: Arc::clone(&self.shared),
            user,
        })
    }

    /// A listener of its own place reads what is between that and the head by itself, so where the
    /// head of a new channel begins is of no matter.
    fn subscribe(
        &self,
        tenant: &TenantId,
        place: Place,
    ) -> (channel::Receiver<Place>, Arc<Mutex<Recent>>) {
        let mut shared = lock(&self.shared);
        let entry = shared.tenants.entry(tenant.clone());
        let channel = entry.or_insert_with(|| Channel {
            head: channel::Sender::new(place),
            recent: Arc::default(),
        });
        (channel.head.subscribe(), Arc::clone(&channel.recent))
    }

    /// Numbers what nobody listened to, and forgets events that are too old to be asked for.
    pub(crate) async fn sweep(&self) -> Result<(), DbError> {
        let watcher = Scope::CrossTenant(CrossTenantPath::LiveFeedWatcher);
        let tenants = self
            .db
            .read(
                "live_feed.find_unnumbered",
                watcher,
                live_events::list_unnumbered_any_tenant,
            )
            .await?;
        for tenant in tenants.iter().filter_map(|id| TenantId::parse(id).ok()) {
            let mut count = live_events::BATCH;
            while count >= live_events::BATCH && !self.stop.is_cancelled() {
                let of = tenant.clone();
                count = self
                    .db
                    .write("live_feed.number", &tenant, move |tx| {
                        live_events::number(tx, &of)
                    })
                    .await?;
            }
        }
        let before: DateTime<Utc> = self.clock.now() - self.rules.kept;
        let mut is_more = true;
        while is_more && !self.stop.is_cancelled() {
            let sweeper = Scope::CrossTenant(CrossTenantPath::SessionSweeper);
            let count: usize = self
                .db
                .write("live_feed.sweep", sweeper, move |tx| {
                    live_events::delete_numbered_before_any_tenant(tx, before, SWEEP)
                })
                .await?;
            is_more = i64::try_from(count).is_ok_and(|count| count >= SWEEP);
        }
        Ok(())
    }
}

/// What a listener says of where it was.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LastRead {
    /// Nothing: it begins now.
    Nothing,
    /// This far.
    Id(EventId),
    /// Something that is no id of ours.
    Nonsense,
}

fn start(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    user: UserId,
    last: LastRead,
) -> Result<Start, FeedError> {
    let newest = live_events::number_all(tx, tenant)?;
    // After the place: what becomes of the person later is told by an event that comes later.
    let person = users::find_user(tx, tenant, user)?.filter(|person| person.is_active);
    let role = person.ok_or(FeedError::Unwelcome)?.role;
    let (place, reset) = match last {
        LastRead::Nothing => (newest, None),
        LastRead::Nonsense => (newest, Some(Reset::Unknown)),
        LastRead::Id(id) if id.role != role => (newest, Some(Reset::RoleChanged)),
        LastRead::Id(id) => match live_events::list_after(tx, tenant, id.place, 1)? {
            Ok(_) => (id.place, None),
            Err(reset) => (newest, Some(reset)),
        },
    };
    Ok(Start { place, reset, role })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::Audience;

    fn event(sequence: i64) -> LiveEvent {
        let place = Place {
            sequence,
            numbered_at: DateTime::UNIX_EPOCH,
        };
        LiveEvent::new(place, Audience::AtLeast(Role::Agent), "t", &json!({}))
    }

    fn after(recent: &Recent, sequence: i64) -> Option<Vec<i64>> {
        let found = recent.after(sequence)?;
        Some(found.iter().map(|event| event.place.sequence).collect())
    }

    #[test]
    fn recent_events_are_told_only_when_none_is_missing() {
        let mut recent = Recent::default();
        assert_eq!(after(&recent, 3), None);
        recent.push(vec![event(4), event(5)]);
        // One was erased before it was read.
        recent.push(vec![event(7)]);
        assert_eq!(after(&recent, 2), None);
        assert_eq!(after(&recent, 3), Some(vec![4, 5, 7]));
        assert_eq!(after(&recent, 5), Some(vec![7]));
        assert_eq!(after(&recent, 7), Some(vec![]));
        for (at, _) in &mut recent.0 {
            *at -= RECENT_FOR + Duration::from_secs(1);
        }
        recent.push(vec![event(8)]);
        assert_eq!(after(&recent, 5), None);
        assert_eq!(after(&recent, 7), Some(vec![8]));
    }

    #[test]
    fn no_more_than_so_many_are_remembered() {
        let mut recent = Recent::default();
        let last = i64::try_from(RECENT).unwrap() + 10;
        recent.push((1..=last).map(event).collect());
        assert_eq!(after(&recent, 9), None);
        assert_eq!(after(&recent, 10).map(|found| found.len()), Some(RECENT));
    }
}
