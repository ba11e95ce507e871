//! The states of an outbound message and which evidence moves them.

use strum::{Display, EnumString, IntoStaticStr};

/// Where a message stands.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    EnumString,
    Display,
    IntoStaticStr,
    serde::Serialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum MessageStatus {
    /// Committed for later; not in its lane yet.
    Scheduled,
    /// Committed; waits for a worker.
    Accepted,
    /// A worker asks Meta.
    Sending,
    /// Meta did not take it for a passing reason; waits for the next try.
    RetryWait,
    /// Meta may have taken it: the answer was lost. Never sent again by itself.
    Unknown,
    /// Meta took it.
    Sent,
    /// It reached the recipient's device.
    Delivered,
    /// The recipient read it.
    Read,
    /// It will not arrive.
    Failed,
    /// Its sender took it back before anything was sent.
    Canceled,
}

impl MessageStatus {
    /// The state as the database writes it.
    pub(crate) fn as_str(self) -> &'static str {
        self.into()
    }

    /// How far evidence from Meta has carried the message; `None` where Meta has not spoken yet.
    const fn rank(self) -> Option<u8> {
        match self {
            Self::Scheduled
            | Self::Accepted
            | Self::Sending
            | Self::RetryWait
            | Self::Unknown
            | Self::Canceled => None,
            Self::Sent => Some(1),
            Self::Delivered => Some(2),
            Self::Read => Some(3),
            Self::Failed => Some(0),
        }
    }

    /// The state after Meta reported `reported`, or `None` when the report changes nothing.
    ///
    /// Reports come in any order, repeated or not at all: what proves more wins. `failed` ends a
    /// message unless it was seen to arrive; a message that we gave up may still turn out to have
    /// arrived.
    pub(crate) fn after_report(self, reported: Self) -> Option<Self> {
        let reported_rank = reported.rank()?;
        let is_news = match (self.rank(), reported) {
            (None, _) => true,
            (Some(_), Self::Failed) => self == Self::Sent,
            (Some(rank), _) => reported_rank > rank,
        };
        is_news.then_some(reported)
    }
}

/// Who says so.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    EnumString,
    Display,
    IntoStaticStr,
    serde::Serialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Source {
    /// The request to us.
    Api,
    /// Meta's answer to our request.
    Graph,
    /// A webhook from Meta.
    Webhook,
    /// Our own rules: time ran out.
    Policy,
}

impl Source {
    /// The source as the database writes it.
    pub(crate) fn as_str(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::MessageStatus::{self, *};

    const REPORTS: [MessageStatus; 4] = [Sent, Delivered, Read, Failed];

    fn fold(start: MessageStatus, reports: &[MessageStatus]) -> MessageStatus {
        reports.iter().fold(start, |state, report| {
            state.after_report(*report).unwrap_or(state)
        })
    }

    #[test]
    fn reports_move_a_message_forward_only() {
        let table = [
            (Accepted, Sent, Some(Sent)),
            (Sending, Delivered, Some(Delivered)),
            (RetryWait, Sent, Some(Sent)),
            (Unknown, Read, Some(Read)),
            (Unknown, Failed, Some(Failed)),
            (Sent, Sent, None),
            (Sent, Failed, Some(Failed)),
            (Sent, Read, Some(Read)),
            (Delivered, Sent, None),
            (Delivered, Failed, None),
            (Read, Delivered, None),
            (Read, Failed, None),
            (Failed, Failed, None),
            (Failed, Sent, Some(Sent)),
            (Failed, Delivered, Some(Delivered)),
            (Sent, Accepted, None),
            (Accepted, Sending, None),
        ];
        for (state, report, expected) in table {
            assert_eq!(
                state.after_report(report),
                expected,
                "{state} after {report}"
            );
        }
    }

    proptest! {
        #[test]
        fn arrival_wins_in_any_order(
            start in prop::sample::select(vec![Sending, RetryWait, Unknown, Sent]),
            reports in prop::collection::vec(prop::sample::select(REPORTS.to_vec()), 1..12),
        ) {
            let end = fold(start, &reports);
            if reports.contains(&Read) {
                prop_assert_eq!(end, Read);
            } else if reports.contains(&Delivered) {
                prop_assert_eq!(end, Delivered);
            }
        }

        #[test]
        fn repeating_reports_changes_nothing(
            reports in prop::collection::vec(prop::sample::select(REPORTS.to_vec()), 1..8),
        ) {
            let once = fold(Sending, &reports);
            let sorted: Vec<_> = reports.iter().copied().filter(|r| *r == once).collect();
            prop_assert_eq!(fold(once, &sorted), once);
        }
    }
}
