//! Who gets a conversation that waits.

use chrono::{DateTime, Duration, Utc};
use portal_conversations::ReopenAs;
use portal_types::UserId;
use strum::{EnumString, IntoStaticStr};

/// Without a word from the person's browser for so long, the person is taken to be offline.
pub(crate) const PRESENCE_LASTS: Duration = Duration::seconds(90);
/// The greatest capacity.
pub(crate) const MAX_CAPACITY: i32 = 1000;

/// How a conversation that waits comes to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Assignment {
    /// People take it.
    Manual,
    /// A rule gives it to those who are available.
    Automatic,
}

/// Who is the master of assignments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Routing {
    /// People and rules here.
    Portal,
    /// Genesys' routing.
    Genesys,
}

/// What becomes of the conversations of somebody who goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum OnAbsence {
    /// They stay with the person.
    Keep,
    /// Those that the person did not answer yet wait again, as long as before.
    ReturnUnanswered,
    /// All wait again.
    ReturnAll,
}

/// Whether somebody takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Presence {
    /// Gets conversations.
    Available,
    /// Works, and gets no more.
    Busy,
    /// Comes back soon.
    Away,
    /// Is not there.
    Offline,
}

/// How a tenant wants its conversations kept and given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConversationRules {
    pub(crate) reopen_as: ReopenAs,
    pub(crate) assignment: Assignment,
    pub(crate) routing: Routing,
    /// Of people without a capacity of their own.
    pub(crate) default_capacity: i32,
    pub(crate) on_absence: OnAbsence,
    /// Messages that are older are erased.
    pub(crate) retention_days: Option<i32>,
}

impl Default for ConversationRules {
    fn default() -> Self {
        Self {
            reopen_as: ReopenAs::default(),
            assignment: Assignment::Manual,
            routing: Routing::Portal,
            default_capacity: 5,
            on_absence: OnAbsence::ReturnUnanswered,
            retention_days: None,
        }
    }
}

impl ConversationRules {
    /// Whether the rule gives conversations.
    pub(crate) fn gives(self) -> bool {
        self.assignment == Assignment::Automatic && self.routing == Routing::Portal
    }
}

/// Somebody who can be given conversations.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) user: UserId,
    /// Open conversations that the person holds.
    pub(crate) load: i64,
    pub(crate) capacity: i32,
    /// When the rule gave the person one last.
    pub(crate) last_given_at: Option<DateTime<Utc>>,
}

impl Candidate {
    fn has_room(&self) -> bool {
        self.load < i64::from(self.capacity)
    }
}

/// Who gets the next conversation: of those with room the one who holds the fewest, then who got none
/// for the longest time. Who gave this very conversation away gets it back when nobody else has room.
pub(crate) fn choose(people: &[Candidate], gave_it_away: Option<UserId>) -> Option<usize> {
    people
        .iter()
        .enumerate()
        .filter(|(_, one)| one.has_room())
        .min_by_key(|(_, one)| {
            (
                Some(one.user) == gave_it_away,
                one.load,
                one.last_given_at,
                one.user.as_uuid(),
            )
        })
        .map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(load: i64, capacity: i32, given: Option<i64>) -> Candidate {
        Candidate {
            user: UserId::generate(),
            load,
            capacity,
            last_given_at: given.map(|at| DateTime::from_timestamp(at, 0).unwrap()),
        }
    }

    #[test]
    fn the_least_loaded_with_room_is_next_and_then_who_waits_longest() {
        let people = [
            one(2, 5, None),
            one(1, 1, None),
            one(1, 5, Some(2)),
            one(1, 5, Some(1)),
        ];
        assert_eq!(choose(&people, None), Some(3));
        assert_eq!(choose(&people, Some(people[3].user)), Some(2));
        assert_eq!(choose(&people[..2], None), Some(0));
        // Better back to the person than to nobody.
        assert_eq!(choose(&people[..1], Some(people[0].user)), Some(0));
        assert_eq!(choose(&people[1..2], None), None);
        assert_eq!(choose(&[one(0, 0, None)], None), None);
        // Who never got one is before who did.
        assert_eq!(
            choose(&[one(0, 1, Some(1)), one(0, 1, None)], None),
            Some(1)
        );
    }

    #[test]
    fn shares_of_people_alike_differ_by_one_at_the_most() {
        let mut people: Vec<_> = (0..7).map(|_| one(0, 100, None)).collect();
        for given in 0..100 {
            let next = choose(&people, None).unwrap();
            people[next].load += 1;
            people[next].last_given_at = DateTime::from_timestamp(given, 0);
            let loads = people.iter().map(|one| one.load);
            assert!(loads.clone().max().unwrap() - loads.min().unwrap() <= 1);
        }
    }
}
