//! Deciding on dead letters: each decision is audited with what it changes.

use portal_db::{Db, DbError, Tx, audit, outbox, requeue::Requeue};
use portal_events::{EventContext, RelayWaker, outbox_work};
use portal_types::TenantId;
use serde_json::json;
use uuid::Uuid;

use crate::{
    domain::{
        dead_letter::{LetterFilter, LetterState},
        place::Place,
    },
    events::SOURCE,
    store::{
        dead_letters::{self, LetterRow},
        message_list, messages,
    },
    usecases::requeue::{Decider, requeue},
};

/// Messages that one call puts back at the most: they are one transaction for each hundred.
pub(crate) const MOST_REPLAYS: u32 = 1000;
const PER_TRANSACTION: u32 = 100;

/// Why a letter is left as it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LetterError {
    #[error("the tenant has no such dead letter")]
    NotFound,
    #[error("the message may have arrived, and a duplicate is not accepted")]
    MayHaveArrived,
    #[error("the delivery cannot be read and would be refused again")]
    NotReplayable,
    #[error(transparent)]
    Db(#[from] DbError),
}

/// What came of a replay.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Replayed {
    Done,
    /// Nothing was left to do; where the message or the letter stands.
    Needless(String),
}

/// What came of putting a letter aside.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Discarded {
    Done,
    /// It was not open any more.
    Needless,
}

/// Replays a letter: a message is sent again under its id, a delivery goes back to its queue.
#[tracing::instrument(name = "usecase.replay_dead_letter", skip_all, fields(tenant.id = %tenant, dead_letter.id = %id))]
pub(crate) async fn replay_letter(
    db: &Db,
    relay: &RelayWaker,
    tenant: &TenantId,
    id: Uuid,
    accept_duplicate: bool,
    decider: Decider,
) -> Result<Replayed, LetterError> {
    let replayed = db
        .write("replay_dead_letter", tenant, move |tx| {
            let replayed = match requeue(tx, id, accept_duplicate)? {
                Requeue::Back(_) => Replayed::Done,
                Requeue::NotFailed(status) => Replayed::Needless(status),
                Requeue::MayHaveArrived => return Err(LetterError::MayHaveArrived),
                Requeue::NotFound => {
                    let letter = dead_letters::find(tx, id)?.ok_or(LetterError::NotFound)?;
                    give_back(tx, &letter)?
                }
            };
            if replayed == Replayed::Done {
                let details = json!({ "accept_duplicate": accept_duplicate });
                audit::append(tx, &decider.entry("dead_letter.replay", &id, details))?;
            }
            Ok(replayed)
        })
        .await?;
    relay.wake();
    Ok(replayed)
}

/// Publishes a delivery to its queue alone; its body, and with it the id that consumers know it by,
/// is the same.
fn give_back(tx: &mut Tx<'_>, letter: &LetterRow) -> Result<Replayed, LetterError> {
    if letter.state()? != LetterState::Open {
        return Ok(Replayed::Needless(letter.state.clone()));
    }
    let body =
        serde_json::from_slice(&letter.body).map_err(|_unreadable| LetterError::NotReplayable)?;
    let tenant = tx.own_tenant()?;
    let context = EventContext {
        traceparent: letter.traceparent.clone(),
        request_id: None,
    };
    let subject = letter.dead_letter_id.to_string();
    let row = outbox_work(SOURCE, &tenant, &context, &letter.queue, subject, body);
    outbox::append(tx, &[row])?;
    dead_letters::settle(tx, letter.dead_letter_id, LetterState::Replayed)?;
    Ok(Replayed::Done)
}

/// Puts a letter aside: it is listed no more unless asked for.
#[tracing::instrument(name = "usecase.discard_dead_letter", skip_all, fields(tenant.id = %tenant, dead_letter.id = %id))]
pub(crate) async fn discard_letter(
    db: &Db,
    tenant: &TenantId,
    id: Uuid,
    decider: Decider,
) -> Result<Discarded, LetterError> {
    db.write("discard_dead_letter", tenant, move |tx| {
        let discarded = if messages::lock(tx, id)?.is_some() {
            message_list::discard_failed(tx, id)?
        } else {
            dead_letters::find(tx, id)?.ok_or(LetterError::NotFound)?;
            dead_letters::settle(tx, id, LetterState::Discarded)?
        };
        if !discarded {
            return Ok(Discarded::Needless);
        }
        audit::append(tx, &decider.entry("dead_letter.discard", &id, json!({})))?;
        Ok(Discarded::Done)
    })
    .await
}

/// A replay of all failed messages that a filter picks.
#[derive(Debug, Clone)]
pub(crate) struct BulkReplay {
    pub(crate) filter: LetterFilter,
    pub(crate) accept_duplicate: bool,
    /// Count only.
    pub(crate) dry_run: bool,
    /// At most so many are put back.
    pub(crate) limit: u32,
    /// Where the call before ended.
    pub(crate) after: Option<Place>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct BulkReport {
    /// Messages that were looked at.
    pub(crate) matched: u32,
    pub(crate) replayed: u32,
    /// May have arrived, and the duplicate was not accepted.
    pub(crate) may_have_arrived: u32,
    /// Not failed any more when their turn came.
    pub(crate) needless: u32,
    /// Where the next call goes on, if there is more.
    pub(crate) next: Option<Place>,
    /// How many messages that the filter picks come after it.
    pub(crate) remaining: i64,
}

/// Puts failed messages back in the order of their acceptance, a hundred in a transaction: what is
/// done stays done if a later one fails.
#[tracing::instrument(name = "usecase.replay_dead_letters", skip_all, fields(tenant.id = %tenant))]
pub(crate) async fn replay_many(
    db: &Db,
    relay: &RelayWaker,
    tenant: &TenantId,
    order: BulkReplay,
    decider: Decider,
) -> Result<BulkReport, DbError> {
    let mut report = BulkReport {
        next: order.after,
        ..BulkReport::default()
    };
    let most = order.limit.min(MOST_REPLAYS);
    loop {
        let size = PER_TRANSACTION.min(most - report.matched);
        let (step, after, who) = (order.clone(), report.next, decider.clone());
        let done = db
            .write("replay_dead_letters", tenant, move |tx| {
                replay_some(tx, &step, after, size, &who)
            })
            .await?;
        relay.wake();
        report.matched += done.matched;
        report.replayed += done.replayed;
        report.may_have_arrived += done.may_have_arrived;
        report.needless += done.needless;
        report.next = done.next;
        if done.next.is_none() || report.matched >= most {
            break;
        }
    }
    if let Some(place) = report.next {
        let filter = order.filter;
        report.remaining = db
            .read("count_failed", tenant, move |tx| {
                message_list::count_failed(tx, &filter, place)
            })
            .await?;
    }
    Ok(report)
}

fn replay_some(
    tx: &mut Tx<'_>,
    order: &BulkReplay,
    after: Option<Place>,
    size: u32,
    decider: &Decider,
) -> Result<BulkReport, DbError> {
    let ids = message_list::list_failed_ids(tx, &order.filter, after, i64::from(size) + 1)?;
    let wanted = usize::try_from(size).unwrap_or(usize::MAX);
    let mut report = BulkReport::default();
    for id in ids.iter().take(wanted) {
        report.matched += 1;
        if order.dry_run {
            continue;
        }
        match requeue(tx, *id, order.accept_duplicate)? {
            Requeue::Back(_) => {
                report.replayed += 1;
                let details = json!({
                    "accept_duplicate": order.accept_duplicate, "bulk": true,
                });
                audit::append(tx, &decider.entry("dead_letter.replay", id, details))?;
            }
            Requeue::MayHaveArrived => report.may_have_arrived += 1,
            Requeue::NotFailed(_) | Requeue::NotFound => report.needless += 1,
        }
    }
    report.next = (ids.len() > wanted)
        .then(|| ids.get(wanted.saturating_sub(1)).copied().map(Place))
        .flatten();
    Ok(report)
}
