//! What browsers are told as it happens.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use portal_types::{Role, UserId};
use serde_json::Value;

/// The event that tells a person of their own name, role and whether they may sign in.
pub(crate) const PERSON_UPDATED: &str = "user.updated";

/// Whom an event is for, within its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// One person.
    User(UserId),
    /// Everybody with this role or a higher one.
    AtLeast(Role),
    /// One person, and everybody with this role, which is more than an agent's, or a higher one.
    UserOrAtLeast(UserId, Role),
    /// One agent, who sees a conversation no more.
    LostBy(UserId),
    /// All agents but this one, who see a conversation no more.
    LostByOthers(UserId),
}

impl Audience {
    /// Whether a person belongs to it.
    pub(crate) fn includes(self, user: UserId, role: Role) -> bool {
        match self {
            Self::User(only) => only == user,
            Self::AtLeast(least) => role >= least,
            Self::UserOrAtLeast(also, least) => also == user || role >= least,
            Self::LostBy(loser) => role == Role::Agent && loser == user,
            Self::LostByOthers(keeper) => role == Role::Agent && keeper != user,
        }
    }
}

/// An event as a change adds it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewLiveEvent<'a> {
    pub(crate) audience: Audience,
    /// Such as `user_sync.progress`.
    pub(crate) kind: &'a str,
    pub(crate) data: &'a Value,
}

/// A place among the events of a tenant: that of its event with this number, or the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// 1 is the first event.
    pub(crate) sequence: i64,
    /// When the number was given. Another tenant, or a restored database, has other events with the
    /// same numbers.
    pub(crate) numbered_at: DateTime<Utc>,
}

/// How a person's role and right to sign in have become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) role: Role,
    pub(crate) is_active: bool,
}

/// An event with its number.
#[derive(Debug, Clone)]
pub(crate) struct LiveEvent {
    pub(crate) place: Place,
    pub(crate) audience: Audience,
    /// What follows the id in the stream.
    frame: Arc<str>,
    standing: Option<Standing>,
}

impl LiveEvent {
    pub(crate) fn new(place: Place, audience: Audience, kind: &str, data: &Value) -> Self {
        Self {
            place,
            audience,
            frame: format!("event: {kind}\ndata: {data}\n\n").into(),
            standing: (kind == PERSON_UPDATED).then(|| standing(data)).flatten(),
        }
    }

    /// Writes the event as the stream has it for somebody of this role.
    pub(crate) fn write_frame(&self, role: Role, out: &mut String) {
        EventId {
            place: self.place,
            role,
        }
        .write_line(out);
        out.push_str(&self.frame);
    }

    /// How the person stands whom the event is for, if it tells that.
    pub(crate) fn standing(&self) -> Option<Standing> {
        self.standing
    }
}

fn standing(data: &Value) -> Option<Standing> {
    Some(Standing {
        role: data["role"].as_str()?.parse().ok()?,
        is_active: data["is_active"].as_bool().unwrap_or(true),
    })
}

/// How far somebody has read, and with which rights: `<sequence>-<microseconds>-<role>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId {
    pub(crate) place: Place,
    pub(crate) role: Role,
}

impl EventId {
    /// Reads `Last-Event-ID`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().splitn(3, '-');
        let sequence = parts.next()?.parse().ok().filter(|number| *number >= 0)?;
        let micros = parts.next()?.parse().ok()?;
        Some(Self {
            place: Place {
                sequence,
                numbered_at: DateTime::from_timestamp_micros(micros)?,
            },
            role: parts.next()?.parse().ok()?,
        })
    }

    /// Writes the line that browsers remember, with its end.
    pub(crate) fn write_line(self, out: &mut String) {
        out.push_str("id: ");
        out.push_str(&self.to_string());
        out.push('\n');
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = self.place.numbered_at.timestamp_micros();
        write!(f, "{}-{micros}-{}", self.place.sequence, self.role)
    }
}

/// Why somebody has to begin anew with a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reset {
    /// What came since is not kept any more.
    Expired,
    /// The place is none of this tenant's events.
    Unknown,
    /// The person sees more or less than before.
    RoleChanged,
}

impl Reset {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Unknown => "unknown",
            Self::RoleChanged => "role_changed",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn place() -> Place {
        Place {
            sequence: 7,
            numbered_at: DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(),
        }
    }

    #[test]
    fn an_event_is_for_one_person_or_for_those_who_may() {
        use Audience as A;
        use Role::{Admin, Agent, Supervisor};
        let (mine, other) = (UserId::generate(), UserId::generate());
        for (audience, role, expected) in [
            (A::User(mine), Agent, true),
            (A::User(other), Admin, false),
            (A::AtLeast(Supervisor), Agent, false),
            (A::AtLeast(Supervisor), Admin, true),
            (A::UserOrAtLeast(mine, Supervisor), Agent, true),
            (A::UserOrAtLeast(other, Supervisor), Agent, false),
            (A::UserOrAtLeast(other, Supervisor), Supervisor, true),
            (A::LostBy(mine), Agent, true),
            (A::LostBy(mine), Supervisor, false),
            (A::LostBy(other), Agent, false),
            (A::LostByOthers(mine), Agent, false),
            (A::LostByOthers(other), Agent, true),
            (A::LostByOthers(other), Admin, false),
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
        let data = json!({"text": "two\nlines"});
        let event = LiveEvent::new(place(), Audience::AtLeast(Role::Agent), "a.b", &data);
        let mut frame = String::new();
        event.write_frame(Role::Agent, &mut frame);
        assert_eq!(
            frame,
            "id: 7-1700000000123456-agent\nevent: a.b\ndata: {\"text\":\"two\\nlines\"}\n\n"
        );
        let id = EventId::parse("7-1700000000123456-agent").unwrap();
        assert_eq!((id.place, id.role), (place(), Role::Agent));
        for bad in ["", "7", "7-1", "-1-1-agent", "7-1-king", "7-1-agent-x"] {
            assert_eq!(EventId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_event_tells_how_its_person_stands() {
        let of = |kind, data| {
            let audience = Audience::User(UserId::generate());
            LiveEvent::new(place(), audience, kind, &data).standing()
        };
        let (role, is_active) = (Role::Supervisor, false);
        assert_eq!(
            of(
                PERSON_UPDATED,
                json!({"role": "supervisor", "is_active": false})
            ),
            Some(Standing { role, is_active })
        );
        assert_eq!(of("other", json!({"role": "supervisor"})), None);
    }
}
