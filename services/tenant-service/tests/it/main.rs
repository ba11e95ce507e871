//! tenant-service on real PostgreSQL, RabbitMQ and Redis, spoken to over HTTP.
#![recursion_limit = "256"] // of types: what a service waits for is nested deeply
#![allow(
    clippy::allow_attributes,
    reason = "the switches for tests do not reach helpers"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod admin_login;
mod admin_sessions;
mod admin_totp;
mod api_keys;
mod audit;
mod authz_matrix;
mod dashboard;
mod events;
mod genesys_credentials;
mod import;
mod isolation;
mod lookup;
mod openapi;
mod settings;
mod start;
mod tenants;
mod token_watch;
mod whatsapp;
mod whatsapp_signup;
mod whatsapp_verify;
mod world;
