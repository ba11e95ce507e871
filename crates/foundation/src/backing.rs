//! The servers behind a service.

use std::{sync::Arc, time::Duration};

use portal_cache::{Cache, Limiter};
use portal_db::{Db, DbOptions, SchemaState};
use portal_events::{BrokerOptions, BrokerState, Consumers, Relay, RelayWaker};
use portal_service_kit::{
    config::{DatabaseSection, RabbitMqSection, RedisSection, VaultSection},
    health::{Health, HealthBuilder},
    lifecycle::Shutdown,
};
use portal_vault::Vault;

/// Handles of the servers behind a service; nothing is connected until it is used.
#[derive(Clone)]
pub struct Backing {
    /// PostgreSQL.
    pub db: Db,
    /// Redis.
    pub cache: Cache,
    /// Counts who asks how often.
    pub limiter: Limiter,
    /// Opens and seals stored secrets.
    pub vault: Arc<Vault>,
    /// RabbitMQ.
    pub broker: BrokerOptions,
    /// Whether its connections stand.
    pub broker_state: BrokerState,
    /// Wakes the relay after a commit.
    pub waker: RelayWaker,
    service: &'static str,
}

impl Backing {
    /// Handles by settings. Telemetry must be installed before, or their metrics are lost.
    pub fn new(
        service: &'static str,
        database: &DatabaseSection,
        rabbitmq: &RabbitMqSection,
        redis: &RedisSection,
        vault: &VaultSection,
    ) -> anyhow::Result<Self> {
        let cache = Cache::connect(&redis.url, &redis.key_prefix)?;
        Ok(Self {
            db: Db::new(&DbOptions {
                url: database.url.clone(),
                pool_size: database.pool_size,
                acquire_timeout: Duration::from_millis(database.acquire_timeout_ms),
                statement_timeout: Duration::from_millis(database.statement_timeout_ms),
                application_name: service,
            }),
            limiter: Limiter::new(cache.clone()),
            cache,
            vault: Arc::new(Vault::from_keys(&vault.keys, &vault.active_key)?),
            broker: BrokerOptions {
                url: rabbitmq.url.clone(),
                namespace: rabbitmq.namespace.clone(),
                name: service,
            },
            broker_state: BrokerState::default(),
            waker: RelayWaker::default(),
            service,
        })
    }

    /// Checks of the four servers. Only the database makes a replica unready: without broker and
    /// Redis its work goes on, and what they carry waits in the database.
    pub fn health(&self, version: &'static str, shutdown: &Shutdown) -> HealthBuilder {
        let (db, schema_db) = (self.db.clone(), self.db.clone());
        let (cache, broker) = (self.cache.clone(), self.broker_state.clone());
        Health::builder(self.service, version)
            .check("database", true, move || {
                let db = db.clone();
                async move {
                    db.ping()
                        .await
                        .map_err(|_cause| "does not answer".to_owned())
                }
            })
            .check("schema", true, move || {
                let db = schema_db.clone();
                async move {
                    match db.schema_state().await {
                        Ok(SchemaState::Current) => Ok(()),
                        Ok(SchemaState::Behind(missing)) => Err(format!(
                            "{} migration(s) missing: run `portalctl db migrate`",
                            missing.len()
                        )),
                        Err(_) => Err("cannot be read".to_owned()),
                    }
                }
            })
            .check("rabbitmq", false, move || {
                let is_up = broker.is_up();
                async move {
                    is_up
                        .then_some(())
                        .ok_or_else(|| "not connected".to_owned())
                }
            })
            .check("redis", false, move || {
                let cache = cache.clone();
                async move {
                    cache
                        .ping()
                        .await
                        .map_err(|_cause| "does not answer".to_owned())
                }
            })
            .draining_on(shutdown.soft())
    }

    /// The relay of the outbox rows of `role`, the service's database role.
    pub fn relay(&self, role: &'static str) -> Relay {
        Relay::new(
            self.db.clone(),
            self.broker.clone(),
            self.broker_state.clone(),
            role,
            self.waker.clone(),
        )
    }

    /// The consumers of the process, none yet.
    pub fn consumers(&self) -> Consumers {
        Consumers::new(self.broker.clone(), self.broker_state.clone())
    }
}
