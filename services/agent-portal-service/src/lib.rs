//! agent-portal-service owns people and their sessions: it signs them in through Genesys Cloud,
//! provisions them by their Genesys organization, issues the access tokens that every service
//! takes, and serves the agent portal's pages.
//!
//! It promises that
//! - a person belongs to the tenant of their Genesys organization, and to no other;
//! - tokens of Genesys never leave it, and lie in the database only sealed;
//! - a session that was ended is refused at once, by every replica of every service;
//! - every change is an event, committed with the change, and every refusal of a known person an
//!   entry of the audit log.
#![recursion_limit = "256"] // of types: what a request waits for is nested deeply

pub mod app;
pub mod config;
pub mod routes;

mod domain;
mod error;
mod events;
mod jobs;
mod state;
mod store;
mod usecases;

pub use app::App;
pub use config::Settings;

/// The service's name in health, logs and traces.
pub const SERVICE: &str = "agent-portal-service";
/// Begins the service's environment variables.
pub const ENV_PREFIX: &str = "AGENT_PORTAL";
/// The service's database role, which outbox and audit rows carry.
pub(crate) const ROLE: &str = "agent_portal_service";
