//! The Graph client against a server that answers, lies and breaks off; webhooks as Meta shows
//! them.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod contents;
#[expect(dead_code, reason = "three crates share it, none needs all of it")]
mod fake;
mod media;
mod onboarding;
mod sandbox;
mod send;
mod webhook;
