//! Faults on purpose (the fault matrix), under load, with one judge: nothing accepted is lost, nothing
//! is sent twice, order holds, and nothing crosses from one tenant to another.
//!
//! `make test` runs the short form; `make chaos` runs each case for `CHAOS_SECONDS`. A seed is printed
//! by a case that fails; `CHAOS_SEED` runs it again.
#![recursion_limit = "256"] // of types: what a service waits for is nested deeply
#![allow(clippy::allow_attributes, reason = "not every file trips every lint")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod broker;
mod checker;
mod database;
mod generator;
mod graph;
mod kills;
mod redis;
mod stage;
mod tenants;
mod webhooks;

// What the other test binary has, too: not all of it is used here.
#[path = "../it/sisters.rs"]
#[allow(dead_code, reason = "see above")]
mod sisters;
#[path = "../it/world.rs"]
#[allow(dead_code, reason = "see above")]
mod world;
