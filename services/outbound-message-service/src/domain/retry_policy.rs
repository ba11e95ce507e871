//! What follows from a failed attempt. Pure: the random part is an argument.

use std::time::Duration;

use portal_whatsapp::{ErrorClass, Outcome, SendError};

/// Waits between tries of a message that Meta did not take for a passing reason.
const SCHEDULE_SECONDS: [u64; 7] = [1, 4, 15, 60, 300, 900, 3600];
/// A 5xx with an error object is weak evidence: a late webhook may still tell that Meta took it.
const WEAK_FIRST_WAIT: Duration = Duration::from_mins(1);
/// Waits for a limit double from a second up to this.
const LONGEST_LIMIT_WAIT: Duration = Duration::from_mins(5);

/// What to do with a message after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Give up.
    Fail,
    /// Give up, and let the number rest: more of the same would fail, too.
    FailAndHold(HoldReason),
    /// Try again after this time.
    Retry {
        after: Duration,
        /// Whether the try counts towards giving up; limits do not, time to live ends them.
        counts: bool,
    },
    /// The number cannot send at all: hold it, keep the message, count nothing.
    Hold(HoldReason),
    /// Meta may have taken it: wait for a webhook.
    AwaitWebhook,
}

/// Why a number cannot send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum HoldReason {
    /// Its token is refused.
    Credential,
    /// Meta restricted the number or the account.
    Account,
    /// Meta waits for a payment (131042, 131044).
    Payment,
    /// Meta limits the number because people complain (131048).
    Quality,
    /// The tenant is suspended.
    Tenant,
    /// The tenant's WhatsApp configuration is gone.
    NotConfigured,
}

impl HoldReason {
    /// The reason as the database writes it.
    pub(crate) fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How long a hold waits before the next message may probe it: 30 seconds, doubled each time, at
/// most 10 minutes.
pub(crate) fn hold_wait(probes: i32) -> Duration {
    let exponent = u32::try_from(probes.clamp(0, 5)).unwrap_or(0);
    Duration::from_secs((30 << exponent).min(600))
}

/// Whether Meta may have refused a message because it does not know one of these ids of files (any
/// more). It says so by 131052 or 131053, or as of a wrong value (100, 131009) or of an object that
/// does not exist (100, subcode 33), which may mean other things.
pub(crate) fn may_miss_a_file<'a>(
    error: &SendError,
    meta_media_ids: impl IntoIterator<Item = &'a str>,
) -> bool {
    if error.outcome != Outcome::NotAccepted {
        return false;
    }
    let mut ids = meta_media_ids.into_iter().peekable();
    match (error.code, error.class) {
        _ if ids.peek().is_none() => false,
        (Some(131_052 | 131_053), _) | (Some(100 | 131_009), ErrorClass::Permanent) => true,
        // The number itself may be what does not exist: the id must be named.
        (Some(100), ErrorClass::AccountState) => {
            let details = error.details.as_deref().unwrap_or_default();
            ids.any(|id| error.title.contains(id) || details.contains(id))
        }
        _ => false,
    }
}

/// What a message has behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tries {
    /// Requests made to Meta, this one included.
    pub(crate) attempts: i32,
    /// Those before this one that count towards giving up.
    pub(crate) retries: i32,
    /// How many may count.
    pub(crate) max_retries: i32,
}

/// Decides about a message after its attempt failed.
///
/// `jitter` is a number from 0 to 1.
pub(crate) fn verdict(error: &SendError, tries: Tries, jitter: f64) -> Verdict {
    if error.outcome == Outcome::Unknown {
        return Verdict::AwaitWebhook;
    }
    match error.class {
        ErrorClass::Permanent => Verdict::Fail,
        ErrorClass::SpamLimit => Verdict::FailAndHold(HoldReason::Quality),
        ErrorClass::Credential => Verdict::Hold(HoldReason::Credential),
        ErrorClass::AccountState if matches!(error.code, Some(131_042 | 131_044)) => {
            Verdict::Hold(HoldReason::Payment)
        }
        ErrorClass::AccountState => Verdict::Hold(HoldReason::Account),
        ErrorClass::Unknown => Verdict::AwaitWebhook,
        ErrorClass::RateLimitPair => {
            // Meta's recommendation: 4^n seconds.
            let exponent = u32::try_from((tries.attempts - 1).clamp(0, 4)).unwrap_or(0);
            Verdict::Retry {
                after: spread(Duration::from_secs(4_u64.pow(exponent)), jitter),
                counts: false,
            }
        }
        ErrorClass::RateLimitNumber | ErrorClass::RateLimitAccount | ErrorClass::RateLimitApp => {
            let exponent = u32::try_from((tries.attempts - 1).clamp(0, 8)).unwrap_or(0);
            let own = Duration::from_secs(1 << exponent).min(LONGEST_LIMIT_WAIT);
            let after = error.retry_after.unwrap_or(own).max(Duration::from_secs(1));
            Verdict::Retry {
                after: spread(after, jitter),
                counts: false,
            }
        }
        ErrorClass::Retryable | ErrorClass::Weak5xx | ErrorClass::NotSent => {
            if tries.retries >= tries.max_retries {
                return Verdict::Fail;
            }
            let step = usize::try_from(tries.retries)
                .unwrap_or(0)
                .min(SCHEDULE_SECONDS.len() - 1);
            let scheduled =
                Duration::from_secs(SCHEDULE_SECONDS.get(step).copied().unwrap_or(3600));
            let after = if error.class == ErrorClass::Weak5xx {
                scheduled.max(WEAK_FIRST_WAIT)
            } else {
                scheduled
            };
            let after = error.retry_after.map_or(after, |asked| asked.max(after));
            Verdict::Retry {
                after: spread(after, jitter),
                counts: true,
            }
        }
    }
}

/// Plus or minus a fifth, so that what failed together does not come back together.
fn spread(wait: Duration, jitter: f64) -> Duration {
    wait.mul_f64(0.4_f64.mul_add(jitter.clamp(0.0, 1.0), 0.8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(outcome: Outcome, class: ErrorClass) -> SendError {
        SendError {
            outcome,
            class,
            code: None,
            subcode: None,
            title: String::new(),
            details: None,
            fbtrace_id: None,
            http_status: None,
            retry_after: None,
        }
    }

    fn tries(retries: i32) -> Tries {
        Tries {
            attempts: retries + 1,
            retries,
            max_retries: 11,
        }
    }

    fn after(class: ErrorClass, retries: i32) -> Verdict {
        verdict(&error(Outcome::NotAccepted, class), tries(retries), 0.5)
    }

    #[test]
    fn what_may_have_been_taken_is_never_tried_again() {
        for class in [
            ErrorClass::Unknown,
            ErrorClass::Retryable,
            ErrorClass::NotSent,
        ] {
            let verdict = verdict(&error(Outcome::Unknown, class), tries(0), 0.5);
            assert_eq!(verdict, Verdict::AwaitWebhook);
        }
    }

    #[test]
    fn a_file_may_be_missed_only_where_there_is_one_and_the_answer_may_mean_it() {
        let refused = |code, class| SendError {
            code: Some(code),
            details: Some("Object with ID '71' does not exist".to_owned()),
            ..error(Outcome::NotAccepted, class)
        };
        for (code, class, expected) in [
            (131_053, ErrorClass::Permanent, true),
            (131_052, ErrorClass::Permanent, true),
            (100, ErrorClass::Permanent, true),
            (131_009, ErrorClass::Permanent, true),
            (100, ErrorClass::AccountState, true),
            (100, ErrorClass::Credential, false),
            (131_026, ErrorClass::Permanent, false),
            (131_000, ErrorClass::Retryable, false),
        ] {
            let error = refused(code, class);
            assert_eq!(may_miss_a_file(&error, ["70", "71"]), expected, "{code}");
            assert!(!may_miss_a_file(&error, []), "{code}");
        }
        let number = refused(100, ErrorClass::AccountState);
        assert!(!may_miss_a_file(&number, ["72"]), "something else is meant");
        let unknown = SendError {
            outcome: Outcome::Unknown,
            ..refused(131_053, ErrorClass::Unknown)
        };
        assert!(!may_miss_a_file(&unknown, ["71"]), "it may have been taken");
    }

    #[test]
    fn each_class_has_its_consequence() {
        let retry = |seconds, counts| Verdict::Retry {
            after: Duration::from_secs(seconds),
            counts,
        };
        let table = [
            (ErrorClass::Permanent, 0, Verdict::Fail),
            (
                ErrorClass::SpamLimit,
                0,
                Verdict::FailAndHold(HoldReason::Quality),
            ),
            (
                ErrorClass::Credential,
                5,
                Verdict::Hold(HoldReason::Credential),
            ),
            (
                ErrorClass::AccountState,
                5,
                Verdict::Hold(HoldReason::Account),
            ),
            (ErrorClass::Retryable, 0, retry(1, true)),
            (ErrorClass::Retryable, 3, retry(60, true)),
            (ErrorClass::Retryable, 6, retry(3600, true)),
            (ErrorClass::Retryable, 10, retry(3600, true)),
            (ErrorClass::Retryable, 11, Verdict::Fail),
            (ErrorClass::NotSent, 1, retry(4, true)),
            (ErrorClass::Weak5xx, 0, retry(60, true)),
            (ErrorClass::Weak5xx, 4, retry(300, true)),
            (ErrorClass::RateLimitPair, 0, retry(1, false)),
            (ErrorClass::RateLimitPair, 3, retry(64, false)),
            (ErrorClass::RateLimitNumber, 0, retry(1, false)),
            (ErrorClass::RateLimitNumber, 20, retry(256, false)),
        ];
        for (class, retries, expected) in table {
            assert_eq!(
                after(class, retries),
                expected,
                "{class:?} after {retries} retries"
            );
        }
    }

    #[test]
    fn a_payment_that_is_due_is_a_reason_of_its_own() {
        let unpaid = SendError {
            code: Some(131_042),
            ..error(Outcome::NotAccepted, ErrorClass::AccountState)
        };
        assert_eq!(
            verdict(&unpaid, tries(0), 0.5),
            Verdict::Hold(HoldReason::Payment)
        );
    }

    #[test]
    fn the_time_that_meta_asks_for_is_given() {
        let mut limited = error(Outcome::NotAccepted, ErrorClass::RateLimitAccount);
        limited.retry_after = Some(Duration::from_mins(30));
        let Verdict::Retry {
            after,
            counts: false,
        } = verdict(&limited, tries(0), 0.5)
        else {
            panic!("a limit is a retry that does not count");
        };
        assert_eq!(after, Duration::from_mins(30));
    }

    #[test]
    fn waits_spread_by_a_fifth() {
        let minute = Duration::from_mins(1);
        assert_eq!(spread(minute, 0.0), Duration::from_secs(48));
        assert_eq!(spread(minute, 1.0), Duration::from_secs(72));
    }

    #[test]
    fn holds_are_probed_ever_more_rarely() {
        let waits: Vec<_> = (0..7).map(|probes| hold_wait(probes).as_secs()).collect();
        assert_eq!(waits, [30, 60, 120, 240, 480, 600, 600]);
    }
}
