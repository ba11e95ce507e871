//! What is done again and again until the service stops. Safe on many replicas.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::usecases::{admins::AdminDesk, token_watch::TokenWatch};

const SWEEP: Duration = Duration::from_mins(10);
/// How often tokens that are due are looked for.
const LOOK: Duration = Duration::from_mins(1);

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

/// Looks at tenants' tokens that are due.
pub(crate) async fn watch_tokens(watch: TokenWatch, stop: CancellationToken) {
    let pause = watch.interval.to_std().unwrap_or(LOOK).min(LOOK);
    while !stop.is_cancelled() {
        if let Err(error) = watch.look().await {
            tracing::warn!(%error, "tenants' tokens cannot be looked at");
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    }
}
