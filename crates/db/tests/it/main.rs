//! The doors and the walls, on a real server.
#![allow(clippy::allow_attributes, reason = "not every file trips every lint")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod catalogue;
mod doors;
mod filters;
mod mailboxes;
