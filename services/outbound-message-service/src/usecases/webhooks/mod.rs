//! Applying what Meta posted, after it was stored and answered: many posts at once, each tenant's
//! part in a transaction of its own. Applying twice changes nothing, so whatever stops in between,
//! the posts are applied again.

mod accounts;
mod inbound;
mod sorting;
mod statuses;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use opentelemetry::{KeyValue, metrics::Counter};
use portal_db::{Db, DbError, Scope};
use portal_events::RelayWaker;
use portal_types::TenantId;
use portal_whatsapp::{
    callback::CallbackKey,
    webhook::{Notification, Status},
};
use uuid::Uuid;

use self::{
    sorting::{Sorted, Sorter, TenantPart},
    statuses::Evidence,
};
use crate::store::{intake, reports, unmatched};

/// Posts that are taken at once, and bytes of them.
const POSTS: i64 = 64;
const BYTES: i64 = 4 * 1024 * 1024;
const UNMATCHED: i64 = 500;
const LEASE: chrono::Duration = chrono::Duration::seconds(60);
/// Something can be told faster than we know whom it concerns: a status before our own record of
/// the message's wamid, a message before the configuration of its number. After so many tries over
/// about a day it concerns nobody here.
const TRIES: i32 = 18;
/// Statuses of one transaction.
const CHUNK: usize = 1000;
/// Applied posts are kept this long: for replays, which Meta sends for 7 days, and for questions.
const KEPT_DAYS: i64 = 8;

/// What applying needs.
#[derive(Clone)]
pub(crate) struct WebhookApplier {
    pub(crate) db: Db,
    pub(crate) callback_key: CallbackKey,
    pub(crate) relay: RelayWaker,
    /// Whether `message.received` carries the content.
    pub(crate) content_in_events: bool,
    pub(crate) counters: Counters,
}

/// What is counted.
#[derive(Clone)]
pub(crate) struct Counters {
    /// Statuses by outcome: `moved`, `known`, `unmatched`, `foreign`, `ignored`, `duplicate`.
    pub(crate) statuses: Counter<u64>,
    /// Messages of contacts by outcome: `stored`, `known`, `unrouted`, `foreign`.
    pub(crate) inbound: Counter<u64>,
    /// Other changes by field and outcome.
    pub(crate) changes: Counter<u64>,
}

impl Counters {
    fn count(counter: &Counter<u64>, outcome: &'static str, count: u64) {
        if count > 0 {
            counter.add(count, &[KeyValue::new("outcome", outcome)]);
        }
    }
}

/// A stored post that can be read.
struct Post {
    id: Uuid,
    attempts: i32,
    received_at: DateTime<Utc>,
    traceparent: Option<String>,
    /// The tenant whose own secret signed it.
    signed_for: Option<TenantId>,
    notification: Notification,
}

/// What waits, for gauges.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    pub(crate) posts: i64,
    pub(crate) oldest: Option<DateTime<Utc>>,
    pub(crate) unmatched: i64,
    pub(crate) quarantined: i64,
}

impl WebhookApplier {
    /// Applies posts that are due; answers how many it took.
    pub(crate) async fn apply_due(&self) -> Result<usize, DbError> {
        let now = Utc::now();
        let rows = self
            .db
            .write("intake.claim", Scope::Service, move |tx| {
                intake::claim_due(tx, POSTS, BYTES, LEASE, now)
            })
            .await?;
        let count = rows.len();
        let mut posts = Vec::with_capacity(count);
        let mut unreadable = Vec::new();
        for row in rows {
            match Post::read(row) {
                Ok(post) => posts.push(post),
                Err(id) => unreadable.push(id),
            }
        }
        if !unreadable.is_empty() {
            tracing::error!(
                posts = unreadable.len(),
                "signed posts cannot be read; they are kept"
            );
            self.settle(unreadable, "unreadable").await?;
        }
        if let Err(error) = self.apply(&posts).await {
            if error.is_transient() {
                self.put_back(&posts).await;
                return Err(error);
            }
            // One of them cannot be applied. The others do not wait for it.
            for post in &posts {
                self.apply_alone(post).await?;
            }
        }
        if count > 0 {
            self.relay.wake();
        }
        Ok(count)
    }

    /// Looks again for the messages of statuses that wait for one; answers how many it took.
    pub(crate) async fn retry_unmatched(&self) -> Result<usize, DbError> {
        let until = Utc::now() + LEASE;
        let rows = self
            .db
            .write("unmatched.claim", Scope::Service, move |tx| {
                unmatched::claim_due(tx, UNMATCHED, until)
            })
            .await?;
        let count = rows.len();
        if count == 0 {
            return Ok(0);
        }
        let mut sorter = Sorter::new(&self.callback_key);
        let mut waits = Vec::new();
        for row in &rows {
            waits.push((row.unmatched_id, row.attempts));
            match Status::from_raw(&row.payload) {
                Some(status) => sorter.add_status(
                    status,
                    row.phone_number_id.clone(),
                    row.signed_for
                        .as_deref()
                        .and_then(|id| TenantId::parse(id).ok()),
                    row.received_at,
                    Some(row.unmatched_id),
                ),
                None => {
                    tracing::error!(unmatched.id = %row.unmatched_id, "a kept status cannot be read");
                }
            }
        }
        let parts = self.sort(sorter).await?;
        let still: Vec<Uuid> = parts
            .unmatched
            .iter()
            .filter_map(|status| status.unmatched_id)
            .collect();
        let foreign = parts.foreign_unmatched.clone();
        self.apply_parts(parts).await?;
        let at = Utc::now();
        self.db
            .write("unmatched.postpone", Scope::Service, move |tx| {
                unmatched::delete(tx, &foreign)?;
                let mut given_up = Vec::new();
                for (id, attempts) in waits.into_iter().filter(|(id, _)| still.contains(id)) {
                    if attempts >= TRIES {
                        given_up.push(id);
                    } else {
                        unmatched::postpone(tx, id, at + pause(attempts))?;
                    }
                }
                if !given_up.is_empty() {
                    tracing::warn!(
                        statuses = given_up.len(),
                        "statuses of messages that are not ours; they are kept"
                    );
                    unmatched::quarantine(tx, &given_up)?;
                }
                Ok::<_, DbError>(())
            })
            .await?;
        self.relay.wake();
        Ok(count)
    }

    /// Forgets posts that were applied long ago; answers what waits.
    pub(crate) async fn tidy(&self) -> Result<Waiting, DbError> {
        let before = Utc::now() - chrono::Duration::days(KEPT_DAYS);
        self.db
            .write("intake.tidy", Scope::Service, move |tx| {
                intake::delete_settled(tx, before)?;
                let (posts, oldest) = intake::backlog(tx)?;
                let (unmatched, quarantined) = unmatched::count(tx)?;
                Ok(Waiting {
                    posts,
                    oldest,
                    unmatched,
                    quarantined,
                })
            })
            .await
    }

    async fn apply_alone(&self, post: &Post) -> Result<(), DbError> {
        let Err(error) = self.apply(std::slice::from_ref(post)).await else {
            return Ok(());
        };
        if error.is_transient() {
            self.put_back(std::slice::from_ref(post)).await;
            return Err(error);
        }
        let id = post.id;
        tracing::error!(webhook.intake.id = %id, error = &error as &dyn std::error::Error, "a post cannot be applied");
        if post.attempts >= TRIES {
            return self.settle(vec![id], "failed").await;
        }
        let at = Utc::now() + pause(post.attempts);
        self.db
            .write("intake.postpone", Scope::Service, move |tx| {
                intake::postpone(tx, &[id], at)
            })
            .await
    }

    async fn apply(&self, posts: &[Post]) -> Result<(), DbError> {
        if posts.is_empty() {
            return Ok(());
        }
        let mut sorter = Sorter::new(&self.callback_key);
        for (index, post) in posts.iter().enumerate() {
            sorter.add_post(index, post);
        }
        let parts = self.sort(sorter).await?;
        let unrouted = parts.unrouted_posts.clone();
        let unreadable = parts.unreadable_posts.clone();
        self.apply_parts(parts).await?;
        let at = Utc::now();
        let (mut applied, mut kept, mut lost, mut later) = (vec![], vec![], vec![], vec![]);
        for (index, post) in posts.iter().enumerate() {
            if unrouted.contains(&index) && post.attempts < TRIES {
                later.push((post.id, at + pause(post.attempts)));
            } else if unrouted.contains(&index) {
                kept.push(post.id);
            } else if unreadable.contains(&index) {
                lost.push(post.id);
            } else {
                applied.push(post.id);
            }
        }
        if !kept.is_empty() {
            tracing::error!(
                posts = kept.len(),
                "posts of numbers or accounts that no tenant has; they are kept"
            );
        }
        if !lost.is_empty() {
            tracing::error!(
                posts = lost.len(),
                "parts of signed posts cannot be read; the posts are kept"
            );
        }
        self.db
            .write("intake.settle", Scope::Service, move |tx| {
                for (ids, state) in [
                    (applied, "applied"),
                    (kept, "unrouted"),
                    (lost, "unreadable"),
                ] {
                    if !ids.is_empty() {
                        intake::settle(tx, &ids, state)?;
                    }
                }
                for (id, at) in later {
                    intake::postpone(tx, &[id], at)?;
                }
                Ok(())
            })
            .await
    }

    async fn sort(&self, sorter: Sorter<'_>) -> Result<Sorted, DbError> {
        let keys = sorter.keys();
        let directory = self
            .db
            .read("webhook.route", reports::ROUTER, move |tx| keys.look_up(tx))
            .await?;
        let parts = sorter.sort(&directory);
        let counts = parts.counts;
        Counters::count(&self.counters.statuses, "ignored", counts.ignored_statuses);
        Counters::count(&self.counters.statuses, "foreign", counts.foreign_statuses);
        Counters::count(
            &self.counters.statuses,
            "unmatched",
            counts.unmatched_statuses,
        );
        Counters::count(&self.counters.inbound, "unrouted", counts.unrouted_inbound);
        Counters::count(&self.counters.inbound, "foreign", counts.foreign_inbound);
        for (field, outcome) in &parts.fields {
            let labels = [
                KeyValue::new("field", *field),
                KeyValue::new("outcome", *outcome),
            ];
            self.counters.changes.add(1, &labels);
        }
        Ok(parts)
    }

    /// Writes each tenant's part, and keeps the statuses that are nobody's.
    async fn apply_parts(&self, parts: Sorted) -> Result<(), DbError> {
        for (tenant, part) in parts.parts {
            self.apply_part(&tenant, part).await?;
        }
        let new: Vec<_> = parts
            .unmatched
            .iter()
            .filter(|status| status.unmatched_id.is_none())
            .map(sorting::Unmatched::to_row)
            .collect();
        for rows in chunks(new, CHUNK) {
            self.db
                .write("unmatched.insert", Scope::Service, move |tx| {
                    unmatched::insert(tx, &rows)
                })
                .await?;
        }
        Ok(())
    }

    async fn apply_part(&self, tenant: &TenantId, part: TenantPart) -> Result<(), DbError> {
        for reports in chunks(part.statuses, CHUNK) {
            let reports: Arc<[Evidence]> = reports.into();
            let applied = retried(|| {
                let reports = Arc::clone(&reports);
                self.db.write("webhook.statuses", tenant, move |tx| {
                    statuses::apply(tx, &reports)
                })
            })
            .await?;
            Counters::count(&self.counters.statuses, "moved", applied.moved);
            Counters::count(&self.counters.statuses, "known", applied.known);
            Counters::count(&self.counters.statuses, "duplicate", applied.duplicates);
        }
        let rest = Arc::new(part.rest);
        if rest.is_empty() {
            return Ok(());
        }
        let with_content = self.content_in_events;
        let received = rest.arrivals.len();
        let stored = retried(|| {
            let rest = Arc::clone(&rest);
            self.db.write("webhook.inbound", tenant, move |tx| {
                for notice in &rest.notices {
                    accounts::follow(tx, notice)?;
                }
                inbound::note_choices(tx, &rest.choices)?;
                inbound::answer_calls(tx, &rest.calls)?;
                inbound::receive(tx, &rest.arrivals, with_content)
            })
        })
        .await?;
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Counters::count(&self.counters.inbound, "stored", count(stored));
        Counters::count(&self.counters.inbound, "known", count(received - stored));
        Ok(())
    }

    async fn settle(&self, ids: Vec<Uuid>, state: &'static str) -> Result<(), DbError> {
        self.db
            .write("intake.settle", Scope::Service, move |tx| {
                intake::settle(tx, &ids, state)
            })
            .await
    }

    /// Gives posts back before their lease is over; when that cannot be said either, it ends.
    async fn put_back(&self, posts: &[Post]) {
        let ids: Vec<Uuid> = posts.iter().map(|post| post.id).collect();
        let at = Utc::now() + chrono::Duration::seconds(1);
        let result = self
            .db
            .write("intake.postpone", Scope::Service, move |tx| {
                intake::postpone(tx, &ids, at)
            })
            .await;
        if let Err(error) = result {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "posts wait for the end of their lease"
            );
        }
    }
}

impl Post {
    fn read(row: intake::IntakeRow) -> Result<Self, Uuid> {
        let id = row.intake_id;
        let signed_for = row
            .signed_for
            .map(|tenant| TenantId::parse(&tenant))
            .transpose()
            .map_err(|_invalid| id)?;
        Ok(Self {
            id,
            attempts: row.attempts,
            received_at: row.received_at,
            traceparent: row.traceparent,
            signed_for,
            notification: Notification::parse(&row.body).map_err(|_unreadable| id)?,
        })
    }
}

/// How long to wait after so many tries: 1 second, doubled each time, at most 6 hours; all of
/// [`TRIES`] together about a day.
fn pause(attempts: i32) -> chrono::Duration {
    let exponent = u32::try_from(attempts.clamp(1, 16) - 1).unwrap_or(0);
    chrono::Duration::seconds((1_i64 << exponent).min(6 * 3600))
}

/// Two that apply at once can run into each other; then one of them does it again.
async fn retried<T, F: Future<Output = Result<T, DbError>>>(
    work: impl FnMut() -> F,
) -> Result<T, DbError> {
    let backoff = backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(20))
        .with_jitter()
        .with_max_times(4);
    backon::Retryable::retry(work, backoff)
        .when(|error| matches!(error, DbError::Serialization(_)))
        .await
}

fn chunks<T>(all: Vec<T>, size: usize) -> impl Iterator<Item = Vec<T>> {
    let mut rest = all.into_iter();
    std::iter::from_fn(move || {
        let chunk: Vec<T> = rest.by_ref().take(size).collect();
        (!chunk.is_empty()).then_some(chunk)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tries_together_last_about_a_day() {
        let total: i64 = (1..TRIES)
            .map(|attempts| pause(attempts).num_seconds())
            .sum();
        assert!((18 * 3600..30 * 3600).contains(&total), "{total}");
        assert_eq!(pause(0), chrono::Duration::seconds(1));
        assert_eq!(pause(i32::MAX), chrono::Duration::hours(6));
    }
}
