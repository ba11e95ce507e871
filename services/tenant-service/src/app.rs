//! The composition root: from settings to a running process.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::web;
use anyhow::Context as _;
use portal_auth::{
    Authenticator, CallerLimits, Issuer, KEYS_RELOAD, KeySource, Passwords, Revocations,
    ServiceKeys, SessionTimes, SigningKeys, Verifier, bearer_token,
};
use portal_cache::{Limit, Limiter};
use portal_events::Consumers;
use portal_foundation::{
    Backing, run_to_end, signing_keys::KeyKeeper, spawn_loop, wait_for_schema,
};
use portal_genesys::{GenesysClient, RetryPolicy};
use portal_service_kit::{
    health::Health,
    http::AddressLimits,
    http_client::{self, ClientOptions},
    lifecycle::{Shutdown, Tasks},
    openapi,
    server::{Server, ServerOptions},
    telemetry::{self, Telemetry},
};
use portal_types::SystemClock;
use portal_whatsapp::GraphClient;

use crate::{
    ROLE, SERVICE,
    config::{MetaSection, Settings},
    domain::admin::LockRule,
    events::consumers::{TokenReports, token_reports_queue},
    jobs,
    routes::{self, dashboard::Dashboard},
    state::AppState,
    usecases::{
        Deps,
        admins::{AdminDesk, AdminSessionRows, Rules, SignInLimits, TokenKeys},
        genesys_credentials::Genesys,
        meta::Meta,
        token_watch::TokenWatch,
    },
};

/// Who issues administrators' tokens, and for whom: this service, for itself.
const TOKEN_PARTY: &str = SERVICE;
/// No service issues access tokens that live longer; a suspended tenant's are refused as long.
const LONGEST_ACCESS_TOKEN: Duration = Duration::from_mins(15);
/// How long a refresh token that was used gets the same successor: its answer may have been lost.
const REFRESH_GRACE: chrono::Duration = chrono::Duration::seconds(10);
/// For what is left to do after the last request.
const AFTER_REQUESTS: Duration = Duration::from_secs(10);

/// The service, bound to its ports and ready to run.
pub struct App {
    api: Server,
    dashboard: Server,
    backing: Backing,
    keeper: KeyKeeper,
    consumers: Consumers,
    desk: AdminDesk,
    token_watch: Option<TokenWatch>,
    shutdown: Shutdown,
    telemetry: Telemetry,
    grace: Duration,
}

impl App {
    /// Builds everything and binds the ports. Connects to nothing: what is away is waited for.
    pub fn build(settings: &Settings, shutdown: Shutdown) -> anyhow::Result<Self> {
        let telemetry = telemetry::init(SERVICE, &settings.telemetry)?;
        let backing = Backing::new(
            SERVICE,
            &settings.database,
            &settings.rabbitmq,
            &settings.redis,
            &settings.vault,
        )?;
        let lifetime = settings.admin_token_lifetime();
        let longest = lifetime.max(LONGEST_ACCESS_TOKEN);
        let revocations = Revocations::new(backing.cache.clone(), longest);
        let deps = Deps {
            db: backing.db.clone(),
            vault: Arc::clone(&backing.vault),
            revocations: revocations.clone(),
            waker: backing.waker.clone(),
            clock: Arc::new(SystemClock),
            genesys: genesys(settings)?,
        };
        let keys = SigningKeys::pending();
        let own_keys = KeySource::Own(keys.clone());
        let authenticator = Authenticator::builder()
            .admin(Verifier::new(TOKEN_PARTY, TOKEN_PARTY, own_keys))
            .services(ServiceKeys::new(&settings.service_keys))
            .revocations(revocations)
            .admin_truth(Arc::new(AdminSessionRows {
                deps: deps.clone(),
                require_totp: settings.admin.require_totp,
            }))
            .limits(CallerLimits::new(
                backing.limiter.clone(),
                settings.limits.shared(),
            ))
            .build();
        let issuer = Issuer::new(TOKEN_PARTY, TOKEN_PARTY, keys.clone()).with_lifetime(lifetime);
        let meta = meta(&settings.meta)?;
        let token_watch = token_watch(&settings.meta, &deps, &meta);
        let state = state(
            settings,
            &deps,
            issuer,
            backing.limiter.clone(),
            &keys,
            meta,
        )?;
        let desk = state.desk.clone();
        let options = ServerOptions {
            http: settings.http.clone(),
            health: health(&backing, &keys, &shutdown),
            telemetry: telemetry.clone(),
            openapi: Some(routes::document()),
            limits: Some(address_limits(settings, &backing, &authenticator)),
        };
        let (api, dashboard) = bind(settings, options, state, authenticator)?;
        Ok(Self {
            api,
            dashboard,
            keeper: KeyKeeper {
                db: backing.db.clone(),
                vault: Arc::clone(&backing.vault),
                keys,
                role: ROLE,
                token_lifetime: lifetime,
                reload: KEYS_RELOAD,
            },
            consumers: backing.consumers().subscribe(
                token_reports_queue(),
                1,
                TokenReports { deps },
            ),
            backing,
            desk,
            token_watch,
            shutdown,
            telemetry,
            grace: settings.http.shutdown_grace() + AFTER_REQUESTS,
        })
    }

    /// Where the API listens.
    pub fn api_addr(&self) -> SocketAddr {
        self.api.addr()
    }

    /// Where the dashboard's pages are.
    pub fn dashboard_addr(&self) -> SocketAddr {
        self.dashboard.addr()
    }

    /// Runs until the order to stop, then finishes what has begun.
    pub async fn run_until_stopped(self) -> anyhow::Result<()> {
        tracing::info!(api = %self.api.addr(), dashboard = %self.dashboard.addr(), "listening");
        let tasks = Tasks::new(self.shutdown.clone());
        let stop = self.shutdown.soft();
        for (name, server) in [("api", self.api), ("dashboard", self.dashboard)] {
            let stop = stop.clone();
            tasks.spawn(name, async move { Ok(server.run(stop).await?) });
        }
        let (inner, backing) = (tasks.clone(), self.backing);
        let (keeper, consumers, desk) = (self.keeper, self.consumers, self.desk);
        let token_watch = self.token_watch;
        spawn_loop(&tasks, "workers", async move {
            if wait_for_schema(&backing.db, &stop).await {
                spawn_loop(&inner, "signing-keys", keeper.run(stop.clone()));
                spawn_loop(
                    &inner,
                    "outbox-relay",
                    backing.relay(ROLE).run(stop.clone()),
                );
                spawn_loop(&inner, "consumers", consumers.run(stop.clone()));
                let sweep = jobs::sweep_admin_sessions(desk, stop.clone());
                spawn_loop(&inner, "admin-sessions", sweep);
                if let Some(watch) = token_watch {
                    spawn_loop(
                        &inner,
                        "token-watch",
                        jobs::watch_tokens(watch, stop.clone()),
                    );
                }
            }
            stop.cancelled().await;
        });
        run_to_end(tasks, self.grace, self.telemetry).await
    }
}

/// The other services ask for everybody: what they may is not counted by their address.
fn address_limits(
    settings: &Settings,
    backing: &Backing,
    authenticator: &Authenticator,
) -> AddressLimits {
    let services = authenticator.clone();
    AddressLimits::new(backing.limiter.clone(), &settings.limits.shared())
        .except(move |request| bearer_token(request).is_ok_and(|key| services.service(key).is_ok()))
}

/// The API's port, and the dashboard's with the same API beside its page.
fn bind(
    settings: &Settings,
    mut options: ServerOptions,
    state: AppState,
    authenticator: Authenticator,
) -> anyhow::Result<(Server, Server)> {
    let (state, authenticator) = (web::Data::new(state), web::Data::new(authenticator));
    let (api_state, api_authenticator) = (state.clone(), authenticator.clone());
    let api = Server::bind(&settings.http.bind, &options, move |config| {
        config
            .app_data(api_state.clone())
            .app_data(api_authenticator.clone());
        openapi::mount(config, routes::configure);
    })
    .with_context(|| format!("cannot listen on {} (http.bind)", settings.http.bind))?;

    let page = &settings.dashboard;
    let data = web::Data::new(Dashboard::new(
        &page.origin,
        page.secure_cookies,
        settings.meta.signup_sdk(),
    ));
    // The page calls its own origin: no other page may.
    options.http.allowed_origins = Vec::new();
    let dashboard = Server::bind(&page.bind, &options, move |config| {
        config
            .app_data(state.clone())
            .app_data(authenticator.clone())
            .app_data(data.clone());
        routes::dashboard::mount(config);
    })
    .with_context(|| format!("cannot listen on {} (dashboard.bind)", page.bind))?;
    Ok((api, dashboard))
}

fn genesys(settings: &Settings) -> anyhow::Result<Genesys> {
    let http = http_client::build(&ClientOptions {
        timeout: Duration::from_millis(settings.genesys.timeout_ms),
        ..ClientOptions::default()
    })?;
    Ok(Genesys {
        client: GenesysClient::new(http, RetryPolicy::default()),
        configured: Arc::new(settings.genesys.regions()),
    })
}

fn state(
    settings: &Settings,
    deps: &Deps,
    issuer: Issuer,
    limiter: Limiter,
    keys: &SigningKeys,
    meta: Meta,
) -> anyhow::Result<AppState> {
    let limits = &settings.limits;
    let limit = |name, burst, count: u32, seconds: f64| Limit {
        name,
        burst,
        per_second: f64::from(count) / seconds,
    };
    Ok(AppState {
        deps: deps.clone(),
        desk: AdminDesk {
            deps: deps.clone(),
            passwords: Passwords::new(),
            issuer,
            tokens: TokenKeys::derive(&deps.vault)?,
            limiter: limiter.clone(),
            limits: SignInLimits {
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
                lines: limit("login-limited-line", 1, 1, 60.0),
            },
            rules: admin_rules(settings),
        },
        limiter,
        lookups: limit(
            "tenant-lookup",
            limits.lookup_burst,
            limits.lookups_per_minute,
            60.0,
        ),
        keys: keys.clone(),
        meta,
    })
}

fn admin_rules(settings: &Settings) -> Rules {
    let admin = &settings.admin;
    Rules {
        require_totp: admin.require_totp,
        lock: LockRule {
            failures: i32::try_from(admin.lock_after_failures).unwrap_or(i32::MAX),
            first: chrono::Duration::minutes(admin.lock_minutes.into()),
        },
        times: SessionTimes {
            idle: chrono::Duration::minutes(admin.session_idle_minutes.into()),
            absolute: chrono::Duration::hours(admin.session_hours.into()),
            repeat_grace: REFRESH_GRACE,
        },
    }
}

fn meta(section: &MetaSection) -> anyhow::Result<Meta> {
    let http = http_client::build(&ClientOptions {
        connect_timeout: Duration::from_millis(section.connect_timeout_ms),
        timeout: Duration::from_millis(section.timeout_ms),
        ..ClientOptions::default()
    })?;
    let version = section.graph_version.clone();
    Ok(Meta {
        graph: GraphClient::new(http, section.graph_url.clone(), version.clone())
            .context("meta.graph_url")?,
        app: section.app(),
        config_id: Some(section.config_id.clone()).filter(|id| !id.is_empty()),
        graph_version: version,
        sdk_url: section.sdk_url.to_string(),
    })
}

fn token_watch(section: &MetaSection, deps: &Deps, meta: &Meta) -> Option<TokenWatch> {
    let counter = |name, description| {
        let meter = opentelemetry::global::meter(SERVICE);
        meter
            .u64_counter(name)
            .with_description(description)
            .build()
    };
    (section.token_interval_seconds > 0).then(|| TokenWatch {
        deps: deps.clone(),
        meta: meta.clone(),
        interval: chrono::TimeDelta::seconds(section.token_interval_seconds.into()),
        refresh_before: chrono::TimeDelta::days(section.token_refresh_days.into()),
        outcomes: counter(
            "tokens.looks",
            "Looks at tenants' tokens by what they are found to be",
        ),
        warnings: counter(
            "tokens.expiry_warnings",
            "Warnings of tokens that end within so many days",
        ),
    })
}

fn health(backing: &Backing, keys: &SigningKeys, shutdown: &Shutdown) -> Health {
    let keys = keys.clone();
    backing
        .health(env!("CARGO_PKG_VERSION"), shutdown)
        .check("signing_keys", true, move || {
            let are_loaded = keys.are_loaded();
            async move {
                are_loaded
                    .then_some(())
                    .ok_or_else(|| "not loaded yet".to_owned())
            }
        })
        .build()
}
