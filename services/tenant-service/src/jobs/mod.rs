//! What is done again and again until the service stops. Safe on many replicas.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::usecases::admins::AdminDesk;

const SWEEP: Duration = Duration::from_mins(10);

/// Forgets administrators' sessions that were over long ago.
pub(crate) async fn sweep_admin_sessions(desk: AdminDesk, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = desk.sweep().await {
            tracing::warn!(%error, "old sessions of administrators cannot be forgotten");
        }
        tokio::select! {
            () = tokio::time::sleep(SWEEP) => {}
            () = stop.cancelled() => {}
        }
    }
}
