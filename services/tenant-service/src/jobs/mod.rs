//! The loops of a process: signing keys, relay, consumers.

use std::time::Duration;

use portal_auth::SigningKeys;
use portal_db::{Db, SchemaState};
use portal_events::{BrokerOptions, BrokerState, Consumers, Relay};
use portal_service_kit::lifecycle::{Shutdown, Tasks};
use tokio_util::sync::CancellationToken;

use crate::{
    events::consumers::{TokenReports, token_reports_queue},
    state::StartGate,
    usecases::{Deps, signing_keys::load_signing_keys},
};

/// Another replica, or an operator, may change the keys.
const KEYS_RELOAD: Duration = Duration::from_mins(1);
const RETRY: Duration = Duration::from_secs(1);

/// What the loops work with.
pub(crate) struct Jobs {
    pub(crate) deps: Deps,
    pub(crate) keys: SigningKeys,
    pub(crate) gate: StartGate,
    pub(crate) broker: BrokerOptions,
    pub(crate) broker_state: BrokerState,
}

/// Starts the loops.
pub(crate) fn start(tasks: &Tasks, shutdown: &Shutdown, jobs: Jobs) {
    let Jobs {
        deps,
        keys,
        gate,
        broker,
        broker_state,
    } = jobs;
    let stop = shutdown.soft();
    let (key_deps, key_stop) = (deps.clone(), stop.clone());
    tasks.spawn("signing-keys", async move {
        keep_keys(&key_deps, &keys, &gate, &key_stop).await;
        Ok(())
    });
    let relay = Relay::new(
        deps.db.clone(),
        broker.clone(),
        broker_state.clone(),
        crate::ROLE,
        deps.waker.clone(),
    );
    let (relay_db, relay_stop) = (deps.db.clone(), stop.clone());
    tasks.spawn("outbox-relay", async move {
        if wait_for_schema(&relay_db, &relay_stop).await {
            relay.run(relay_stop).await;
        }
        Ok(())
    });
    let consumer_db = deps.db.clone();
    let consumers = Consumers::new(broker, broker_state).subscribe(
        token_reports_queue(),
        1,
        TokenReports { deps },
    );
    tasks.spawn("consumers", async move {
        if wait_for_schema(&consumer_db, &stop).await {
            consumers.run(stop).await;
        }
        Ok(())
    });
}

/// Waits until the database has the schema of this build; false when the stop came first.
async fn wait_for_schema(db: &Db, stop: &CancellationToken) -> bool {
    loop {
        match db.schema_state().await {
            Ok(SchemaState::Current) => return true,
            Ok(SchemaState::Behind(missing)) => {
                tracing::warn!(missing = missing.len(), "waiting for migrations");
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "waiting for the database"
            ),
        }
        if !pause(RETRY, stop).await {
            return false;
        }
    }
}

async fn keep_keys(deps: &Deps, keys: &SigningKeys, gate: &StartGate, stop: &CancellationToken) {
    if !wait_for_schema(&deps.db, stop).await {
        return;
    }
    loop {
        let pause_for = match load_signing_keys(deps, keys).await {
            Ok(()) => {
                gate.open();
                KEYS_RELOAD
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "signing keys cannot be loaded"
                );
                RETRY
            }
        };
        if !pause(pause_for, stop).await {
            return;
        }
    }
}

async fn pause(limit: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = tokio::time::sleep(limit) => true,
        () = stop.cancelled() => false,
    }
}
