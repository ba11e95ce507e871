//! outbound-message-service over HTTP, on real PostgreSQL, RabbitMQ and Redis; Meta is the sandbox,
//! and a small server stands for its two sister services.
#![recursion_limit = "256"] // of types: what a service waits for is nested deeply
#![allow(clippy::allow_attributes, reason = "not every file trips every lint")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod accept;
mod acceptance_faults;
mod accepting;
mod accounts;
mod amend;
mod amend_content;
mod api_keys;
mod authentication;
mod commands;
mod crash;
mod dead_letters;
mod deliver;
mod dispatch;
mod erasures;
mod evidence;
mod inbound;
mod mark_read;
mod marketing;
mod media;
mod media_sending;
mod message_list;
mod message_trace;
mod message_types;
mod meta;
mod meta_errors;
mod openapi;
mod operations;
mod own_app;
mod policy;
mod sisters;
mod templates;
mod walls;
mod webhooks;
mod windows;
mod worker;
mod world;
