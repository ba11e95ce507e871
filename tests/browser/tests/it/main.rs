//! A real browser over the whole system: the dashboard, the portal, and what stands in for Genesys and
//! Meta.
#![recursion_limit = "256"] // of types: what a service waits for is nested deeply
#![allow(clippy::allow_attributes, reason = "not every file trips every lint")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod accessibility;
mod chrome;
mod gateway;
mod walk;
