//! The rows of Meta's error table that the sandbox uses.
//!
//! Texts follow Meta's error reference and bodies seen in public; the HTTP statuses come from a
//! former table of Meta and are not proven.

/// One row of the error table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ErrorRow {
    pub(crate) code: u32,
    pub(crate) http: u16,
    pub(crate) title: &'static str,
    pub(crate) details: &'static str,
}

const fn row(code: u32, http: u16, title: &'static str, details: &'static str) -> ErrorRow {
    ErrorRow {
        code,
        http,
        title,
        details,
    }
}

pub(crate) const UNKNOWN_ERROR: ErrorRow = row(1, 500, "An unknown error occurred", "");
pub(crate) const SERVICE_DOWN: ErrorRow = row(2, 503, "Service temporarily unavailable", "");
pub(crate) const NO_CAPABILITY: ErrorRow = row(
    3,
    500,
    "Application does not have the capability to make this API call.",
    "",
);
pub(crate) const APP_LIMIT: ErrorRow = row(4, 400, "Application request limit reached", "");
pub(crate) const NO_PERMISSION: ErrorRow = row(
    10,
    403,
    "Application does not have permission for this action",
    "",
);
pub(crate) const INVALID_PARAMETER: ErrorRow =
    row(100, 400, "Invalid parameter", "Parameter Invalid");
pub(crate) const NO_RIGHTS: ErrorRow = row(
    200,
    403,
    "You do not have the necessary permissions required to send messages on behalf of this \
     WhatsApp Business Account",
    "",
);
pub(crate) const POLICY_BLOCK: ErrorRow = row(
    368,
    403,
    "Temporarily blocked for policies violations",
    "The WhatsApp Business Account associated with the app has been restricted or disabled for \
     violating a platform policy.",
);
pub(crate) const DEPRECATED_VERSION: ErrorRow = row(
    2635,
    400,
    "You are calling a deprecated version of the API. Please update to the latest version: v26.0.",
    "",
);
pub(crate) const RATE_LIMIT: ErrorRow = row(
    130_429,
    429,
    "Rate limit hit",
    "Message failed to send because there were too many messages sent from this phone number in \
     a short period of time",
);
pub(crate) const RATE_LIMIT_AS_400: ErrorRow = ErrorRow {
    http: 400,
    ..RATE_LIMIT
};
pub(crate) const BUSINESS_BLOCKED_USER: ErrorRow = row(
    130_403,
    400,
    "The business has blocked this user",
    "Unblock the user before sending.",
);
pub(crate) const EXPERIMENT: ErrorRow = row(
    130_472,
    400,
    "User's number is part of an experiment",
    "Failed to send message because this user's phone number is part of an experiment",
);
pub(crate) const COUNTRY_RESTRICTED: ErrorRow = row(
    130_497,
    403,
    "Business account is restricted from messaging users in this country.",
    "The WhatsApp Business Account is restricted from messaging to users in certain countries.",
);
pub(crate) const UNKNOWN_FAILURE: ErrorRow = row(
    131_000,
    500,
    "Something went wrong",
    "Message failed to send due to an unknown error.",
);
pub(crate) const ACCESS_DENIED: ErrorRow = row(
    131_005,
    403,
    "Access denied",
    "Permission is either not granted or has been removed.",
);
pub(crate) const PARAMETER_MISSING: ErrorRow = row(
    131_008,
    400,
    "Required parameter is missing",
    "The request is missing a required parameter.",
);
pub(crate) const VALUE_INVALID: ErrorRow = row(
    131_009,
    400,
    "Parameter value is not valid",
    "One or more parameter values are invalid.",
);
pub(crate) const SERVICE_UNAVAILABLE: ErrorRow = row(
    131_016,
    503,
    "Service unavailable",
    "A service is temporarily unavailable.",
);
pub(crate) const TO_SELF: ErrorRow = row(
    131_021,
    400,
    "Recipient cannot be sender",
    "Sender and recipient phone number is the same.",
);
pub(crate) const UNDELIVERABLE: ErrorRow = row(
    131_026,
    400,
    "Message undeliverable",
    "Message Undeliverable.",
);
pub(crate) const NOT_ALLOWED_NUMBER: ErrorRow = row(
    131_030,
    400,
    "Recipient phone number not in allowed list",
    "Recipient phone number not in allowed list: Add recipient phone number to recipient list \
     and try again.",
);
pub(crate) const ACCOUNT_LOCKED: ErrorRow = row(
    131_031,
    403,
    "Business Account locked",
    "The WhatsApp Business Account associated with the app has been restricted or disabled.",
);
pub(crate) const NAME_NOT_APPROVED: ErrorRow = row(
    131_037,
    400,
    "WhatsApp provided number needs display name approval before message can be sent.",
    "The number has no approved display name.",
);
pub(crate) const PAYMENT: ErrorRow = row(
    131_042,
    400,
    "Business eligibility payment issue",
    "Message failed to send because there were one or more errors related to your payment method.",
);
pub(crate) const CERTIFICATE: ErrorRow = row(
    131_045,
    500,
    "Incorrect certificate",
    "Message failed to send due to a phone number registration error.",
);
pub(crate) const WINDOW_CLOSED: ErrorRow = row(
    131_047,
    400,
    "Re-engagement message",
    "Message failed to send because more than 24 hours have passed since the customer last \
     replied to this number.",
);
pub(crate) const SPAM_LIMIT: ErrorRow = row(
    131_048,
    400,
    "Spam rate limit hit",
    "Message failed to send because there are restrictions on how many messages can be sent from \
     this phone number. This may be because too many previous messages were blocked or flagged \
     as spam.",
);
pub(crate) const ECOSYSTEM: ErrorRow = row(
    131_049,
    400,
    "This message was not delivered to maintain healthy ecosystem engagement.",
    "In order to maintain a healthy ecosystem engagement, the message failed to be delivered.",
);
pub(crate) const OPTED_OUT: ErrorRow = row(
    131_050,
    400,
    "User has stopped marketing messages from this business",
    "The user chose to stop marketing messages on WhatsApp from your business.",
);
pub(crate) const UNSUPPORTED_TYPE: ErrorRow = row(
    131_051,
    400,
    "Unsupported message type",
    "Message type is not currently supported.",
);
pub(crate) const MEDIA_FAILED: ErrorRow = row(
    131_053,
    400,
    "Media upload error",
    "Unable to upload the media used in the message.",
);
pub(crate) const PAIR_LIMIT: ErrorRow = row(
    131_056,
    400,
    "(Business Account, Consumer Account) pair rate limit hit",
    "Message failed to send because there were too many messages sent from this phone number to \
     the same phone number in a short period of time.",
);
pub(crate) const MAINTENANCE: ErrorRow = row(
    131_057,
    503,
    "Business Account in maintenance mode",
    "The WhatsApp Business Account is in maintenance mode; it may be upgrading its throughput.",
);
pub(crate) const PIN_MISMATCH: ErrorRow = row(
    133_005,
    400,
    "Two step verification PIN Mismatch",
    "Two step verification PIN mismatch. Please make sure the PIN is correct.",
);
pub(crate) const NOT_VERIFIED: ErrorRow = row(
    133_006,
    400,
    "Phone number re-verification needed",
    "Phone number needs to be verified before registering.",
);
pub(crate) const REGISTRATION_LIMIT: ErrorRow = row(
    133_016,
    400,
    "Account register deregister rate limit exceeded",
    "Registration or deregistration failed because there were too many attempts for this phone \
     number in a short period of time.",
);
pub(crate) const NOT_REGISTERED: ErrorRow = row(
    133_010,
    400,
    "Phone number not registered on the WhatsApp Business Platform",
    "Account not registered",
);
pub(crate) const IDENTITY_CHANGED: ErrorRow = row(
    137_000,
    400,
    "User identity has changed",
    "Message failed to send because the recipient's identity key hash has changed.",
);
pub(crate) const GROUP_TYPE: ErrorRow = row(
    130_501,
    400,
    "Message type is not currently supported",
    "This message type is not supported for the recipient.",
);
pub(crate) const TEMPLATE_COUNT: ErrorRow = row(
    132_000,
    400,
    "Number of parameters does not match the expected number of params",
    "The number of parameters does not match.",
);
pub(crate) const TEMPLATE_MISSING: ErrorRow = row(
    132_001,
    404,
    "Template name does not exist in the translation",
    "The template does not exist in that language or is not approved.",
);
pub(crate) const TEMPLATE_TOO_LONG: ErrorRow = row(
    132_005,
    400,
    "Translated text too long",
    "The text is too long once the parameters are filled in.",
);
pub(crate) const TEMPLATE_FORMAT: ErrorRow = row(
    132_012,
    400,
    "Parameter format does not match format in the created template",
    "A parameter does not have the format that the template asks for.",
);
pub(crate) const TEMPLATE_PAUSED: ErrorRow = row(
    132_015,
    400,
    "Template is Paused",
    "The template is paused because of low quality.",
);
pub(crate) const TEMPLATE_DISABLED: ErrorRow = row(
    132_016,
    400,
    "Template is Disabled",
    "The template was paused too often and is disabled for good.",
);
pub(crate) const NO_USER_ID: ErrorRow = row(
    131_062,
    400,
    "Business-scoped User ID recipients are not supported for this message",
    "One-tap, zero-tap and copy code authentication templates need a phone number.",
);
pub(crate) const WABA_LIMIT: ErrorRow = row(
    80_007,
    400,
    "There have been too many calls to this WhatsApp Business account. Wait a bit and try again.",
    "",
);

/// Every row that has a name.
const NAMED: [ErrorRow; 46] = [
    UNKNOWN_ERROR,
    SERVICE_DOWN,
    NO_CAPABILITY,
    APP_LIMIT,
    NO_PERMISSION,
    INVALID_PARAMETER,
    NO_RIGHTS,
    POLICY_BLOCK,
    RATE_LIMIT,
    BUSINESS_BLOCKED_USER,
    EXPERIMENT,
    COUNTRY_RESTRICTED,
    UNKNOWN_FAILURE,
    ACCESS_DENIED,
    PARAMETER_MISSING,
    VALUE_INVALID,
    SERVICE_UNAVAILABLE,
    TO_SELF,
    UNDELIVERABLE,
    NOT_ALLOWED_NUMBER,
    ACCOUNT_LOCKED,
    NAME_NOT_APPROVED,
    PAYMENT,
    CERTIFICATE,
    WINDOW_CLOSED,
    SPAM_LIMIT,
    ECOSYSTEM,
    OPTED_OUT,
    UNSUPPORTED_TYPE,
    MEDIA_FAILED,
    PAIR_LIMIT,
    MAINTENANCE,
    PIN_MISMATCH,
    NOT_VERIFIED,
    REGISTRATION_LIMIT,
    NOT_REGISTERED,
    IDENTITY_CHANGED,
    GROUP_TYPE,
    TEMPLATE_COUNT,
    TEMPLATE_MISSING,
    TEMPLATE_TOO_LONG,
    TEMPLATE_FORMAT,
    TEMPLATE_PAUSED,
    TEMPLATE_DISABLED,
    NO_USER_ID,
    WABA_LIMIT,
];

/// Rows that only an order makes: code, HTTP status, title.
const OTHERS: [(u32, u16, &str); 43] = [
    (0, 401, "AuthException"),
    (17, 400, "User request limit reached"),
    (33, 400, "Parameter value is not valid"),
    (102, 401, "Session key invalid or no longer valid"),
    (104, 400, "Incorrect signature"),
    (190, 401, "Error validating access token"),
    (192, 400, "Invalid phone number"),
    (341, 400, "Application limit reached"),
    (613, 400, "Calls to this api have exceeded the rate limit."),
    (803, 404, "Some of the aliases you requested do not exist"),
    (
        80_008,
        400,
        "There have been too many calls to this WhatsApp Business account. Wait a bit and try again.",
    ),
    (131_020, 400, "Group is not valid"),
    (131_041, 400, "Group action failed"),
    (131_044, 400, "Business eligibility payment issue"),
    (131_052, 400, "Media download error"),
    (131_055, 400, "Method not allowed"),
    (131_059, 400, "Group message failed"),
    (
        131_063,
        400,
        "Marketing messages are not enabled for this account",
    ),
    (131_064, 400, "Template category limit reached"),
    (131_201, 400, "Group is suspended"),
    (131_208, 400, "Group rate limit hit"),
    (132_007, 400, "Template format character policy violated"),
    (132_008, 400, "Parameter value is not valid"),
    (132_018, 400, "Template validation failed"),
    (132_068, 400, "Flow is blocked"),
    (132_069, 400, "Flow is throttled"),
    (133_000, 500, "Incomplete deregistration"),
    (133_004, 503, "Server temporarily unavailable"),
    (133_008, 400, "Too many two step verification PIN guesses"),
    (133_009, 400, "Two step verification PIN guessed too fast"),
    (
        133_015,
        400,
        "Please wait a few minutes before attempting to register this phone number",
    ),
    (134_011, 403, "Payments terms not accepted"),
    (134_100, 400, "Only marketing messages are supported"),
    (134_101, 400, "Template is syncing"),
    (134_102, 500, "Template is unavailable for use"),
    (135_000, 400, "Generic user error"),
    (138_000, 400, "Calling is not enabled"),
    (138_002, 400, "Call limit reached"),
    (138_018, 400, "Call failed"),
    (139_000, 400, "Flow is blocked by integrity"),
    (139_100, 400, "Failed to block users"),
    (139_102, 400, "Block list concurrency"),
    (147_001, 400, "Username is not available"),
];

/// The row of a code; none when no document tells of it.
pub(crate) fn of_code(code: u32) -> Option<ErrorRow> {
    let named = NAMED.into_iter().find(|row| row.code == code);
    let other = || {
        let (code, http, title) = OTHERS.into_iter().find(|(have, _, _)| *have == code)?;
        Some(row(code, http, title, ""))
    };
    named.or_else(other)
}
