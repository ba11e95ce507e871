//! Conversations that wait are given to people who are available, by rule.
//!
//! One pass does all that is to be done for a tenant, in turns across replicas, whatever was the
//! reason: whoever changes something that a pass goes by asks for one after the commit, and a sweep
//! asks for all, so that nobody is left over when a process dies in between.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, Duration, Utc};
use portal_conversations::{Cause as HoldCause, ConversationRow, Doing, lock_conversation};
use portal_db::{CrossTenantPath, DbError, Scope, Tx};
use portal_events::EventContext;
use portal_types::{TenantId, UserId};
use tokio::sync::Notify;
use uuid::Uuid;

use super::{Conversations, tell::Change};
use crate::{
    domain::{ConversationRules, OnAbsence, choose},
    events::produced::{ConversationEvent, ConversationPeople},
    store::routing as store,
};

/// Conversations that one transaction gives or puts back.
const BATCH: usize = 50;
/// Why a rule gave it.
const AUTOMATIC: &str = "automatic";
/// Why a rule took it back.
const ABSENT: &str = "absent";

/// Tenants for which a pass is asked for, in this process.
#[derive(Clone, Default)]
pub(crate) struct Asked {
    tenants: Arc<Mutex<BTreeSet<TenantId>>>,
    wake: Arc<Notify>,
}

impl Asked {
    /// Something changed that a pass goes by. After its commit.
    pub(crate) fn ask(&self, tenant: &TenantId) {
        self.lock().insert(tenant.clone());
        self.wake.notify_one();
    }

    /// Ends when somebody asks.
    pub(crate) async fn asked(&self) {
        self.wake.notified().await;
    }

    /// For whom one is to be made.
    pub(crate) fn take(&self) -> BTreeSet<TenantId> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<TenantId>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Conversations {
    /// Asks for a pass for every tenant whose conversations are given by rule.
    pub(crate) async fn ask_for_all(&self) -> Result<(), DbError> {
        let path = Scope::CrossTenant(CrossTenantPath::SessionSweeper);
        let tenants = self
            .db
            .read("conversations.automatic", path, |tx| {
                store::list_automatic_any_tenant(tx)
            })
            .await?;
        for tenant in tenants {
            self.asked.ask(&tenant);
        }
        Ok(())
    }

    /// Gives what waits to those who are available and have room, as far as there are any.
    #[tracing::instrument(name = "usecase.balance_conversations", skip_all)]
    pub(crate) async fn balance(&self, tenant: &TenantId) -> Result<(), DbError> {
        let of = tenant.clone();
        let gives = self
            .db
            .read("conversations.rules", tenant, move |tx| {
                Ok::<_, DbError>(store::rules(tx, &of)?.gives())
            })
            .await?;
        if !gives {
            return Ok(());
        }
        loop {
            let pass = Pass {
                tenant: tenant.clone(),
                now: self.clock.now(),
                context: EventContext::default(),
            };
            let there_is_more = self
                .db
                .write("conversations.balance", tenant, move |tx| pass.run(tx))
                .await?;
            self.waker.wake();
            if !there_is_more {
                return Ok(());
            }
        }
    }
}

struct Pass {
    tenant: TenantId,
    now: DateTime<Utc>,
    context: EventContext,
}

impl Pass {
    /// Answers whether there may be more to do.
    fn run(&self, tx: &mut Tx<'_>) -> Result<bool, DbError> {
        store::take_turn(tx, &self.tenant)?;
        let rules = store::rules(tx, &self.tenant)?;
        if !rules.gives() {
            return Ok(false);
        }
        store::lapse(tx, self.now)?;
        if self.put_back(tx, rules)? == BATCH {
            return Ok(true);
        }
        self.give(tx, rules)
    }

    /// What absent people leave waits again.
    fn put_back(&self, tx: &mut Tx<'_>, rules: ConversationRules) -> Result<usize, DbError> {
        let answered_too = match rules.on_absence {
            OnAbsence::Keep => return Ok(0),
            OnAbsence::ReturnUnanswered => false,
            OnAbsence::ReturnAll => true,
        };
        let held = store::held_by_absent(tx, answered_too, limit())?;
        for id in &held {
            let Some(mut row) = self.lock(tx, *id)? else {
                continue;
            };
            let Some(former) = row.holder().filter(|_| row.is_open()) else {
                continue;
            };
            let doing = doing(ABSENT, self.now);
            row.put_back(tx, &self.tenant, doing)?;
            let event = ConversationEvent::Released;
            self.tell(tx, &row, Some(former), event, former, ABSENT)?;
        }
        Ok(held.len())
    }

    fn give(&self, tx: &mut Tx<'_>, rules: ConversationRules) -> Result<bool, DbError> {
        let mut people = store::lock_candidates(tx, &self.tenant, rules.default_capacity)?;
        let waiting = store::waiting(tx, limit())?;
        let is_full = waiting.len() == BATCH;
        // All locks in the order of ids, as everybody takes them; then in the order of waiting.
        let mut ids: Vec<Uuid> = waiting.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        let mut rows = HashMap::new();
        for id in ids {
            rows.insert(id, self.lock(tx, id)?);
        }
        let (mut given, mut moved) = (0, false);
        for (id, gave_it_away) in waiting {
            let row = rows.remove(&id).flatten();
            let Some(mut row) = row.filter(|row| row.waiting_since.is_some()) else {
                moved = true;
                continue;
            };
            let Some(next) = choose(&people, gave_it_away) else {
                return Ok(false);
            };
            // Of several in one transaction each is later than the one before.
            let at = self.now + Duration::microseconds(given);
            let person = &mut people[next];
            row.give(
                tx,
                &self.tenant,
                person.user,
                HoldCause::Automatic,
                doing(AUTOMATIC, self.now),
            )?;
            store::note_given(tx, &self.tenant, person.user, at)?;
            person.load += 1;
            person.last_given_at = Some(at);
            given += 1;
            let event = ConversationEvent::Assigned;
            self.tell(tx, &row, None, event, person.user, AUTOMATIC)?;
        }
        Ok(is_full || moved)
    }

    /// One that became part of another is found by that one.
    fn lock(&self, tx: &mut Tx<'_>, id: Uuid) -> Result<Option<ConversationRow>, DbError> {
        let row = lock_conversation(tx, &self.tenant, id.into())?;
        Ok(row.filter(|row| row.conversation_id.as_uuid() == id))
    }

    fn tell(
        &self,
        tx: &mut Tx<'_>,
        row: &ConversationRow,
        former: Option<UserId>,
        event: ConversationEvent,
        user: UserId,
        reason: &str,
    ) -> Result<(), DbError> {
        let change = Change {
            tenant: &self.tenant,
            context: &self.context,
            now: self.now,
            row,
            former,
            event,
            people: ConversationPeople {
                user: Some(user),
                reason: Some(reason),
                ..ConversationPeople::default()
            },
        };
        change.tell(tx)
    }
}

fn doing(reason: &'static str, at: DateTime<Utc>) -> Doing<'static> {
    Doing {
        by: None,
        reason: Some(reason),
        at,
    }
}

fn limit() -> i64 {
    i64::try_from(BATCH).unwrap_or(i64::MAX)
}
