//! tenant-service owns tenants: their master data, their Genesys organization, their WhatsApp
//! configuration, and the platform administrators who look after them.
//!
//! It promises that
//! - a tenant is found by its Genesys organization and by nothing else;
//! - a WhatsApp token goes in and never comes out: it is sealed for the row that holds it, and only
//!   services that hold the same vault keys can open it;
//! - every change is an event, committed with the change, and an entry of the audit log;
//! - suspending or deleting a tenant ends its people's sessions at once.
#![recursion_limit = "256"] // of types: what a login waits for is nested deeply

mod app;
pub mod config;
mod domain;
mod error;
mod events;
mod jobs;
pub mod routes;
mod state;
mod store;
mod usecases;

pub use app::App;
pub use config::Settings;

/// The service's name in health, logs and traces.
pub const SERVICE: &str = "tenant-service";
/// Begins the service's environment variables.
pub const ENV_PREFIX: &str = "TENANT_SERVICE";
/// The service's database role, which outbox and audit rows carry.
pub(crate) const ROLE: &str = "tenant_service";
