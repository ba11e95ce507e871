//! The loop that looks for events of the tenants whose people listen here, whichever replica wrote
//! them.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use portal_db::{CrossTenantPath, DbError, Scope};
use portal_types::TenantId;

use super::{LiveFeed, PAGE, lock};
use crate::{
    domain::{LiveEvent, Place, Reset},
    store::live_events,
};

/// Between two looks, when nothing was committed here: one cheap query for all tenants, and a tenth
/// of a second at the most until what another replica committed is seen.
const LOOK: Duration = Duration::from_millis(100);
/// Between two looks in any case, so that many changes are read together.
const SHORTEST: Duration = Duration::from_millis(15);
/// After a failure, so that a database that is away is not stormed.
const PAUSE: Duration = Duration::from_secs(1);
/// Tenants that are read side by side; a connection each.
const AT_ONCE: usize = 2;

impl LiveFeed {
    /// Looks until the process stops.
    pub(crate) async fn watch(&self) {
        while !self.stop.is_cancelled() {
            let pause = match self.look().await {
                Ok(()) => SHORTEST,
                Err(error) => {
                    tracing::warn!(%error, "live events cannot be read");
                    PAUSE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => return,
            }
            tokio::select! {
                () = self.waker.0.notified() => {}
                () = tokio::time::sleep(LOOK.saturating_sub(SHORTEST)) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    async fn look(&self) -> Result<(), DbError> {
        let heads = self.heads();
        if heads.is_empty() {
            return Ok(());
        }
        let ids: Vec<String> = heads.iter().map(|(id, _)| id.to_string()).collect();
        let watcher = Scope::CrossTenant(CrossTenantPath::LiveFeedWatcher);
        let states = self
            .db
            .read("live_feed.look", watcher, move |tx| {
                live_events::list_states_any_tenant(tx, &ids)
            })
            .await?;
        let due = heads.into_iter().filter_map(|(tenant, head)| {
            let state = states
                .iter()
                .find(|state| state.tenant_id == tenant.as_str())?;
            let is_new = state.has_unnumbered || state.last_sequence != head.sequence;
            is_new.then_some((tenant, head, state.has_unnumbered))
        });
        let due: Vec<(TenantId, Place, bool)> = due.collect();
        let results: Vec<Result<(), DbError>> = stream::iter(due)
            .map(|(tenant, head, has_unnumbered)| self.advance(tenant, head, has_unnumbered))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        results.into_iter().collect()
    }

    /// The tenants that somebody listens to, and how far each was read. The others are forgotten.
    fn heads(&self) -> Vec<(TenantId, Place)> {
        let mut shared = lock(&self.shared);
        shared
            .tenants
            .retain(|_, channel| channel.head.receiver_count() > 0);
        let channels = shared.tenants.iter();
        channels
            .map(|(tenant, channel)| {
                lock(&channel.recent).forget();
                (tenant.clone(), *channel.head.borrow())
            })
            .collect()
    }

    /// Numbers a tenant's events if some have no number, reads all after the head and tells of them.
    async fn advance(
        &self,
        tenant: TenantId,
        mut head: Place,
        mut has_unnumbered: bool,
    ) -> Result<(), DbError> {
        while !self.stop.is_cancelled() {
            let of = tenant.clone();
            let page = if has_unnumbered {
                self.db
                    .write("live_feed.number", &tenant, move |tx| {
                        live_events::number(tx, &of)?;
                        live_events::list_after(tx, &of, head, PAGE)
                    })
                    .await
            } else {
                self.db
                    .read("live_feed.read", &tenant, move |tx| {
                        live_events::list_after(tx, &of, head, PAGE)
                    })
                    .await
            }?;
            has_unnumbered = false;
            let Some(last) = self.publish(&tenant, page) else {
                break;
            };
            head = last;
        }
        Ok(())
    }

    /// Answers the new head, if there may be more after it.
    fn publish(&self, tenant: &TenantId, page: Result<Vec<LiveEvent>, Reset>) -> Option<Place> {
        let mut shared = lock(&self.shared);
        let Ok(events) = page else {
            // Not the feed that was read before, or its last event was erased: the streams end, and
            // each comes back and is told where it stands.
            shared.tenants.remove(tenant);
            return None;
        };
        let last = events.last()?.place;
        let is_full = i64::try_from(events.len()).is_ok_and(|count| count >= PAGE);
        let channel = shared.tenants.get(tenant)?;
        lock(&channel.recent).push(events);
        channel.head.send_replace(last);
        is_full.then_some(last)
    }
}
