//! What is done again and again until the service stops. Safe on many replicas.

use std::time::Duration;

use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::usecases::{
    conversations::Conversations, erasures::Erasures, live_feed::LiveFeed, sessions::Sessions,
    sync::UserSync,
};

/// A lost revocation list is whole again after so long.
const REPUBLISH: Duration = Duration::from_secs(3);
/// Between two looks for contacts to be erased.
const ERASE: Duration = Duration::from_secs(1);
const SWEEP: Duration = Duration::from_secs(30);
/// Between two looks for syncs that somebody left; who begins one wakes the worker.
const LOOK_FOR_SYNCS: Duration = Duration::from_secs(5);
/// Between two looks for conversations that wait though somebody has room.
const LOOK_FOR_WAITING: Duration = Duration::from_secs(10);
const SYNCS_AT_ONCE: usize = 4;
const SCHEDULE: Duration = Duration::from_mins(1);
/// After a failure, so that a database that is away is not stormed.
const PAUSE: Duration = Duration::from_secs(2);

/// Keeps the revocation list true, whatever happens to Redis.
pub(crate) async fn republish_revocations(sessions: Sessions, stop: CancellationToken) {
    // What happened before this process began, or while something was away, is not known.
    let mut may_be_lost = true;
    while !stop.is_cancelled() {
        let pause = match sessions.republish_ended(may_be_lost).await {
            Ok(is_published) => {
                may_be_lost = !is_published;
                REPUBLISH
            }
            Err(error) => {
                may_be_lost = true;
                tracing::warn!(%error, "ended sessions cannot be read");
                PAUSE
            }
        };
        wait(pause, &stop).await;
    }
}

/// Ends sessions that are over and forgets old ones.
pub(crate) async fn sweep_sessions(sessions: Sessions, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let pause = match sessions.sweep().await {
            Ok(true) => continue,
            Ok(false) => SWEEP,
            Err(error) => {
                tracing::warn!(%error, "sessions that are over cannot be ended");
                PAUSE
            }
        };
        wait(pause, &stop).await;
    }
}

/// Works on syncs that nobody works on, some at a time, woken by whoever begins one.
pub(crate) async fn work_on_syncs(sync: UserSync, stop: CancellationToken) {
    let mut work = JoinSet::new();
    while !stop.is_cancelled() {
        let room = SYNCS_AT_ONCE.saturating_sub(work.len());
        match sync.idle(room).await {
            Ok(runs) => {
                for (tenant, run) in runs {
                    let (sync, stop) = (sync.clone(), stop.clone());
                    work.spawn(async move { sync.work(&tenant, run, &stop).await });
                }
            }
            Err(error) => tracing::warn!(%error, "syncs cannot be read"),
        }
        tokio::select! {
            () = sync.begun.notified() => {}
            () = sleep(LOOK_FOR_SYNCS) => {}
            Some(_ended) = work.join_next() => {}
            () = stop.cancelled() => {}
        }
    }
    work.join_all().await;
}

/// Begins the syncs that are due.
pub(crate) async fn schedule_syncs(sync: UserSync, stop: CancellationToken) {
    while !stop.is_cancelled() {
        // Replicas that started together do not look together.
        wait(SCHEDULE.mul_f64(0.5 + rand::random::<f64>()), &stop).await;
        if stop.is_cancelled() {
            return;
        }
        if let Err(error) = sync.begin_due().await {
            tracing::warn!(%error, "syncs that are due cannot be begun");
        }
    }
}

/// Gives conversations that wait to people: when something changed here, and now and then whatever
/// happened, for what other processes left undone.
pub(crate) async fn balance_conversations(conversations: Conversations, stop: CancellationToken) {
    let mut is_due = true;
    while !stop.is_cancelled() {
        if is_due && let Err(error) = conversations.ask_for_all().await {
            tracing::warn!(%error, "tenants with automatic assignment cannot be read");
        }
        for tenant in conversations.asked.take() {
            if let Err(error) = conversations.balance(&tenant).await {
                // The next look comes soon; asking again at once would storm a database that is away.
                tracing::warn!(%error, "conversations that wait cannot be given");
            }
        }
        // Replicas that started together do not look together.
        let look = LOOK_FOR_WAITING.mul_f64(0.5 + rand::random::<f64>());
        is_due = tokio::select! {
            () = conversations.asked.asked() => false,
            () = wait(look, &stop) => true,
        };
    }
}

/// Looks for events of the tenants whose people listen here.
pub(crate) async fn watch_live_events(feed: LiveFeed) {
    feed.watch().await;
}

/// Numbers events that nobody listened to, and forgets those that no browser asks for any more.
pub(crate) async fn sweep_live_events(feed: LiveFeed, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = feed.sweep().await {
            tracing::warn!(%error, "old live events cannot be forgotten");
        }
        wait(SWEEP, &stop).await;
    }
}

/// Goes on with erasures of contacts.
pub(crate) async fn erase_contacts(erasures: Erasures, stop: CancellationToken) {
    let completed = opentelemetry::global::meter("agent-portal-service")
        .u64_counter("erasures.completed")
        .with_description("Contacts that were erased")
        .build();
    while !stop.is_cancelled() {
        if let Err(error) = erasures.retain().await {
            tracing::warn!(%error, "messages that were kept long enough cannot be looked for");
        }
        match erasures.go_on().await {
            Ok(0) => {}
            Ok(count) => {
                tracing::info!(count, "contacts are erased");
                completed.add(count as u64, &[]);
            }
            Err(error) => tracing::warn!(%error, "contacts cannot be erased for now"),
        }
        wait(ERASE, &stop).await;
    }
}

async fn wait(limit: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = sleep(limit) => {}
        () = stop.cancelled() => {}
    }
}
