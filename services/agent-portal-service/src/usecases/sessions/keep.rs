//! What is done for sessions again and again: the revocation list is kept true, sessions that are
//! over are ended, and those that ended long ago are forgotten.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use portal_cache::CacheError;
use portal_db::{CrossTenantPath, DbError, Scope};
use portal_events::EventContext;
use portal_types::SessionId;

use super::{Sessions, end::tell_ended};
use crate::{
    domain::RevokeReason,
    store::{
        sessions::{self, Which},
        users,
    },
};

const SWEEPER: Scope = Scope::CrossTenant(CrossTenantPath::SessionSweeper);
/// Sessions that are looked at in one go.
const BATCH: i64 = 200;
/// Writes to the revocation list at the same time; they share one connection.
const AT_ONCE: usize = 32;

/// A revocation that did not reach the list at once is put there by the next look.
const RECENTLY: Duration = Duration::from_mins(1);

impl Sessions {
    /// Puts sessions that were ended and people whose role changed on the revocation list again: the
    /// recent ones, or, when the list may have been lost, all whose access tokens may still be valid.
    /// Answers whether Redis took them.
    pub(crate) async fn republish_ended(&self, may_be_lost: bool) -> Result<bool, DbError> {
        let is_whole = self.revocations.is_whole().await;
        // Before the rows are read: what is lost from here on is noticed.
        let rebuild = if is_whole {
            None
        } else {
            Some(self.revocations.begin_rebuild().await)
        };
        let window = if is_whole && !may_be_lost {
            RECENTLY
        } else {
            // Until the last access token of such a session has expired, by anybody's clock.
            self.token_lifetime + Duration::from_mins(1)
        };
        let after = self.clock.now() - chrono::Duration::from_std(window).unwrap_or_default();
        let (sessions, people) = self
            .db
            .read("sessions.ended_lately", SWEEPER, move |tx| {
                let sessions = sessions::list_ended_after_any_tenant(tx, after)?;
                let people = users::list_role_changed_after_any_tenant(tx, after)?;
                Ok::<_, DbError>((sessions, people))
            })
            .await?;
        let mut is_published = self.publish_ended(sessions).await;
        for (user, changed_at) in people {
            let listed = self
                .revocations
                .revoke_user(user, changed_at.timestamp())
                .await;
            is_published &= listed.is_ok();
        }
        match rebuild {
            Some(Ok(rebuild)) if is_published => {
                is_published = matches!(self.revocations.mark_whole(rebuild).await, Ok(true));
            }
            Some(Err(_)) => is_published = false,
            _ => {}
        }
        Ok(is_published)
    }

    /// Puts sessions on the revocation list; answers whether Redis took all of them.
    pub(super) async fn publish_ended(&self, ids: Vec<SessionId>) -> bool {
        let failed = stream::iter(ids)
            .map(|id| async move { self.revocations.revoke_session(id).await })
            .buffer_unordered(AT_ONCE)
            .filter_map(|result| std::future::ready(result.err()))
            .fold(None::<CacheError>, |_, error| {
                std::future::ready(Some(error))
            })
            .await;
        if let Some(error) = &failed {
            // The rows are the truth, and the job publishes them again in a few seconds.
            tracing::warn!(%error, "ended sessions are not on the revocation list yet");
        }
        failed.is_none()
    }

    /// Ends sessions that are over by time and forgets those that ended long ago; answers whether
    /// there may be more.
    pub(crate) async fn sweep(&self) -> Result<bool, DbError> {
        let now = self.clock.now();
        let overdue = self
            .db
            .read("sessions.overdue", SWEEPER, move |tx| {
                sessions::list_overdue_any_tenant(tx, now, BATCH)
            })
            .await?;
        let overdue_count = overdue.len();
        for (tenant_id, session_id) in overdue {
            let tenant = tenant_id.clone();
            let ended = self
                .db
                .write("sessions.end_overdue", &tenant_id, move |tx| {
                    let reason = RevokeReason::Expired;
                    let which = Which::Overdue(session_id, now);
                    let ended = sessions::end_sessions(tx, &tenant, which, reason, now)?;
                    let context = EventContext::default();
                    tell_ended(tx, &tenant, &ended, &context, now, reason)?;
                    Ok::<_, DbError>(ended)
                })
                .await?;
            self.after_end(&tenant_id, ended).await;
        }
        let before = now - self.keep_ended;
        let old = self
            .db
            .read("sessions.ended_long_ago", SWEEPER, move |tx| {
                sessions::list_ended_before_any_tenant(tx, before, BATCH)
            })
            .await?;
        let old_count = old.len();
        for (tenant_id, session_id) in old {
            let tenant = tenant_id.clone();
            self.db
                .write("sessions.forget", &tenant_id, move |tx| {
                    sessions::delete_ended_session(tx, &tenant, session_id)
                })
                .await?;
        }
        let batch = usize::try_from(BATCH).unwrap_or(usize::MAX);
        Ok(overdue_count == batch || old_count == batch)
    }
}
