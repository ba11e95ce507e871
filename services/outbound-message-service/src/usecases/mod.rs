//! What the service does, whatever the way in: HTTP, a delivery from the broker, a timer.

pub(crate) mod accept_batch;
pub(crate) mod accept_message;
pub(crate) mod account;
pub(crate) mod admission;
pub(crate) mod amend_message;
pub(crate) mod change_state;
pub(crate) mod check_numbers;
pub(crate) mod dead_letters;
pub(crate) mod dispatch;
pub(crate) mod erasures;
pub(crate) mod get_message;
pub(crate) mod hints;
pub(crate) mod list_messages;
pub(crate) mod mark_read;
pub(crate) mod media;
pub(crate) mod policies;
pub(crate) mod preflight;
pub(crate) mod preview;
pub(crate) mod read_received;
pub(crate) mod requeue;
pub(crate) mod scheduled;
pub(crate) mod sweep;
pub(crate) mod templates;
pub(crate) mod token_health;
pub(crate) mod webhook_secrets;
pub(crate) mod webhooks;
