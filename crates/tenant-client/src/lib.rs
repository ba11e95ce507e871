//! Typed client of tenant-service, with a memory.
//!
//! Answers are remembered for half a minute, so that sign-ins and sends do not wait for
//! tenant-service; while it cannot be reached, what it last said holds for up to an hour
//! ([`CachePolicy`]). [`ForgetTenant`], subscribed to [`change_queue`], makes
//! changes take effect at once.
//!
//! Tokens arrive sealed and stay sealed here: the caller opens
//! [`WhatsAppProfile::sealed_access_token`] with the vault, bound to table
//! `tenant_whatsapp_config`, column `access_token`, the tenant and `credential_row_id`.

#![warn(missing_docs)]

mod client;
mod error;
mod freshness;
mod memory;
mod model;

pub use client::{InvalidBaseUrl, TenantClient};
pub use error::TenantClientError;
pub use freshness::{ForgetTenant, change_queue};
pub use memory::CachePolicy;
pub use model::{
    GenesysProfile, RoleMapping, SealedClient, SendingProfile, TenantRecord, TenantStatus,
    TokenStatus, WhatsAppProfile,
};
