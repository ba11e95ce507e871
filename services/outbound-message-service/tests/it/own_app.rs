//! Organizations with a Meta app of their own: secrets, their rotation, and what they are believed.

use portal_sandbox::seed;
use portal_types::Role;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    meta::{SHEENA, all_applied, post, post_to, sign, status, statuses, text},
    world::World,
};

const OWN: &str = "/webhooks/whatsapp/acme";
const FIRST: &str = "0123456789abcdef0123456789abcdef";
const SECOND: &str = "fedcba9876543210fedcba9876543210";
const AT: i64 = 1_750_000_000;

async fn ask(
    world: &World,
    token: &str,
    method: Method,
    id: &str,
    body: Option<&Value>,
) -> (StatusCode, Value) {
    let url = format!("{}/api/messages/webhook-secrets{id}", world.url);
    let mut request = world.http.request(method, url).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(body);
    }
    let response = request.send().await.unwrap();
    let status = response.status();
    (status, response.json().await.unwrap_or_default())
}

async fn add(world: &World, token: &str, body: Value) -> (StatusCode, Value) {
    ask(world, token, Method::POST, "", Some(&body)).await
}

fn post_of(entries: &[Value]) -> String {
    json!({"object": "whatsapp_business_account", "entry": entries}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_signs_for_its_organization_and_two_overlap() {
    let world = World::start().await;
    let admin = world.sisters.token_as(Role::Admin, "acme");
    let mut number = 0;
    let mut try_with = async |secret: &str| {
        number += 1;
        let body = post_of(&[text(
            seed::ACME_PHONE_NUMBER_ID,
            SHEENA,
            &format!("wamid.{number}"),
            AT,
        )]);
        post_to(&world, OWN, &body, Some(&sign(secret, &body))).await
    };
    assert_eq!(try_with(FIRST).await, StatusCode::UNAUTHORIZED);
    let secret = |secret: &str| json!({"kind": "app_secret", "secret": secret});
    let (status, first) = add(&world, &admin, secret(FIRST)).await;
    assert_eq!(status, StatusCode::CREATED, "{first}");
    assert_eq!(try_with(FIRST).await, StatusCode::OK);
    assert_eq!(try_with(SECOND).await, StatusCode::UNAUTHORIZED);
    assert_eq!(try_with(seed::APP_SECRET).await, StatusCode::UNAUTHORIZED);
    assert_eq!(
        add(&world, &admin, secret(SECOND)).await.0,
        StatusCode::CREATED
    );
    assert_eq!(
        try_with(FIRST).await,
        StatusCode::OK,
        "both, while one replaces the other"
    );
    assert_eq!(try_with(SECOND).await, StatusCode::OK);
    let (status, third) = add(&world, &admin, secret("a-third-secret-of-some-length")).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert_eq!(third["error"]["code"], "TOO_MANY_WEBHOOK_SECRETS");
    let id = format!("/{}", first["secret_id"].as_str().unwrap());
    assert_eq!(
        ask(&world, &admin, Method::DELETE, &id, None).await.0,
        StatusCode::NO_CONTENT
    );
    assert_eq!(try_with(FIRST).await, StatusCode::UNAUTHORIZED);
    assert_eq!(try_with(SECOND).await, StatusCode::OK);
    // The new one ends the old one in the same call.
    let body = json!({"kind": "app_secret", "secret": FIRST, "retire_others_after_seconds": 0});
    assert_eq!(add(&world, &admin, body).await.0, StatusCode::CREATED);
    assert_eq!(try_with(SECOND).await, StatusCode::UNAUTHORIZED);
    assert_eq!(try_with(FIRST).await, StatusCode::OK);

    let (_, list) = ask(&world, &admin, Method::GET, "", None).await;
    assert_eq!(
        (&list["webhook_path"], &list["total"]),
        (&json!(OWN), &json!(2))
    );
    assert!(!list.to_string().contains(FIRST) && !list.to_string().contains(SECOND));
    let plain = format!(
        "SELECT count(*) FROM webhook_secrets WHERE position('{FIRST}'::bytea IN secret) > 0"
    );
    assert_eq!(world.db.query(&plain), ["0"], "sealed");
    let audited = "SELECT action || ' ' || count(*) FROM audit_log GROUP BY action ORDER BY 1";
    assert_eq!(
        world.db.query(audited),
        ["webhook_secret.add 3", "webhook_secret.remove 1"]
    );
    // A stranger's door is as closed as a wrong signature.
    let body = post_of(&[]);
    for path in ["/webhooks/whatsapp/nobody", "/webhooks/whatsapp/%20"] {
        let status = post_to(&world, path, &body, Some(&sign(FIRST, &body))).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(
        post(&world, &body, Some(&sign(FIRST, &body))).await,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_is_believed_about_itself_alone() {
    let world = World::start().await;
    let admin = world.sisters.token_as(Role::Admin, "acme");
    add(
        &world,
        &admin,
        json!({"kind": "app_secret", "secret": FIRST}),
    )
    .await;
    world.db.execute(&format!(
        "INSERT INTO messages (message_id, tenant_id, conversation_id, phone_number_id, from_number, \
             recipient, type, content, status, wamid, sent_by_kind, sent_by, expires_at) \
         VALUES (gen_random_uuid(), 'globex', gen_random_uuid(), '{}', '+1', '+2', 'text', '{{}}', \
             'sent', 'wamid.globex', 'user', 'u', now())",
        seed::GLOBEX_PHONE_NUMBER_ID
    ));
    let body = post_of(&[
        text(seed::GLOBEX_PHONE_NUMBER_ID, SHEENA, "wamid.forged", AT),
        text(seed::ACME_PHONE_NUMBER_ID, SHEENA, "wamid.own", AT),
        statuses(
            seed::GLOBEX_PHONE_NUMBER_ID,
            &[status("wamid.globex", "read")],
        ),
    ]);
    assert_eq!(
        post_to(&world, OWN, &body, Some(&sign(FIRST, &body))).await,
        StatusCode::OK
    );
    all_applied(&world).await;
    assert_eq!(
        world.db.query("SELECT wamid FROM inbound_messages"),
        ["wamid.own"]
    );
    assert_eq!(world.db.query("SELECT status FROM messages"), ["sent"]);
    // Nor can it keep Meta's own post out by sending it first.
    assert_eq!(
        post(&world, &body, Some(&sign(seed::APP_SECRET, &body))).await,
        StatusCode::OK
    );
    all_applied(&world).await;
    assert_eq!(world.db.query("SELECT status FROM messages"), ["read"]);
    assert_eq!(
        world.db.query("SELECT count(*) FROM inbound_messages"),
        ["2"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_of_the_organization_look_after_its_secrets() {
    let world = World::start().await;
    let admin = world.sisters.token_as(Role::Admin, "acme");
    let body = json!({"kind": "verify_token", "secret": "a-token-of-our-choice"});
    let (_, added) = add(&world, &admin, body.clone()).await;
    let id = format!("/{}", added["secret_id"].as_str().unwrap());
    let supervisor = world.sisters.token_as(Role::Supervisor, "acme");
    let (_, key) = world
        .sisters
        .api_key("acme", &["messages:send", "messages:read"]);
    for (token, expected) in [
        (supervisor, StatusCode::FORBIDDEN),
        (key, StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(ask(&world, &token, Method::GET, "", None).await.0, expected);
        assert_eq!(add(&world, &token, body.clone()).await.0, expected);
        assert_eq!(
            ask(&world, &token, Method::DELETE, &id, None).await.0,
            expected
        );
    }
    let globex = world.sisters.token_as(Role::Admin, "globex");
    assert_eq!(
        ask(&world, &globex, Method::GET, "", None).await.1["total"],
        0
    );
    let (status, answer) = ask(&world, &globex, Method::DELETE, &id, None).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (StatusCode::NOT_FOUND, &json!("WEBHOOK_SECRET_NOT_FOUND"))
    );
    let bad =
        json!({"kind": "app_secret", "secret": "short", "retire_others_after_seconds": 9_000_000});
    let (status, answer) = add(&world, &admin, bad).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let fields = answer["error"]["details"].to_string();
    assert!(
        fields.contains("secret") && fields.contains("retire_others_after_seconds"),
        "{answer}"
    );

    // Meta verifies the organization's own address with the organization's own token.
    for (path, token, expected) in [
        (OWN, "a-token-of-our-choice", StatusCode::OK),
        (OWN, "verify-me", StatusCode::FORBIDDEN),
        (
            "/webhooks/whatsapp/globex",
            "a-token-of-our-choice",
            StatusCode::FORBIDDEN,
        ),
        (
            "/webhooks/whatsapp",
            "a-token-of-our-choice",
            StatusCode::FORBIDDEN,
        ),
    ] {
        let url = format!(
            "{}{path}?hub.mode=subscribe&hub.challenge=42&hub.verify_token={token}",
            world.url
        );
        assert_eq!(
            world.http.get(url).send().await.unwrap().status(),
            expected,
            "{path} {token}"
        );
    }
}
