//! The composition root: builds everything from settings and runs it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::web;
use anyhow::Context as _;
use portal_auth::{
    Authenticator, Issuer, KeySource, Revocations, ServiceKeys, SigningKeys, Verifier,
};
use portal_cache::Cache;
use portal_db::{Db, DbOptions, SchemaState};
use portal_events::{BrokerOptions, BrokerState, Consumers, Relay, RelayWaker};
use portal_genesys::{GenesysClient, RetryPolicy};
use portal_service_kit::{
    health::Health,
    http_client::{self, ClientOptions},
    lifecycle::{Shutdown, Tasks},
    server::{Server, ServerOptions},
    telemetry,
};
use portal_tenant_client::{CachePolicy, TenantClient};
use portal_types::{Clock, SystemClock};
use portal_vault::Vault;
use url::Url;

use crate::{
    SERVICE,
    config::Settings,
    events::{
        SOURCE,
        consumers::{self, EndSessions, ForgetTenant},
    },
    jobs, routes,
    state::{AppState, WebSettings},
    usecases::{
        profiles::Profiles,
        sessions::Sessions,
        sign_in::{Outcomes, SignIn, SignInRules},
        signing_keys::KeyKeeper,
        token_keys::TokenKeys,
    },
};

/// The service, bound to its ports and ready to run.
pub struct App {
    api: Server,
    portal: Server,
    workers: Workers,
    shutdown: Shutdown,
    grace: Duration,
}

/// Everything that runs beside the HTTP servers.
struct Workers {
    db: Db,
    keeper: KeyKeeper,
    sessions: Sessions,
    relay: Relay,
    consumers: Consumers,
}

impl App {
    /// Builds the service and binds its ports. Reaches for nothing: database, broker, Redis,
    /// tenant-service and Genesys may come later.
    pub fn build(settings: &Settings, shutdown: Shutdown) -> anyhow::Result<Self> {
        let telemetry = telemetry::init(SERVICE, &settings.telemetry)?;
        let parts = Parts::build(settings)?;
        let state = parts.state(settings)?;
        let health = parts.health(&shutdown)?;

        let mut options = ServerOptions {
            http: settings.http.clone(),
            health,
            telemetry,
            openapi: Some(routes::document()),
        };
        options.http.allowed_origins = settings.portal_origins();
        let authenticator = web::Data::new(parts.authenticator(settings));
        let data = web::Data::new(state.clone());
        let api = Server::bind(&settings.http.bind, &options, move |config| {
            config
                .app_data(data.clone())
                .app_data(authenticator.clone());
            routes::mount_api(config);
        })
        .with_context(|| format!("cannot listen on {} (http.bind)", settings.http.bind))?;

        // The pages call their own server from their own origin: nobody else may.
        options.http.allowed_origins = Vec::new();
        options.openapi = None;
        let data = web::Data::new(state.clone());
        let portal = Server::bind(&settings.portal.bind, &options, move |config| {
            config.app_data(data.clone());
            routes::mount_portal(config);
        })
        .with_context(|| format!("cannot listen on {} (portal.bind)", settings.portal.bind))?;

        Ok(Self {
            api,
            portal,
            workers: parts.workers(settings, state.sessions),
            shutdown,
            grace: settings.http.shutdown_grace(),
        })
    }

    /// The address of the API.
    pub fn api_addr(&self) -> SocketAddr {
        self.api.addr()
    }

    /// The address of the portal's pages.
    pub fn portal_addr(&self) -> SocketAddr {
        self.portal.addr()
    }

    /// Runs until the order to stop, then finishes what is in hand.
    pub async fn run_until_stopped(self) -> anyhow::Result<()> {
        let tasks = Tasks::new(self.shutdown.clone());
        let stop = self.shutdown.soft();
        for (name, server) in [("api", self.api), ("portal", self.portal)] {
            let stop = stop.clone();
            tasks.spawn(name, async move { Ok(server.run(stop).await?) });
        }
        let workers = self.workers;
        let inner = tasks.clone();
        let shutdown = self.shutdown.clone();
        tasks.spawn("workers", async move {
            let stop = shutdown.soft();
            tokio::select! {
                () = jobs::wait_for_schema(&workers.db) => workers.start(&inner, &shutdown),
                () = stop.cancelled() => {}
            }
            stop.cancelled().await;
            Ok(())
        });
        tasks.join(self.grace).await?;
        Ok(())
    }
}

impl Workers {
    fn start(self, tasks: &Tasks, shutdown: &Shutdown) {
        let stop = || shutdown.soft();
        let spawn = |name, work: futures_util::future::BoxFuture<'static, ()>| {
            tasks.spawn(name, async move {
                work.await;
                Ok(())
            });
        };
        let sessions = &self.sessions;
        spawn(
            "signing-keys",
            Box::pin(jobs::keep_signing_keys(self.keeper, stop())),
        );
        spawn(
            "revocations",
            Box::pin(jobs::republish_revocations(sessions.clone(), stop())),
        );
        spawn(
            "sessions",
            Box::pin(jobs::sweep_sessions(sessions.clone(), stop())),
        );
        spawn("relay", Box::pin(self.relay.run(stop())));
        spawn("consumers", Box::pin(self.consumers.run(stop())));
    }
}

/// What several parts of the service share.
struct Parts {
    db: Db,
    cache: Cache,
    vault: Arc<Vault>,
    broker: BrokerOptions,
    broker_state: BrokerState,
    waker: RelayWaker,
    tenants: TenantClient,
    tenant_service: Url,
    internal_http: reqwest::Client,
    genesys: GenesysClient,
    signing_keys: SigningKeys,
    clock: Arc<dyn Clock>,
}

impl Parts {
    fn build(settings: &Settings) -> anyhow::Result<Self> {
        let internal_http = http_client::build(&ClientOptions {
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_secs(3),
            user_agent: SERVICE.to_owned(),
        })?;
        let genesys_http = http_client::build(&ClientOptions {
            timeout: settings.genesys.timeout(),
            ..ClientOptions::default()
        })?;
        let tenants = TenantClient::new(
            internal_http.clone(),
            settings.tenant_service.url.clone(),
            settings.tenant_service.service_key.clone(),
            CachePolicy::default(),
        )
        .context("tenant_service.url")?;
        Ok(Self {
            db: Db::new(&DbOptions {
                url: settings.database.url.clone(),
                pool_size: settings.database.pool_size,
                acquire_timeout: Duration::from_millis(settings.database.acquire_timeout_ms),
                statement_timeout: Duration::from_millis(settings.database.statement_timeout_ms),
                application_name: SERVICE,
            }),
            cache: Cache::connect(&settings.redis.url, &settings.redis.key_prefix)?,
            vault: Arc::new(Vault::from_keys(
                &settings.vault.keys,
                &settings.vault.active_key,
            )?),
            broker: BrokerOptions {
                url: settings.rabbitmq.url.clone(),
                namespace: settings.rabbitmq.namespace.clone(),
                name: SERVICE,
            },
            broker_state: BrokerState::default(),
            waker: RelayWaker::default(),
            tenants,
            tenant_service: settings.tenant_service.url.clone(),
            internal_http,
            genesys: GenesysClient::new(genesys_http, RetryPolicy::default()),
            signing_keys: SigningKeys::pending(),
            clock: Arc::new(SystemClock),
        })
    }

    fn revocations(&self, settings: &Settings) -> Revocations {
        Revocations::new(self.cache.clone(), settings.tokens.lifetime())
    }

    fn authenticator(&self, settings: &Settings) -> Authenticator {
        let tokens = &settings.tokens;
        let keys = KeySource::Own(self.signing_keys.clone());
        Authenticator::builder()
            .access(Verifier::new(&tokens.issuer, &tokens.audience, keys))
            .services(ServiceKeys::default())
            .revocations(self.revocations(settings))
            .build()
    }

    fn state(&self, settings: &Settings) -> anyhow::Result<AppState> {
        let tokens = &settings.tokens;
        let issuer = Issuer::new(&tokens.issuer, &tokens.audience, self.signing_keys.clone())
            .with_lifetime(tokens.lifetime());
        let token_keys = TokenKeys::derive(&self.vault, &settings.vault_key_ids())?;
        let rules = Arc::new(SignInRules {
            regions: settings.genesys.sign_in_regions(),
            redirect_uri: Url::parse(&settings.genesys.redirect_uri)
                .context("genesys.redirect_uri")?,
            origins: settings.portal_origins(),
            roles: settings.genesys.role_map(),
            use_pkce: settings.genesys.use_pkce,
            allow_trustees: settings.genesys.allow_trustees,
            per_address_per_minute: settings.sign_in.per_address_per_minute,
            times: settings.sessions.times(),
        });
        let regions = rules.regions.iter();
        let web = WebSettings {
            secure_cookies: settings.cookies.secure,
            portal_origin: settings.portal.origin.clone(),
            api_origin: settings.portal.api_origin.clone(),
            regions: regions
                .map(|(region, _)| region.name().to_owned())
                .collect(),
            session_seconds: settings.sessions.times().absolute.num_seconds(),
        };
        Ok(AppState {
            sign_in: SignIn {
                db: self.db.clone(),
                cache: self.cache.clone(),
                vault: Arc::clone(&self.vault),
                genesys: self.genesys.clone(),
                tenants: self.tenants.clone(),
                issuer: issuer.clone(),
                token_keys: token_keys.clone(),
                rules: Arc::clone(&rules),
                clock: Arc::clone(&self.clock),
                waker: self.waker.clone(),
                outcomes: Outcomes::new(),
            },
            sessions: Sessions {
                db: self.db.clone(),
                cache: self.cache.clone(),
                vault: Arc::clone(&self.vault),
                genesys: self.genesys.clone(),
                rules,
                tenants: self.tenants.clone(),
                issuer,
                token_keys,
                revocations: self.revocations(settings),
                token_lifetime: tokens.lifetime(),
                keep_ended: chrono::Duration::days(settings.sessions.keep_ended_days.into()),
                clock: Arc::clone(&self.clock),
                waker: self.waker.clone(),
            },
            profiles: Profiles {
                db: self.db.clone(),
                tenants: self.tenants.clone(),
            },
            signing_keys: self.signing_keys.clone(),
            web,
        })
    }

    fn health(&self, shutdown: &Shutdown) -> anyhow::Result<Health> {
        let (db, schema_db) = (self.db.clone(), self.db.clone());
        let (cache, broker) = (self.cache.clone(), self.broker_state.clone());
        let keys = self.signing_keys.clone();
        let http = self.internal_http.clone();
        let tenant_service = self.tenant_service.join("health/live")?;
        Ok(Health::builder(SERVICE, env!("CARGO_PKG_VERSION"))
            .check("database", true, move || {
                let db = db.clone();
                async move { db.ping().await.map_err(|_cause| does_not_answer()) }
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
            .check("signing-keys", true, move || {
                let are_loaded = keys.are_loaded();
                async move { are_loaded.then_some(()).ok_or("not loaded yet".to_owned()) }
            })
            // Without these three people who are signed in go on working.
            .check("redis", false, move || {
                let cache = cache.clone();
                async move { cache.ping().await.map_err(|_cause| does_not_answer()) }
            })
            .check("rabbitmq", false, move || {
                let is_up = broker.is_up();
                async move { is_up.then_some(()).ok_or("not connected".to_owned()) }
            })
            .check("tenant-service", false, move || {
                let asked = http.get(tenant_service.clone()).send();
                async move {
                    match asked.await {
                        Ok(answer) if answer.status().is_success() => Ok(()),
                        _ => Err(does_not_answer()),
                    }
                }
            })
            .draining_on(shutdown.soft())
            .build())
    }

    fn workers(self, settings: &Settings, sessions: Sessions) -> Workers {
        let consumers = Consumers::new(self.broker.clone(), self.broker_state.clone())
            .subscribe(
                consumers::tenant_cache_queue(),
                1,
                ForgetTenant(self.tenants.clone()),
            )
            .subscribe(
                consumers::tenant_queue(),
                1,
                EndSessions {
                    sessions: sessions.clone(),
                    tenants: self.tenants,
                },
            );
        let lifetime = chrono::Duration::from_std(settings.tokens.lifetime()).unwrap_or_default();
        Workers {
            relay: Relay::new(
                self.db.clone(),
                self.broker,
                self.broker_state,
                SOURCE.role,
                self.waker,
            ),
            keeper: KeyKeeper {
                db: self.db.clone(),
                vault: self.vault,
                keys: self.signing_keys,
                clock: self.clock,
                publish_retired: lifetime + chrono::Duration::seconds(60),
            },
            db: self.db,
            sessions,
            consumers,
        }
    }
}

fn does_not_answer() -> String {
    "does not answer".to_owned()
}
