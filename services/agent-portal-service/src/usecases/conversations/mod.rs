//! Conversations: kept from events, worked on by people, shown.

mod balance;
mod change;
mod genesys;
mod intake;
mod routing;
mod show;
mod tell;

use std::sync::Arc;

use portal_conversations::ConversationRow;
use portal_db::{Db, DbError};
use portal_events::RelayWaker;
use portal_types::Clock;

pub(crate) use balance::Asked;
pub(crate) use change::{Request, release_all_of};
pub(crate) use genesys::{GenesysError, Routed};
pub(crate) use intake::{Event, Intake};
pub(crate) use routing::RulesChange;
pub(crate) use show::{History, Page};

use crate::{store::conversations::PersonRow, usecases::live_feed::FeedWaker};

/// Why a conversation was not shown or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConversationError {
    #[error("there is no such conversation, as far as this person may know")]
    Unknown,
    #[error("somebody holds it")]
    AlreadyAssigned(Box<Present>),
    #[error("it has changed since the caller looked")]
    Stale(Box<Present>),
    #[error("nobody holds it")]
    NotAssigned,
    #[error("it is closed")]
    Closed,
    #[error("Genesys' routing is the master of assignments")]
    RoutedByGenesys,
    #[error("the conversation has no such message")]
    UnknownMessage,
    #[error("the tenant has no such person")]
    UnknownPerson,
    #[error("the person is switched off")]
    PersonInactive,
    #[error(transparent)]
    Db(#[from] DbError),
}

/// How a conversation stands, for whoever thought otherwise.
#[derive(Debug)]
pub(crate) struct Present {
    pub(crate) row: ConversationRow,
    pub(crate) holder: Option<PersonRow>,
}

/// Keeps, changes and shows conversations.
#[derive(Clone)]
pub(crate) struct Conversations {
    pub(crate) db: Db,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) waker: RelayWaker,
    pub(crate) asked: Asked,
    pub(crate) feed_waker: FeedWaker,
}
