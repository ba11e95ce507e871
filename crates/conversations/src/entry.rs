//! A message as a conversation shows it, and how what is heard of it comes together.

use chrono::{DateTime, Utc};
use serde_json::Value;
use strum::{Display, EnumString, IntoStaticStr};
use uuid::Uuid;

use crate::fact::{Message, Person};

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumString, Display, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// The contact's.
    Received,
    /// Committed to be sent.
    Accepted,
    /// Meta took it.
    Sent,
    /// It reached the contact's device.
    Delivered,
    /// The contact read it.
    Read,
    /// It did not arrive.
    Failed,
    /// It was taken back before it was sent.
    Canceled,
}

impl Status {
    /// As the database and the API write it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What was reported of a message that we send: the latest time of each kind. Merging two of them
/// gives the same in any order, and twice the same is once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Meta took it.
    pub sent_at: Option<DateTime<Utc>>,
    /// It reached the device.
    pub delivered_at: Option<DateTime<Utc>>,
    /// It was read.
    pub read_at: Option<DateTime<Utc>>,
    /// Meta reported that it failed, with the error.
    pub undelivered: Option<Failure>,
    /// We gave it up, or Meta refused it at once.
    pub given_up: Option<Failure>,
    /// It was taken back.
    pub canceled_at: Option<DateTime<Utc>>,
}

/// A failure; the later one counts, and of two at once the one whose error is written greater.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: DateTime<Utc>,
    /// The error as `message.failed` tells it.
    pub error: Value,
}

impl Failure {
    fn merge(own: Option<Self>, other: Option<Self>) -> Option<Self> {
        let weight = |failure: &Self| (failure.at, failure.error.to_string());
        match (own, other) {
            (Some(own), Some(other)) if weight(&other) > weight(&own) => Some(other),
            (own, other) => own.or(other),
        }
    }
}

impl Evidence {
    /// Both together.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self {
            sent_at: self.sent_at.max(other.sent_at),
            delivered_at: self.delivered_at.max(other.delivered_at),
            read_at: self.read_at.max(other.read_at),
            undelivered: Failure::merge(self.undelivered, other.undelivered),
            given_up: Failure::merge(self.given_up, other.given_up),
            canceled_at: self.canceled_at.max(other.canceled_at),
        }
    }

    /// What follows from it. Read proves more than delivered, and that more than any failure. A
    /// failure that Meta reported counts until a later copy was sent; one that we concluded proves
    /// nothing against Meta's word.
    pub fn status(&self) -> Status {
        let undelivered_at = self.undelivered.as_ref().map(|failure| failure.at);
        if self.read_at.is_some() {
            Status::Read
        } else if self.delivered_at.is_some() {
            Status::Delivered
        } else if undelivered_at.is_some() && undelivered_at >= self.sent_at {
            Status::Failed
        } else if self.sent_at.is_some() {
            Status::Sent
        } else if self.given_up.is_some() {
            Status::Failed
        } else if self.canceled_at.is_some() {
            Status::Canceled
        } else {
            Status::Accepted
        }
    }

    /// The error of a failed message: Meta's report before our own conclusion.
    pub fn error(&self) -> Option<&Value> {
        if self.status() != Status::Failed {
            return None;
        }
        let failure = self.undelivered.as_ref().or(self.given_up.as_ref());
        failure.map(|failure| &failure.error)
    }
}

/// A message with all that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its id.
    pub entry_id: Uuid,
    /// The message itself, unless only reports of it came yet.
    pub message: Option<Message>,
    /// Meta's id of it.
    pub wamid: Option<String>,
    /// What was reported of it.
    pub evidence: Evidence,
}

impl Entry {
    /// Where it stands.
    pub fn status(&self) -> Status {
        match self.message.as_ref().map(|message| message.from) {
            Some(Person::Contact) => Status::Received,
            Some(Person::Phone) => Status::Sent,
            Some(Person::Us) | None => self.evidence.status(),
        }
    }

    /// Its error, if it failed.
    pub fn error(&self) -> Option<&Value> {
        self.evidence.error()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn failure(seconds: i64) -> Failure {
        let error = json!({"class": seconds});
        Failure {
            at: at(seconds),
            error,
        }
    }

    fn evidence() -> impl Strategy<Value = Evidence> {
        let time = || proptest::option::of((0_i64..4).prop_map(at));
        let failed = || {
            proptest::option::of((0_i64..4, 0_i64..3).prop_map(|(seconds, class)| Failure {
                at: at(seconds),
                error: json!({"class": class}),
            }))
        };
        (time(), time(), time(), failed(), failed(), time()).prop_map(
            |(sent_at, delivered_at, read_at, undelivered, given_up, canceled_at)| Evidence {
                sent_at,
                delivered_at,
                read_at,
                undelivered,
                given_up,
                canceled_at,
            },
        )
    }

    proptest! {
        #[test]
        fn the_order_and_number_of_reports_changes_nothing(
            a in evidence(), b in evidence(), c in evidence(),
        ) {
            prop_assert_eq!(a.clone().merge(b.clone()), b.clone().merge(a.clone()));
            prop_assert_eq!(
                a.clone().merge(b.clone()).merge(c.clone()),
                a.clone().merge(b.merge(c))
            );
            prop_assert_eq!(a.clone().merge(a.clone()), a);
        }
    }

    #[test]
    fn what_proves_more_wins() {
        let none = Evidence::default;
        for (evidence, expected) in [
            (none(), Status::Accepted),
            (
                Evidence {
                    canceled_at: Some(at(1)),
                    ..none()
                },
                Status::Canceled,
            ),
            (
                Evidence {
                    sent_at: Some(at(1)),
                    ..none()
                },
                Status::Sent,
            ),
            // Given up, and then Meta says that it was sent; Meta's times are earlier than ours.
            (
                Evidence {
                    sent_at: Some(at(1)),
                    given_up: Some(failure(9)),
                    ..none()
                },
                Status::Sent,
            ),
            (
                Evidence {
                    sent_at: Some(at(1)),
                    undelivered: Some(failure(1)),
                    ..none()
                },
                Status::Failed,
            ),
            // Sent again after Meta had reported that it failed.
            (
                Evidence {
                    sent_at: Some(at(5)),
                    undelivered: Some(failure(1)),
                    ..none()
                },
                Status::Sent,
            ),
            (
                Evidence {
                    undelivered: Some(failure(1)),
                    ..none()
                },
                Status::Failed,
            ),
            (
                Evidence {
                    delivered_at: Some(at(1)),
                    undelivered: Some(failure(9)),
                    ..none()
                },
                Status::Delivered,
            ),
            (
                Evidence {
                    read_at: Some(at(1)),
                    delivered_at: Some(at(2)),
                    ..none()
                },
                Status::Read,
            ),
        ] {
            assert_eq!(evidence.status(), expected, "{evidence:?}");
            assert_eq!(
                evidence.error().is_some(),
                expected == Status::Failed,
                "{evidence:?}"
            );
        }
    }
}
