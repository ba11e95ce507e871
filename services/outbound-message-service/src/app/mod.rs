//! The composition root: builds everything from settings and runs it.

mod parts;
mod workers;

use std::{net::SocketAddr, time::Duration};

use actix_web::web;
use anyhow::Context as _;
use portal_foundation::{run_to_end, wait_for_schema};
use portal_service_kit::{
    http::AddressLimits,
    lifecycle::{Shutdown, Tasks},
    server::{Server, ServerOptions},
    telemetry::{self, Telemetry},
};

use crate::{config::Settings, routes, usecases::accept_batch::BatchWriter};
use parts::Parts;
use workers::Workers;

const SERVICE: &str = "outbound-message-service";

/// The service, bound to its port and ready to run.
pub struct App {
    server: Server,
    addr: SocketAddr,
    workers: Workers,
    writer: BatchWriter,
    shutdown: Shutdown,
    telemetry: Telemetry,
    grace: Duration,
}

impl App {
    /// Builds the service and binds its port. Reaches for nothing: database, broker, Redis and
    /// tenant-service may come later.
    pub fn build(settings: &Settings, shutdown: Shutdown) -> anyhow::Result<Self> {
        let telemetry = telemetry::init(SERVICE, &settings.telemetry)?;
        let parts = Parts::build(settings)?;
        let authenticator = web::Data::new(parts.authenticator(settings));
        let health = parts
            .backing
            .health(env!("CARGO_PKG_VERSION"), &shutdown)
            .build();
        let (queue, writer) = parts.batches(settings);
        let acceptor = parts.acceptor(settings, queue);
        let state = web::Data::new(parts.state(settings, acceptor.clone()));
        let options = ServerOptions {
            http: settings.http.clone(),
            health,
            telemetry: telemetry.clone(),
            openapi: Some(routes::document()),
            limits: Some(AddressLimits::new(
                parts.backing.limiter.clone(),
                &settings.limits,
            )),
        };
        let server = Server::bind(&settings.http.bind, &options, move |config| {
            config
                .app_data(state.clone())
                .app_data(authenticator.clone());
            routes::mount(config);
        })
        .with_context(|| format!("cannot listen on {} (http.bind)", settings.http.bind))?;
        Ok(Self {
            addr: server.addr(),
            server,
            workers: parts.workers(settings, acceptor, &shutdown),
            writer,
            shutdown,
            telemetry,
            grace: settings.http.shutdown_grace() + settings.graph_timeout(),
        })
    }

    /// The address of the API.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Runs until the order to stop, then finishes what is in hand.
    pub async fn run_until_stopped(self) -> anyhow::Result<()> {
        let tasks = Tasks::new(self.shutdown.clone());
        let stop = self.shutdown.soft();
        let server = self.server;
        tasks.spawn("http", {
            let stop = stop.clone();
            async move { Ok(server.run(stop).await?) }
        });
        // It ends by itself, after the last request.
        let writer = self.writer;
        tasks.spawn("acceptance", async move {
            writer.run().await;
            Ok(())
        });
        let workers = self.workers;
        let inner = tasks.clone();
        let shutdown = self.shutdown.clone();
        tasks.spawn("workers", async move {
            let stop = shutdown.soft();
            if wait_for_schema(&workers.db, &stop).await {
                workers.start(&inner, &shutdown);
            }
            stop.cancelled().await;
            Ok(())
        });
        run_to_end(tasks, self.grace, self.telemetry).await
    }
}
