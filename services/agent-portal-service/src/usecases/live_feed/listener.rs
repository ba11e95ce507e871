//! Somebody who listens.

use std::sync::{Arc, Mutex};

use portal_db::DbError;
use portal_types::{Role, TenantId};
use tokio::sync::watch as channel;

use super::{LiveFeed, PAGE, Recent, Seat, Start, lock};
use crate::{
    domain::{LiveEvent, Place, Reset},
    store::live_events,
};

/// Somebody who listens; counted while it lives.
pub(crate) struct Listener {
    feed: LiveFeed,
    tenant: TenantId,
    head: channel::Receiver<Place>,
    recent: Arc<Mutex<Recent>>,
    place: Place,
    reset: Option<Reset>,
    role: Role,
    _seat: Seat,
}

/// What comes next.
pub(crate) enum Next {
    /// The events that follow, whoever they are for.
    Events(Vec<Arc<LiveEvent>>),
    /// Events may be missing: the listener begins anew, at the place where it is now.
    Reset(Reset),
    /// The process stops, or the feed was found to be another one.
    End,
}

impl Listener {
    pub(super) fn new(
        feed: LiveFeed,
        tenant: TenantId,
        head: channel::Receiver<Place>,
        recent: Arc<Mutex<Recent>>,
        start: Start,
        seat: Seat,
    ) -> Self {
        Self {
            feed,
            tenant,
            head,
            recent,
            place: start.place,
            reset: start.reset,
            role: start.role,
            _seat: seat,
        }
    }

    /// The role that the person has at this place.
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Whether it goes on where it was, and is not to begin anew.
    pub(crate) fn is_in_place(&self) -> bool {
        self.reset.is_none()
    }

    /// How far it has read.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Waits for what comes next. Nothing is lost when the waiting is given up.
    pub(crate) async fn next(&mut self) -> Result<Next, DbError> {
        if let Some(reset) = self.reset.take() {
            return Ok(Next::Reset(reset));
        }
        let stop = self.feed.stop.clone();
        loop {
            let head = *self.head.borrow_and_update();
            if head.sequence > self.place.sequence {
                return self.read(head).await;
            }
            tokio::select! {
                changed = self.head.changed() => if changed.is_err() {
                    return Ok(Next::End);
                },
                () = stop.cancelled() => return Ok(Next::End),
            }
        }
    }

    /// Reads what is between its place and the head.
    async fn read(&mut self, head: Place) -> Result<Next, DbError> {
        let recent = lock(&self.recent).after(self.place.sequence);
        if let Some(events) = recent {
            return Ok(self.go_on(events, head));
        }
        let (of, place) = (self.tenant.clone(), self.place);
        let page = self
            .feed
            .db
            .read("live_feed.page", &self.tenant, move |tx| {
                Ok::<_, DbError>(match live_events::list_after(tx, &of, place, PAGE)? {
                    Ok(events) => Ok(events),
                    Err(reset) => Err((reset, live_events::last_place(tx, &of)?)),
                })
            })
            .await?;
        match page {
            Ok(events) => {
                let events = events.into_iter().map(Arc::new).collect();
                Ok(self.go_on(events, head))
            }
            Err((_, None)) => Ok(Next::End),
            Err((reset, Some(last))) => {
                self.place = last;
                Ok(Next::Reset(reset))
            }
        }
    }

    fn go_on(&mut self, events: Vec<Arc<LiveEvent>>, head: Place) -> Next {
        // Without any, what stood between here and that head was erased.
        self.place = events.last().map_or(head, |event| event.place);
        Next::Events(events)
    }
}
