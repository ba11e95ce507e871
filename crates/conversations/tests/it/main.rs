//! Against a real PostgreSQL.
#![allow(clippy::allow_attributes, reason = "not every file trips every lint")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod contacts;
mod model;
mod rebuild;
mod reports;
mod world;
