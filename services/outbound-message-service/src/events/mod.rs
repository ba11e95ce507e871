//! What the service tells and what it listens to.

pub(crate) mod commands;
pub(crate) mod consumers;
pub(crate) mod produced;

use portal_events::Source;

/// Who publishes.
pub(crate) const SOURCE: Source = Source {
    role: "outbound_message_service",
    uri: "/services/outbound-message-service",
};

/// The routing key of the hint that a number has something to send.
pub(crate) const DELIVER: &str = "message.deliver";
