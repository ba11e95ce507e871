//! What is done again and again until the service stops. Safe on many replicas.

use std::time::Duration;

use portal_db::{Db, SchemaState};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::usecases::{sessions::Sessions, signing_keys::KeyKeeper};

const SCHEMA_POLL: Duration = Duration::from_millis(500);
/// A lost revocation list is whole again after so long.
const REPUBLISH: Duration = Duration::from_secs(3);
const SWEEP: Duration = Duration::from_secs(30);
/// Another replica may have changed the key.
const RELOAD_KEYS: Duration = Duration::from_mins(1);
/// After a failure, so that a database that is away is not stormed.
const PAUSE: Duration = Duration::from_secs(2);

/// Services never migrate: they wait for `portalctl db migrate`.
pub(crate) async fn wait_for_schema(db: &Db) {
    let mut told = false;
    loop {
        match db.schema_state().await {
            Ok(SchemaState::Current) => return,
            Ok(SchemaState::Behind(missing)) if !told => {
                tracing::warn!(?missing, "waiting for `portalctl db migrate`");
                told = true;
            }
            Ok(SchemaState::Behind(_)) => {}
            Err(error) => tracing::warn!(%error, "waiting for the database"),
        }
        sleep(SCHEMA_POLL).await;
    }
}

/// Loads the signing keys, and goes on looking for new ones.
pub(crate) async fn keep_signing_keys(keeper: KeyKeeper, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let pause = match keeper.load().await {
            Ok(()) => RELOAD_KEYS,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the signing keys cannot be loaded"
                );
                PAUSE
            }
        };
        wait(pause, &stop).await;
    }
}

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
