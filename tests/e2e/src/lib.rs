//! An installation in one process, for the tests of the whole system: see `tests/it`, and
//! `tests/browser`.
#![recursion_limit = "256"] // of types: what a service waits for is nested deeply
#![allow(clippy::allow_attributes, reason = "not every file trips every lint")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

pub mod browser;
pub mod installation;
