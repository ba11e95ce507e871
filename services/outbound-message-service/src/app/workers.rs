//! What runs beside the HTTP server.

use std::sync::Arc;

use portal_db::Db;
use portal_events::{Consumers, Relay};
use portal_foundation::spawn_loop;
use portal_service_kit::lifecycle::{Shutdown, Tasks};
use tokio::sync::Notify;

use crate::{
    config::MediaSection,
    jobs::{self, BacklogCensus},
    usecases::{
        check_numbers::NumberChecker, dispatch::Dispatcher, sweep::Sweeper,
        webhooks::WebhookApplier,
    },
};

/// Everything that runs beside the HTTP server.
pub(super) struct Workers {
    pub(super) db: Db,
    pub(super) relay: Relay,
    pub(super) consumers: Consumers,
    pub(super) dispatcher: Option<Dispatcher>,
    pub(super) sweeper: Option<Sweeper>,
    pub(super) sweep_now: Arc<Notify>,
    pub(super) checker: Option<NumberChecker>,
    pub(super) check_now: Arc<Notify>,
    pub(super) applier: Option<WebhookApplier>,
    pub(super) media: MediaSection,
    pub(super) appliers: u16,
    pub(super) webhook_arrived: Arc<Notify>,
    pub(super) accounts: Option<jobs::accounts::AccountJobs>,
    pub(super) census: BacklogCensus,
}

impl Workers {
    /// Starts all of it; it ends with `shutdown`.
    pub(super) fn start(self, tasks: &Tasks, shutdown: &Shutdown) {
        let stop = shutdown.soft();
        spawn_loop(tasks, "relay", self.relay.run(stop.clone()));
        spawn_loop(
            tasks,
            "dead letters",
            jobs::tidy_dead_letters(self.db.clone(), stop.clone()),
        );
        spawn_loop(
            tasks,
            "erasures",
            jobs::erase_contacts(self.db.clone(), stop.clone()),
        );
        spawn_loop(tasks, "consumers", self.consumers.run(stop.clone()));
        spawn_loop(
            tasks,
            "backlog",
            jobs::count_backlog(self.census, stop.clone()),
        );
        if let Some(dispatcher) = self.dispatcher {
            spawn_loop(tasks, "dispatch", dispatcher.run());
        }
        if let Some(sweeper) = self.sweeper {
            spawn_loop(
                tasks,
                "sweep",
                jobs::sweep(sweeper, self.sweep_now, stop.clone()),
            );
        }
        if let Some(accounts) = self.accounts {
            accounts.start(tasks, &stop);
        }
        spawn_loop(
            tasks,
            "media",
            jobs::forget_media(self.db, self.media, stop.clone()),
        );
        if let Some(checker) = self.checker {
            spawn_loop(
                tasks,
                "numbers",
                jobs::check_numbers(checker, self.check_now, stop.clone()),
            );
        }
        if let Some(applier) = self.applier {
            for _ in 0..self.appliers {
                spawn_loop(
                    tasks,
                    "webhooks",
                    jobs::apply_webhooks(
                        applier.clone(),
                        Arc::clone(&self.webhook_arrived),
                        stop.clone(),
                    ),
                );
            }
        }
    }
}
