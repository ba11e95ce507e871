//! What the Graph side refuses, and the reads.

use portal_sandbox::{Outage, Sandbox, TokenState, seed};
use reqwest::Response;
use serde_json::{Value, json};

use crate::support::{client, expect_json, post_message, send, start, text_message};

async fn error_of(sandbox: &Sandbox, body: &Value) -> Value {
    let response = post_message(sandbox, body).await.unwrap();
    let trace = response.headers()["x-fb-trace-id"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(response.headers()["facebook-api-version"], "v25.0");
    assert!(response.headers().contains_key("x-business-use-case-usage"));
    let body = expect_json(response, 400).await;
    assert_eq!(body["error"]["fbtrace_id"], trace.as_str());
    body["error"].clone()
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

fn without(mut body: Value, name: &str) -> Value {
    body.as_object_mut().unwrap().remove(name);
    body
}

#[tokio::test]
async fn the_demo_number_simply_succeeds() {
    let sandbox = start();
    let response = post_message(&sandbox, &text_message("+1234567890"))
        .await
        .unwrap();
    let body = expect_json(response, 200).await;
    assert_eq!(body["messaging_product"], "whatsapp");
    assert_eq!(
        body["contacts"],
        json!([{"input": "+1234567890", "wa_id": "1234567890"}])
    );
    assert!(
        body["messages"][0]["id"]
            .as_str()
            .unwrap()
            .starts_with("wamid.")
    );

    let calls = sandbox.journal().graph_messages();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].phone_number_id, seed::ACME_PHONE_NUMBER_ID);
    assert_eq!(calls[0].token_name.as_deref(), Some(seed::ACME_TOKEN_NAME));
    assert_eq!(calls[0].status, Some(200));
    assert_eq!(
        calls[0].wamid.as_deref(),
        body["messages"][0]["id"].as_str()
    );
    assert_eq!(calls[0].to(), Some("+1234567890"));
    sandbox.stop().await;
}

/// Faults of the envelope's head and of the text.
fn bad_bodies() -> Vec<(Value, u32, &'static str)> {
    let good = || text_message("+1234567890");
    let long = "x".repeat(4097);
    let mut rows = vec![
        (
            without(good(), "messaging_product"),
            100,
            "(#100) The parameter messaging_product is required.",
        ),
        (
            with(good(), "messaging_product", json!("sms")),
            100,
            "(#100) Param messaging_product must be one of {WHATSAPP} - got \"sms\".",
        ),
        (
            without(good(), "to"),
            100,
            "(#100) The parameter to is required.",
        ),
        (
            with(good(), "to", json!("abc")),
            100,
            "(#100) Invalid parameter",
        ),
        (
            with(good(), "to", json!("+123456")),
            100,
            "(#100) Invalid parameter",
        ),
        (
            with(good(), "to", json!("0049301234567")),
            100,
            "(#100) Invalid parameter",
        ),
        (
            with(good(), "to", json!("+1 555 010 0001")),
            131_021,
            "(#131021) Recipient cannot be sender",
        ),
        (
            without(good(), "text"),
            131_008,
            "(#131008) Required parameter is missing",
        ),
        (
            with(good(), "text", json!({})),
            100,
            "(#100) The parameter text['body'] is required.",
        ),
        (
            with(good(), "text", json!({"body": ""})),
            100,
            "(#100) The parameter text['body'] is required.",
        ),
        (
            with(good(), "text", json!({"body": long})),
            100,
            "(#100) Param text['body'] must be at most 4096 characters long.",
        ),
        (
            with(good(), "text", json!({"body": "x", "previewUrl": true})),
            100,
            "(#100) Unexpected key \"previewUrl\" on param \"text\".",
        ),
        (
            with(good(), "text", json!({"body": "x", "preview_url": 1})),
            100,
            "(#100) Param text['preview_url'] must be a boolean.",
        ),
        (
            with(good(), "text", json!("x")),
            100,
            "(#100) Param text must be a JSON object.",
        ),
    ];
    rows.extend(bad_types_and_options());
    rows
}

/// Faults of the type and of the optional members.
fn bad_types_and_options() -> Vec<(Value, u32, &'static str)> {
    let good = || text_message("+1234567890");
    vec![
        (
            with(good(), "type", json!("order")),
            131_051,
            "(#131051) Unsupported message type",
        ),
        (
            with(good(), "type", json!("jpeg")),
            100,
            "(#100) Param type must be one of {AUDIO, CONTACTS, DOCUMENT, GIF, IMAGE, INTERACTIVE, \
             LINK_PREVIEW, LOCATION, PIN, REACTION, STICKER, TEMPLATE, TEXT, VIDEO} - got \"jpeg\".",
        ),
        (
            with(good(), "context", json!({"message_id": "x"})),
            131_009,
            "(#131009) Parameter value is not valid",
        ),
        (
            with(good(), "context", json!({"id": "wamid.x"})),
            100,
            "(#100) Unexpected key \"id\" on param \"context\".",
        ),
        (
            with(good(), "biz_opaque_callback_data", json!("x".repeat(257))),
            100,
            "(#100) Param biz_opaque_callback_data must be at most 256 characters long.",
        ),
        (
            with(good(), "priority", json!(1)),
            100,
            "(#100) Invalid parameter",
        ),
        (
            json!("not an object"),
            100,
            "(#100) The parameter messaging_product is required.",
        ),
    ]
}

#[tokio::test]
async fn bad_bodies_name_the_fault() {
    let sandbox = start();
    for (body, code, message) in bad_bodies() {
        let error = error_of(&sandbox, &body).await;
        assert_eq!(
            (&error["code"], error["message"].as_str().unwrap()),
            (&json!(code), message)
        );
        assert_eq!(error["type"], "OAuthException");
    }
    assert!(sandbox.journal().accepted_messages().is_empty());
    sandbox.stop().await;
}

#[tokio::test]
async fn forms_of_messages_that_are_accepted() {
    let sandbox = start();
    let answer = |body: Value| {
        let sandbox = &sandbox;
        async move { expect_json(post_message(sandbox, &body).await.unwrap(), 200).await }
    };
    let mut text = text_message("1 (631) 555-1234");
    text["recipient_type"] = json!("individual");
    text["context"] = json!({"message_id": "wamid.abc"});
    text["text"] = json!({"body": "x".repeat(4096), "preview_url": true});
    // No plus: the business number's own country code comes first.
    assert_eq!(answer(text).await["contacts"][0]["wa_id"], "116315551234");

    let user = json!({
        "messaging_product": "whatsapp",
        "recipient": "US.13491208655302741918",
        "text": {"body": "type is text when it is absent"},
    });
    let contact = &answer(user).await["contacts"][0];
    assert_eq!(
        *contact,
        json!({
            "input": "US.13491208655302741918",
            "user_id": "US.13491208655302741918",
        })
    );

    let read = json!({
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": "wamid.abc",
        "typing_indicator": {"type": "text"},
    });
    assert_eq!(answer(read).await, json!({"success": true}));

    let template = json!({
        "messaging_product": "whatsapp",
        "to": "+1234567890",
        "type": "template",
        "template": {"name": "hello_world", "language": {"code": "en_US"}},
    });
    assert_eq!(
        answer(template).await["messages"][0]["message_status"],
        "accepted"
    );
    sandbox.stop().await;
}

async fn post(sandbox: &Sandbox, path: &str, token: Option<&str>) -> Response {
    let request = client().post(format!("{}{path}", sandbox.base_url()));
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    request
        .json(&text_message("+1234567890"))
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn tokens_numbers_and_versions_are_checked() {
    let sandbox = start();
    let path = format!("/v25.0/{}/messages", seed::ACME_PHONE_NUMBER_ID);
    let foreign = format!("/v25.0/{}/messages", seed::GLOBEX_PHONE_NUMBER_ID);
    let gone = path.replace("v25.0", "v20.0");
    let never = path.replace("v25.0", "v99.0");
    let table = [
        (path.as_str(), None, 400, 104, Value::Null),
        (&path, Some("nonsense"), 401, 190, Value::Null),
        (&path, Some(seed::EXPIRED_TOKEN), 401, 190, json!(463)),
        (&foreign, Some(seed::ACME_TOKEN), 400, 100, json!(33)),
        (
            "/v25.0/999/messages",
            Some(seed::ACME_TOKEN),
            400,
            100,
            json!(33),
        ),
        (&gone, Some(seed::ACME_TOKEN), 400, 2635, Value::Null),
        (&never, Some(seed::ACME_TOKEN), 400, 2500, Value::Null),
    ];
    for (path, token, status, code, subcode) in table {
        let response = post(&sandbox, path, token).await;
        let authenticate = response.headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(authenticate.starts_with("OAuth \"Facebook Platform\""));
        let error = expect_json(response, status).await["error"].clone();
        assert_eq!(
            (&error["code"], error.get("error_subcode")),
            (
                &json!(code),
                Some(&subcode).filter(|value| !value.is_null()),
            )
        );
    }

    assert!(sandbox.set_graph_token(seed::ACME_TOKEN_NAME, TokenState::Revoked));
    let error = expect_json(post(&sandbox, &path, Some(seed::ACME_TOKEN)).await, 401).await;
    assert_eq!(error["error"]["error_subcode"], 460);
    assert!(sandbox.set_graph_token(seed::ACME_TOKEN, TokenState::Active));
    assert_eq!(
        post(&sandbox, &path, Some(seed::ACME_TOKEN)).await.status(),
        200
    );

    // The token as a parameter, no version: the oldest one serves the call.
    let bare = format!(
        "/{}/messages?access_token={}",
        seed::ACME_PHONE_NUMBER_ID,
        seed::ACME_TOKEN
    );
    let response = post(&sandbox, &bare, None).await;
    assert_eq!(response.headers()["facebook-api-version"], "v21.0");
    assert_eq!(response.status(), 200);
    let journal = sandbox.journal().graph_messages();
    assert_eq!(journal.last().unwrap().token_name.as_deref(), Some("acme"));
    sandbox.stop().await;
}

#[tokio::test]
async fn a_wrong_app_secret_proof_is_refused() {
    let sandbox = start();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, seed::APP_SECRET.as_bytes());
    let proof = hex::encode(aws_lc_rs::hmac::sign(&key, seed::ACME_TOKEN.as_bytes()));
    let path = format!(
        "/v25.0/{}/messages?appsecret_proof=",
        seed::ACME_PHONE_NUMBER_ID
    );
    let good = post(&sandbox, &format!("{path}{proof}"), Some(seed::ACME_TOKEN)).await;
    assert_eq!(good.status(), 200);
    let bad = post(&sandbox, &format!("{path}00"), Some(seed::ACME_TOKEN)).await;
    assert_eq!(expect_json(bad, 400).await["error"]["code"], 100);
    sandbox.stop().await;
}

#[tokio::test]
async fn numbers_accounts_and_tokens_can_be_read() {
    let sandbox = start();
    let get = |path: String| {
        let url = format!("{}/v25.0/{path}", sandbox.base_url());
        client().get(url).bearer_auth(seed::ACME_TOKEN).send()
    };
    let phone = seed::ACME_PHONE_NUMBER_ID;
    let body = expect_json(get(phone.to_owned()).await.unwrap(), 200).await;
    assert_eq!(
        body["display_phone_number"],
        seed::ACME_DISPLAY_PHONE_NUMBER
    );
    assert_eq!(body["quality_rating"], "GREEN");
    assert!(body.get("status").is_none());
    let path = format!("{phone}?fields=status,username,health_status{{entities}}");
    let body = expect_json(get(path).await.unwrap(), 200).await;
    assert_eq!(body["id"], phone);
    assert_eq!(body["status"], "CONNECTED");
    assert!(body.get("username").is_none() && body.get("quality_rating").is_none());
    let bad = expect_json(get(format!("{phone}?fields=shoe_size")).await.unwrap(), 400).await;
    assert_eq!(bad["error"]["code"], 100);

    let waba = seed::ACME_WABA_ID;
    let body = expect_json(get(format!("{waba}/phone_numbers")).await.unwrap(), 200).await;
    assert_eq!(body["data"][0]["id"], phone);
    assert!(body["paging"]["cursors"].is_object());
    let body = expect_json(get(waba.to_owned()).await.unwrap(), 200).await;
    assert_eq!(body["name"], "Acme Corp");
    let foreign = get(format!("{}/phone_numbers", seed::GLOBEX_WABA_ID))
        .await
        .unwrap();
    assert_eq!(
        expect_json(foreign, 400).await["error"]["error_subcode"],
        33
    );

    let debug = |input: &str, token: String| {
        let url = format!(
            "{}/v25.0/debug_token?input_token={input}",
            sandbox.base_url()
        );
        client().get(url).bearer_auth(token).send()
    };
    let app_token = format!("{}|{}", seed::APP_ID, seed::APP_SECRET);
    let body = debug(seed::GLOBEX_TOKEN, app_token.clone()).await.unwrap();
    let body = expect_json(body, 200).await;
    assert_eq!(body["data"]["is_valid"], true);
    assert_eq!(
        body["data"]["granular_scopes"][0]["target_ids"][0],
        seed::GLOBEX_WABA_ID
    );
    let body = expect_json(debug("nonsense", app_token).await.unwrap(), 200).await;
    assert_eq!(body["data"]["is_valid"], false);
    let foreign = debug(seed::GLOBEX_TOKEN, seed::ACME_TOKEN.to_owned())
        .await
        .unwrap();
    assert_eq!(foreign.status(), 400);
    sandbox.stop().await;
}

#[tokio::test]
async fn the_side_can_be_down() {
    let sandbox = start();
    sandbox.set_graph_outage(Outage::Unavailable);
    let response = post_message(&sandbox, &text_message("+1234567890"))
        .await
        .unwrap();
    let error = expect_json(response, 503).await["error"].clone();
    assert_eq!(
        (&error["code"], &error["is_transient"]),
        (&json!(2), &json!(true))
    );
    sandbox.set_graph_outage(Outage::Drop);
    let error = post_message(&sandbox, &text_message("+1234567890"))
        .await
        .unwrap_err();
    assert!(error.is_request());
    sandbox.set_graph_outage(Outage::None);
    send(&sandbox, "+1234567890").await;

    let calls = sandbox.journal().graph_messages();
    let statuses: Vec<Option<u16>> = calls.iter().map(|call| call.status).collect();
    assert_eq!(statuses, [Some(503), None, Some(200)]);
    assert_eq!(sandbox.journal().accepted_messages().len(), 1);
    sandbox.stop().await;
}
