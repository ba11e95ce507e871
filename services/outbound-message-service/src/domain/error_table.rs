//! `docs/meta-error-codes.md`: every documented error code and what the service does with it, written
//! from the rules themselves.
//!
//! `UPDATE_DOCS=1 cargo nextest run -p outbound-message-service error_table` writes it anew.

use std::{fmt::Write as _, fs, path::PathBuf};

use portal_whatsapp::{CodeRule, ERROR_CODES, ErrorClass, SendError};

use super::retry_policy::{Tries, Verdict, verdict};

/// More tries than any message gets.
const MANY: i32 = 40;

const HEAD: &str = "\
# Error codes of Meta, and what the service does

Written from `crates/whatsapp/src/class.rs` and `services/outbound-message-service/src/domain/retry_policy.rs`
by a test; `UPDATE_DOCS=1 cargo nextest run -p outbound-message-service error_table` writes it anew.

The code decides, not the HTTP status. Codes that are not listed are `retryable` when Meta marks them as
transient, `weak5xx` with a 5xx status, and `permanent` otherwise. No answer at all, or one that is none of the
Graph API's, is `unknown`: the message is not sent again before a webhook or the horizon settles it.

Waits are in seconds, give or take a fifth, and longer when Meta asks for it.

| code | meaning | class | what becomes of the message | what becomes of the number |
|---|---|---|---|---|
";

fn refused(class: ErrorClass, code: i64) -> SendError {
    SendError {
        code: Some(code),
        ..SendError::of_class(class, "")
    }
}

/// What is decided about a message that gets the same answer again and again.
fn verdicts(class: ErrorClass, code: i64) -> Vec<Verdict> {
    let mut retries = 0;
    let mut verdicts = Vec::new();
    for attempts in 1..=MANY {
        let tries = Tries {
            attempts,
            retries,
            max_retries: default_max_retries(),
        };
        let decided = verdict(&refused(class, code), tries, 0.5);
        verdicts.push(decided);
        match decided {
            Verdict::Retry { counts, .. } => retries += i32::from(counts),
            _ => break,
        }
    }
    verdicts
}

fn default_max_retries() -> i32 {
    let settings = include_str!("../../config.default.toml");
    let line = settings
        .lines()
        .find_map(|line| line.strip_prefix("max_retries = "));
    line.unwrap().trim().parse().unwrap()
}

/// Message and number, in words.
fn consequence(class: ErrorClass, code: i64) -> (String, String) {
    let verdicts = verdicts(class, code);
    let waits: Vec<u64> = verdicts
        .iter()
        .filter_map(|verdict| match verdict {
            Verdict::Retry { after, .. } => Some(after.as_secs()),
            _ => None,
        })
        .collect();
    let first = verdicts[0];
    let number = match format!("{first:?}").split_once('(') {
        Some((_, reason)) => format!(
            "held (`{}`) until a message of it passes",
            reason.trim_end_matches(')').to_lowercase()
        ),
        None => "goes on".to_owned(),
    };
    let message = if matches!(first, Verdict::Retry { .. }) {
        told_waits(&waits, verdicts.last() == Some(&Verdict::Fail))
    } else if matches!(first, Verdict::Hold(_)) {
        "waits; costs no attempt".to_owned()
    } else if first == Verdict::AwaitWebhook {
        "waits for a webhook".to_owned()
    } else {
        "fails".to_owned()
    };
    (message, number)
}

fn told_waits(waits: &[u64], ends: bool) -> String {
    let mut told = String::new();
    for (place, wait) in waits.iter().enumerate() {
        if place > 0 && waits[place - 1] == *wait {
            told.push_str(", …");
            break;
        }
        let comma = if place == 0 { "" } else { ", " };
        write!(told, "{comma}{wait}").unwrap();
    }
    if ends {
        format!(
            "tried again after {told}; fails after {} tries",
            waits.len() + 1
        )
    } else {
        format!("tried again after {told}, until its time to live ends")
    }
}

fn line(rule: &CodeRule) -> String {
    let codes = if rule.first == rule.last {
        rule.first.to_string()
    } else {
        format!("{}–{}", rule.first, rule.last)
    };
    let row = |codes: &str, class: ErrorClass| {
        let (message, number) = consequence(class, rule.first);
        format!(
            "| {codes} | {} | `{class}` | {message} | {number} |\n",
            rule.meaning
        )
    };
    let mut lines = row(&codes, rule.class);
    if rule.is_weak() {
        lines.push_str(&row(&format!("{codes} with 5xx"), ErrorClass::Weak5xx));
    }
    lines
}

fn document() -> String {
    let mut rules: Vec<&CodeRule> = ERROR_CODES.iter().collect();
    // Stable: within a range the exceptions stand before it, as they are looked up.
    rules.sort_by_key(|rule| rule.last);
    let lines: String = rules.into_iter().map(line).collect();
    format!("{HEAD}{lines}")
}

#[test]
fn the_document_is_what_the_rules_say() {
    let path = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/meta-error-codes.md"
    ));
    let document = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &document).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == document,
        "docs/meta-error-codes.md is not what the rules say: write it anew with UPDATE_DOCS=1"
    );
}

#[test]
fn every_code_has_the_verdict_of_its_class() {
    for rule in ERROR_CODES {
        let first = verdicts(rule.class, rule.first)[0];
        let shown = format!("{first:?}");
        let expected: &[&str] = match rule.class {
            ErrorClass::Permanent => &["Fail"],
            ErrorClass::SpamLimit => &["Fail", "FailAndHold(Quality)"],
            ErrorClass::Credential => &["Hold(Credential)"],
            ErrorClass::AccountState => &["Hold(Account)", "Hold(Payment)"],
            ErrorClass::Unknown => &["AwaitWebhook"],
            _ => &["Retry"],
        };
        let fits = expected.iter().any(|start| shown.starts_with(start));
        assert!(fits, "{rule:?}: {shown}");
    }
}
