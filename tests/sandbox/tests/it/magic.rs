//! Every magic number, from outside.

use portal_sandbox::{MAGIC_NUMBERS, Sandbox, magic_recipient, seed};
use serde_json::{Value, json};

use crate::support::{
    Hook, Receiver, expect_json, json_of, post_message, quiet, send, start, text_message,
};

/// Refused numbers: digits, HTTP status, code, subcode.
const REFUSED: [(&str, u16, u32, Option<u32>); 28] = [
    ("000", 500, 131_000, None),
    ("001", 500, 1, None),
    ("002", 503, 2, None),
    ("003", 500, 3, None),
    ("004", 400, 4, None),
    ("005", 403, 131_005, None),
    ("008", 400, 131_008, None),
    ("009", 400, 131_009, None),
    ("010", 403, 10, None),
    ("016", 503, 131_016, None),
    ("030", 400, 131_030, None),
    ("031", 403, 131_031, None),
    ("033", 400, 100, Some(33)),
    ("037", 400, 131_037, None),
    ("045", 500, 131_045, None),
    ("048", 400, 131_048, None),
    ("051", 400, 131_051, None),
    ("056", 400, 131_056, None),
    ("057", 503, 131_057, None),
    ("100", 400, 100, None),
    ("190", 401, 190, Some(463)),
    ("200", 403, 200, None),
    ("310", 400, 133_010, None),
    ("368", 403, 368, None),
    ("403", 400, 130_403, None),
    ("429", 429, 130_429, None),
    ("430", 400, 130_429, None),
    ("497", 403, 130_497, None),
];

/// Accepted numbers whose only webhook is a failure.
const FAILED: [(&str, u32); 8] = [
    ("026", 131_026),
    ("042", 131_042),
    ("047", 131_047),
    ("049", 131_049),
    ("050", 131_050),
    ("053", 131_053),
    ("137", 137_000),
    ("472", 130_472),
];

/// Tested one by one below.
const OTHERS: [&str; 24] = [
    "502", "503", "602", "71N", "72N", "73N", "74N", "75N", "76N", "601", "603", "604", "605",
    "606", "801", "802", "803", "804", "805", "806", "807", "808", "809", "810",
];

#[test]
fn no_magic_number_is_untested() {
    let tested = REFUSED
        .iter()
        .map(|row| row.0)
        .chain(FAILED.iter().map(|row| row.0))
        .chain(OTHERS)
        .collect::<Vec<_>>();
    for number in MAGIC_NUMBERS {
        assert!(tested.contains(&number.digits), "{}", number.digits);
    }
    assert_eq!(tested.len(), MAGIC_NUMBERS.len());
}

async fn post_to(sandbox: &Sandbox, digits: &str) -> Result<reqwest::Response, reqwest::Error> {
    post_message(sandbox, &text_message(&magic_recipient(digits, 3))).await
}

fn accepted(sandbox: &Sandbox) -> usize {
    sandbox.journal().accepted_messages().len()
}

#[tokio::test]
async fn refused_numbers_answer_their_error_and_are_not_accepted() {
    let sandbox = start();
    let receiver = Receiver::of(&sandbox);
    for (digits, status, code, subcode) in REFUSED {
        let body = expect_json(post_to(&sandbox, digits).await.unwrap(), status).await;
        assert_eq!(body["error"]["code"], code, "{digits}");
        assert_eq!(
            body["error"].get("error_subcode"),
            subcode.map(|n| json!(n)).as_ref()
        );
        let journal = sandbox
            .journal()
            .entries(&portal_sandbox::Filter::default());
        assert_eq!(journal.last().unwrap().magic.as_deref(), Some(digits));
    }
    let page = post_to(&sandbox, "502").await.unwrap();
    assert_eq!(page.status(), 502);
    assert!(page.text().await.unwrap().starts_with("<!DOCTYPE html>"));
    let empty = post_to(&sandbox, "503").await.unwrap();
    assert_eq!(empty.status(), 503);
    assert_eq!(empty.text().await.unwrap(), "");
    assert!(post_to(&sandbox, "602").await.unwrap_err().is_request());

    assert_eq!(accepted(&sandbox), 0);
    quiet(&sandbox).await;
    assert!(receiver.hooks().is_empty());
    receiver.stop().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn failures_arrive_by_webhook() {
    let sandbox = start();
    let receiver = Receiver::of(&sandbox);
    for (count, (digits, code)) in FAILED.into_iter().enumerate() {
        let wamid = send(&sandbox, &magic_recipient(digits, 3)).await;
        let hooks = receiver.wait_for(count + 1).await;
        let value = hooks[count].value();
        let status = &value["statuses"][0];
        assert_eq!(
            (&status["status"], &status["id"]),
            (&json!("failed"), &json!(wamid))
        );
        assert_eq!(status["errors"][0]["code"], code);
        assert_eq!(status["errors"][0]["title"], status["errors"][0]["message"]);
        assert!(status["errors"][0]["error_data"]["details"].is_string());
        // Neither contacts nor the other id nor a price on a failure.
        assert!(value.get("contacts").is_none());
        assert!(status.get("recipient_user_id").is_none() && status.get("pricing").is_none());
    }
    quiet(&sandbox).await;
    assert_eq!(receiver.hooks().len(), FAILED.len());
    receiver.stop().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn families_refuse_n_times_then_accept_and_begin_anew() {
    let sandbox = start();
    let codes = [
        ("712", 429, 130_429),
        ("721", 500, 131_000),
        ("733", 503, 131_016),
        ("752", 400, 131_056),
    ];
    for (digits, status, code) in codes {
        let times = digits.chars().last().unwrap().to_digit(10).unwrap();
        for round in 0..2 {
            for _ in 0..times {
                let body = expect_json(post_to(&sandbox, digits).await.unwrap(), status).await;
                assert_eq!(body["error"]["code"], code, "{digits}, round {round}");
            }
            expect_json(post_to(&sandbox, digits).await.unwrap(), 200).await;
        }
    }
    assert_eq!(post_to(&sandbox, "741").await.unwrap().status(), 502);
    assert_eq!(post_to(&sandbox, "741").await.unwrap().status(), 200);
    assert!(post_to(&sandbox, "761").await.unwrap_err().is_request());
    assert_eq!(post_to(&sandbox, "761").await.unwrap().status(), 200);

    // Each recipient has a count of its own.
    let first = text_message(&magic_recipient("711", 1));
    let second = text_message(&magic_recipient("711", 2));
    assert_eq!(post_message(&sandbox, &first).await.unwrap().status(), 429);
    assert_eq!(post_message(&sandbox, &second).await.unwrap().status(), 429);
    assert_eq!(post_message(&sandbox, &first).await.unwrap().status(), 200);
    sandbox.stop().await;
}

#[tokio::test]
async fn answers_go_wrong_and_the_message_still_goes_out() {
    let sandbox = start();
    let receiver = Receiver::of(&sandbox);
    let mut messages = 0;
    for digits in ["601", "603", "604", "605", "606"] {
        let answer = post_to(&sandbox, digits).await;
        messages += 1;
        match digits {
            "601" => assert!(answer.unwrap_err().is_request()),
            "605" => {
                let body = json_of(answer.unwrap()).await;
                assert_eq!(body["messages"], json!([]));
            }
            "606" => {
                let text = answer.unwrap().text().await.unwrap();
                assert!(serde_json::from_str::<Value>(&text).is_err());
            }
            _ => assert_eq!(answer.unwrap().status(), 200),
        }
        let hooks = receiver.wait_for(messages * 3).await;
        let calls = sandbox.journal().accepted_messages();
        assert_eq!(calls.len(), messages, "{digits}");
        let wamid = calls.last().unwrap().wamid.clone().unwrap();
        let mine = hooks
            .iter()
            .filter(|hook| hook.value()["statuses"][0]["id"] == wamid.as_str());
        assert_eq!(mine.count(), 3, "{digits}");
    }
    let unanswered = &sandbox.journal().graph_messages()[0];
    assert_eq!(unanswered.status, None);
    receiver.stop().await;
    sandbox.stop().await;
}

async fn statuses_after(digits: &str, count: usize) -> (Vec<Hook>, Vec<String>) {
    let sandbox = start();
    let receiver = Receiver::of(&sandbox);
    send(&sandbox, &magic_recipient(digits, 3)).await;
    quiet(&sandbox).await;
    let hooks = receiver.hooks();
    assert_eq!(hooks.len(), count, "{digits}");
    receiver.stop().await;
    sandbox.stop().await;
    let names = hooks
        .iter()
        .flat_map(|hook| hook.statuses().into_iter().map(str::to_owned))
        .collect();
    (hooks, names)
}

#[tokio::test]
async fn webhooks_are_special() {
    let table: [(&str, usize, &[&str]); 8] = [
        ("801", 0, &[]),
        (
            "802",
            6,
            &["delivered", "delivered", "read", "read", "sent", "sent"],
        ),
        ("803", 3, &["read", "delivered", "sent"]),
        ("805", 2, &["sent", "failed"]),
        ("806", 1, &["sent"]),
        ("807", 2, &["sent", "delivered"]),
        ("808", 2, &["sent", "read"]),
        ("809", 1, &["sent", "delivered", "read"]),
    ];
    for (digits, count, expected) in table {
        let (hooks, mut names) = statuses_after(digits, count).await;
        if digits == "802" {
            // The two of a kind race each other.
            names.sort();
        }
        assert_eq!(names, expected, "{digits}");
        assert!(hooks.iter().all(|hook| hook.genuine));
    }
}

#[tokio::test]
async fn a_forged_webhook_comes_first_and_is_not_repeated() {
    let (hooks, names) = statuses_after("810", 4).await;
    assert_eq!(names.iter().filter(|name| *name == "failed").count(), 1);
    for hook in hooks {
        assert_eq!(hook.genuine, hook.statuses() != ["failed"], "{}", hook.raw);
    }
}

#[tokio::test]
async fn the_sent_webhook_can_arrive_before_the_answer() {
    let sandbox = start();
    let receiver = Receiver::of(&sandbox);
    let wamid = send(&sandbox, &magic_recipient("804", 3)).await;
    let first = &receiver.hooks()[0];
    assert_eq!(first.statuses(), ["sent"]);
    assert_eq!(first.value()["statuses"][0]["id"], wamid.as_str());
    receiver.wait_for(3).await;
    receiver.stop().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn the_senders_own_number_decides_nothing() {
    let sandbox = start();
    let url = format!(
        "{}/v25.0/{}/messages",
        sandbox.base_url(),
        seed::GLOBEX_PHONE_NUMBER_ID
    );
    let answer = crate::support::client()
        .post(url)
        .bearer_auth(seed::GLOBEX_TOKEN)
        .json(&text_message(&magic_recipient("429", 3)))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 429);
    sandbox.stop().await;
}
