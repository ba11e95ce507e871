//! Statuses of many messages in few requests: collected, then sent together by number.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::Status;
use super::delivery::{Delivery, deliver};
use super::payload;
use crate::graph::faults::Batch;
use crate::graph::messages::Accepted;
use crate::state::State;

/// Meta's limit for a body.
const MAX_BYTES: usize = 3_000_000;
/// About what a status takes, escapes included.
const STATUS_BYTES: usize = 900;

struct Waiting {
    due: Instant,
    order: u64,
    accepted: Arc<Accepted>,
    status: Status,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.order).cmp(&(other.due, other.order))
    }
}

#[derive(Default)]
struct Inner {
    waiting: BinaryHeap<Reverse<Waiting>>,
    order: u64,
    /// A task empties the heap.
    running: bool,
}

/// The statuses that wait for their batch.
#[derive(Default)]
pub(crate) struct Batcher(Mutex<Inner>);

impl Batcher {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn clear(&self) {
        self.lock().waiting.clear();
    }

    /// True when nobody empties the heap yet.
    fn push(&self, accepted: &Arc<Accepted>, status: Status, after: Duration) -> bool {
        let mut inner = self.lock();
        inner.order += 1;
        let waiting = Waiting {
            due: Instant::now() + after,
            order: inner.order,
            accepted: Arc::clone(accepted),
            status,
        };
        inner.waiting.push(Reverse(waiting));
        !std::mem::replace(&mut inner.running, true)
    }

    /// What is due; none when the heap is empty and the task may end.
    fn due(&self) -> Option<Vec<Waiting>> {
        let mut inner = self.lock();
        if inner.waiting.is_empty() {
            inner.running = false;
            return None;
        }
        let now = Instant::now();
        let mut due = Vec::new();
        while inner
            .waiting
            .peek()
            .is_some_and(|Reverse(first)| first.due <= now)
        {
            due.extend(inner.waiting.pop().map(|Reverse(first)| first));
        }
        Some(due)
    }
}

/// Adds a status; the task that sends is started when there is none.
pub(super) fn add(state: &Arc<State>, accepted: &Arc<Accepted>, status: Status, after: Duration) {
    if state.batcher.push(accepted, status, after) {
        state.spawn(run(Arc::clone(state)));
    }
}

async fn run(state: Arc<State>) {
    loop {
        // Batches that were switched off meanwhile are still emptied.
        let batch = state.settings().graph.faults.batch.unwrap_or(Batch {
            max: 1_000,
            every_ms: 10,
            across_accounts: false,
        });
        tokio::time::sleep(Duration::from_millis(batch.every_ms.max(1))).await;
        let Some(due) = state.batcher.due() else {
            return;
        };
        for request in requests(&due, batch) {
            send(&state, &request);
        }
    }
}

/// Cuts what is due into requests.
fn requests(due: &[Waiting], batch: Batch) -> Vec<Vec<&Waiting>> {
    let max = batch.max.clamp(1, MAX_BYTES / STATUS_BYTES);
    let mut by_account: BTreeMap<&str, Vec<&Waiting>> = BTreeMap::new();
    for waiting in due {
        let account = if batch.across_accounts {
            ""
        } else {
            waiting.accepted.waba_id.as_str()
        };
        by_account.entry(account).or_default().push(waiting);
    }
    by_account
        .values()
        .flat_map(|all| all.chunks(max).map(<[&Waiting]>::to_vec))
        .collect()
}

/// What one number has to tell.
#[derive(Default)]
struct Change {
    digits: String,
    statuses: Vec<Value>,
    contacts: Vec<Value>,
}

fn send(state: &Arc<State>, request: &[&Waiting]) {
    let version = state.settings().webhook.payload;
    // By account and number.
    let mut changes: BTreeMap<(&str, &str), Change> = BTreeMap::new();
    for waiting in request {
        let accepted = &waiting.accepted;
        let change = changes
            .entry((&accepted.waba_id, &accepted.phone.id))
            .or_insert_with(|| Change {
                digits: accepted.phone.digits(),
                ..Change::default()
            });
        change
            .statuses
            .push(payload::status_object(accepted, waiting.status, version));
        if !matches!(waiting.status, Status::Failed(_)) {
            change.contacts.push(payload::contact(&accepted.recipient));
        }
    }
    let mut entries: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for ((waba_id, number), change) in changes {
        let value = payload::value_of(
            &change.digits,
            number,
            &change.statuses,
            Some(change.contacts),
        );
        entries
            .entry(waba_id)
            .or_default()
            .push(json!({"value": value, "field": "messages"}));
    }
    let entries: Vec<Value> = entries
        .into_iter()
        .map(|(waba_id, changes)| json!({"id": waba_id, "changes": changes}))
        .collect();
    let body = json!({"object": "whatsapp_business_account", "entry": entries});
    let note = format!("batch of {}", request.len());
    deliver(state, Delivery::new(&body, note));
}
