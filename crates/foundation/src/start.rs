//! From the start to the work, and from the work to the end.

use std::time::Duration;

use portal_db::{Db, SchemaState};
use portal_service_kit::{lifecycle::Tasks, telemetry::Telemetry};
use tokio_util::sync::CancellationToken;

const POLL: Duration = Duration::from_millis(500);

/// Waits until the database has the schema of this build; false when `stop` came first. Services
/// never migrate: `portalctl db migrate` does.
pub async fn wait_for_schema(db: &Db, stop: &CancellationToken) -> bool {
    let mut told = false;
    while !stop.is_cancelled() {
        match db.schema_state().await {
            Ok(SchemaState::Current) => return true,
            Ok(SchemaState::Behind(missing)) if !told => {
                tracing::warn!(?missing, "waiting for `portalctl db migrate`");
                told = true;
            }
            Ok(SchemaState::Behind(_)) => {}
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "waiting for the database"
                );
            }
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = stop.cancelled() => {}
        }
    }
    false
}

/// Starts a supervised loop that ends by the soft stop alone.
pub fn spawn_loop(
    tasks: &Tasks,
    name: &'static str,
    work: impl Future<Output = ()> + Send + 'static,
) {
    tasks.spawn(name, async move {
        work.await;
        Ok(())
    });
}

/// Waits for the order to stop and then for the tasks, at most `grace`; sends the last spans.
pub async fn run_to_end(tasks: Tasks, grace: Duration, telemetry: Telemetry) -> anyhow::Result<()> {
    let outcome = tasks.join(grace).await;
    if let Err(error) = tokio::task::spawn_blocking(move || telemetry.shutdown()).await {
        tracing::warn!(%error, "telemetry could not be flushed");
    }
    Ok(outcome?)
}
