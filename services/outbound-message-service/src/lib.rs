//! outbound-message-service: accepts messages durably, sends them through the organization's
//! WhatsApp Business Account, and follows them by Meta's webhooks.
//!
//! It owns messages, their attempts and history, idempotency keys, holds and the webhook intake. A
//! 202 means that the message is committed; from then on it is sent at most once, and it ends in a
//! state that can be seen.
#![recursion_limit = "256"] // of types: what a request waits for is nested deeply
#![warn(missing_docs)]

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
