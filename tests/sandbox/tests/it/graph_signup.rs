//! Embedded Signup: codes, tokens, subscriptions, registration, and the browser's side.

use portal_sandbox::{Sandbox, seed};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{client, expect_json, start, text_message};

async fn exchange(sandbox: &Sandbox, more: &[(&str, &str)]) -> Response {
    let mut query = vec![
        ("client_id", seed::APP_ID),
        ("client_secret", seed::APP_SECRET),
    ];
    query.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    query.extend_from_slice(more);
    let url = format!("{}/v25.0/oauth/access_token", sandbox.base_url());
    client().get(url).query(&query).send().await.unwrap()
}

async fn token(sandbox: &Sandbox, waba_id: &str) -> String {
    let code = sandbox.signup_code(waba_id);
    let body = expect_json(exchange(sandbox, &[("code", &code)]).await, 200).await;
    body["access_token"].as_str().unwrap().to_owned()
}

async fn graph(
    sandbox: &Sandbox,
    method: Method,
    path: &str,
    token: &str,
    body: Value,
) -> Response {
    let url = format!("{}/v25.0/{path}", sandbox.base_url());
    let request = client().request(method, url).bearer_auth(token);
    request.json(&body).send().await.unwrap()
}

async fn post(sandbox: &Sandbox, path: &str, token: &str, body: Value, status: u16) -> Value {
    expect_json(
        graph(sandbox, Method::POST, path, token, body).await,
        status,
    )
    .await
}

fn code_of(error: &Value) -> (i64, Option<i64>) {
    let error = &error["error"];
    let subcode = error.get("error_subcode").and_then(Value::as_i64);
    (error["code"].as_i64().unwrap(), subcode)
}

#[tokio::test]
async fn a_code_becomes_a_token_once_and_in_time() {
    let sandbox = start();
    let code = sandbox.signup_code(seed::FRESH_WABA_ID);
    for (wrong, status, expected) in [
        (("client_id", "1"), 400, (101, None)),
        (("client_secret", "wrong"), 400, (1, None)),
        (("code", "nonsense"), 400, (100, Some(36_008))),
        (("code", ""), 400, (1, None)),
    ] {
        let with_code = [("code", code.as_str()), wrong];
        let more = if wrong.0 == "code" {
            &with_code[1..]
        } else {
            &with_code[..]
        };
        let error = expect_json(exchange(&sandbox, more).await, status).await;
        assert_eq!(code_of(&error), expected, "{wrong:?}");
    }
    let body = expect_json(exchange(&sandbox, &[("code", &code)]).await, 200).await;
    let token = body["access_token"].as_str().unwrap();
    let again = expect_json(exchange(&sandbox, &[("code", &code)]).await, 400).await;
    assert_eq!(code_of(&again), (100, Some(36_009)));
    let late = sandbox.signup_code(seed::FRESH_WABA_ID);
    sandbox.expire_signup_codes();
    let late = expect_json(exchange(&sandbox, &[("code", &late)]).await, 400).await;
    assert_eq!(code_of(&late), (100, Some(36_007)));
    let slow = sandbox.signup_code(seed::FRESH_WABA_ID);
    sandbox.change_graph(|graph| graph.code_lifetime = std::time::Duration::ZERO);
    let slow = expect_json(exchange(&sandbox, &[("code", &slow)]).await, 400).await;
    assert_eq!(code_of(&slow), (100, Some(36_007)));

    let app = format!("{}|{}", seed::APP_ID, seed::APP_SECRET);
    let path = format!("debug_token?input_token={token}");
    let data = expect_json(
        graph(&sandbox, Method::GET, &path, &app, Value::Null).await,
        200,
    )
    .await["data"]
        .clone();
    assert_eq!(data["app_id"], seed::APP_ID);
    assert_eq!(
        (&data["is_valid"], &data["expires_at"]),
        (&json!(true), &json!(0))
    );
    assert_eq!(
        data["granular_scopes"],
        json!([
            {"scope": "whatsapp_business_management", "target_ids": [seed::FRESH_WABA_ID]},
            {"scope": "whatsapp_business_messaging", "target_ids": [seed::FRESH_WABA_ID]},
        ])
    );
    // Neither codes nor tokens are in the journal.
    let seen = serde_json::to_string(
        &sandbox
            .journal()
            .entries(&portal_sandbox::Filter::default())
            .iter()
            .map(AsRef::as_ref)
            .collect::<Vec<_>>(),
    )
    .unwrap();
    assert!(!seen.contains(token) && !seen.contains(&code));
    sandbox.stop().await;
}

#[tokio::test]
async fn a_number_sends_once_it_is_registered_and_its_webhooks_come_once_subscribed() {
    let sandbox = start();
    let token = token(&sandbox, seed::FRESH_WABA_ID).await;
    let (waba, phone) = (seed::FRESH_WABA_ID, seed::FRESH_PHONE_NUMBER_ID);
    let numbers = format!(
        "{waba}/phone_numbers?fields=id,status,platform_type,is_on_biz_app,code_verification_status,throughput,verified_name"
    );
    let page = graph(&sandbox, Method::GET, &numbers, &token, Value::Null).await;
    let number = expect_json(page, 200).await["data"][0].clone();
    assert_eq!(
        (&number["status"], &number["platform_type"]),
        (&json!("PENDING"), &json!("NOT_APPLICABLE"))
    );
    let send = format!("{phone}/messages");
    let error = post(&sandbox, &send, &token, text_message("+1234567890"), 400).await;
    assert_eq!(code_of(&error).0, 133_010);

    let register = format!("{phone}/register");
    let with_pin = |pin: &str| json!({"messaging_product": "whatsapp", "pin": pin});
    for bad in [
        json!({"pin": "123456"}),
        with_pin("12345"),
        with_pin("abcdef"),
    ] {
        let error = post(&sandbox, &register, &token, bad, 400).await;
        assert_eq!(code_of(&error).0, 100);
    }
    post(&sandbox, &register, &token, with_pin("123456"), 200).await;
    let error = post(&sandbox, &register, &token, with_pin("654321"), 400).await;
    assert_eq!(
        code_of(&error).0,
        133_005,
        "the first PIN turned two-step on"
    );
    post(&sandbox, &send, &token, text_message("+1234567890"), 200).await;
    assert_eq!(sandbox.webhooks_under_way(), 0, "nobody is subscribed");

    let apps = format!("{waba}/subscribed_apps");
    let list = async || {
        let answer = graph(&sandbox, Method::GET, &apps, &token, Value::Null).await;
        expect_json(answer, 200).await["data"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(list().await, 0);
    post(&sandbox, &apps, &token, json!({}), 200).await;
    post(&sandbox, &apps, &token, json!({}), 200).await;
    assert_eq!(list().await, 1);
    assert!(sandbox.waba(waba).unwrap().subscribed);
    let gone = graph(&sandbox, Method::DELETE, &apps, &token, json!({})).await;
    expect_json(gone, 200).await;
    assert_eq!(list().await, 0);

    post(
        &sandbox,
        &format!("{phone}/deregister"),
        &token,
        json!({}),
        200,
    )
    .await;
    let error = post(&sandbox, &send, &token, text_message("+1234567890"), 400).await;
    assert_eq!(code_of(&error).0, 133_010);
    for _ in 0..7 {
        post(&sandbox, &register, &token, with_pin("123456"), 200).await;
    }
    let error = post(&sandbox, &register, &token, with_pin("123456"), 400).await;
    assert_eq!(code_of(&error).0, 133_016);
    // A token opens what it was granted and nothing else.
    let foreign = format!("{}/register", seed::ACME_PHONE_NUMBER_ID);
    let error = post(&sandbox, &foreign, &token, with_pin("123456"), 400).await;
    assert_eq!(code_of(&error), (100, Some(33)));
    sandbox.stop().await;
}

#[tokio::test]
async fn other_numbers_have_rules_of_their_own() {
    let sandbox = start();
    let bank = token(&sandbox, seed::TWO_STEP_WABA_ID).await;
    let register = format!("{}/register", seed::TWO_STEP_PHONE_NUMBER_ID);
    let with_pin = |pin: &str| json!({"messaging_product": "whatsapp", "pin": pin});
    let error = post(&sandbox, &register, &bank, with_pin("000000"), 400).await;
    assert_eq!(code_of(&error).0, 133_005);
    post(
        &sandbox,
        &register,
        &bank,
        with_pin(seed::TWO_STEP_PIN),
        200,
    )
    .await;

    let shop = token(&sandbox, seed::COEXISTENCE_WABA_ID).await;
    let register = format!("{}/register", seed::COEXISTENCE_PHONE_NUMBER_ID);
    let error = post(&sandbox, &register, &shop, with_pin("000000"), 400).await;
    assert_eq!(code_of(&error).0, 100);

    // Pages of one.
    let twins = token(&sandbox, seed::TWO_NUMBERS_WABA_ID).await;
    let first = format!("{}/phone_numbers?limit=1", seed::TWO_NUMBERS_WABA_ID);
    let answer = graph(&sandbox, Method::GET, &first, &twins, Value::Null).await;
    let page = expect_json(answer, 200).await;
    assert_eq!(page["data"][0]["id"], seed::FIRST_PHONE_NUMBER_ID);
    assert!(page["paging"]["next"].is_string());
    let after = page["paging"]["cursors"]["after"].as_str().unwrap();
    let second = format!("{first}&after={after}");
    let answer = graph(&sandbox, Method::GET, &second, &twins, Value::Null).await;
    let page = expect_json(answer, 200).await;
    assert_eq!(page["data"][0]["id"], seed::SECOND_PHONE_NUMBER_ID);
    assert!(page["paging"].get("next").is_none());

    // Without a permission.
    let half =
        sandbox.signup_code_with_scopes(seed::FRESH_WABA_ID, &["whatsapp_business_messaging"]);
    let body = expect_json(exchange(&sandbox, &[("code", &half)]).await, 200).await;
    let half = body["access_token"].as_str().unwrap();
    let apps = format!("{}/subscribed_apps", seed::FRESH_WABA_ID);
    let error = post(&sandbox, &apps, half, json!({}), 403).await;
    assert_eq!(code_of(&error).0, 10);
    sandbox.stop().await;
}

#[tokio::test]
async fn single_edges_can_fail_and_codes_come_from_control() {
    let sandbox = start();
    let url = |path: &str| format!("{}{path}", sandbox.base_url());
    let order =
        json!({"waba_id": seed::FRESH_WABA_ID, "phone_number_id": seed::FRESH_PHONE_NUMBER_ID});
    let made = client()
        .post(url("/control/graph/signup-codes"))
        .json(&order);
    let made = expect_json(made.send().await.unwrap(), 200).await;
    let code = made["code"].as_str().unwrap();
    let down = json!({"graph_failing": ["access_token"]});
    let change = client().put(url("/control/outage")).json(&down);
    expect_json(change.send().await.unwrap(), 200).await;
    expect_json(exchange(&sandbox, &[("code", code)]).await, 503).await;
    sandbox.set_failing_graph_edges(&[]);
    expect_json(exchange(&sandbox, &[("code", code)]).await, 200).await;
    let unknown = json!({"waba_id": "1"});
    let made = client()
        .post(url("/control/graph/signup-codes"))
        .json(&unknown);
    expect_json(made.send().await.unwrap(), 404).await;
    sandbox.stop().await;
}

/// What `window.opener.postMessage` is called with in a page: texts between the call's brackets.
fn posted(page: &str) -> Vec<&str> {
    page.split("window.opener.postMessage(")
        .skip(1)
        .map(|rest| rest.split("); ").next().unwrap())
        .collect()
}

#[tokio::test]
async fn the_window_tells_the_event_to_the_page_and_the_code_to_the_sdk() {
    let sandbox = start();
    let url = |path: &str| format!("{}{path}", sandbox.base_url());
    for path in ["/sdk.js", "/en_US/sdk.js"] {
        let script = client().get(url(path)).send().await.unwrap();
        assert_eq!(script.status(), 200);
        assert!(script.text().await.unwrap().contains("window.FB"));
    }
    let dialog = url(&format!(
        "/dialog/signup?app_id={}&config_id={}&origin=http://localhost:3006",
        seed::APP_ID,
        seed::SIGNUP_CONFIG_ID
    ));
    let page = client()
        .get(&dialog)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let pick = format!("{}/{}", seed::FRESH_WABA_ID, seed::FRESH_PHONE_NUMBER_ID);
    assert!(page.contains(&pick), "{page}");
    let end = async |form: [(&str, &str); 1]| {
        let answer = client().post(&dialog).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.text().await.unwrap()
    };
    let page = end([("pick", &pick)]).await;
    let [event, answer] = posted(&page)[..] else {
        panic!("{page}")
    };
    let target = ", \"http://localhost:3006\"";
    let event: String = serde_json::from_str(event.strip_suffix(target).unwrap()).unwrap();
    let event: Value = serde_json::from_str(&event).unwrap();
    assert_eq!(
        (
            &event["type"],
            &event["event"],
            &event["data"]["phone_number_id"]
        ),
        (
            &json!("WA_EMBEDDED_SIGNUP"),
            &json!("FINISH"),
            &json!(seed::FRESH_PHONE_NUMBER_ID)
        )
    );
    let answer: Value = serde_json::from_str(answer.strip_suffix(target).unwrap()).unwrap();
    let code = answer["sandbox_signup"]["code"].as_str().unwrap();
    expect_json(exchange(&sandbox, &[("code", code)]).await, 200).await;

    let shop = format!("{}/", seed::COEXISTENCE_WABA_ID);
    assert!(
        end([("pick", &shop)])
            .await
            .contains("FINISH_WHATSAPP_BUSINESS_APP_ONBOARDING")
    );
    let page = end([("cancel", "1")]).await;
    assert!(
        page.contains("CANCEL") && page.contains("\"code\":null"),
        "{page}"
    );
    for bad in [
        "app_id=1&config_id=1&origin=http://a",
        "app_id=300000000000001&config_id=1&origin=javascript:1",
    ] {
        let refused = client()
            .get(url(&format!("/dialog/signup?{bad}")))
            .send()
            .await
            .unwrap();
        assert_eq!(refused.status(), 400, "{bad}");
    }
    sandbox.stop().await;
}
