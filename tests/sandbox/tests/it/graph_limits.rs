//! Pacing, faults by chance, errors made to order, tokens that end, compact lists.

use std::collections::BTreeMap;

use portal_sandbox::{Batch, NextError, NumberPacing, Sandbox, magic_recipient, seed};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{
    Receiver, client, expect_json, json_of, post_message, quiet, send, start, text_message,
};

async fn call(sandbox: &Sandbox, method: Method, path: &str, body: &Value) -> Response {
    let url = format!("{}/control/{path}", sandbox.base_url());
    client()
        .request(method, url)
        .json(body)
        .send()
        .await
        .unwrap()
}

async fn code_of(sandbox: &Sandbox, to: &str) -> Value {
    let answer = post_message(sandbox, &text_message(to)).await.unwrap();
    json_of(answer).await["error"]["code"].clone()
}

fn number(own: NumberPacing) -> BTreeMap<String, NumberPacing> {
    [(seed::ACME_PHONE_NUMBER_ID.to_owned(), own)].into()
}

#[tokio::test]
async fn a_number_has_its_throughput() {
    let sandbox = start();
    let body = json!({"per_second": 3});
    expect_json(call(&sandbox, Method::PUT, "pacing", &body).await, 200).await;
    let mut refused = 0;
    for i in 0..40 {
        let code = code_of(&sandbox, &format!("+12345678{i:02}")).await;
        assert!(code.is_null() || code == 130_429);
        refused += u32::from(!code.is_null());
    }
    let url = format!("{}/control/stats", sandbox.base_url());
    let stats = expect_json(client().get(url).send().await.unwrap(), 200).await;
    let own = &stats["numbers"][seed::ACME_PHONE_NUMBER_ID];
    assert_eq!(own["peak_per_second"], 3);
    assert_eq!(
        (&own["limited"], &own["refused"]),
        (&json!(refused), &json!(0))
    );
    assert_eq!(own["accepted"], 40 - refused);
    let seconds = own["seconds"].as_array().unwrap();
    let sum = |column: usize| -> u64 {
        seconds
            .iter()
            .map(|row| row[column].as_u64().unwrap())
            .sum()
    };
    assert_eq!(sum(1) + sum(2), 40);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_pair_has_its_own_limit() {
    let sandbox = start();
    sandbox.change_pacing(|pacing| {
        pacing.pair = true;
        pacing.pair_capacity = 2;
        pacing.pair_refill_ms = 600_000;
    });
    for expected in [json!(null), json!(null), json!(131_056)] {
        assert_eq!(code_of(&sandbox, "+1234567890").await, expected);
    }
    assert_eq!(code_of(&sandbox, "+1234567891").await, json!(null));
    sandbox.stop().await;
}

#[tokio::test]
async fn a_number_tells_its_level_and_can_be_in_maintenance() {
    let sandbox = start();
    let own = NumberPacing {
        per_second: Some(1_000),
        tier: Some("TIER_UNLIMITED".to_owned()),
        quality: Some("YELLOW".to_owned()),
        ..NumberPacing::default()
    };
    sandbox.change_pacing(|pacing| pacing.numbers = number(own));
    let fields = "throughput,whatsapp_business_manager_messaging_limit,quality_rating";
    let url = format!(
        "{}/v25.0/{}?fields={fields}",
        sandbox.base_url(),
        seed::ACME_PHONE_NUMBER_ID
    );
    let get = client()
        .get(url)
        .bearer_auth(seed::ACME_TOKEN)
        .send()
        .await
        .unwrap();
    let node = expect_json(get, 200).await;
    assert_eq!(node["throughput"]["level"], "HIGH");
    assert_eq!(
        node["whatsapp_business_manager_messaging_limit"],
        "TIER_UNLIMITED"
    );
    assert_eq!(node["quality_rating"], "YELLOW");
    let own = NumberPacing {
        maintenance: true,
        ..NumberPacing::default()
    };
    sandbox.change_pacing(|pacing| pacing.numbers = number(own));
    assert_eq!(code_of(&sandbox, "+1234567890").await, 131_057);
    sandbox.stop().await;
}

#[tokio::test]
async fn people_a_day_are_limited_for_templates() {
    let sandbox = start();
    let receiver = Receiver::of(&sandbox);
    let own = NumberPacing {
        people_per_day: Some(1),
        ..NumberPacing::default()
    };
    sandbox.change_pacing(|pacing| pacing.numbers = number(own));
    let template = |to: &str| {
        json!({"messaging_product": "whatsapp", "to": to, "type": "template",
        "template": {"name": "hello_world", "language": {"code": "en_US"}}})
    };
    for (to, hooks, last) in [("+1234567890", 3, None), ("+1234567891", 4, Some(131_048))] {
        expect_json(post_message(&sandbox, &template(to)).await.unwrap(), 200).await;
        let seen = receiver.wait_for(hooks).await;
        let status = &seen[hooks - 1].value()["statuses"][0];
        assert_eq!(status["errors"][0]["code"].as_i64(), last);
    }
    receiver.stop().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn accounts_have_a_budget_of_calls() {
    let sandbox = start();
    sandbox.change_pacing(|pacing| pacing.management_per_hour = Some(1));
    let url = format!(
        "{}/v25.0/{}/message_templates",
        sandbox.base_url(),
        seed::ACME_WABA_ID
    );
    let get = || client().get(&url).bearer_auth(seed::ACME_TOKEN).send();
    expect_json(get().await.unwrap(), 200).await;
    let refused = get().await.unwrap();
    let usage: Value = serde_json::from_str(
        refused.headers()["x-business-use-case-usage"]
            .to_str()
            .unwrap(),
    )
    .unwrap();
    let usage = &usage[seed::ACME_WABA_ID][0];
    assert_eq!(
        (
            &usage["call_count"],
            &usage["estimated_time_to_regain_access"]
        ),
        (&json!(100), &json!(5))
    );
    assert_eq!(expect_json(refused, 400).await["error"]["code"], 80_007);
    // Sends have a budget of their own.
    send(&sandbox, "+1234567890").await;
    sandbox.stop().await;
}

#[tokio::test]
async fn errors_are_made_to_order() {
    let sandbox = start();
    let receiver = Receiver::of(&sandbox);
    let order = json!({"next_error": [
        {"code": 131_064, "recipient": "1234567891"},
        {"code": 4_711, "http": 418, "subcode": 12, "is_transient": true, "details": "why", "times": 2},
        {"code": 131_049, "by_webhook": true},
        {"code": 80_008, "edge": "message_templates", "regain_minutes": 7},
    ]});
    expect_json(call(&sandbox, Method::PUT, "faults", &order).await, 200).await;
    for _ in 0..2 {
        let answer = post_message(&sandbox, &text_message("+1234567890"))
            .await
            .unwrap();
        let error = expect_json(answer, 418).await["error"].clone();
        assert_eq!(
            (
                &error["code"],
                &error["error_subcode"],
                &error["is_transient"]
            ),
            (&json!(4_711), &json!(12), &json!(true))
        );
        assert_eq!(error["error_data"]["details"], "why");
    }
    send(&sandbox, "+1234567890").await;
    let hooks = receiver.wait_for(1).await;
    assert_eq!(
        hooks[0].value()["statuses"][0]["errors"][0]["code"],
        131_049
    );
    assert_eq!(code_of(&sandbox, "+1234567891").await, 131_064);
    send(&sandbox, "+1234567891").await;
    let url = format!(
        "{}/v25.0/{}/message_templates",
        sandbox.base_url(),
        seed::ACME_WABA_ID
    );
    let refused = client()
        .get(url)
        .bearer_auth(seed::ACME_TOKEN)
        .send()
        .await
        .unwrap();
    assert_eq!(expect_json(refused, 400).await["error"]["code"], 80_008);
    receiver.stop().await;
    sandbox.stop().await;
}

/// Every code of Meta's table that a send or a status may have, with its HTTP status.
#[tokio::test]
async fn every_documented_code_can_be_had() {
    let sandbox = start();
    let codes = [
        0, 1, 2, 3, 4, 10, 17, 33, 100, 102, 104, 190, 192, 200, 341, 368, 613, 803, 80_007,
        80_008, 130_403, 130_429, 130_472, 130_497, 130_501, 131_000, 131_005, 131_008, 131_009,
        131_016, 131_020, 131_021, 131_026, 131_030, 131_031, 131_037, 131_041, 131_042, 131_044,
        131_045, 131_047, 131_048, 131_049, 131_050, 131_051, 131_052, 131_053, 131_055, 131_056,
        131_057, 131_059, 131_062, 131_063, 131_064, 131_201, 131_208, 132_000, 132_001, 132_005,
        132_007, 132_008, 132_012, 132_015, 132_016, 132_018, 132_068, 132_069, 133_000, 133_004,
        133_005, 133_006, 133_008, 133_009, 133_010, 133_015, 133_016, 134_011, 134_100, 134_101,
        134_102, 135_000, 137_000, 138_000, 138_002, 138_018, 139_000, 139_100, 139_102, 147_001,
    ];
    for code in codes {
        sandbox.order_error(NextError::of(code));
        let answer = post_message(&sandbox, &text_message("+1234567890"))
            .await
            .unwrap();
        let error = json_of(answer).await["error"].clone();
        assert_eq!(error["code"], code);
        assert!(
            !error["message"].as_str().unwrap().contains("made to order"),
            "{code}"
        );
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn webhooks_meet_the_asked_faults() {
    let sandbox = start();
    let receiver = Receiver::of(&sandbox);
    let statuses = |from: usize| -> Vec<String> {
        let hooks = receiver.hooks();
        hooks[from..]
            .iter()
            .map(|hook| hook.statuses()[0].to_owned())
            .collect()
    };
    let mut seen = 0;
    for (fault, expected) in [
        (json!({"webhooks_off": true}), vec![]),
        (json!({"webhooks_off": false, "drop": 1.0}), vec![]),
        (
            json!({"drop": 0.0, "reorder": 1.0}),
            vec!["read", "delivered", "sent"],
        ),
        (
            json!({"reorder": 0.0, "early": 1.0}),
            vec!["sent", "delivered", "read"],
        ),
    ] {
        expect_json(call(&sandbox, Method::PUT, "faults", &fault).await, 200).await;
        send(&sandbox, "+1234567890").await;
        if fault.get("early").is_some() {
            assert_eq!(statuses(seen).first().map(String::as_str), Some("sent"));
        }
        quiet(&sandbox).await;
        assert_eq!(statuses(seen), expected, "{fault}");
        seen += expected.len();
    }
    let twice =
        json!({"early": 0.0, "duplicate": 1.0, "copies": 3, "delay": 1.0, "delay_ms": [1, 5]});
    expect_json(call(&sandbox, Method::PUT, "faults", &twice).await, 200).await;
    send(&sandbox, "+1234567890").await;
    quiet(&sandbox).await;
    let mut all = statuses(seen);
    all.sort();
    assert_eq!(all.iter().filter(|name| *name == "read").count(), 3);
    assert_eq!(all.len(), 9);
    expect_json(
        call(&sandbox, Method::DELETE, "faults", &json!(null)).await,
        200,
    )
    .await;
    let bad = call(&sandbox, Method::PUT, "faults", &json!({"drop": 2.0})).await;
    assert_eq!(bad.status(), 400);
    receiver.stop().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn answers_meet_the_asked_faults() {
    let sandbox = start();
    let message = text_message("+1234567890");
    let post = || post_message(&sandbox, &message);
    sandbox.change_faults(|faults| faults.disconnect = 1.0);
    assert!(post().await.unwrap_err().is_request());
    sandbox.change_faults(|faults| (faults.disconnect, faults.refuse_disconnect) = (0.0, 1.0));
    assert!(post().await.unwrap_err().is_request());
    sandbox.change_faults(|faults| (faults.refuse_disconnect, faults.error_5xx) = (0.0, 1.0));
    assert_eq!(
        expect_json(post().await.unwrap(), 500).await["error"]["code"],
        131_000
    );
    sandbox.change_faults(|faults| (faults.error_5xx, faults.empty_5xx) = (0.0, 1.0));
    assert_eq!(post().await.unwrap().text().await.unwrap(), "");
    let sends = sandbox.journal().sends();
    let shown: Vec<_> = sends
        .iter()
        .map(|send| (send.wamid.is_some(), send.status, send.code))
        .collect();
    assert_eq!(
        shown,
        [
            (true, None, None),
            (false, None, None),
            (false, Some(500), Some(131_000)),
            (false, Some(503), None),
        ]
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn statuses_are_sent_together() {
    let sandbox = start();
    let receiver = Receiver::of(&sandbox);
    sandbox.change_faults(|faults| {
        faults.batch = Some(Batch {
            max: 1_000,
            every_ms: 300,
            across_accounts: true,
        });
    });
    for i in 0..4 {
        send(&sandbox, &format!("+123456789{i}")).await;
    }
    let foreign = format!(
        "{}/v25.0/{}/messages",
        sandbox.base_url(),
        seed::GLOBEX_PHONE_NUMBER_ID
    );
    let post = client().post(foreign).bearer_auth(seed::GLOBEX_TOKEN);
    let post = post
        .json(&text_message("+1234567890"))
        .send()
        .await
        .unwrap();
    expect_json(post, 200).await;
    quiet(&sandbox).await;
    let hooks = receiver.hooks();
    assert!(hooks.len() < 15 && hooks.iter().all(|hook| hook.genuine));
    let mut seen = 0;
    for entry in hooks
        .iter()
        .flat_map(|hook| hook.body["entry"].as_array().unwrap())
    {
        for change in entry["changes"].as_array().unwrap() {
            seen += change["value"]["statuses"].as_array().unwrap().len();
        }
    }
    assert_eq!(seen, 15);
    receiver.stop().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn tokens_end_are_refreshed_and_revoked() {
    let sandbox = start();
    let app = format!(
        "client_id={}&client_secret={}",
        seed::APP_ID,
        seed::APP_SECRET
    );
    let get = |path: String| {
        let url = format!("{}/v25.0/{path}", sandbox.base_url());
        async move { client().get(url).send().await.unwrap() }
    };
    let debug = |token: String| {
        get(format!(
            "debug_token?input_token={token}&access_token={}|{}",
            seed::APP_ID,
            seed::APP_SECRET
        ))
    };
    let refresh = format!(
        "oauth/access_token?grant_type=fb_exchange_token&{app}&set_token_expires_in_60_days=true\
         &fb_exchange_token={}",
        seed::ACME_TOKEN
    );
    let fresh = expect_json(get(refresh.clone()).await, 200).await;
    assert_eq!(fresh["expires_in"], 5_183_944);
    let fresh = fresh["access_token"].as_str().unwrap().to_owned();
    let data = expect_json(debug(fresh.clone()).await, 200).await;
    assert!(data["data"]["expires_at"].as_i64().unwrap() > 0);

    let life = json!({"expires_in_s": -1});
    let path = format!("graph/tokens/{}", seed::ACME_TOKEN);
    expect_json(call(&sandbox, Method::PUT, &path, &life).await, 200).await;
    assert_eq!(code_of(&sandbox, "+1234567890").await, 190);
    let data = expect_json(debug(seed::ACME_TOKEN.to_owned()).await, 200).await;
    assert_eq!(data["data"]["is_valid"], false);
    assert_eq!(get(refresh).await.status(), 401);

    let revoke = get(format!("oauth/revoke?{app}&revoke_token={fresh}")).await;
    assert_eq!(expect_json(revoke, 200).await["success"], "true");
    let data = expect_json(debug(fresh).await, 200).await;
    assert_eq!(data["data"]["error"]["subcode"], 460);
    sandbox.stop().await;
}

#[tokio::test]
async fn a_compact_journal_keeps_what_a_checker_needs() {
    let sandbox = start();
    expect_json(
        call(&sandbox, Method::PUT, "journal", &json!({"detail": false})).await,
        200,
    )
    .await;
    let wamid = send(&sandbox, "+1234567890").await;
    assert_eq!(code_of(&sandbox, &magic_recipient("429", 1)).await, 130_429);
    assert!(sandbox.journal().graph_messages().is_empty());
    let url = format!("{}/journal/sends?accepted=true", sandbox.base_url());
    let page = expect_json(client().get(&url).send().await.unwrap(), 200).await;
    let sent = &page["sends"][0];
    assert_eq!(page["total"], 1);
    assert_eq!(
        (
            &sent["wamid"],
            &sent["recipient"],
            &sent["biz_opaque_callback_data"],
            &sent["status"]
        ),
        (
            &json!(wamid),
            &json!("1234567890"),
            &json!("our-id-1"),
            &json!(200)
        )
    );
    let later = format!("{url}&after={}", sent["seq"]);
    let page = expect_json(client().get(later).send().await.unwrap(), 200).await;
    assert_eq!(page["total"], 0);
    assert_eq!(sandbox.journal().sends()[1].code, Some(130_429));
    sandbox.stop().await;
}
