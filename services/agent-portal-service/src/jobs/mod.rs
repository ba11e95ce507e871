//! What is done again and again until the service stops. Safe on many replicas.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::usecases::sessions::Sessions;

/// A lost revocation list is whole again after so long.
const REPUBLISH: Duration = Duration::from_secs(3);
const SWEEP: Duration = Duration::from_secs(30);
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

async fn wait(limit: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = sleep(limit) => {}
        () = stop.cancelled() => {}
    }
}
