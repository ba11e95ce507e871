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
}

/// How much a report from Meta proves; the strongest one is the state. A failure that we concluded
/// ourselves proves nothing.
const fn weight(status: MessageStatus, is_metas: bool) -> Option<u8> {
    match status {
        MessageStatus::Failed if !is_metas => Some(0),
        MessageStatus::Sent => Some(1),
        MessageStatus::Failed => Some(2),
        MessageStatus::Delivered => Some(3),
        MessageStatus::Read => Some(4),
        _ => None,
    }
}

/// Where a message stands, as far as Meta's reports move it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The state.
    pub(crate) status: MessageStatus,
    /// Whether it is `failed` because Meta reported so, and not because we gave up.
    pub(crate) failed_by_meta: bool,
}

impl Standing {
    /// Where the message stands after Meta reported `reported`, or `None` when that changes
    /// nothing. The end is the same for every order and number of the same reports.
    pub(crate) fn after(self, reported: MessageStatus) -> Option<Self> {
        let reported_weight = weight(reported, true)?;
        let own_weight = weight(self.status, self.failed_by_meta);
        own_weight
            .is_none_or(|own| reported_weight > own)
            .then_some(Self {
                status: reported,
                failed_by_meta: reported == MessageStatus::Failed,
            })
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

    use super::{
        MessageStatus::{self, *},
        Standing,
    };

    const REPORTS: [MessageStatus; 4] = [Sent, Delivered, Read, Failed];

    #[test]
    fn reports_move_a_message_forward_only() {
        let ours = false;
        let metas = true;
        let table = [
            (Accepted, ours, Sent, Some(Sent)),
            (Sending, ours, Delivered, Some(Delivered)),
            (RetryWait, ours, Sent, Some(Sent)),
            (Unknown, ours, Read, Some(Read)),
            (Unknown, ours, Failed, Some(Failed)),
            (Sent, ours, Sent, None),
            (Sent, ours, Failed, Some(Failed)),
            (Sent, ours, Read, Some(Read)),
            (Delivered, ours, Sent, None),
            (Delivered, ours, Failed, None),
            (Read, ours, Delivered, None),
            (Read, ours, Failed, None),
            (Failed, metas, Failed, None),
            (Failed, ours, Sent, Some(Sent)),
            (Failed, ours, Delivered, Some(Delivered)),
            (Sent, ours, Accepted, None),
            (Accepted, ours, Sending, None),
        ];
        for (status, failed_by_meta, report, expected) in table {
            let standing = Standing {
                status,
                failed_by_meta,
            };
            assert_eq!(
                standing.after(report).map(|after| after.status),
                expected,
                "{status} after {report}"
            );
        }
    }

    fn stands_after(status: MessageStatus, reports: &[MessageStatus]) -> Standing {
        let start = Standing {
            status,
            failed_by_meta: false,
        };
        reports.iter().fold(start, |standing, report| {
            standing.after(*report).unwrap_or(standing)
        })
    }

    #[test]
    fn what_meta_failed_is_not_sent_again_by_a_late_report() {
        assert_eq!(stands_after(Sending, &[Failed, Sent]).status, Failed);
        assert_eq!(
            stands_after(Sending, &[Failed, Delivered]).status,
            Delivered
        );
        // We gave it up, and Meta had it.
        assert_eq!(stands_after(Failed, &[Sent]).status, Sent);
        assert_eq!(stands_after(Delivered, &[Failed]).status, Delivered);
    }

    proptest! {
        #[test]
        fn the_end_does_not_depend_on_order_or_number(
            start in prop::sample::select(vec![Accepted, Sending, RetryWait, Unknown, Failed, Canceled]),
            reports in prop::collection::vec(prop::sample::select(REPORTS.to_vec()), 1..10),
            order in any::<prop::sample::Index>(),
            repeats in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut other = reports.clone();
            other.extend(repeats.iter().map(|repeat| reports[repeat.index(reports.len())]));
            let len = other.len();
            other.rotate_left(order.index(len));
            if order.index(2) == 1 {
                other.reverse();
            }
            prop_assert_eq!(stands_after(start, &reports), stands_after(start, &other));
        }

        #[test]
        fn arrival_wins_in_any_order(
            start in prop::sample::select(vec![Sending, RetryWait, Unknown, Sent]),
            reports in prop::collection::vec(prop::sample::select(REPORTS.to_vec()), 1..12),
        ) {
            let end = stands_after(start, &reports).status;
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
            let once = stands_after(Sending, &reports);
            let sorted: Vec<_> = reports.iter().copied().filter(|r| *r == once.status).collect();
            let twice = sorted.iter().fold(once, |standing, report| standing.after(*report).unwrap_or(standing));
            prop_assert_eq!(twice, once);
        }
    }
}
