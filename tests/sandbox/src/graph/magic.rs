//! Magic numbers: the last six digits of a recipient, `999` and three more, choose what happens.
//! Every other number simply succeeds.

use super::rows::{self, ErrorRow};

/// A documented magic number.
#[derive(Debug, Clone, Copy)]
pub struct MagicNumber {
    /// The three digits after `999`; an `N` stands for 1 to 9.
    pub digits: &'static str,
    /// What happens.
    pub effect: &'static str,
    pub(crate) behaviour: Behaviour,
}

/// What a number provokes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behaviour {
    /// Not accepted.
    Refuse(Refusal),
    /// Not accepted so many times as the last digit says, then accepted.
    RefuseThenAccept(Refusal),
    /// Accepted.
    Accept(Answer, Plan),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal {
    Row(ErrorRow),
    TokenExpired,
    NoObject,
    BadGateway,
    EmptyUnavailable,
    HangUp,
}

/// How an accepted message is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Normal,
    /// Accepted, then the connection closes without an answer.
    HangUp,
    /// Accepted late, answered at once then.
    Slow,
    /// Accepted at once, answered after clients have given up.
    Silent,
    WithoutId,
    NotJson,
    /// The `sent` webhook is delivered first.
    AfterSent,
}

/// Which statuses follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    Normal,
    Nothing,
    Fail(ErrorRow),
    FailAfterSent(ErrorRow),
    Twice,
    Reordered,
    SentOnly,
    Unread,
    ReadWithoutDelivered,
    OnePost,
    ForgedFirst,
}

const fn refuse(digits: &'static str, row: ErrorRow, effect: &'static str) -> MagicNumber {
    other(digits, Refusal::Row(row), effect)
}

const fn other(digits: &'static str, refusal: Refusal, effect: &'static str) -> MagicNumber {
    MagicNumber {
        digits,
        effect,
        behaviour: Behaviour::Refuse(refusal),
    }
}

const fn flaky(digits: &'static str, refusal: Refusal, effect: &'static str) -> MagicNumber {
    MagicNumber {
        digits,
        effect,
        behaviour: Behaviour::RefuseThenAccept(refusal),
    }
}

const fn fails(digits: &'static str, row: ErrorRow, effect: &'static str) -> MagicNumber {
    accept(digits, Answer::Normal, Plan::Fail(row), effect)
}

const fn accept(
    digits: &'static str,
    answer: Answer,
    plan: Plan,
    effect: &'static str,
) -> MagicNumber {
    MagicNumber {
        digits,
        effect,
        behaviour: Behaviour::Accept(answer, plan),
    }
}

/// All of them; `docs/sandbox.md` has the same list.
pub const MAGIC_NUMBERS: &[MagicNumber] = &[
    // Refused at once, always.
    refuse("000", rows::UNKNOWN_FAILURE, "131000, HTTP 500"),
    refuse("001", rows::UNKNOWN_ERROR, "code 1, HTTP 500"),
    refuse("002", rows::SERVICE_DOWN, "code 2, HTTP 503, is_transient"),
    refuse("003", rows::NO_CAPABILITY, "code 3, HTTP 500"),
    refuse("004", rows::APP_LIMIT, "code 4, HTTP 400"),
    refuse("005", rows::ACCESS_DENIED, "131005, HTTP 403"),
    refuse("008", rows::PARAMETER_MISSING, "131008, HTTP 400"),
    refuse("009", rows::VALUE_INVALID, "131009, HTTP 400"),
    refuse("010", rows::NO_PERMISSION, "code 10, HTTP 403"),
    refuse("016", rows::SERVICE_UNAVAILABLE, "131016, HTTP 503"),
    refuse("030", rows::NOT_ALLOWED_NUMBER, "131030, HTTP 400"),
    refuse("031", rows::ACCOUNT_LOCKED, "131031, HTTP 403"),
    other("033", Refusal::NoObject, "code 100, subcode 33, HTTP 400"),
    refuse("037", rows::NAME_NOT_APPROVED, "131037, HTTP 400"),
    refuse("045", rows::CERTIFICATE, "131045, HTTP 500"),
    refuse("048", rows::SPAM_LIMIT, "131048, HTTP 400"),
    refuse("051", rows::UNSUPPORTED_TYPE, "131051, HTTP 400"),
    refuse("056", rows::PAIR_LIMIT, "131056, HTTP 400"),
    refuse("057", rows::MAINTENANCE, "131057, HTTP 503"),
    refuse("100", rows::INVALID_PARAMETER, "code 100, HTTP 400"),
    other(
        "190",
        Refusal::TokenExpired,
        "code 190, subcode 463, HTTP 401",
    ),
    refuse("200", rows::NO_RIGHTS, "code 200, HTTP 403"),
    refuse("310", rows::NOT_REGISTERED, "133010, HTTP 400"),
    refuse("368", rows::POLICY_BLOCK, "code 368, HTTP 403"),
    refuse("403", rows::BUSINESS_BLOCKED_USER, "130403, HTTP 400"),
    refuse("429", rows::RATE_LIMIT, "130429, HTTP 429"),
    refuse("430", rows::RATE_LIMIT_AS_400, "130429, HTTP 400"),
    refuse("497", rows::COUNTRY_RESTRICTED, "130497, HTTP 403"),
    other("502", Refusal::BadGateway, "HTTP 502 with an HTML page"),
    other("503", Refusal::EmptyUnavailable, "HTTP 503 without a body"),
    other(
        "602",
        Refusal::HangUp,
        "not accepted, connection closed without an answer",
    ),
    // Accepted; a failed webhook follows.
    fails("026", rows::UNDELIVERABLE, "failed webhook 131026"),
    fails("042", rows::PAYMENT, "failed webhook 131042"),
    fails("047", rows::WINDOW_CLOSED, "failed webhook 131047"),
    fails("049", rows::ECOSYSTEM, "failed webhook 131049"),
    fails("050", rows::OPTED_OUT, "failed webhook 131050"),
    fails("053", rows::MEDIA_FAILED, "failed webhook 131053"),
    fails("137", rows::IDENTITY_CHANGED, "failed webhook 137000"),
    fails("472", rows::EXPERIMENT, "failed webhook 130472"),
    // Refused N times, then accepted once; counted by sender and recipient, and then anew.
    flaky(
        "71N",
        Refusal::Row(rows::RATE_LIMIT),
        "130429 (HTTP 429) N times, then accepted",
    ),
    flaky(
        "72N",
        Refusal::Row(rows::UNKNOWN_FAILURE),
        "131000 (HTTP 500) N times, then accepted",
    ),
    flaky(
        "73N",
        Refusal::Row(rows::SERVICE_UNAVAILABLE),
        "131016 (HTTP 503) N times, then accepted",
    ),
    flaky(
        "74N",
        Refusal::BadGateway,
        "HTTP 502 with an HTML page N times, then accepted",
    ),
    flaky(
        "75N",
        Refusal::Row(rows::PAIR_LIMIT),
        "131056 (HTTP 400) N times, then accepted",
    ),
    flaky(
        "76N",
        Refusal::HangUp,
        "connection closed N times (not accepted), then accepted",
    ),
    // Accepted, but the answer goes wrong; all statuses follow.
    accept(
        "601",
        Answer::HangUp,
        Plan::Normal,
        "accepted, connection closed without an answer",
    ),
    accept(
        "603",
        Answer::Slow,
        Plan::Normal,
        "slow answer (`slow_answer_ms`), accepted at its end",
    ),
    accept(
        "604",
        Answer::Silent,
        Plan::Normal,
        "accepted at once, answered only after `hang_ms`",
    ),
    accept(
        "605",
        Answer::WithoutId,
        Plan::Normal,
        "accepted, HTTP 200 without a message id",
    ),
    accept(
        "606",
        Answer::NotJson,
        Plan::Normal,
        "accepted, HTTP 200 with an HTML page",
    ),
    // Accepted and answered; the webhooks are special.
    accept("801", Answer::Normal, Plan::Nothing, "no webhooks"),
    accept("802", Answer::Normal, Plan::Twice, "every webhook twice"),
    accept(
        "803",
        Answer::Normal,
        Plan::Reordered,
        "webhooks read, delivered, sent in this order",
    ),
    accept(
        "804",
        Answer::AfterSent,
        Plan::Normal,
        "the sent webhook arrives before the answer",
    ),
    accept(
        "805",
        Answer::Normal,
        Plan::FailAfterSent(rows::UNDELIVERABLE),
        "sent, then failed webhook 131026",
    ),
    accept(
        "806",
        Answer::Normal,
        Plan::SentOnly,
        "sent, nothing after it",
    ),
    accept(
        "807",
        Answer::Normal,
        Plan::Unread,
        "sent and delivered, never read",
    ),
    accept(
        "808",
        Answer::Normal,
        Plan::ReadWithoutDelivered,
        "sent and read, delivered is skipped",
    ),
    accept(
        "809",
        Answer::Normal,
        Plan::OnePost,
        "sent, delivered and read in one POST",
    ),
    accept(
        "810",
        Answer::Normal,
        Plan::ForgedFirst,
        "first a failed webhook with a wrong signature, then the genuine ones",
    ),
];

/// A magic number that a recipient has chosen.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    pub(crate) behaviour: Behaviour,
    pub(crate) digits: String,
    /// `N` of a family, else 0.
    pub(crate) times: u32,
}

/// The behaviour that a recipient's digits choose.
pub(crate) fn choose(recipient: &str) -> Option<Chosen> {
    let digits: Vec<char> = recipient.chars().filter(char::is_ascii_digit).collect();
    let tail = digits.get(digits.len().checked_sub(6)?..)?;
    let (marker, code) = tail.split_at_checked(3)?;
    if marker != ['9', '9', '9'] {
        return None;
    }
    let number = MAGIC_NUMBERS.iter().find(|number| {
        number
            .digits
            .chars()
            .zip(code)
            .all(|(want, have)| want == *have || (want == 'N' && *have != '0'))
    })?;
    let times = if number.digits.ends_with('N') {
        code.last()?.to_digit(10)?
    } else {
        0
    };
    Some(Chosen {
        behaviour: number.behaviour,
        digits: code.iter().collect(),
        times,
    })
}

/// A recipient in the United States that has these three magic digits; `variant` (0 to 99) makes
/// different recipients with the same behaviour.
pub fn magic_recipient(digits: &str, variant: u8) -> String {
    format!("+155{:02}999{digits}", variant % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_without_the_marker_are_not_magic() {
        for number in [
            "1234567890",
            "15550100999",
            "15555999",
            "429",
            "",
            "15599900000",
        ] {
            assert!(choose(number).is_none(), "{number}");
        }
    }

    #[test]
    fn every_number_chooses_its_own_row() {
        for row in MAGIC_NUMBERS {
            let digits = row.digits.replace('N', "3");
            let chosen = choose(&magic_recipient(&digits, 7)).expect("a magic number");
            assert_eq!(chosen.digits, digits);
            assert_eq!(chosen.times, if row.digits.ends_with('N') { 3 } else { 0 });
            assert_eq!(
                format!("{:?}", chosen.behaviour),
                format!("{:?}", row.behaviour)
            );
        }
    }

    #[test]
    fn a_family_begins_with_one() {
        assert!(choose(&magic_recipient("710", 0)).is_none());
        assert_eq!(
            choose(&magic_recipient("711", 0)).map(|chosen| chosen.times),
            Some(1)
        );
    }

    #[test]
    fn the_documentation_lists_every_number() {
        let docs = include_str!("../../../../docs/sandbox.md");
        for row in MAGIC_NUMBERS {
            let line = format!("| `{}` | {} |", row.digits, row.effect);
            assert!(docs.contains(&line), "docs/sandbox.md lacks: {line}");
        }
    }
}
