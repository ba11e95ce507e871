//! `WhatsApp` Business Platform, Cloud API: sending, errors, webhooks.
//!
//! * [`GraphClient`] makes exactly one HTTP request per call and never repeats one: the API has no
//!   idempotency key, so a second request is a second message.
//! * [`SendError`] says whether the message may have been accepted ([`Outcome`]) and what the
//!   answer means ([`ErrorClass`]); what to do about it is decided by the caller.
//! * [`callback`] makes the note that comes back in status webhooks, by which a message whose
//!   answer was lost is found again.
//! * [`webhook`] checks signatures and reads notifications without ever failing on what it does
//!   not know.
//! * [`TemplateNode`] is a message template as Meta lists it.
//! * [`media`] is about files: they are streamed, and no token goes to a host that is not listed.
//! * [`MetaApp`] and [`Caller`] set an account up: tokens, numbers, subscriptions, registration.
//!
//! Facts about the API are from Meta's Cloud API documentation as of the second half of 2026.

#![warn(missing_docs)]

mod answer;
pub mod callback;
mod class;
mod client;
mod error;
pub mod media;
pub mod message;
mod onboarding;
mod templates;
pub mod webhook;

pub use class::{CodeRule, ERROR_CODES, ErrorClass};
pub use client::{Accepted, DEFAULT_VERSION, GraphClient, InvalidBaseUrl, PhoneNumberProfile};
pub use error::{Outcome, SendError};
pub use message::{Content, MAX_TEXT_CHARS, OutboundMessage, Raw, Recipient, RecipientType, Text};
pub use onboarding::{Caller, MANAGEMENT_SCOPE, MESSAGING_SCOPE, MetaApp, TokenInfo};
pub use templates::{TemplateNode, TemplatePage};
