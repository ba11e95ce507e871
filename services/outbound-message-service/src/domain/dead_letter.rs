//! Dead letters: messages that failed, and deliveries of the broker that no handler took.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};
use utoipa::ToSchema;

/// What a dead letter is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum LetterSource {
    /// A message that failed; its id is the message's.
    Message,
    /// A delivery of the broker that no handler took.
    Queue,
}

/// Where a dead letter stands. A message that is sent again is no dead letter any more.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum LetterState {
    /// Nobody has decided on it.
    #[default]
    Open,
    /// A delivery was given back to its queue.
    Replayed,
    /// It was put aside.
    Discarded,
}

impl LetterState {
    /// The state as the database writes it.
    pub(crate) fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Which dead letters.
#[derive(Debug, Clone, Default)]
pub(crate) struct LetterFilter {
    /// Both when not given.
    pub(crate) source: Option<LetterSource>,
    pub(crate) state: LetterState,
    /// The error's class; messages only.
    pub(crate) class: Option<String>,
    /// Meta's error code; messages only.
    pub(crate) code: Option<i64>,
    /// Accepted or received from this moment on.
    pub(crate) since: Option<DateTime<Utc>>,
    /// Accepted or received before this moment.
    pub(crate) until: Option<DateTime<Utc>>,
}

impl LetterFilter {
    /// Whether failed messages are asked for.
    pub(crate) fn wants_messages(&self) -> bool {
        self.source != Some(LetterSource::Queue) && self.state != LetterState::Replayed
    }

    /// Whether deliveries are asked for: they have no class and no code.
    pub(crate) fn wants_deliveries(&self) -> bool {
        self.source != Some(LetterSource::Message) && self.class.is_none() && self.code.is_none()
    }
}
