//! Events between services, over RabbitMQ.
//!
//! A change and the event that tells of it are committed together ([`outbox_event`] makes the row);
//! [`Relay`] publishes what is committed, at least once and in order for each subject;
//! [`Consumers`] hands deliveries to a [`Handler`] and acknowledges them after it is done.
#![warn(missing_docs)]

pub mod asyncapi;
mod broker;
pub mod catalogue;
mod consumer;
mod dead_letter;
mod envelope;
mod publisher;
mod relay;
pub mod topology;
mod work;

pub use broker::{BrokerOptions, BrokerState};
pub use consumer::{Consumers, Delivery, Handled, Handler};
pub use dead_letter::{DeadLetter, DeadLetters};
pub use envelope::{Envelope, EventContext, Source, outbox_event, outbox_work};
pub use relay::{Relay, RelayWaker};
