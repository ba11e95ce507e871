//! agent-portal-service over HTTP, on real PostgreSQL, RabbitMQ and Redis; Genesys is the sandbox,
//! and a small server stands for tenant-service.
#![recursion_limit = "256"] // of types: what a service waits for is nested deeply
#![allow(clippy::allow_attributes, reason = "not every file trips every lint")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod access;
mod browser;
mod conversation_list;
mod conversations;
mod directory;
mod erasures;
mod event_stream;
mod genesys_routing;
mod live_feed;
mod openapi;
mod operations;
mod people;
mod placeholders;
mod portal;
mod process;
mod profile;
mod recheck;
mod refresh;
mod refusals;
mod routing;
mod sessions;
mod sign_in;
mod sync;
mod tenant_rules;
mod walls;
mod world;
