//! One transaction for many acceptances: what concurrent requests ask for is committed together.
//!
//! A commit waits for the disk. While one is under way the requests that arrive queue up, and the
//! next transaction takes all of them, with one statement for each table. Nobody is answered before
//! the commit, and a caller that went away changes nothing.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use opentelemetry::metrics::Histogram;
use portal_db::{Db, DbError, Tx, outbox, outbox::NewOutboxEvent};
use portal_events::RelayWaker;
use portal_types::TenantId;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::Instant,
};

use crate::{
    events::hint,
    store::acceptance::{self, ACCEPTOR, NewKey, NewMessage},
    usecases::hints::Hints,
};

/// So many requests in one transaction show that they come faster than commits.
const CROWD: usize = 4;

/// Begins the keys of rows that a request with many rows has no own key for.
pub(crate) const OF_REQUEST: &str = "bulk ";

/// A message with everything that is committed with it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) message: NewMessage,
    /// The key that it is asked for under, with the answer that belongs to it.
    pub(crate) key: Option<NewKey>,
    /// What is told of it.
    pub(crate) event: NewOutboxEvent,
    pub(crate) tenant: TenantId,
}

impl Row {
    /// Whether it goes by the key of the whole request that it came with.
    pub(crate) fn has_key_of_request(&self) -> bool {
        self.request_key().is_some()
    }

    fn request_key(&self) -> Option<(&str, &str)> {
        let key = self.key.as_ref()?;
        let request = key.key.strip_prefix(OF_REQUEST)?.split(' ').next()?;
        Some((&key.tenant_id, request))
    }
}

/// What became of a row.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// Committed.
    Accepted,
    /// Its key was used for the same request before: the answer of then, as JSON.
    Replayed(serde_json::Value),
    /// Its key was used for another request.
    KeyReused,
    /// The contact's window is closed, since then if it was ever open.
    WindowClosed(Option<DateTime<Utc>>),
    /// The contact wants no marketing.
    MarketingStopped,
}

/// Why nothing was committed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum BatchError {
    /// More waits than can be committed in good time.
    #[error("too many acceptances wait")]
    Full,
    /// The same for all that were to be committed together.
    #[error("the acceptances could not be committed")]
    Db(#[source] Arc<DbError>),
}

type Answer = Result<Vec<Outcome>, BatchError>;

struct Submission {
    rows: Vec<Row>,
    since: Instant,
    answer: oneshot::Sender<Answer>,
}

/// Hands rows over to be committed. Clones share one queue.
#[derive(Clone)]
pub(crate) struct BatchQueue(mpsc::Sender<Submission>);

impl BatchQueue {
    /// Has the rows committed, all or none; answers an outcome for each.
    pub(crate) async fn commit(&self, rows: Vec<Row>) -> Answer {
        let (answer, committed) = oneshot::channel();
        let submission = Submission {
            rows,
            since: Instant::now(),
            answer,
        };
        self.0
            .try_send(submission)
            .map_err(|_full| BatchError::Full)?;
        // The writer ends only after the last handle of its queue.
        committed.await.map_err(|_gone| BatchError::Full)?
    }
}

/// How much is committed at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchLimits {
    /// Requests that may wait.
    pub(crate) queue: usize,
    /// Transactions at the same time.
    pub(crate) writers: usize,
    /// Rows of one transaction; one request alone may have more.
    pub(crate) rows: usize,
    /// What waited longer is refused instead of committed.
    pub(crate) patience: Duration,
}

/// Commits what the queue holds.
pub(crate) struct BatchWriter {
    desk: Desk,
    limits: BatchLimits,
    sizes: Histogram<u64>,
    receiver: mpsc::Receiver<Submission>,
}

/// What each commit needs.
#[derive(Clone)]
struct Desk {
    db: Db,
    relay: RelayWaker,
    hints: Hints,
}

impl BatchWriter {
    /// A writer and the queue that it reads.
    pub(crate) fn new(db: Db, relay: RelayWaker, limits: BatchLimits) -> (BatchQueue, Self) {
        let (sender, receiver) = mpsc::channel(limits.queue);
        let writer = Self {
            desk: Desk {
                db,
                relay,
                hints: Hints::default(),
            },
            limits,
            sizes: opentelemetry::global::meter("outbound-message-service")
                .u64_histogram("acceptance.batch_size")
                .with_description("Messages that were accepted in one transaction")
                .with_boundaries(vec![
                    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0,
                ])
                .build(),
            receiver,
        };
        (BatchQueue(sender), writer)
    }

    /// Commits until all handles of the queue are gone and it is empty.
    pub(crate) async fn run(mut self) {
        let free = Arc::new(Semaphore::new(self.limits.writers));
        while let Some(first) = self.receiver.recv().await {
            let Ok(permit) = Arc::clone(&free).acquire_owned().await else {
                return;
            };
            // What arrived while all writers were busy goes together.
            let batch = self.collect(first);
            self.sizes.record(batch.rows() as u64, &[]);
            let desk = self.desk.clone();
            if batch.is_of_many() {
                desk.relay.give_way();
            }
            tokio::spawn(async move {
                batch.commit(&desk).await;
                drop(permit);
            });
        }
        let all = u32::try_from(self.limits.writers).unwrap_or(u32::MAX);
        // The last transactions end before the process does.
        drop(free.acquire_many(all).await);
    }

    fn collect(&mut self, first: Submission) -> Batch {
        let mut batch = Batch::default();
        let mut next = Some(first);
        while let Some(submission) = next {
            if submission.since.elapsed() > self.limits.patience {
                submission.refuse(BatchError::Full);
            } else {
                batch.push(submission);
            }
            next = if batch.rows() < self.limits.rows {
                self.receiver.try_recv().ok()
            } else {
                None
            };
        }
        batch
    }
}

impl Submission {
    fn refuse(self, error: BatchError) {
        // A caller that went away needs no answer.
        drop(self.answer.send(Err(error)));
    }
}

/// Requests that are committed together.
#[derive(Default)]
struct Batch {
    rows: Vec<Row>,
    /// How many of the rows are whose.
    callers: Vec<(usize, oneshot::Sender<Answer>)>,
}

impl Batch {
    fn push(&mut self, submission: Submission) {
        self.callers
            .push((submission.rows.len(), submission.answer));
        self.rows.extend(submission.rows);
    }

    const fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Whether requests come faster than commits.
    const fn is_of_many(&self) -> bool {
        self.callers.len() >= CROWD
    }

    async fn commit(self, desk: &Desk) {
        if self.rows.is_empty() {
            return;
        }
        let rows = Arc::new(self.rows);
        let whole = 0..rows.len();
        let result = desk.commit(&rows, whole).await;
        // What a server that is away refuses, it refuses to each of them.
        let one_is_bad = |error: &DbError| !error.is_transient() && self.callers.len() > 1;
        match result {
            Ok(outcomes) => {
                fail::fail_point!("accept.after-commit", |_| std::process::abort());
                desk.relay.wake();
                let mut outcomes = outcomes.into_iter();
                for (count, answer) in self.callers {
                    drop(answer.send(Ok(outcomes.by_ref().take(count).collect())));
                }
            }
            Err(error) if one_is_bad(&error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "acceptances are committed one by one"
                );
                let mut begin = 0;
                for (count, answer) in self.callers {
                    let result = desk.commit(&rows, begin..begin + count).await;
                    begin += count;
                    desk.relay.wake();
                    drop(answer.send(result.map_err(|error| BatchError::Db(Arc::new(error)))));
                }
            }
            Err(error) => {
                let error = BatchError::Db(Arc::new(error));
                for (_, answer) in self.callers {
                    drop(answer.send(Err(error.clone())));
                }
            }
        }
    }
}

impl Desk {
    async fn commit(
        &self,
        rows: &Arc<Vec<Row>>,
        part: Range<usize>,
    ) -> Result<Vec<Outcome>, DbError> {
        let (rows, hints) = (Arc::clone(rows), self.hints.clone());
        let begun = Instant::now();
        let (outcomes, told) = self
            .db
            .write("accept_messages", ACCEPTOR, move |tx| {
                let rows = rows.get(part).unwrap_or_default();
                Transaction::new(rows, &hints).write(tx)
            })
            .await?;
        self.hints.note(told, begun);
        Ok(outcomes)
    }
}

type Told = HashSet<(TenantId, String)>;

/// The one transaction: first who was here before, then who may not, then everybody else.
struct Transaction<'a> {
    rows: &'a [Row],
    outcomes: Vec<Option<Outcome>>,
    /// Rows that have the key of an earlier one, with that.
    repeats: Vec<(usize, usize)>,
    hints: &'a Hints,
    /// Numbers that workers are told of.
    told: Told,
}

impl<'a> Transaction<'a> {
    fn new(rows: &'a [Row], hints: &'a Hints) -> Self {
        Self {
            rows,
            hints,
            told: HashSet::new(),
            outcomes: vec![None; rows.len()],
            repeats: Vec::new(),
        }
    }

    /// What became of each, and the numbers that workers are told of.
    fn write(mut self, tx: &mut Tx<'_>) -> Result<(Vec<Outcome>, Told), DbError> {
        self.set_repeats_aside();
        let keys = self.open_keys();
        self.replay(tx, &keys)?;
        self.refuse_requests();
        self.refuse_closed_windows(tx)?;
        self.refuse_unwanted_marketing(tx)?;
        self.claim_keys(tx)?;
        self.insert(tx)?;
        self.answer_repeats();
        fail::fail_point!("accept.before-commit", |_| std::process::abort());
        Ok((self.outcomes.into_iter().flatten().collect(), self.told))
    }

    /// Places of rows that nothing is decided of yet.
    fn open(&self) -> Vec<usize> {
        let repeats: HashSet<_> = self.repeats.iter().map(|(place, _)| *place).collect();
        let undecided = |place: &usize| self.outcomes.get(*place).is_some_and(Option::is_none);
        (0..self.rows.len())
            .filter(undecided)
            .filter(|place| !repeats.contains(place))
            .collect()
    }

    fn row(&self, place: usize) -> Option<&'a Row> {
        self.rows.get(place)
    }

    fn decide(&mut self, place: usize, outcome: Outcome) {
        if let Some(slot) = self.outcomes.get_mut(place) {
            *slot = Some(outcome);
        }
    }

    fn open_keys(&self) -> Vec<(usize, &'a NewKey)> {
        let open = self.open().into_iter();
        open.filter_map(|place| Some((place, self.row(place)?.key.as_ref()?)))
            .collect()
    }

    /// Two requests with the same key may be in one transaction.
    fn set_repeats_aside(&mut self) {
        let mut firsts = HashMap::new();
        for (place, row) in self.rows.iter().enumerate() {
            let Some(key) = &row.key else { continue };
            let first = *firsts.entry(name(key)).or_insert(place);
            if first != place {
                self.repeats.push((place, first));
            }
        }
    }

    /// Answers those whose key was used before.
    fn replay(&mut self, tx: &mut Tx<'_>, keys: &[(usize, &'a NewKey)]) -> Result<(), DbError> {
        let asked: Vec<_> = keys.iter().map(|(_, key)| *key).collect();
        let places: HashMap<_, _> = keys
            .iter()
            .map(|(place, key)| (name(key), (*place, *key)))
            .collect();
        for stored in acceptance::list_keys_any_tenant(tx, &asked)? {
            let named = (stored.tenant_id.as_str(), stored.key.as_str());
            if let Some((place, key)) = places.get(&named) {
                let outcome = if stored.fingerprint == key.fingerprint {
                    Outcome::Replayed(stored.response)
                } else {
                    Outcome::KeyReused
                };
                self.decide(*place, outcome);
            }
        }
        Ok(())
    }

    /// A request whose key was used for another one is refused with all that came with it.
    fn refuse_requests(&mut self) {
        let reused: HashSet<_> = self
            .rows
            .iter()
            .zip(&self.outcomes)
            .filter(|(_, outcome)| matches!(outcome, Some(Outcome::KeyReused)))
            .filter_map(|(row, _)| row.request_key())
            .collect();
        if reused.is_empty() {
            return;
        }
        for place in self.open() {
            let key = self.row(place).and_then(Row::request_key);
            if key.is_some_and(|key| reused.contains(&key)) {
                self.decide(place, Outcome::KeyReused);
            }
        }
    }

    fn refuse_closed_windows(&mut self, tx: &mut Tx<'_>) -> Result<(), DbError> {
        let bound: Vec<_> = self
            .open()
            .into_iter()
            .filter_map(|place| Some((place, &self.row(place)?.message)))
            .filter(|(_, message)| message.needs_window)
            .collect();
        let messages: Vec<_> = bound.iter().map(|(_, message)| *message).collect();
        for closed in acceptance::list_closed_windows_any_tenant(tx, &messages)? {
            if let Some((place, _)) = bound.get(closed.place()) {
                self.decide(*place, Outcome::WindowClosed(closed.expired_at));
            }
        }
        Ok(())
    }

    fn refuse_unwanted_marketing(&mut self, tx: &mut Tx<'_>) -> Result<(), DbError> {
        if !self.rows.iter().any(|row| row.message.is_marketing) {
            return Ok(());
        }
        let bound: Vec<_> = self
            .open()
            .into_iter()
            .filter_map(|place| Some((place, &self.row(place)?.message)))
            .filter(|(_, message)| message.is_marketing)
            .collect();
        let messages: Vec<_> = bound.iter().map(|(_, message)| *message).collect();
        for stopped in acceptance::list_stopped_marketing_any_tenant(tx, &messages)? {
            if let Some((place, _)) = bound.get(stopped) {
                self.decide(*place, Outcome::MarketingStopped);
            }
        }
        Ok(())
    }

    /// Claims the keys of those who go on. One that somebody else committed meanwhile is replayed.
    fn claim_keys(&mut self, tx: &mut Tx<'_>) -> Result<(), DbError> {
        let mut keys = self.open_keys();
        keys.sort_unstable_by_key(|(_, key)| name(key));
        let asked: Vec<_> = keys.iter().map(|(_, key)| *key).collect();
        let claimed = acceptance::claim_keys_any_tenant(tx, &asked)?;
        let claimed: HashSet<_> = claimed.into_iter().collect();
        let lost: Vec<_> = keys
            .iter()
            .enumerate()
            .filter(|(n, _)| !claimed.contains(n))
            .map(|(_, key)| *key)
            .collect();
        self.replay(tx, &lost)?;
        let is_open =
            |(place, _): &(usize, _)| self.outcomes.get(*place).is_some_and(Option::is_none);
        if lost.iter().any(is_open) {
            // It was there and is gone: it expired between the two looks.
            return Err(DbError::Busy);
        }
        Ok(())
    }

    fn insert(&mut self, tx: &mut Tx<'_>) -> Result<(), DbError> {
        let open = self.open();
        let rows: Vec<_> = open.iter().filter_map(|place| self.row(*place)).collect();
        let messages: Vec<_> = rows.iter().map(|row| &row.message).collect();
        acceptance::insert_messages_any_tenant(tx, &messages)?;
        // A worker that is told of a number takes all that is due of it.
        let (mut hints, now) = (Vec::new(), Instant::now());
        for row in rows.iter().filter(|row| row.message.send_at.is_none()) {
            let number = (row.tenant.clone(), row.message.phone_number_id.clone());
            if self.hints.are_due(&number, now) && !self.told.contains(&number) {
                let traceparent = row.message.traceparent.clone();
                hints.push(hint(&number.0, &number.1, traceparent));
                self.told.insert(number);
            }
        }
        let told: Vec<_> = rows.iter().map(|row| &row.event).chain(&hints).collect();
        outbox::append(tx, &told)?;
        for place in open {
            self.decide(place, Outcome::Accepted);
        }
        Ok(())
    }

    fn answer_repeats(&mut self) {
        for (place, first) in std::mem::take(&mut self.repeats) {
            let key_of = |place| self.row(place).and_then(|row| row.key.as_ref());
            let (Some(own), Some(other)) = (key_of(place), key_of(first)) else {
                continue;
            };
            let outcome = match self.outcomes.get(first) {
                _ if own.fingerprint != other.fingerprint => Outcome::KeyReused,
                Some(Some(Outcome::Accepted)) => match serde_json::from_str(&other.response) {
                    Ok(answer) => Outcome::Replayed(answer),
                    Err(_unreadable) => Outcome::KeyReused,
                },
                Some(Some(outcome)) => outcome.clone(),
                _ => Outcome::KeyReused,
            };
            self.decide(place, outcome);
        }
    }
}

fn name(key: &NewKey) -> (&str, &str) {
    (&key.tenant_id, &key.key)
}
