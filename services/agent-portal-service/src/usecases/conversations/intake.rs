//! Events of messages become conversations, many in one transaction.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use portal_conversations::{Fact, apply};
use portal_db::{DbError, inbox};
use portal_events::EventContext;
use portal_types::{EventId, TenantId};
use tokio::sync::oneshot;

use super::{Conversations, tell::tell_applied};

/// Under which name the inbox remembers events.
const INBOX: &str = "agent-portal-service.messages";
/// Events of one transaction.
const BATCH: usize = 256;

/// An event of a message.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: EventId,
    pub(crate) tenant: TenantId,
    pub(crate) fact: Fact,
    pub(crate) context: EventContext,
}

/// Takes events and applies together what comes together.
#[derive(Clone)]
pub(crate) struct Intake {
    conversations: Conversations,
    waiting: Arc<Mutex<Vec<Waiting>>>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

struct Waiting {
    event: Event,
    done: oneshot::Sender<Result<(), Arc<DbError>>>,
}

impl Intake {
    pub(crate) fn new(conversations: Conversations) -> Self {
        Self {
            conversations,
            waiting: Arc::default(),
            turn: Arc::default(),
        }
    }

    /// Applies an event; done when it is committed.
    pub(crate) async fn take(&self, event: Event) -> Result<(), Arc<DbError>> {
        let (done, mut outcome) = oneshot::channel();
        self.lock().push(Waiting { event, done });
        // Whoever has the turn takes all that wait by then: while one batch is written, the next
        // one gathers.
        let _turn = self.turn.lock().await;
        loop {
            match outcome.try_recv() {
                Ok(outcome) => return outcome,
                Err(oneshot::error::TryRecvError::Closed) => {
                    return Err(Arc::new(DbError::Busy));
                }
                Err(oneshot::error::TryRecvError::Empty) => self.run().await,
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that cannot be applied does not keep the others from it.
    async fn apply(&self, tenant: &TenantId, events: Vec<Event>) -> Vec<Result<(), Arc<DbError>>> {
        let together = self.conversations.apply(tenant, events.clone()).await;
        match together {
            Err(error) if events.len() > 1 && !error.is_transient() => {
                let mut outcomes = Vec::with_capacity(events.len());
                for event in events {
                    let alone = self.conversations.apply(tenant, vec![event]).await;
                    outcomes.push(alone.map_err(Arc::new));
                }
                outcomes
            }
            together => {
                let outcome = together.map_err(Arc::new);
                vec![outcome; events.len()]
            }
        }
    }

    async fn run(&self) {
        let batch: Vec<Waiting> = {
            let mut waiting = self.lock();
            let count = waiting.len().min(BATCH);
            waiting.drain(..count).collect()
        };
        let mut by_tenant: BTreeMap<TenantId, Vec<Waiting>> = BTreeMap::new();
        for one in batch {
            let tenant = one.event.tenant.clone();
            by_tenant.entry(tenant).or_default().push(one);
        }
        for (tenant, batch) in by_tenant {
            let (events, done): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|one| (one.event, one.done)).unzip();
            let outcomes = self.apply(&tenant, events).await;
            for (done, outcome) in done.into_iter().zip(outcomes) {
                // Who does not wait any more gets the delivery again.
                drop(done.send(outcome));
            }
        }
    }
}

impl Conversations {
    /// Applies events of one tenant in one transaction.
    #[tracing::instrument(name = "usecase.apply_messages", skip_all)]
    async fn apply(&self, tenant: &TenantId, events: Vec<Event>) -> Result<(), DbError> {
        let now = self.clock.now();
        let of = tenant.clone();
        let is_awaited = self
            .db
            .write("conversations.apply", tenant, move |tx| {
                let ids: Vec<_> = events.iter().map(|event| event.id.as_uuid()).collect();
                let new = inbox::first_times(tx, INBOX, &ids)?;
                let mut context = EventContext::default();
                let facts: Vec<Fact> = events
                    .into_iter()
                    .filter(|event| new.contains(&event.id.as_uuid()))
                    .map(|event| {
                        // Of many causes the first one stands for all.
                        if context.traceparent.is_none() {
                            context = event.context;
                        }
                        event.fact
                    })
                    .collect();
                if facts.is_empty() {
                    return Ok(false);
                }
                let applied = apply(tx, &of, facts, now)?;
                tell_applied(tx, &of, &context, now, &applied)?;
                let mut touched = applied.conversations.iter();
                Ok::<_, DbError>(touched.any(|touched| touched.row.waiting_since.is_some()))
            })
            .await?;
        self.waker.wake();
        if is_awaited {
            self.asked.ask(tenant);
        }
        self.feed_waker.wake();
        Ok(())
    }
}
