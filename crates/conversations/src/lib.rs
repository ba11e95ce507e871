//! The conversations of an organization, as they follow from message events: for the service that
//! keeps them and for the operator who makes them anew.
//!
//! What is known of a conversation is a function of the set of its messages, of the links between
//! its contact's identities, and of what people did with it. Events may come in any order and number:
//! each is a [`Fact`], and facts about one message are merged ([`Entry`]) without regard to order.
//!
//! Whoever changes something locks in one order: messages that we sent, the tenant's links,
//! identities, conversations.
#![warn(missing_docs)]

mod apply;
mod contacts;
mod entry;
mod erase;
mod fact;
mod hold;
mod identity;
mod merge;
mod preview;
mod rebuild;
mod rows;
mod separate;
mod state;
mod words;

pub use apply::{Applied, Touched, apply};
pub use entry::{Entry, Evidence, Status};
pub use erase::{Counts, Extent, aged_identities, count_of, erase, export, identities_of};
pub use fact::{Fact, Message, Person, Report, UnplacedFact, What};
pub use hold::{Cause, Doing, End};
pub use identity::Identity;
pub use merge::Merged;
pub use preview::preview;
pub use rebuild::{Difference, Pass, Step, count, rebuild};
pub use rows::{ConversationRow, lock_conversation};
pub use separate::{Separated, SeparationError, separate};
pub use state::{ReopenAs, refresh, settings};
pub use words::Search;
