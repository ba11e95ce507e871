//! Journal and control endpoints over HTTP.

use portal_sandbox::{Sandbox, seed};
use serde_json::{Value, json};

use crate::support::{
    Receiver, api, client, config, expect_json, post_message, send, sign_in, start, text_message,
};

async fn call(sandbox: &Sandbox, method: &str, path: &str, body: Value, status: u16) -> Value {
    let url = format!("{}{path}", sandbox.base_url());
    let request = client().request(method.parse().unwrap(), url);
    let request = if body.is_null() {
        request
    } else {
        request.json(&body)
    };
    expect_json(request.send().await.unwrap(), status).await
}

async fn get(sandbox: &Sandbox, path: &str) -> Value {
    call(sandbox, "GET", path, Value::Null, 200).await
}

#[tokio::test]
async fn the_journal_shows_calls_in_order_and_no_secret() {
    let sandbox = start();
    let receiver = Receiver::of(&sandbox);
    let (access, refresh) = sign_in(&sandbox, seed::ACME_AGENT).await;
    api(&sandbox, &access, "/users/me").await;
    let url = format!(
        "{}/v25.0/{}/messages",
        sandbox.base_url(),
        seed::ACME_PHONE_NUMBER_ID
    );
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let sent = client()
        .post(url)
        .bearer_auth(seed::ACME_TOKEN)
        .header("traceparent", traceparent)
        .json(&text_message("+1234567890"));
    assert_eq!(sent.send().await.unwrap().status(), 200);
    receiver.wait_for(3).await;

    let all = get(&sandbox, "/journal").await;
    assert_eq!(all["total"], 7);
    let entries = all["entries"].as_array().unwrap();
    let paths: Vec<&str> = entries
        .iter()
        .take(4)
        .map(|entry| entry["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        paths[..3],
        ["/oauth/authorize", "/oauth/token", "/api/v2/users/me"]
    );
    assert_eq!(entries[1]["request"]["grant_type"], "authorization_code");
    assert_eq!(entries[2]["token"]["name"], seed::ACME_AGENT);
    assert!(
        entries[2]["token"]["fingerprint"]
            .as_str()
            .unwrap()
            .starts_with("sha256:")
    );
    let text = all.to_string();
    for secret in [
        &access,
        &refresh,
        seed::ACME_TOKEN,
        seed::CONFIDENTIAL_CLIENT_SECRET,
    ] {
        assert!(!text.contains(secret));
    }

    let graph = get(&sandbox, "/journal?kind=graph&path=/messages").await;
    let entry = &graph["entries"][0];
    assert_eq!(graph["total"], 1);
    assert_eq!(entry["phone_number_id"], seed::ACME_PHONE_NUMBER_ID);
    assert_eq!(entry["headers"]["traceparent"], traceparent);
    assert_eq!(entry["request"]["text"]["body"], "Grüße/hello");
    assert_eq!(entry["status"], 200);
    assert_eq!(entry["wamid"], entry["response"]["messages"][0]["id"]);
    assert_eq!(
        sandbox.journal().graph_messages()[0].traceparent.as_deref(),
        Some(traceparent)
    );

    assert_eq!(
        get(&sandbox, "/journal?kind=webhook&limit=2").await["total"],
        2
    );
    assert_eq!(get(&sandbox, "/journal?after=4").await["total"], 3);
    call(&sandbox, "GET", "/journal?kind=odd", Value::Null, 400).await;
    call(&sandbox, "DELETE", "/journal", Value::Null, 200).await;
    assert_eq!(get(&sandbox, "/journal").await["total"], 0);
    receiver.stop().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn the_journal_is_bounded() {
    let mut config = config();
    config.journal_capacity = 3;
    let sandbox = Sandbox::start(config).unwrap();
    for number in 0..5 {
        send(&sandbox, &format!("+123456789{number}")).await;
    }
    let calls = sandbox.journal().graph_messages();
    let recipients: Vec<_> = calls.iter().filter_map(|call| call.to()).collect();
    assert_eq!(recipients, ["+1234567892", "+1234567893", "+1234567894"]);
    sandbox.stop().await;
}

#[tokio::test]
async fn webhook_tokens_and_outages_can_be_steered_over_http() {
    let sandbox = start();
    let receiver = Receiver::listen("127.0.0.1:0", "other secret");
    let webhook = json!({
        "url": receiver.url, "app_secret": "other secret", "payload": "v23",
        "delays_ms": {"sent": 1, "delivered": 2, "read": 3}, "retry_ms": [10],
    });
    call(&sandbox, "PUT", "/control/webhook", webhook, 200).await;
    send(&sandbox, "+1234567890").await;
    assert!(receiver.wait_for(3).await.iter().all(|hook| hook.genuine));
    call(&sandbox, "PUT", "/control/webhook", json!({"url": ""}), 200).await;

    call(
        &sandbox,
        "POST",
        "/control/graph/tokens/acme/revoke",
        Value::Null,
        200,
    )
    .await;
    let refused = post_message(&sandbox, &text_message("+1234567890"))
        .await
        .unwrap();
    assert_eq!(refused.status(), 401);
    call(
        &sandbox,
        "POST",
        "/control/graph/tokens/acme/restore",
        Value::Null,
        200,
    )
    .await;
    send(&sandbox, "+1234567890").await;
    call(
        &sandbox,
        "POST",
        "/control/graph/tokens/nobody/revoke",
        Value::Null,
        404,
    )
    .await;

    let outage = json!({"genesys": "unavailable", "graph": "drop", "graph_failing": []});
    assert_eq!(
        call(&sandbox, "PUT", "/control/outage", outage.clone(), 200).await,
        outage
    );
    assert!(
        post_message(&sandbox, &text_message("+1234567890"))
            .await
            .is_err()
    );
    call(
        &sandbox,
        "PUT",
        "/control/outage",
        json!({"genesys": "none", "graph": "none"}),
        200,
    )
    .await;
    call(
        &sandbox,
        "PUT",
        "/control/latency",
        json!({"graph_ms": 1, "hang_ms": 1}),
        200,
    )
    .await;

    receiver.stop().await;
    sandbox.stop().await;
}

#[tokio::test]
async fn limits_can_be_changed_and_all_of_it_reset() {
    let sandbox = start();
    let (access, _) = sign_in(&sandbox, seed::ACME_AGENT).await;
    let limit = json!({"rate_limit_per_minute": 0});
    call(&sandbox, "PUT", "/control/genesys", limit, 200).await;
    assert_eq!(api(&sandbox, &access, "/users/me").await.status(), 429);
    let email = json!({"email": seed::ACME_AGENT});
    let revoked = call(
        &sandbox,
        "POST",
        "/control/genesys/tokens/revoke",
        email,
        200,
    )
    .await;
    assert_eq!(revoked["revoked"], 1);

    for bad in [json!({"graph": "odd"}), json!({"graf": "none"}), json!("x")] {
        let body = call(&sandbox, "PUT", "/control/outage", bad, 400).await;
        assert!(
            body["error"]
                .as_str()
                .unwrap()
                .starts_with("The body does not fit")
        );
    }
    call(&sandbox, "POST", "/control/reset", Value::Null, 200).await;
    let overview = get(&sandbox, "/control").await;
    assert_eq!(overview["genesys"]["rate_limit_per_minute"], 300);
    assert!(!overview.to_string().contains(seed::ACME_TOKEN));
    assert!(
        !overview
            .to_string()
            .contains(seed::CONFIDENTIAL_CLIENT_SECRET)
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn a_new_organization_with_people_and_a_number_works_at_once() {
    let sandbox = start();
    let org = json!({"name": "Umbrella", "short_name": "umbrella"});
    let org = call(&sandbox, "POST", "/control/orgs", org, 200).await;
    let org_id = org["id"].as_str().unwrap();
    let user = json!({
        "org_id": org_id, "email": "a@umbrella.example", "name": "A", "roles": ["employee", "User"],
    });
    call(&sandbox, "POST", "/control/users", user, 200).await;
    let lost = json!({"org_id": "nowhere", "email": "b@umbrella.example", "name": "B"});
    call(&sandbox, "POST", "/control/users", lost, 400).await;
    let (access, _) = sign_in(&sandbox, "a@umbrella.example").await;
    let me = expect_json(api(&sandbox, &access, "/organizations/me").await, 200).await;
    assert_eq!(me["id"], org_id);

    let path = "/control/users/a@umbrella.example";
    let changed = call(&sandbox, "PATCH", path, json!({"state": "inactive"}), 200).await;
    assert_eq!(changed["version"], 2);
    let path = format!("/control/orgs/{org_id}");
    call(&sandbox, "PATCH", &path, json!({"state": "inactive"}), 200).await;
    let me = expect_json(
        api(&sandbox, &access, "/users/me?expand=organization").await,
        200,
    )
    .await;
    assert_eq!(
        (&me["state"], &me["organization"]["state"]),
        (&json!("inactive"), &json!("inactive"))
    );

    let client_of = json!({
        "id": "umbrella-cc", "name": "cc", "org_id": org_id, "kind": "client_credentials",
        "secret": "s",
    });
    call(&sandbox, "POST", "/control/oauth-clients", client_of, 200).await;
    let form = [("grant_type", "client_credentials")];
    let answer = crate::support::token(&sandbox, Some(("umbrella-cc", "s")), &form).await;
    expect_json(answer, 200).await;

    let waba = json!({
        "waba": {"id": "17", "name": "Umbrella", "phones": [{
            "id": "18", "display_phone_number": "+44 20 5550018", "country_code": "44",
            "verified_name": "Umbrella",
        }]},
        "token": {"name": "umbrella", "value": "T18", "waba_ids": []},
    });
    call(&sandbox, "POST", "/control/wabas", waba, 200).await;
    let sent = client()
        .post(format!("{}/v25.0/18/messages", sandbox.base_url()))
        .bearer_auth("T18")
        .json(&text_message("+1234567890"));
    assert_eq!(sent.send().await.unwrap().status(), 200);
    let journal = sandbox.journal().graph_messages();
    assert_eq!(journal[0].token_name.as_deref(), Some("umbrella"));
    sandbox.stop().await;
}

#[tokio::test]
async fn health_index_and_magic_list_answer() {
    let sandbox = start();
    for path in ["/health", "/health/ready"] {
        assert_eq!(get(&sandbox, path).await["status"], "ok");
    }
    let list = get(&sandbox, "/control/magic").await;
    assert_eq!(
        list["magic_numbers"].as_array().unwrap().len(),
        portal_sandbox::MAGIC_NUMBERS.len()
    );
    let index = client().get(sandbox.base_url()).send().await.unwrap();
    assert_eq!(index.status(), 200);
    call(&sandbox, "GET", "/control/nothing", Value::Null, 404).await;
    assert!(
        sandbox
            .journal()
            .entries(&portal_sandbox::Filter::default())
            .is_empty()
    );
    sandbox.stop().await;
}
