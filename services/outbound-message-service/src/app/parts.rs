//! What several parts of the service share, and how they are put together.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use opentelemetry::metrics::Counter;
use portal_auth::{
    Authenticator, CallerLimits, JwksClient, JwksOptions, KeySource, Revocations, Verifier,
};
use portal_db::Db;
use portal_events::Consumers;
use portal_foundation::{Backing, SessionRows};
use portal_service_kit::{
    http::BodyLimit,
    http_client::{self, ClientOptions, guarded::GuardedClient},
    lifecycle::Shutdown,
};
use portal_tenant_client::{CachePolicy, ForgetTenant, TenantClient, change_queue};
use portal_whatsapp::{GraphClient, callback::CallbackKey};
use tokio::sync::Notify;

use super::{SERVICE, workers::Workers};
use crate::{
    config::Settings,
    events::{
        SOURCE,
        commands::{SendCommands, command_queue},
        consumers::{self, DeliverHints, ResumeTenant},
    },
    jobs::{self, BacklogCensus},
    state::{AppState, WebhookDoor},
    usecases::{
        accept_batch::{BatchLimits, BatchQueue, BatchWriter},
        accept_message::Acceptor,
        account::Accounts,
        admission::{Admission, BacklogLimits},
        amend_message::Amender,
        check_numbers::NumberChecker,
        dead_letters::LetterKeeper,
        dispatch::{DispatchWaker, Dispatcher, DispatcherParts},
        mark_read::ReadMarker,
        media::{
            bring::{MediaDesk, MediaDeskParts},
            inbound::InboundMedia,
            keep::Keeper,
            links::Links,
        },
        policies::Policies,
        preflight::Preflight,
        preview::DryRun,
        sweep::Sweeper,
        templates::{TemplateMemory, Templates, sync::TemplateSync},
        token_health::TokenHealth,
        webhook_secrets::WebhookSecrets,
        webhooks::{Counters, WebhookApplier},
    },
};

/// Commands that are carried out at the same time; they are committed together.
const COMMANDS_AT_ONCE: u16 = 16;
const CALLBACK_KEY_LABEL: &str = "outbound-message-service/biz_opaque_callback_data/v1";
/// How long a message waits for its files before it is put back for a moment.
const MEDIA_PATIENCE: Duration = Duration::from_secs(5);
/// A hint only calls for a number's turn.
const HINTS_AT_ONCE: u16 = 16;
/// Access tokens live for minutes; the list of revoked ones need not reach further back.
const TOKEN_LIFETIME: Duration = Duration::from_mins(15);

/// What several parts of the service share.
pub(super) struct Parts {
    pub(super) backing: Backing,
    tenants: TenantClient,
    graph: GraphClient,
    media: MediaDesk,
    callback_key: CallbackKey,
    internal_http: reqwest::Client,
    dispatch: DispatchWaker,
    sweep_now: Arc<Notify>,
    check_now: Arc<Notify>,
    webhook_arrived: Arc<Notify>,
    templates: Templates,
    token_due: Arc<Notify>,
    admission: Arc<Admission>,
}

impl Parts {
    pub(super) fn build(settings: &Settings) -> anyhow::Result<Self> {
        let backing = Backing::new(
            SERVICE,
            &settings.database,
            &settings.rabbitmq,
            &settings.redis,
            &settings.vault,
        )?;
        let note_key = backing
            .vault
            .derive(settings.callback_key(), CALLBACK_KEY_LABEL)
            .context("webhooks.callback_key must name one of vault.keys")?;
        let internal_http = http_client::build(&ClientOptions {
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_secs(3),
            user_agent: SERVICE.to_owned(),
        })?;
        let graph_http = http_client::build(&ClientOptions {
            connect_timeout: Duration::from_millis(settings.meta.connect_timeout_ms),
            timeout: settings.graph_timeout(),
            user_agent: "agent-portal".to_owned(),
        })?;
        let tenants = TenantClient::new(
            internal_http.clone(),
            settings.tenant_service.url.clone(),
            settings.tenant_service.service_key.clone(),
            CachePolicy::default(),
        )
        .context("tenant_service.url")?;
        let graph = GraphClient::new(
            graph_http,
            settings.meta.graph_url.clone(),
            settings.meta.graph_version.clone(),
        )
        .context("meta.graph_url")?;
        let templates = Templates {
            db: backing.db.clone(),
            accounts: Accounts {
                tenants: tenants.clone(),
                vault: Arc::clone(&backing.vault),
            },
            memory: TemplateMemory::new(backing.db.clone()),
            relay: backing.waker.clone(),
            due: Arc::new(Notify::new()),
        };
        Ok(Self {
            templates,
            token_due: Arc::new(Notify::new()),
            media: media_desk(&backing.db, &graph, settings)?,
            backing,
            tenants,
            graph,
            callback_key: CallbackKey::new(&note_key),
            internal_http,
            dispatch: if settings.delivery.enabled {
                DispatchWaker::new(settings.delivery.concurrency.into())
            } else {
                DispatchWaker::default()
            },
            sweep_now: Arc::new(Notify::new()),
            check_now: Arc::new(Notify::new()),
            webhook_arrived: Arc::new(Notify::new()),
            admission: Arc::new(Admission::new(BacklogLimits {
                tenant: settings.acceptance.tenant_backlog,
                all: settings.acceptance.total_backlog,
            })),
        })
    }

    pub(super) fn authenticator(&self, settings: &Settings) -> Authenticator {
        let auth = &settings.auth;
        let keys = JwksClient::new(
            auth.jwks_url.as_str(),
            self.internal_http.clone(),
            JwksOptions::default(),
        );
        let verifier = Verifier::new(&auth.issuer, &auth.audience, KeySource::Published(keys));
        Authenticator::builder()
            .access(verifier)
            .api_keys(Arc::new(self.tenants.clone()))
            .revocations(Revocations::new(self.backing.cache.clone(), TOKEN_LIFETIME))
            .session_truth(Arc::new(SessionRows(self.backing.db.clone())))
            .limits(
                CallerLimits::new(self.backing.limiter.clone(), settings.limits)
                    .tenant_rates(Arc::new(self.tenants.clone())),
            )
            .build()
    }

    pub(super) fn batches(&self, settings: &Settings) -> (BatchQueue, BatchWriter) {
        let acceptance = &settings.acceptance;
        let limits = BatchLimits {
            queue: acceptance.queue,
            writers: acceptance.writers,
            rows: acceptance.batch,
            patience: Duration::from_millis(acceptance.patience_ms),
        };
        BatchWriter::new(self.backing.db.clone(), self.backing.waker.clone(), limits)
    }

    pub(super) fn acceptor(&self, settings: &Settings, queue: BatchQueue) -> Acceptor {
        let policies = Policies::new(self.backing.db.clone());
        Acceptor {
            preflight: Preflight {
                tenants: self.tenants.clone(),
                policies: policies.clone(),
                media: self.media.clone(),
                templates: self.templates.clone(),
            },
            admission: Arc::clone(&self.admission),
            queue,
            dispatch: self.dispatch.clone(),
            time_to_live: seconds(settings.delivery.time_to_live_seconds),
            idempotency_window: seconds(settings.idempotency.window_seconds),
            content_in_events: settings.events.include_content,
            accepted: counter("messages.accepted", "Messages accepted"),
        }
    }

    pub(super) fn state(&self, settings: &Settings, acceptor: Acceptor) -> AppState {
        let preflight = acceptor.preflight.clone();
        let policies = preflight.policies.clone();
        AppState {
            db: self.backing.db.clone(),
            relay: self.backing.waker.clone(),
            dry_run: DryRun {
                db: self.backing.db.clone(),
                preflight: preflight.clone(),
            },
            bulk_body_limit: BodyLimit(settings.acceptance.bulk_body_limit_bytes),
            acceptor,
            keeper: keeper(&self.backing.db, settings),
            inbound_media: InboundMedia {
                db: self.backing.db.clone(),
                tenants: self.tenants.clone(),
                vault: Arc::clone(&self.backing.vault),
                graph: self.graph.clone(),
                hosts: settings.meta.media_hosts.as_slice().into(),
                timeout: settings.media.transfer(),
            },
            policies,
            read_marker: ReadMarker {
                db: self.backing.db.clone(),
                accounts: Accounts {
                    tenants: self.tenants.clone(),
                    vault: Arc::clone(&self.backing.vault),
                },
                graph: self.graph.clone(),
            },
            templates: self.templates.clone(),
            amender: Amender {
                db: self.backing.db.clone(),
                relay: self.backing.waker.clone(),
                dispatch: self.dispatch.clone(),
                preflight: preflight.clone(),
            },
            webhooks: WebhookDoor {
                app_secrets: settings.meta.app_secrets().into(),
                verify_token: settings.meta.verify_token.clone(),
                secrets: WebhookSecrets::new(
                    self.backing.db.clone(),
                    Arc::clone(&self.backing.vault),
                ),
                arrived: Arc::clone(&self.webhook_arrived),
            },
        }
    }

    /// What this process takes from the broker.
    fn consumers(&self, settings: &Settings, acceptor: Acceptor) -> Consumers {
        let keeper = LetterKeeper::new(
            self.backing.db.clone(),
            counter("dead_letters.kept", "Deliveries that no handler took"),
        );
        let commands = SendCommands {
            acceptor,
            db: self.backing.db.clone(),
            relay: self.backing.waker.clone(),
        };
        let mut all = self
            .backing
            .consumers()
            .keep_dead_letters(keeper)
            .subscribe(
                change_queue("outbound-message-service.tenant-cache"),
                1,
                ForgetTenant(self.tenants.clone()),
            )
            .subscribe(command_queue(), COMMANDS_AT_ONCE, commands);
        if settings.templates.enabled {
            let look = consumers::LookAtAccount {
                templates: self.templates.clone(),
                token_due: Arc::clone(&self.token_due),
            };
            all = all.subscribe(consumers::account_queue(), 1, look);
        }
        if !settings.delivery.enabled {
            return all.declare(consumers::deliver_queue());
        }
        let hints = DeliverHints {
            dispatch: self.dispatch.clone(),
            tenants: self.tenants.clone(),
        };
        let resume = ResumeTenant {
            db: self.backing.db.clone(),
            tenants: self.tenants.clone(),
            sweep_now: Arc::clone(&self.sweep_now),
            check_now: Arc::clone(&self.check_now),
        };
        all.subscribe(consumers::deliver_queue(), HINTS_AT_ONCE, hints)
            .subscribe(consumers::tenant_queue(), 1, resume)
    }

    fn dispatcher(&self, settings: &Settings, shutdown: &Shutdown) -> Option<Dispatcher> {
        let delivery = &settings.delivery;
        let parts = DispatcherParts {
            db: self.backing.db.clone(),
            cache: self.backing.cache.clone(),
            tenants: self.tenants.clone(),
            vault: Arc::clone(&self.backing.vault),
            graph: self.graph.clone(),
            media: self.media.clone(),
            callback_key: self.callback_key.clone(),
            relay: self.backing.waker.clone(),
            lease: Duration::from_secs(delivery.lease_seconds.into()),
            max_retries: delivery.max_retries.into(),
            pair_burst: delivery.pair_burst,
            attempts: counter("messages.attempts", "Requests to Meta by outcome"),
            duplicates: counter(
                "messages.duplicate_detected",
                "Messages that Meta took twice",
            ),
        };
        Dispatcher::new(parts, &self.dispatch, shutdown.soft())
    }

    /// What is to run beside the server.
    pub(super) fn workers(
        self,
        settings: &Settings,
        acceptor: Acceptor,
        shutdown: &Shutdown,
    ) -> Workers {
        let delivery = &settings.delivery;
        let consumers = self.consumers(settings, acceptor);
        let dispatcher = self.dispatcher(settings, shutdown);
        let accounts = settings
            .templates
            .enabled
            .then(|| self.account_jobs(settings));
        let checker = delivery.enabled.then(|| NumberChecker {
            db: self.backing.db.clone(),
            tenants: self.tenants.clone(),
            vault: Arc::clone(&self.backing.vault),
            graph: self.graph.clone(),
            relay: self.backing.waker.clone(),
        });
        let sweeper = delivery.enabled.then(|| Sweeper {
            db: self.backing.db.clone(),
            relay: self.backing.waker.clone(),
            dispatch: self.dispatch.clone(),
            templates: self.templates.clone(),
            unknown_horizon_seconds: i32::try_from(delivery.unknown_horizon_seconds)
                .unwrap_or(i32::MAX),
            horizon_needs_webhooks: delivery.horizon_needs_webhooks,
        });
        let applier = settings.webhooks.enabled.then(|| WebhookApplier {
            db: self.backing.db.clone(),
            callback_key: self.callback_key,
            relay: self.backing.waker.clone(),
            content_in_events: settings.events.include_content,
            counters: Counters {
                statuses: counter("webhooks.statuses", "Statuses from Meta by outcome"),
                inbound: counter("webhooks.inbound", "Messages of contacts by outcome"),
                changes: counter(
                    "webhooks.changes",
                    "Changes that Meta told, by field and outcome",
                ),
            },
        });
        let db = self.backing.db.clone();
        Workers {
            relay: self.backing.relay(SOURCE.role),
            db: self.backing.db,
            consumers,
            dispatcher,
            sweeper,
            sweep_now: self.sweep_now,
            checker,
            check_now: self.check_now,
            applier,
            media: settings.media.clone(),
            appliers: settings.webhooks.appliers,
            webhook_arrived: self.webhook_arrived,
            accounts,
            census: BacklogCensus {
                db,
                admission: self.admission,
                interval: Duration::from_millis(settings.acceptance.count_every_ms),
            },
        }
    }

    fn account_jobs(&self, settings: &Settings) -> jobs::accounts::AccountJobs {
        let section = &settings.templates;
        jobs::accounts::AccountJobs {
            sync: TemplateSync {
                templates: self.templates.clone(),
                graph: self.graph.clone(),
                interval: seconds(section.sync_interval_seconds),
                outcomes: counter(
                    "templates.syncs",
                    "Readings of accounts' templates by outcome",
                ),
            },
            health: TokenHealth {
                db: self.backing.db.clone(),
                accounts: self.templates.accounts.clone(),
                graph: self.graph.clone(),
                relay: self.backing.waker.clone(),
                interval: seconds(section.token_interval_seconds),
                outcomes: counter("tokens.checks", "Tries of tenants' tokens by outcome"),
            },
            token_due: Arc::clone(&self.token_due),
        }
    }
}

fn keeper(db: &Db, settings: &Settings) -> Keeper {
    Keeper {
        db: db.clone(),
        quota: settings.media.quota_bytes_per_tenant,
        arrival: settings.media.arrival(),
    }
}

fn media_desk(db: &Db, graph: &GraphClient, settings: &Settings) -> anyhow::Result<MediaDesk> {
    let links = if settings.media.fetch_links {
        let options = ClientOptions {
            connect_timeout: Duration::from_millis(settings.meta.connect_timeout_ms),
            timeout: settings.media.fetch(),
            user_agent: "agent-portal".to_owned(),
        };
        let trusted = settings
            .media
            .trusted_networks()
            .context("media.fetch_from_networks")?;
        Some(Links(GuardedClient::new(&options, trusted)?))
    } else {
        None
    };
    Ok(MediaDesk::new(MediaDeskParts {
        db: db.clone(),
        graph: graph.clone(),
        keeper: keeper(db, settings),
        links,
        upload_timeout: settings.media.transfer(),
        patience: MEDIA_PATIENCE,
    }))
}

fn seconds(count: u32) -> chrono::Duration {
    chrono::Duration::seconds(count.into())
}

fn counter(name: &'static str, description: &'static str) -> Counter<u64> {
    opentelemetry::global::meter(SERVICE)
        .u64_counter(name)
        .with_description(description)
        .build()
}
