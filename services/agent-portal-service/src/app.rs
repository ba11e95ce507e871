//! The composition root: from settings to a running process.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::web;
use anyhow::Context as _;
use portal_auth::{
    Authenticator, CallerLimits, Issuer, KEYS_RELOAD, KeySource, Revocations, SigningKeys, Verifier,
};
use portal_events::Consumers;
use portal_foundation::{
    Backing, SessionRows, run_to_end, signing_keys::KeyKeeper, spawn_loop, wait_for_schema,
};
use portal_genesys::{GenesysClient, RetryPolicy};
use portal_service_kit::{
    health::Health,
    http::AddressLimits,
    http_client::{self, ClientOptions},
    lifecycle::{Shutdown, Tasks},
    server::{Server, ServerOptions},
    telemetry::{self, Telemetry},
};
use portal_tenant_client::{CachePolicy, ForgetTenant, TenantClient, change_queue};
use portal_types::{Clock, SystemClock};
use url::Url;

use crate::{
    ROLE, SERVICE,
    config::Settings,
    events::consumers::{self, EndSessions, FollowGenesys, KeepConversations},
    jobs, routes,
    state::{AppState, WebSettings},
    usecases::{
        conversations::{Asked, Conversations, Intake},
        erasures::Erasures,
        genesys_clients::GenesysClients,
        genesys_tokens::GenesysTokens,
        live_feed::{FeedRules, FeedWaker, LiveFeed},
        organization::Organizations,
        people::People,
        profiles::Profiles,
        sessions::Sessions,
        sign_in::{Outcomes, SignIn, SignInRules},
        sync::UserSync,
        token_keys::TokenKeys,
    },
};

/// For what is left to do after the last request.
const AFTER_REQUESTS: Duration = Duration::from_secs(10);

/// Nobody waits for a page of a sync; Genesys' limits are per minute.
const PATIENT: RetryPolicy = RetryPolicy {
    tries: 6,
    first_wait: Duration::from_secs(1),
    budget: Duration::from_secs(150),
};
/// Tokens of tenants' own clients are used again for so long. A client's tokens live for five minutes
/// at the least.
const CLIENT_TOKENS: Duration = Duration::from_mins(4);
/// Deliveries that are gathered while the ones before them are written.
const MESSAGES_AT_ONCE: u16 = 256;
/// After its time-out an answer of Genesys is still to be written down.
const ANSWER_SLACK: Duration = Duration::from_secs(10);

/// The service, bound to its ports and ready to run.
pub struct App {
    api: Server,
    portal: Server,
    backing: Backing,
    keeper: KeyKeeper,
    sessions: Sessions,
    user_sync: UserSync,
    live_feed: LiveFeed,
    conversations: Conversations,
    erasures: Erasures,
    consumers: Consumers,
    shutdown: Shutdown,
    telemetry: Telemetry,
    grace: Duration,
}

impl App {
    /// Builds everything and binds the ports. Connects to nothing: what is away is waited for.
    pub fn build(settings: &Settings, shutdown: Shutdown) -> anyhow::Result<Self> {
        let telemetry = telemetry::init(SERVICE, &settings.telemetry)?;
        let parts = Parts::build(settings)?;
        let state = parts.state(settings, &shutdown)?;

        let mut options = ServerOptions {
            http: settings.http.clone(),
            health: parts.health(settings, &shutdown)?,
            telemetry: telemetry.clone(),
            openapi: Some(routes::document()),
            limits: Some(AddressLimits::new(
                parts.backing.limiter.clone(),
                &settings.limits,
            )),
        };
        // Who hands out cookies for HTTPS only is reached by HTTPS only.
        options.http.https_only |= settings.cookies.secure;
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
            keeper: parts.keeper(settings),
            consumers: parts.consumers(&state),
            sessions: state.sessions,
            user_sync: state.user_sync,
            live_feed: state.live_feed,
            conversations: state.conversations,
            erasures: state.erasures,
            backing: parts.backing,
            shutdown,
            telemetry,
            grace: settings.http.shutdown_grace() + AFTER_REQUESTS,
        })
    }

    /// Where the API listens.
    pub fn api_addr(&self) -> SocketAddr {
        self.api.addr()
    }

    /// Where the portal's pages are.
    pub fn portal_addr(&self) -> SocketAddr {
        self.portal.addr()
    }

    /// Runs until the order to stop, then finishes what has begun.
    pub async fn run_until_stopped(self) -> anyhow::Result<()> {
        tracing::info!(api = %self.api.addr(), portal = %self.portal.addr(), "listening");
        let tasks = Tasks::new(self.shutdown.clone());
        let stop = self.shutdown.soft();
        for (name, server) in [("api", self.api), ("portal", self.portal)] {
            let stop = stop.clone();
            tasks.spawn(name, async move { Ok(server.run(stop).await?) });
        }
        let (inner, backing) = (tasks.clone(), self.backing);
        let (keeper, consumers, sessions) = (self.keeper, self.consumers, self.sessions);
        let (user_sync, live_feed) = (self.user_sync, self.live_feed);
        let conversations = self.conversations;
        let erasures = self.erasures;
        spawn_loop(&tasks, "workers", async move {
            if wait_for_schema(&backing.db, &stop).await {
                spawn_loop(&inner, "signing-keys", keeper.run(stop.clone()));
                spawn_loop(
                    &inner,
                    "outbox-relay",
                    backing.relay(ROLE).run(stop.clone()),
                );
                spawn_loop(&inner, "consumers", consumers.run(stop.clone()));
                spawn_loop(
                    &inner,
                    "revocations",
                    jobs::republish_revocations(sessions.clone(), stop.clone()),
                );
                spawn_loop(
                    &inner,
                    "user-sync",
                    jobs::work_on_syncs(user_sync.clone(), stop.clone()),
                );
                spawn_loop(
                    &inner,
                    "user-sync-schedule",
                    jobs::schedule_syncs(user_sync, stop.clone()),
                );
                spawn_loop(
                    &inner,
                    "conversation-balance",
                    jobs::balance_conversations(conversations, stop.clone()),
                );
                spawn_loop(
                    &inner,
                    "erasures",
                    jobs::erase_contacts(erasures, stop.clone()),
                );
                spawn_loop(
                    &inner,
                    "live-feed",
                    jobs::watch_live_events(live_feed.clone()),
                );
                spawn_loop(
                    &inner,
                    "live-event-sweep",
                    jobs::sweep_live_events(live_feed, stop.clone()),
                );
                spawn_loop(
                    &inner,
                    "session-sweep",
                    jobs::sweep_sessions(sessions, stop.clone()),
                );
            }
            stop.cancelled().await;
        });
        run_to_end(tasks, self.grace, self.telemetry).await
    }
}

/// What several parts of the service share.
struct Parts {
    backing: Backing,
    tenants: TenantClient,
    internal_http: reqwest::Client,
    genesys: GenesysClient,
    signing_keys: SigningKeys,
    revocations: Revocations,
    clock: Arc<dyn Clock>,
}

impl Parts {
    fn build(settings: &Settings) -> anyhow::Result<Self> {
        let backing = Backing::new(
            SERVICE,
            &settings.database,
            &settings.rabbitmq,
            &settings.redis,
            &settings.vault,
        )?;
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
        let revocations = Revocations::new(backing.cache.clone(), settings.tokens.lifetime());
        Ok(Self {
            backing,
            tenants,
            internal_http,
            genesys: GenesysClient::new(genesys_http, RetryPolicy::default()),
            signing_keys: SigningKeys::pending(),
            revocations,
            clock: Arc::new(SystemClock),
        })
    }

    fn authenticator(&self, settings: &Settings) -> Authenticator {
        let tokens = &settings.tokens;
        let keys = KeySource::Own(self.signing_keys.clone());
        Authenticator::builder()
            .access(Verifier::new(&tokens.issuer, &tokens.audience, keys))
            .revocations(self.revocations.clone())
            .session_truth(Arc::new(SessionRows(self.backing.db.clone())))
            .limits(
                CallerLimits::new(self.backing.limiter.clone(), settings.limits)
                    .tenant_rates(Arc::new(self.tenants.clone())),
            )
            .build()
    }

    fn state(&self, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<AppState> {
        let tokens = &settings.tokens;
        let issuer = Issuer::new(&tokens.issuer, &tokens.audience, self.signing_keys.clone())
            .with_lifetime(tokens.lifetime());
        let token_keys = TokenKeys::derive(&self.backing.vault)?;
        let rules = Arc::new(rules(settings)?);
        let clients = GenesysClients {
            rules: Arc::clone(&rules),
            tenants: self.tenants.clone(),
            vault: Arc::clone(&self.backing.vault),
        };
        let genesys_tokens = GenesysTokens {
            db: self.backing.db.clone(),
            vault: Arc::clone(&self.backing.vault),
            genesys: self.genesys.clone(),
            clients: clients.clone(),
            lease: settings.genesys.timeout() + ANSWER_SLACK,
            clock: Arc::clone(&self.clock),
        };
        let sign_in = SignIn {
            db: self.backing.db.clone(),
            cache: self.backing.cache.clone(),
            limiter: self.backing.limiter.clone(),
            vault: Arc::clone(&self.backing.vault),
            genesys: self.genesys.clone(),
            clients: clients.clone(),
            tenants: self.tenants.clone(),
            revocations: self.revocations.clone(),
            issuer: issuer.clone(),
            token_keys: token_keys.clone(),
            rules: Arc::clone(&rules),
            clock: Arc::clone(&self.clock),
            waker: self.backing.waker.clone(),
            outcomes: Outcomes::new(),
        };
        let sessions = Sessions {
            db: self.backing.db.clone(),
            vault: Arc::clone(&self.backing.vault),
            genesys: self.genesys.clone(),
            genesys_tokens,
            recheck_after: settings.genesys.recheck_after(),
            rules,
            tenants: self.tenants.clone(),
            issuer,
            token_keys,
            revocations: self.revocations.clone(),
            token_lifetime: tokens.lifetime(),
            asked: Asked::default(),
            keep_ended: chrono::Duration::days(settings.sessions.keep_ended_days.into()),
            clock: Arc::clone(&self.clock),
            waker: self.backing.waker.clone(),
        };
        let user_sync = self.user_sync(settings, clients, &sessions, &sign_in.rules);
        let feed_waker = FeedWaker::default();
        let live_feed = self.live_feed(settings, shutdown, feed_waker.clone());
        Ok(AppState {
            conversations: self.conversations(&sessions, feed_waker),
            erasures: self.erasures(),
            organizations: Organizations {
                db: self.backing.db.clone(),
                tenants: self.tenants.clone(),
            },
            people: People {
                db: self.backing.db.clone(),
                revocations: self.revocations.clone(),
                sessions: sessions.clone(),
                clock: Arc::clone(&self.clock),
                waker: self.backing.waker.clone(),
            },
            user_sync,
            live_feed,
            web: web_settings(settings, &sign_in.rules),
            sign_in,
            sessions,
            profiles: Profiles {
                db: self.backing.db.clone(),
                tenants: self.tenants.clone(),
            },
            signing_keys: self.signing_keys.clone(),
        })
    }

    fn user_sync(
        &self,
        settings: &Settings,
        clients: GenesysClients,
        sessions: &Sessions,
        rules: &Arc<SignInRules>,
    ) -> UserSync {
        UserSync {
            db: self.backing.db.clone(),
            genesys: self.genesys.with_retry(PATIENT),
            clients,
            tenants: self.tenants.clone(),
            sessions: sessions.clone(),
            sign_in_rules: Arc::clone(rules),
            rules: settings.user_sync.rules(),
            clock: Arc::clone(&self.clock),
            waker: self.backing.waker.clone(),
            begun: Arc::default(),
            tokens: moka::future::Cache::builder()
                .max_capacity(10_000)
                .time_to_live(CLIENT_TOKENS)
                .build(),
        }
    }

    fn live_feed(&self, settings: &Settings, shutdown: &Shutdown, waker: FeedWaker) -> LiveFeed {
        let rules = FeedRules {
            per_user: settings.events.streams_per_user,
            per_process: settings.events.streams,
            kept: chrono::Duration::minutes(settings.events.kept_minutes.into()),
        };
        LiveFeed::new(
            self.backing.db.clone(),
            Arc::clone(&self.clock),
            rules,
            waker,
            shutdown.soft(),
        )
    }

    fn erasures(&self) -> Erasures {
        Erasures {
            db: self.backing.db.clone(),
            clock: Arc::clone(&self.clock),
            vault: Arc::clone(&self.backing.vault),
        }
    }

    fn conversations(&self, sessions: &Sessions, feed_waker: FeedWaker) -> Conversations {
        Conversations {
            db: self.backing.db.clone(),
            clock: Arc::clone(&self.clock),
            waker: self.backing.waker.clone(),
            asked: sessions.asked.clone(),
            feed_waker,
        }
    }

    fn health(&self, settings: &Settings, shutdown: &Shutdown) -> anyhow::Result<Health> {
        let keys = self.signing_keys.clone();
        let http = self.internal_http.clone();
        let tenant_service = settings.tenant_service.url.join("health/live")?;
        Ok(self
            .backing
            .health(env!("CARGO_PKG_VERSION"), shutdown)
            .check("signing_keys", true, move || {
                let are_loaded = keys.are_loaded();
                async move {
                    are_loaded
                        .then_some(())
                        .ok_or_else(|| "not loaded yet".to_owned())
                }
            })
            // Without it nobody new comes in, but people who are signed in go on.
            .check("tenant-service", false, move || {
                let asked = http.get(tenant_service.clone()).send();
                async move {
                    match asked.await {
                        Ok(answer) if answer.status().is_success() => Ok(()),
                        _ => Err("does not answer".to_owned()),
                    }
                }
            })
            .build())
    }

    fn keeper(&self, settings: &Settings) -> KeyKeeper {
        KeyKeeper {
            db: self.backing.db.clone(),
            vault: Arc::clone(&self.backing.vault),
            keys: self.signing_keys.clone(),
            role: ROLE,
            token_lifetime: settings.tokens.lifetime(),
            reload: KEYS_RELOAD,
        }
    }

    fn consumers(&self, state: &AppState) -> Consumers {
        self.backing
            .consumers()
            .subscribe(
                change_queue("agent-portal-service.tenant-cache"),
                1,
                ForgetTenant(self.tenants.clone()),
            )
            .subscribe(
                consumers::tenant_queue(),
                1,
                EndSessions {
                    sessions: state.sessions.clone(),
                    tenants: self.tenants.clone(),
                },
            )
            .subscribe(
                consumers::message_queue(),
                MESSAGES_AT_ONCE,
                KeepConversations(Intake::new(state.conversations.clone())),
            )
            .subscribe(
                consumers::genesys_queue(),
                1,
                FollowGenesys(state.conversations.clone()),
            )
    }
}

fn rules(settings: &Settings) -> anyhow::Result<SignInRules> {
    let genesys = &settings.genesys;
    Ok(SignInRules {
        regions: genesys.sign_in_regions(),
        redirect_uri: Url::parse(&genesys.redirect_uri).context("genesys.redirect_uri")?,
        origins: settings.portal_origins(),
        roles: genesys.role_map(),
        use_pkce: genesys.use_pkce,
        allow_trustees: genesys.allow_trustees,
        per_address_per_minute: settings.sign_in.per_address_per_minute,
        times: settings.sessions.times(),
    })
}

fn web_settings(settings: &Settings, rules: &SignInRules) -> WebSettings {
    let regions = rules.regions.iter();
    WebSettings {
        secure_cookies: settings.cookies.secure,
        portal_origin: settings.portal.origin.clone(),
        api_origin: settings.portal.api_origin.clone(),
        regions: regions
            .map(|(region, _)| region.name().to_owned())
            .collect(),
        slow_reader: settings.events.patience(),
        session_seconds: rules.times.absolute.num_seconds(),
    }
}
