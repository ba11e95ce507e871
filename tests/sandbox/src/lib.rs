//! Stand-ins for Genesys Cloud and the Meta Graph API, for development and tests only.
//!
//! One HTTP server plays both vendors: the Genesys login and platform hosts, and the Graph API
//! with signed status webhooks. It is faithful to the vendors' documents, not to our code, and
//! depends on none of our crates, so that it can find our mistakes. Everything lives in memory.
//! `docs/sandbox.md` describes seeds, magic numbers and control endpoints.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use portal_sandbox::{Sandbox, SandboxConfig};
//!
//! let sandbox = Sandbox::start(SandboxConfig::default())?;
//! sandbox.set_webhook_url(Some("http://127.0.0.1:3008/webhooks/whatsapp".parse()?));
//! // ... call sandbox.base_url() ...
//! assert!(sandbox.journal().graph_messages().is_empty());
//! sandbox.stop().await;
//! # Ok(())
//! # }
//! ```

mod body;
pub mod config;
mod control;
mod crypto;
mod genesys;
mod graph;
mod http;
pub mod journal;
mod links;
mod state;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use anyhow::Context;
use tokio::task::JoinHandle;
use url::Url;

pub use self::body::Body;
pub use self::config::{Outage, PayloadVersion, SandboxConfig, StatusDelays, WebhookSettings};
pub use self::control::{TemplateChange, UserChange};
pub use self::genesys::world::{ClientKind, OAuthClient, Org, User};
pub use self::graph::faults::{Batch, Faults, Latency, NextError};
pub use self::graph::inbound::{Inbound, InboundMedia, Received};
pub use self::graph::magic::{MAGIC_NUMBERS, MagicNumber, magic_recipient};
pub use self::graph::pacing::{NumberPacing, Pacing};
pub use self::graph::templates::Template;
pub use self::graph::world::{GraphToken, NewWaba, Phone, TokenState, Waba};
use self::graph::world::{MANAGEMENT, MESSAGING};
pub use self::journal::{Entry, Filter, GraphCall, Journal, Kind, SendRecord};
use self::state::State;

/// What exists at the start, by name.
pub mod seed {
    pub use crate::genesys::seed::*;
    pub use crate::graph::seed::*;
}

/// Name of the login cookie of the Genesys side.
pub const LOGIN_COOKIE: &str = genesys::LOGIN_COOKIE;

/// Longest request body.
const BODY_LIMIT: usize = 128 * 1024 * 1024;
/// Longer than common HTTP clients keep idle connections, so that it is never the sandbox that
/// closes one just as a request is written to it.
const KEEP_ALIVE: Duration = Duration::from_mins(5);

/// A running sandbox. Call [`Sandbox::stop`] at the end.
pub struct Sandbox {
    state: Arc<State>,
    address: SocketAddr,
    handle: ServerHandle,
    server: JoinHandle<std::io::Result<()>>,
}

impl Sandbox {
    /// Starts serving; must be called inside the tokio runtime that is to carry it.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub fn start(config: SandboxConfig) -> anyhow::Result<Self> {
        let (bind, workers) = (config.bind, config.workers.max(1));
        let state = Arc::new(State::new(config)?);
        let data = web::Data::from(Arc::clone(&state));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::clone(&data))
                .app_data(web::PayloadConfig::new(BODY_LIMIT))
                .default_service(web::to(http::entry))
        })
        .on_connect(http::remember_socket)
        .workers(workers)
        .keep_alive(KEEP_ALIVE)
        // A pooled connection may be opened long before its first request.
        .client_request_timeout(Duration::ZERO)
        .shutdown_timeout(1)
        .disable_signals()
        .bind(bind)
        .with_context(|| format!("binding {bind}"))?;
        let address = *server
            .addrs()
            .first()
            .context("the server has no address")?;
        let server = server.run();
        let handle = server.handle();
        Ok(Self {
            state,
            address,
            handle,
            server: tokio::spawn(server),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`; login host, API host and Graph host in one.
    pub fn base_url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        format!("http://{address}")
    }

    /// All calls so far.
    pub fn journal(&self) -> &Journal {
        &self.state.journal
    }

    /// Where status webhooks go; none ends them.
    pub fn set_webhook_url(&self, url: Option<Url>) {
        self.state
            .change_settings(|settings| settings.webhook.url = url);
    }

    /// Changes any part of the webhook settings.
    pub fn change_webhook(&self, change: impl FnOnce(&mut WebhookSettings)) {
        self.state
            .change_settings(|settings| change(&mut settings.webhook));
    }

    /// Changes any part of the Genesys settings.
    pub fn change_genesys(&self, change: impl FnOnce(&mut config::GenesysSettings)) {
        self.state
            .change_settings(|settings| change(&mut settings.genesys));
    }

    /// Changes any part of the Graph settings.
    pub fn change_graph(&self, change: impl FnOnce(&mut config::GraphSettings)) {
        self.state
            .change_settings(|settings| change(&mut settings.graph));
    }

    /// Takes the Genesys side down or up.
    pub fn set_genesys_outage(&self, outage: Outage) {
        self.change_genesys(|genesys| genesys.outage = outage);
    }

    /// Takes the Graph side down or up.
    pub fn set_graph_outage(&self, outage: Outage) {
        self.change_graph(|graph| graph.outage = outage);
    }

    /// Added before every Graph answer.
    pub fn set_graph_latency(&self, latency: Duration) {
        self.change_graph(|graph| graph.latency = latency);
    }

    /// Revokes, expires or restores a Graph token given by name or value; false when unknown.
    pub fn set_graph_token(&self, which: &str, state: TokenState) -> bool {
        self.state.graph().set_token_state(which, state)
    }

    /// Ends a user's Genesys tokens; false when there is no such user.
    pub fn revoke_genesys_tokens(&self, email: &str) -> bool {
        control::revoke_user(&self.state, email).is_some()
    }

    /// Adds or replaces an organization.
    pub fn add_org(&self, org: Org) {
        control::put_org(&self.state, org);
    }

    /// Adds or replaces a user; false when the organization is unknown.
    pub fn add_user(&self, user: User) -> bool {
        control::put_user(&self.state, user).is_ok()
    }

    /// Changes a user given by id or e-mail; false when unknown.
    pub fn change_user(&self, which: &str, change: UserChange) -> bool {
        control::update_user(&self.state, which, change).is_some()
    }

    /// Adds or replaces an OAuth client; false when the organization is unknown.
    pub fn add_oauth_client(&self, client: OAuthClient) -> bool {
        control::put_client(&self.state, client).is_ok()
    }

    /// Adds or replaces a business account and its token.
    pub fn add_waba(&self, new: NewWaba) {
        self.state.graph().put_waba(new);
    }

    /// A code as Embedded Signup gives it to the browser, for an account that exists: to be
    /// exchanged once, within its lifetime.
    pub fn signup_code(&self, waba_id: &str) -> String {
        self.signup_code_with_scopes(waba_id, &[MANAGEMENT, MESSAGING])
    }

    /// As [`Sandbox::signup_code`], where the person granted only these permissions.
    pub fn signup_code_with_scopes(&self, waba_id: &str, scopes: &[&str]) -> String {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        graph::signup::make_code(&mut self.state.graph(), waba_id, scopes)
    }

    /// Ends the life of all codes of Embedded Signup.
    pub fn expire_signup_codes(&self) {
        graph::signup::expire_codes(&mut self.state.graph());
    }

    /// A business account as it is now.
    pub fn waba(&self, id: &str) -> Option<Waba> {
        let world = self.state.graph();
        world.wabas.iter().find(|waba| waba.id == id).cloned()
    }

    /// A token as it is now, by its name.
    pub fn token(&self, name: &str) -> Option<GraphToken> {
        let world = self.state.graph();
        world
            .tokens
            .iter()
            .rev()
            .find(|token| token.name == name)
            .cloned()
    }

    /// A number as it is now.
    pub fn phone(&self, id: &str) -> Option<Phone> {
        self.state.graph().phone_mut(id).cloned()
    }

    /// Changes a number; false when there is none with this id.
    pub fn change_phone(&self, id: &str, change: impl FnOnce(&mut Phone)) -> bool {
        self.state.graph().phone_mut(id).map(change).is_some()
    }

    /// The templates of an account as they are now.
    pub fn templates(&self, waba_id: &str) -> Vec<Template> {
        let world = self.state.graph();
        let own = world
            .templates
            .iter()
            .filter(|have| have.waba_id == waba_id);
        own.cloned().collect()
    }

    /// Changes faults that happen by chance.
    pub fn change_faults(&self, change: impl FnOnce(&mut Faults)) {
        self.change_graph(|graph| change(&mut graph.faults));
    }

    /// Changes Meta's limits.
    pub fn change_pacing(&self, change: impl FnOnce(&mut Pacing)) {
        self.change_graph(|graph| change(&mut graph.pacing));
    }

    /// Lets the next calls that fit end with this error.
    pub fn order_error(&self, order: NextError) {
        self.state.orders().add(order);
    }

    /// A person sends a message to a number.
    ///
    /// # Errors
    ///
    /// When the number is unknown or the message names no person.
    pub fn receive(&self, message: Inbound) -> anyhow::Result<Received> {
        graph::inbound::receive(&self.state, message, None).map_err(anyhow::Error::msg)
    }

    /// Sends a signed webhook with this value for a field of an account.
    pub fn emit_webhook(&self, waba_id: &str, field: &str, value: &serde_json::Value) {
        graph::webhooks::emit(&self.state, waba_id, field, value);
    }

    /// Changes a template given by id or name, with its webhooks; how many versions it had.
    pub fn change_template(&self, which: &str, change: &TemplateChange) -> usize {
        control::change_template(&self.state, which, change)
    }

    /// When a token given by name or value ends, in Unix seconds; false when there is none.
    pub fn set_token_expiry(&self, which: &str, expires_at: Option<i64>) -> bool {
        self.state.graph().set_expiry(which, expires_at)
    }

    /// Whether sends and webhooks are entered in the journal in full.
    pub fn set_journal_detail(&self, detail: bool) {
        self.state
            .change_settings(|settings| settings.journal_detail = detail);
    }

    /// Accepted, limited and refused sends by number and second, as `GET /control/stats` has them.
    pub fn stats(&self) -> serde_json::Value {
        self.state.limiter().stats(None, usize::MAX)
    }

    /// Lets the Graph calls whose path ends with one of these words answer 503.
    pub fn set_failing_graph_edges(&self, edges: &[&str]) {
        let failing = edges.iter().map(|edge| (*edge).to_owned()).collect();
        self.change_graph(|graph| graph.failing = failing);
    }

    /// Webhooks that are waiting, under way or waiting for another try.
    pub fn webhooks_under_way(&self) -> usize {
        self.state.background_tasks()
    }

    /// Back to the state at the start.
    pub fn reset(&self) {
        self.state.reset();
    }

    /// Closes the door, drops the webhooks that are under way, and waits for both.
    pub async fn stop(self) {
        self.handle.stop(false).await;
        self.state.stop_tasks().await;
        match self.server.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the server ended badly"),
            Err(error) => tracing::warn!(%error, "the server task failed"),
        }
    }
}
