//! The error table of the fact sheet, line by line.

use super::*;

fn answer(http_status: u16, code: i64) -> Answered<'static> {
    Answered {
        http_status,
        code: Some(code),
        subcode: None,
        is_transient: false,
        message: "",
    }
}

/// Code, HTTP status that Meta's tables give for it, and the class of the fact sheet.
#[rustfmt::skip]
const LINES: &[(i64, u16, ErrorClass)] = &[
    (0, 401, C::Credential), (1, 400, C::Retryable), (1, 500, C::Weak5xx), (2, 503, C::Weak5xx),
    (2, 400, C::Retryable), (3, 500, C::Credential), (4, 400, C::RateLimitApp),
    (4, 429, C::RateLimitApp), (10, 403, C::Credential), (17, 400, C::RateLimitAccount),
    (613, 400, C::RateLimitAccount), (33, 400, C::AccountState), (100, 400, C::Permanent),
    (102, 401, C::Credential), (104, 400, C::Credential), (190, 401, C::Credential),
    (190, 400, C::Credential), (192, 400, C::Permanent), (200, 403, C::Credential),
    (299, 403, C::Credential), (300, 403, C::Permanent), (341, 400, C::RateLimitApp),
    (368, 403, C::AccountState), (80_007, 400, C::RateLimitAccount),
    (80_007, 429, C::RateLimitAccount), (80_008, 400, C::RateLimitAccount),
    (803, 404, C::AccountState), (130_403, 400, C::Permanent), (130_429, 400, C::RateLimitNumber),
    (130_429, 429, C::RateLimitNumber), (130_472, 400, C::Permanent),
    (130_497, 403, C::Permanent), (130_501, 400, C::Permanent), (131_000, 500, C::Weak5xx),
    (131_000, 400, C::Retryable), (131_005, 403, C::Credential), (131_008, 400, C::Permanent),
    (131_009, 400, C::Permanent), (131_016, 500, C::Weak5xx), (131_016, 503, C::Weak5xx),
    (131_016, 400, C::Retryable), (131_020, 400, C::Permanent), (131_041, 400, C::Permanent),
    (131_059, 400, C::Permanent), (131_201, 400, C::Permanent), (131_208, 400, C::RateLimitPair),
    (131_215, 400, C::Permanent), (131_021, 400, C::Permanent), (131_026, 400, C::Permanent),
    (131_030, 400, C::Permanent), (131_031, 403, C::AccountState),
    (131_037, 400, C::AccountState), (131_042, 400, C::AccountState),
    (131_044, 400, C::AccountState), (131_045, 500, C::AccountState),
    (131_047, 400, C::Permanent), (131_048, 400, C::SpamLimit), (131_049, 400, C::Permanent),
    (131_050, 400, C::Permanent), (131_051, 400, C::Permanent), (131_052, 400, C::Permanent),
    (131_053, 400, C::Permanent), (131_055, 400, C::Permanent), (131_056, 400, C::RateLimitPair),
    (131_057, 500, C::Retryable), (131_057, 503, C::Retryable), (131_062, 400, C::Permanent),
    (131_063, 400, C::Permanent), (131_064, 400, C::RateLimitAccount),
    (132_000, 400, C::Permanent), (132_001, 404, C::Permanent), (132_005, 400, C::Permanent),
    (132_007, 400, C::Permanent), (132_008, 400, C::Permanent), (132_012, 400, C::Permanent),
    (132_015, 400, C::Permanent), (132_016, 400, C::Permanent), (132_018, 400, C::Permanent),
    (132_068, 400, C::Permanent), (132_069, 400, C::Retryable), (133_000, 500, C::Retryable),
    (133_004, 503, C::Retryable), (133_005, 400, C::Permanent), (133_006, 400, C::Permanent),
    (133_008, 400, C::RateLimitNumber), (133_009, 400, C::RateLimitNumber),
    (133_010, 400, C::AccountState), (133_015, 400, C::Retryable),
    (133_016, 400, C::RateLimitNumber), (134_011, 403, C::AccountState),
    (134_100, 400, C::Permanent), (134_101, 400, C::Retryable), (134_102, 500, C::AccountState),
    (135_000, 400, C::Permanent), (137_000, 400, C::Permanent), (138_000, 400, C::Permanent),
    (138_002, 400, C::RateLimitNumber), (138_005, 400, C::RateLimitNumber),
    (138_009, 400, C::RateLimitNumber), (138_012, 400, C::RateLimitNumber),
    (138_013, 400, C::RateLimitNumber), (138_018, 400, C::Permanent),
    (139_000, 400, C::Permanent), (139_004, 400, C::Permanent), (139_100, 400, C::Permanent),
    (139_101, 400, C::Permanent), (139_102, 400, C::Retryable), (139_103, 400, C::Retryable),
    (147_001, 400, C::Permanent), (147_005, 400, C::Permanent), (2_388_023, 400, C::Permanent),
    (2_494_055, 400, C::Permanent), (2_494_100, 400, C::Retryable),
    (2_593_107, 400, C::Permanent), (2_593_108, 400, C::Permanent),
    (999_999, 400, C::Permanent), (999_999, 500, C::Weak5xx), (999_999, 429, C::Permanent),
];

#[test]
fn every_line_of_the_fact_sheet_holds() {
    for &(code, http_status, class) in LINES {
        assert_eq!(
            of_answer(answer(http_status, code)),
            class,
            "code {code}, HTTP {http_status}"
        );
    }
}

#[test]
fn every_rule_is_reached_by_a_line() {
    for (index, rule) in ERROR_CODES.iter().enumerate() {
        let reached = LINES.iter().any(|(code, _, _)| {
            ERROR_CODES
                .iter()
                .position(|rule| (rule.first..=rule.last).contains(code))
                == Some(index)
        });
        assert!(reached, "{rule:?}");
    }
}

#[test]
fn a_bad_parameter_is_not_always_the_messages_fault() {
    let bad = |subcode, message| Answered {
        subcode,
        message,
        ..answer(400, 100)
    };
    for (subcode, message, class) in [
        (
            None,
            "(#100) Param text['body'] must be at most 4096 characters long.",
            C::Permanent,
        ),
        (Some(2_494_010), "(#100) Invalid parameter", C::Permanent),
        (Some(33), "Unsupported post request.", C::AccountState),
        (
            None,
            "Unsupported post request. Object with ID '1' does not exist, cannot be loaded due to \
             missing permissions, or does not support this operation",
            C::AccountState,
        ),
        (None, "(#100) Media '7' does not exist", C::Permanent),
        (
            None,
            "API calls from the server require an appsecret_proof argument",
            C::Credential,
        ),
        (
            None,
            "(#100) Missing permissions for this object",
            C::Credential,
        ),
    ] {
        assert_eq!(of_answer(bad(subcode, message)), class, "{message}");
    }
}

#[test]
fn an_unknown_code_goes_by_status_and_by_what_meta_says_of_it() {
    let unknown = |http_status, is_transient, code| {
        of_answer(Answered {
            code,
            is_transient,
            ..answer(http_status, 0)
        })
    };
    assert_eq!(unknown(400, true, Some(999_999)), C::Retryable);
    assert_eq!(unknown(400, false, None), C::Permanent);
    assert_eq!(unknown(503, false, None), C::Weak5xx);
    assert_eq!(unknown(503, true, None), C::Weak5xx);
    // A known code is not overruled.
    assert_eq!(unknown(400, true, Some(131_026)), C::Permanent);
}

#[test]
fn codes_in_webhooks_have_the_class_of_the_table() {
    assert_eq!(ErrorClass::of_webhook_code(131_026), C::Permanent);
    assert_eq!(ErrorClass::of_webhook_code(131_000), C::Retryable);
    assert_eq!(ErrorClass::of_webhook_code(131_042), C::AccountState);
    assert_eq!(ErrorClass::of_webhook_code(999_999), C::Permanent);
}

#[test]
fn names_on_the_wire_go_both_ways() {
    assert_eq!(C::RateLimitPair.as_str(), "rate_limit_pair");
    assert_eq!("not_sent".parse(), Ok(C::NotSent));
    assert_eq!(serde_json::to_value(C::Weak5xx).unwrap(), "weak5xx");
    assert_eq!(C::Weak5xx.to_string(), "weak5xx");
}
