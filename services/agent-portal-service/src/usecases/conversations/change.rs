//! What people do with conversations.

use chrono::{DateTime, Utc};
use portal_conversations::{Cause as HoldCause, ConversationRow, Doing, lock_conversation};
use portal_db::{DbError, Tx};
use portal_events::EventContext;
use portal_types::{ConversationId, TenantId, UserId};
use uuid::Uuid;

use super::{
    ConversationError, Conversations, Present,
    tell::{Change, tell_read},
};
use crate::{
    domain::{Routing, Verdict, Wish, Worker},
    events::produced::{ConversationEvent, ConversationPeople},
    store::{
        conversations::{self as store, Shown},
        routing,
    },
    usecases::Cause,
};

/// A wish for a conversation.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) conversation: ConversationId,
    pub(crate) wish: Wish,
    /// The version that the caller saw last.
    pub(crate) version: Option<i64>,
    pub(crate) reason: Option<String>,
}

impl Conversations {
    /// Does what somebody wishes, if that person may; answers how the conversation stands then.
    #[tracing::instrument(name = "usecase.change_conversation", skip_all)]
    pub(crate) async fn change(
        &self,
        tenant: &TenantId,
        worker: Worker,
        request: Request,
        cause: &Cause,
    ) -> Result<Shown, ConversationError> {
        let work = Work {
            tenant: tenant.clone(),
            worker,
            now: self.clock.now(),
            context: cause.events(),
        };
        let shown = self
            .db
            .write("conversations.change", tenant, move |tx| {
                work.run(tx, &request)
            })
            .await?;
        self.waker.wake();
        self.asked.ask(tenant);
        self.feed_waker.wake();
        Ok(shown)
    }

    /// Notes that somebody read a conversation, all of it or up to a message.
    #[tracing::instrument(name = "usecase.read_conversation", skip_all)]
    pub(crate) async fn read(
        &self,
        tenant: &TenantId,
        worker: Worker,
        conversation: ConversationId,
        up_to: Option<Uuid>,
    ) -> Result<Shown, ConversationError> {
        let of = tenant.clone();
        let shown = self
            .db
            .write("conversations.read", tenant, move |tx| {
                let row = lock_conversation(tx, &of, conversation)?;
                let mut row = row
                    .filter(|row| worker.may_see(row))
                    .ok_or(ConversationError::Unknown)?;
                let before = row.unread_count;
                row.read(tx, &of, up_to).map_err(|error| match error {
                    DbError::NotFound => ConversationError::UnknownMessage,
                    error => error.into(),
                })?;
                if row.unread_count != before {
                    tell_read(tx, &of, &row)?;
                }
                one_shown(tx, &of, row)
            })
            .await?;
        self.feed_waker.wake();
        Ok(shown)
    }
}

fn one_shown(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    row: ConversationRow,
) -> Result<Shown, ConversationError> {
    let shown = store::show(tx, tenant, vec![row])?.pop();
    shown.ok_or(ConversationError::Unknown)
}

struct Work {
    tenant: TenantId,
    worker: Worker,
    now: DateTime<Utc>,
    context: EventContext,
}

impl Work {
    fn run(&self, tx: &mut Tx<'_>, request: &Request) -> Result<Shown, ConversationError> {
        let tenant = &self.tenant;
        // Most who come too late are told so without waiting for those before them.
        if request.wish == Wish::Take
            && let Some(row) = store::find(tx, tenant, request.conversation)?
            && self.worker.may(Wish::Take, &row) == Verdict::HeldByOther
        {
            let present = self.present(tx, row)?;
            return Err(ConversationError::AlreadyAssigned(present));
        }
        // Before the conversation: who switches a person off locks that row first, too.
        let taker = match request.wish {
            Wish::Take => Some(self.worker.user),
            Wish::Transfer(to) => Some(to),
            _ => None,
        };
        if let Some(to) = taker {
            match store::lock_target(tx, tenant, to)? {
                None => return Err(ConversationError::UnknownPerson),
                Some(false) => return Err(ConversationError::PersonInactive),
                Some(true) => {}
            }
        }
        let row = lock_conversation(tx, tenant, request.conversation)?;
        let row = row.ok_or(ConversationError::Unknown)?;
        let verdict = self.worker.may(request.wish, &row);
        match verdict {
            Verdict::NotThere => return Err(ConversationError::Unknown),
            Verdict::HeldByOther => {
                let present = self.present(tx, row)?;
                return Err(ConversationError::AlreadyAssigned(present));
            }
            _ => {}
        }
        if request
            .version
            .is_some_and(|version| version != row.version)
        {
            return Err(ConversationError::Stale(self.present(tx, row)?));
        }
        // Only what would change a holder: who asks for what is so already is not refused.
        if verdict == Verdict::Do
            && request.wish.changes_holder(&row)
            && routing::rules(tx, tenant)?.routing == Routing::Genesys
        {
            return Err(ConversationError::RoutedByGenesys);
        }
        match verdict {
            Verdict::NotHeld => Err(ConversationError::NotAssigned),
            Verdict::Closed => Err(ConversationError::Closed),
            Verdict::Do => {
                let row = self.fulfil(tx, row, request)?;
                one_shown(tx, tenant, row)
            }
            _ => one_shown(tx, tenant, row),
        }
    }

    fn present(&self, tx: &mut Tx<'_>, row: ConversationRow) -> Result<Box<Present>, DbError> {
        let ids: Vec<Uuid> = row.assigned_to.into_iter().collect();
        let holder = store::find_people(tx, &self.tenant, &ids)?.pop();
        Ok(Box::new(Present { row, holder }))
    }

    fn fulfil(
        &self,
        tx: &mut Tx<'_>,
        mut row: ConversationRow,
        request: &Request,
    ) -> Result<ConversationRow, DbError> {
        let (tenant, me) = (&self.tenant, self.worker.user);
        let doing = Doing {
            by: Some(me),
            reason: request.reason.as_deref(),
            at: self.now,
        };
        let former = row.holder();
        let people = |user, from| ConversationPeople {
            user,
            from,
            by: Some(me),
            reason: doing.reason,
        };
        let (event, people) = match request.wish {
            Wish::Take => {
                row.give(tx, tenant, me, HoldCause::Taken, doing)?;
                (ConversationEvent::Assigned, people(Some(me), None))
            }
            Wish::Release => {
                row.release(tx, tenant, doing)?;
                (ConversationEvent::Released, people(former, None))
            }
            Wish::Transfer(to) if former.is_none() => {
                row.give(tx, tenant, to, HoldCause::Transferred, doing)?;
                (ConversationEvent::Assigned, people(Some(to), None))
            }
            Wish::Transfer(to) => {
                row.transfer(tx, tenant, to, HoldCause::Transferred, doing)?;
                (ConversationEvent::Transferred, people(Some(to), former))
            }
            Wish::Close => {
                row.close(tx, tenant, doing)?;
                (ConversationEvent::Closed, people(former, None))
            }
            Wish::Reopen => {
                row.reopen(tx, tenant, doing)?;
                (ConversationEvent::Reopened, people(None, None))
            }
        };
        let change = Change {
            tenant,
            context: &self.context,
            now: self.now,
            row: &row,
            former,
            event,
            people,
        };
        change.tell(tx)?;
        Ok(row)
    }
}

/// Nobody keeps conversations who may no longer sign in: others find them among those that wait.
pub(crate) fn release_all_of(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    user: UserId,
    context: &EventContext,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<usize, DbError> {
    let held = store::held_by(tx, tenant, user)?;
    for id in &held {
        let Some(mut row) = lock_conversation(tx, tenant, (*id).into())? else {
            continue;
        };
        if row.holder() != Some(user) {
            continue;
        }
        let doing = Doing {
            by: None,
            reason: Some(reason),
            at: now,
        };
        row.release(tx, tenant, doing)?;
        let change = Change {
            tenant,
            context,
            now,
            row: &row,
            former: Some(user),
            event: ConversationEvent::Released,
            people: ConversationPeople {
                user: Some(user),
                reason: Some(reason),
                ..ConversationPeople::default()
            },
        };
        change.tell(tx)?;
    }
    Ok(held.len())
}
