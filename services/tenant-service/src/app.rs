//! The composition root: from settings to a running process.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::web;
use anyhow::Context as _;
use portal_auth::{
    Authenticator, Issuer, KeySource, Passwords, Revocations, ServiceKeys, SigningKeys, Verifier,
};
use portal_cache::Cache;
use portal_db::{Db, DbOptions, SchemaState};
use portal_events::{BrokerOptions, BrokerState, RelayWaker};
use portal_service_kit::{
    health::Health,
    lifecycle::{Shutdown, TaskFailure, Tasks},
    openapi,
    server::{Server, ServerOptions},
    telemetry::{self, Telemetry},
};
use portal_types::SystemClock;
use portal_vault::Vault;

use crate::{
    SERVICE,
    config::Settings,
    jobs::{self, Jobs},
    routes,
    state::{AppState, StartGate},
    usecases::{
        Deps,
        admin_login::LoginDesk,
        limits::{Limit, Limiter},
    },
};

/// Who issues administrators' tokens, and for whom: this service, for itself.
const TOKEN_PARTY: &str = SERVICE;
/// No service issues access tokens that live longer; a suspended tenant's are refused as long.
const LONGEST_ACCESS_TOKEN: Duration = Duration::from_mins(15);
/// For what is left to do after the last request.
const AFTER_REQUESTS: Duration = Duration::from_secs(10);

/// A service that is ready to run.
pub struct App {
    api: Server,
    jobs: Jobs,
    shutdown: Shutdown,
    telemetry: Telemetry,
    grace: Duration,
}

impl App {
    /// Builds everything and binds the port. Connects to nothing: what is away is waited for.
    pub fn build(settings: &Settings, shutdown: Shutdown) -> anyhow::Result<Self> {
        let telemetry = telemetry::init(SERVICE, &settings.telemetry)?;
        let vault = Vault::from_keys(&settings.vault.keys, &settings.vault.active_key)?;
        let cache = Cache::connect(&settings.redis.url, &settings.redis.key_prefix)?;
        let db = Db::new(&DbOptions {
            url: settings.database.url.clone(),
            pool_size: settings.database.pool_size,
            acquire_timeout: Duration::from_millis(settings.database.acquire_timeout_ms),
            statement_timeout: Duration::from_millis(settings.database.statement_timeout_ms),
            application_name: SERVICE,
        });
        let lifetime = settings.admin_token_lifetime();
        let revocations = Revocations::new(cache.clone(), lifetime.max(LONGEST_ACCESS_TOKEN));
        let deps = Deps {
            db,
            vault: Arc::new(vault),
            revocations: revocations.clone(),
            waker: RelayWaker::default(),
            clock: Arc::new(SystemClock),
        };
        let keys = SigningKeys::pending();
        let gate = StartGate::default();
        let authenticator = Authenticator::builder()
            .admin(Verifier::new(
                TOKEN_PARTY,
                TOKEN_PARTY,
                KeySource::Own(keys.clone()),
            ))
            .services(ServiceKeys::new(&settings.service_keys))
            .revocations(revocations)
            .build();
        let limiter = Limiter::new(cache.clone());
        let issuer = Issuer::new(TOKEN_PARTY, TOKEN_PARTY, keys.clone()).with_lifetime(lifetime);
        let state = state(settings, &deps, issuer, limiter, gate.clone());
        let broker_state = BrokerState::default();
        let options = ServerOptions {
            http: settings.http.clone(),
            health: health(&deps.db, &cache, &broker_state, &gate, &shutdown),
            telemetry: telemetry.clone(),
            openapi: Some(routes::document()),
        };
        let (state, authenticator) = (web::Data::new(state), web::Data::new(authenticator));
        let api = Server::bind(&settings.http.bind, &options, move |config| {
            config
                .app_data(state.clone())
                .app_data(authenticator.clone());
            openapi::mount(config, routes::configure);
        })
        .with_context(|| format!("cannot listen on {}", settings.http.bind))?;
        let broker = BrokerOptions {
            url: settings.rabbitmq.url.clone(),
            namespace: settings.rabbitmq.namespace.clone(),
            name: SERVICE,
        };
        Ok(Self {
            api,
            jobs: Jobs {
                deps,
                keys,
                gate,
                broker,
                broker_state,
            },
            shutdown,
            telemetry,
            grace: settings.http.shutdown_grace() + AFTER_REQUESTS,
        })
    }

    /// Where the API listens.
    pub fn api_addr(&self) -> SocketAddr {
        self.api.addr()
    }

    /// Runs until the order to stop, then finishes what has begun.
    pub async fn run(self) -> Result<(), TaskFailure> {
        let Self {
            api,
            jobs,
            shutdown,
            telemetry,
            grace,
        } = self;
        tracing::info!(address = %api.addr(), "listening");
        let tasks = Tasks::new(shutdown.clone());
        jobs::start(&tasks, &shutdown, jobs);
        let stop = shutdown.soft();
        tasks.spawn("api", async move { Ok(api.run(stop).await?) });
        let outcome = tasks.join(grace).await;
        if let Err(error) = tokio::task::spawn_blocking(move || telemetry.shutdown()).await {
            tracing::warn!(%error, "telemetry could not be flushed");
        }
        outcome
    }
}

fn state(
    settings: &Settings,
    deps: &Deps,
    issuer: Issuer,
    limiter: Limiter,
    gate: StartGate,
) -> AppState {
    let limits = &settings.limits;
    let limit = |space, burst, count: u32, seconds: f64| Limit {
        space,
        burst,
        per_second: f64::from(count) / seconds,
    };
    AppState {
        deps: deps.clone(),
        desk: LoginDesk {
            passwords: Passwords::new(),
            issuer,
            limiter: limiter.clone(),
            per_account: limit(
                "login-account",
                limits.login_account_burst,
                limits.logins_per_account_and_hour,
                3_600.0,
            ),
            per_address: limit(
                "login-address",
                limits.login_address_burst,
                limits.logins_per_address_and_hour,
                3_600.0,
            ),
        },
        limiter,
        lookups: limit(
            "tenant-lookup",
            limits.lookup_burst,
            limits.lookups_per_minute,
            60.0,
        ),
        gate,
    }
}

fn health(
    db: &Db,
    cache: &Cache,
    broker: &BrokerState,
    gate: &StartGate,
    shutdown: &Shutdown,
) -> Health {
    let (database, schema, cache) = (db.clone(), db.clone(), cache.clone());
    let (broker, gate) = (broker.clone(), gate.clone());
    let answer = |is_well: bool, message: &str| {
        if is_well {
            Ok(())
        } else {
            Err(message.to_owned())
        }
    };
    Health::builder(SERVICE, env!("CARGO_PKG_VERSION"))
        .draining_on(shutdown.soft())
        .check("database", true, move || {
            let db = database.clone();
            async move { answer(db.ping().await.is_ok(), "does not answer") }
        })
        .check("schema", true, move || {
            let db = schema.clone();
            async move {
                match db.schema_state().await {
                    Ok(SchemaState::Current) => Ok(()),
                    Ok(SchemaState::Behind(missing)) => Err(format!(
                        "{} migrations are missing: run portalctl db migrate",
                        missing.len()
                    )),
                    Err(_) => Err("cannot be read".to_owned()),
                }
            }
        })
        .check("signing_keys", true, move || {
            let is_open = gate.is_open();
            async move { answer(is_open, "are not loaded yet") }
        })
        .check("rabbitmq", false, move || {
            let is_up = broker.is_up();
            async move { answer(is_up, "is not connected; events wait in the outbox") }
        })
        .check("redis", false, move || {
            let cache = cache.clone();
            async move { answer(cache.ping().await.is_ok(), "does not answer") }
        })
        .build()
}
