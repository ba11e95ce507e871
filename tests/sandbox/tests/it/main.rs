//! The sandbox from outside: real HTTP on a free port, webhooks received by a small server.
#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod control;
mod genesys_api;
mod graph_errors;
mod graph_inbound;
mod graph_limits;
mod graph_media;
mod graph_signup;
mod graph_templates;
mod graph_types;
mod graph_webhooks;
mod magic;
mod sign_in;
mod support;
