//! What every service is built on: configuration, telemetry, life cycle, the conventions of our
//! HTTP doors, and the one factory of outgoing HTTP clients.
//!
//! Nothing here knows a business rule, a table or a queue.
#![warn(missing_docs)]

pub mod config;
pub mod error;
pub mod health;
pub mod http;
pub mod http_client;
pub mod lifecycle;
pub mod openapi;
pub mod pages;
pub mod server;
pub mod telemetry;

pub use error::{ApiError, FieldErrors};
