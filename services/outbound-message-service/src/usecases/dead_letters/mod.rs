//! Dead letters: failed messages and deliveries that no handler took, in one list.

mod keep;
mod look;
mod settle;
mod tidy;

pub(crate) use keep::LetterKeeper;
pub(crate) use look::{find_letter, list_letters};
pub(crate) use settle::{
    BulkReplay, Discarded, LetterError, MOST_REPLAYS, Replayed, discard_letter, replay_letter,
    replay_many,
};
pub(crate) use tidy::tidy_letters;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::store::{dead_letters::LetterRow, messages::MessageRow};

/// A dead letter of either source.
pub(crate) enum Letter {
    Message {
        row: Box<MessageRow>,
        discarded_at: Option<DateTime<Utc>>,
    },
    Delivery(Box<LetterRow>),
}

impl Letter {
    pub(crate) const fn id(&self) -> Uuid {
        match self {
            Self::Message { row, .. } => row.message_id,
            Self::Delivery(row) => row.dead_letter_id,
        }
    }
}
