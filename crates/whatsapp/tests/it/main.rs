//! The Graph client against a server that answers, lies and breaks off; webhooks as Meta shows
//! them.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod fake;
mod send;
mod webhook;
