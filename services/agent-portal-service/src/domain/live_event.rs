//! What browsers are told as it happens.

use chrono::{DateTime, Utc};
use portal_types::{Role, UserId};

/// Whom an event is for, within its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// One person.
    User(UserId),
    /// Everybody with this role or a higher one.
    AtLeast(Role),
    /// One person, and everybody with this role, which is more than an agent's, or a higher one.
    UserOrAtLeast(UserId, Role),
}

impl Audience {
    /// Whether a person belongs to it.
    pub(crate) fn includes(self, user: UserId, role: Role) -> bool {
        match self {
            Self::User(only) => only == user,
            Self::AtLeast(least) => role >= least,
            Self::UserOrAtLeast(also, least) => also == user || role >= least,
        }
    }
}

/// An event.
#[derive(Debug, Clone)]
pub(crate) struct LiveEvent {
    /// Its place among the events of the tenant.
    pub(crate) seq: i64,
    pub(crate) audience: Audience,
    /// Such as `user_sync.progress`.
    pub(crate) kind: String,
    pub(crate) data: serde_json::Value,
    pub(crate) created_at: DateTime<Utc>,
}

/// How far a browser has read: `<milliseconds>-<seq>`. The time tells whether what came since is
/// still kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId {
    pub(crate) millis: i64,
    pub(crate) seq: i64,
}

impl EventId {
    /// Reads `Last-Event-ID`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (millis, seq) = text.trim().split_once('-')?;
        Some(Self {
            millis: millis.parse().ok()?,
            seq: seq.parse().ok()?,
        })
    }
}

impl LiveEvent {
    /// The event as the stream writes it.
    pub(crate) fn to_frame(&self) -> String {
        format!(
            "id: {}-{}\nevent: {}\ndata: {}\n\n",
            self.created_at.timestamp_millis(),
            self.seq,
            self.kind,
            self.data
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_for_one_person_or_for_those_who_may() {
        let (mine, other) = (UserId::generate(), UserId::generate());
        for (audience, role, expected) in [
            (Audience::User(mine), Role::Agent, true),
            (Audience::User(other), Role::Admin, false),
            (Audience::AtLeast(Role::Supervisor), Role::Agent, false),
            (Audience::AtLeast(Role::Supervisor), Role::Admin, true),
            (
                Audience::UserOrAtLeast(mine, Role::Supervisor),
                Role::Agent,
                true,
            ),
            (
                Audience::UserOrAtLeast(other, Role::Supervisor),
                Role::Agent,
                false,
            ),
            (
                Audience::UserOrAtLeast(other, Role::Supervisor),
                Role::Supervisor,
                true,
            ),
        ] {
            assert_eq!(
                audience.includes(mine, role),
                expected,
                "{audience:?} {role}"
            );
        }
    }

    #[test]
    fn frames_are_one_line_of_data_and_ids_come_back() {
        let event = LiveEvent {
            seq: 7,
            audience: Audience::AtLeast(Role::Agent),
            kind: "user.updated".to_owned(),
            data: serde_json::json!({"text": "two\nlines"}),
            created_at: DateTime::from_timestamp_millis(1_700_000_000_123).unwrap(),
        };
        assert_eq!(
            event.to_frame(),
            "id: 1700000000123-7\nevent: user.updated\ndata: {\"text\":\"two\\nlines\"}\n\n"
        );
        let id = EventId::parse("1700000000123-7").unwrap();
        assert_eq!((id.millis, id.seq), (1_700_000_000_123, 7));
        assert_eq!(EventId::parse("7"), None);
    }
}
