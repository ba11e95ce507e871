//! What an error code of the Graph API means for a message, as data.
//!
//! Source: Meta's "Cloud API error codes" (2026) and its former table with HTTP statuses. The HTTP
//! status is unreliable and decides only where the table says so.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr};

use ErrorClass as C;

/// What a failed call means. Every class but [`ErrorClass::Unknown`] says that the message was not
/// accepted.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ErrorClass {
    /// This message will never be accepted as it is: it failed.
    Permanent,
    /// Accepting failed for a passing reason: try again with back-off, a few times.
    Retryable,
    /// A server error with a Graph error object: not accepted, but on weak evidence. Wait a minute
    /// before the first retry, so that a late webhook can cancel it.
    Weak5xx,
    /// The token or its permissions: hold the tenant's sending, keep the messages, tell the admin.
    Credential,
    /// The throughput of the sending number: slow the number down, try again.
    RateLimitNumber,
    /// Too many messages from this number to this recipient: slow the pair down (4^n seconds).
    RateLimitPair,
    /// A limit of the `WhatsApp` Business Account or of the token's user: delay all of its calls.
    RateLimitAccount,
    /// A limit of the whole app: delay all tenants' calls.
    RateLimitApp,
    /// The spam limit of the number: this message failed, and the number must be slowed down.
    SpamLimit,
    /// The number or account is in a state that somebody must change: hold it, keep the messages.
    AccountState,
    /// The message may have been accepted: never send again before a webhook or the horizon.
    Unknown,
    /// No byte of the request left this machine: try again.
    NotSent,
}

impl ErrorClass {
    /// The class as tables, events and metrics write it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Class of a code in the `errors` of a failed status webhook, where there is no HTTP status.
    pub fn of_webhook_code(code: i64) -> Self {
        of_code(code).unwrap_or(Self::Permanent)
    }
}

/// What the codes `first..=last` mean.
#[derive(Debug)]
pub struct CodeRule {
    /// The first code.
    pub first: i64,
    /// The last code; mostly the first.
    pub last: i64,
    /// The class, unless the HTTP status says otherwise: see [`CodeRule::is_weak`].
    pub class: ErrorClass,
    /// What Meta means, in a few words.
    pub meaning: &'static str,
}

impl CodeRule {
    /// Whether the class is [`ErrorClass::Weak5xx`] when the code comes with a 5xx status.
    pub fn is_weak(&self) -> bool {
        WEAK_CODES.contains(&self.first)
    }
}

const fn one(code: i64, class: ErrorClass, meaning: &'static str) -> CodeRule {
    range(code, code, class, meaning)
}

const fn range(first: i64, last: i64, class: ErrorClass, meaning: &'static str) -> CodeRule {
    CodeRule {
        first,
        last,
        class,
        meaning,
    }
}

/// Every documented code. The first rule that contains a code decides.
pub const ERROR_CODES: &[CodeRule] = &[
    one(0, C::Credential, "token expired, revoked or unusable"),
    one(1, C::Retryable, "invalid request or unknown server error"),
    one(2, C::Retryable, "service down or overloaded"),
    one(
        3,
        C::Credential,
        "capability or permission missing, although it is a 500",
    ),
    one(4, C::RateLimitApp, "app request limit"),
    one(10, C::Credential, "permission not granted or removed"),
    one(17, C::RateLimitAccount, "requests of the token's user"),
    one(33, C::AccountState, "phone number deleted or unknown"),
    one(
        100,
        C::Permanent,
        "bad parameter; a missing object is account_state, a missing permission credential",
    ),
    one(102, C::Credential, "session"),
    one(
        104,
        C::Credential,
        "signature of the request (appsecret_proof)",
    ),
    one(190, C::Credential, "token expired, revoked or invalid"),
    one(192, C::Permanent, "invalid phone number (management)"),
    range(200, 299, C::Credential, "permission missing"),
    one(341, C::RateLimitApp, "application limit"),
    one(368, C::AccountState, "account restricted for a policy"),
    one(613, C::RateLimitAccount, "custom rate limit"),
    one(
        803,
        C::AccountState,
        "unknown object alias: the number id is wrong",
    ),
    one(80_007, C::RateLimitAccount, "account request limit"),
    one(
        80_008,
        C::RateLimitAccount,
        "account request limit of management calls",
    ),
    one(130_403, C::Permanent, "the business blocked this user"),
    one(130_429, C::RateLimitNumber, "throughput"),
    one(130_472, C::Permanent, "user in an experiment"),
    one(
        130_497,
        C::Permanent,
        "country not allowed for this account",
    ),
    one(130_501, C::Permanent, "type not supported in groups"),
    one(131_000, C::Retryable, "unknown failure"),
    one(131_005, C::Credential, "access denied"),
    one(131_008, C::Permanent, "required parameter missing"),
    one(131_009, C::Permanent, "parameter value invalid"),
    one(131_016, C::Retryable, "service unavailable"),
    one(131_020, C::Permanent, "groups"),
    one(131_021, C::Permanent, "recipient equals sender"),
    one(131_026, C::Permanent, "undeliverable"),
    one(
        131_030,
        C::Permanent,
        "not in the allow list of a test number",
    ),
    one(131_031, C::AccountState, "account locked"),
    one(131_037, C::AccountState, "display name not approved"),
    one(131_041, C::Permanent, "groups"),
    one(131_042, C::AccountState, "payment"),
    one(131_044, C::AccountState, "payment (calling)"),
    one(
        131_045,
        C::AccountState,
        "registration or certificate of the number",
    ),
    one(131_047, C::Permanent, "outside the customer service window"),
    one(131_048, C::SpamLimit, "spam limit of the number"),
    one(
        131_049,
        C::Permanent,
        "withheld from this user, for 24 h at least",
    ),
    one(131_050, C::Permanent, "user stopped marketing"),
    one(131_051, C::Permanent, "unsupported type"),
    one(131_052, C::Permanent, "inbound media"),
    one(131_053, C::Permanent, "outbound media"),
    one(131_055, C::Permanent, "method not allowed"),
    one(131_056, C::RateLimitPair, "pair rate"),
    one(131_057, C::Retryable, "maintenance, a few minutes"),
    one(131_059, C::Permanent, "groups"),
    one(
        131_062,
        C::Permanent,
        "business-scoped user id not allowed here",
    ),
    one(
        131_063,
        C::Permanent,
        "marketing is switched off for this account",
    ),
    one(
        131_064,
        C::RateLimitAccount,
        "limited for wrong template categories, for days",
    ),
    one(
        131_208,
        C::RateLimitPair,
        "group rate; the group is the recipient",
    ),
    range(131_201, 131_215, C::Permanent, "groups"),
    one(
        132_069,
        C::Retryable,
        "flow throttled; only this flow is slow",
    ),
    range(132_000, 132_068, C::Permanent, "templates and flows"),
    one(133_000, C::Retryable, "earlier deregistration incomplete"),
    one(133_004, C::Retryable, "registration server unavailable"),
    one(133_005, C::Permanent, "PIN wrong"),
    one(133_006, C::Permanent, "number must be verified first"),
    one(133_008, C::RateLimitNumber, "too many PIN attempts"),
    one(133_009, C::RateLimitNumber, "PIN tried too fast"),
    one(133_010, C::AccountState, "number not registered"),
    one(133_015, C::Retryable, "number is being deleted"),
    one(133_016, C::RateLimitNumber, "registration limit, 72 h"),
    one(134_011, C::AccountState, "payments terms not accepted"),
    one(134_100, C::Permanent, "not a marketing template"),
    one(
        134_101,
        C::Retryable,
        "template is still being synchronised",
    ),
    one(
        134_102,
        C::AccountState,
        "marketing endpoint unavailable for this account",
    ),
    one(135_000, C::Permanent, "generic parameter error"),
    one(137_000, C::Permanent, "identity key mismatch"),
    one(138_002, C::RateLimitNumber, "calling limits"),
    one(138_005, C::RateLimitNumber, "calling limits"),
    one(138_009, C::RateLimitNumber, "calling limits"),
    range(138_012, 138_013, C::RateLimitNumber, "calling limits"),
    range(138_000, 138_018, C::Permanent, "calling"),
    range(139_000, 139_004, C::Permanent, "management of flows"),
    range(139_102, 139_103, C::Retryable, "block list, passing"),
    range(139_100, 139_101, C::Permanent, "block list"),
    range(147_001, 147_005, C::Permanent, "usernames"),
    one(2_494_100, C::Retryable, "maintenance"),
    range(2_388_000, 2_388_999, C::Permanent, "templates"),
    range(2_494_000, 2_494_999, C::Permanent, "migration, sign-up"),
    range(2_593_107, 2_593_108, C::Permanent, "synchronisation"),
];

/// Codes whose answer is weak evidence when it comes with a 5xx status.
const WEAK_CODES: &[i64] = &[1, 2, 131_000, 131_016];
/// Subcode of code 100: the object in the path does not exist or cannot be seen with this token.
const SUBCODE_NO_OBJECT: i32 = 33;

/// An error object as far as it decides the class.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered<'a> {
    pub(crate) http_status: u16,
    pub(crate) code: Option<i64>,
    pub(crate) subcode: Option<i32>,
    pub(crate) is_transient: bool,
    pub(crate) message: &'a str,
}

/// Class of an answer with a Graph error object.
pub(crate) fn of_answer(answer: Answered<'_>) -> ErrorClass {
    let is_server_error = answer.http_status >= 500;
    match answer.code {
        Some(code) if is_server_error && WEAK_CODES.contains(&code) => C::Weak5xx,
        Some(100) => of_bad_parameter(answer),
        Some(code) => of_code(code).unwrap_or_else(|| of_unknown_code(answer)),
        None => of_unknown_code(answer),
    }
}

fn of_code(code: i64) -> Option<ErrorClass> {
    let rule = ERROR_CODES
        .iter()
        .find(|rule| (rule.first..=rule.last).contains(&code))?;
    Some(rule.class)
}

/// Code 100 is the fault of the message, unless the object in the path or the proof of the app
/// secret is meant: then every other message of the tenant would fail in the same way.
fn of_bad_parameter(answer: Answered<'_>) -> ErrorClass {
    let message = answer.message.to_ascii_lowercase();
    if answer.subcode == Some(SUBCODE_NO_OBJECT)
        || (message.contains("object with id") && message.contains("does not exist"))
    {
        C::AccountState
    } else if message.contains("appsecret_proof") || message.contains("missing permission") {
        C::Credential
    } else {
        C::Permanent
    }
}

fn of_unknown_code(answer: Answered<'_>) -> ErrorClass {
    if answer.http_status >= 500 {
        C::Weak5xx
    } else if answer.is_transient {
        C::Retryable
    } else {
        C::Permanent
    }
}

#[cfg(test)]
mod tests;
