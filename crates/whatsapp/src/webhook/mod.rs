//! What Meta tells us: signatures and notifications.
//!
//! Check [`signature::verify`] on the raw bytes before [`Notification::parse`], store, answer 200,
//! and work later. Notifications come more than once, in any order, late by up to 7 days, and as
//! many as 1,000 in one body (Cloud API, "Webhooks").

mod account;
mod inbound;
mod notification;
pub mod signature;
mod status;
mod template;

pub use account::{AccountChange, Preference, waba_of};
pub use inbound::{IdentityChange, InboundMessage, Person, UserCall};
pub use notification::{Change, ChangeValue, Entry, MessagesValue, NotANotification, Notification};
pub use status::{Status, StatusKind, WebhookError};
pub use template::{TemplateChange, TemplateUpdate};
