//! tenant-service owns tenants: their master data, their Genesys organization, their WhatsApp
//! configuration, and the platform administrators who look after them.
//!
//! It promises that
//! - a tenant is found by its Genesys organization and by nothing else;
//! - a WhatsApp token goes in and never comes out: it is sealed for the row that holds it, and only
//!   services that hold the same vault keys can open it;
//! - every change is an event, committed with the change, and an entry of the audit log;
//! - suspending or deleting a tenant ends its people's sessions at once.

pub mod app;
pub mod config;
pub mod error;
pub mod routes;

mod domain;
mod events;
mod jobs;
mod state;
mod store;
mod usecases;

/// The service's name in health, logs and traces.
pub const SERVICE: &str = "tenant-service";
/// Begins the service's environment variables.
pub const ENV_PREFIX: &str = "TENANT_SERVICE";
/// The service's database role, which outbox and audit rows carry.
pub(crate) const ROLE: &str = "tenant_service";
