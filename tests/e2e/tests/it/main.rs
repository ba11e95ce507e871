//! The three services together, as one installation: real PostgreSQL, RabbitMQ and Redis; Genesys Cloud
//! and the Graph API are the sandbox.
#![recursion_limit = "256"] // of types: what a service waits for is nested deeply
#![allow(clippy::allow_attributes, reason = "not every file trips every lint")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod beside_legacy;
mod canaries;
mod conversations;
mod doors;
mod foreign_ids;
mod main_job;
mod migrated;
mod operator;
mod rabbitmq;
mod redis;
mod suspension;
mod walk;
