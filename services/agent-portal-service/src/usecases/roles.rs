//! What follows when somebody's role has changed.

use std::time::Duration;

use chrono::{DateTime, Timelike as _, Utc};
use portal_auth::Revocations;
use portal_types::{Clock, UserId};

/// After the commit: access tokens that name the old role end at once. Comes back in the next
/// second, because the list ends all tokens of the second of the change: one that is issued then is
/// good.
pub(super) async fn end_old_tokens(
    revocations: &Revocations,
    clock: &dyn Clock,
    user: UserId,
    changed_at: DateTime<Utc>,
) {
    let second = changed_at.timestamp();
    if let Err(error) = revocations.revoke_user(user, second).await {
        // The row is the truth, and the job publishes it again in a few seconds.
        tracing::warn!(%error, "a changed role is not on the revocation list yet");
    }
    let now = clock.now();
    if now.timestamp() <= second {
        let rest = 1_000_000_000_u64.saturating_sub(u64::from(now.nanosecond()));
        tokio::time::sleep(Duration::from_nanos(rest)).await;
    }
}
