//! What people see of themselves and of their organization's WhatsApp account.

use portal_sandbox::seed;
use portal_test_harness::eventually;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::World;

const PROFILE: &str = "/api/agents/profile";
const STATUS: &str = "/api/agents/whatsapp/status";

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_the_contracts() {
    let world = World::start().await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    let (status, body) = world.call(Method::GET, PROFILE, &person.access).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(
        keys(&body),
        [
            "created_at",
            "email",
            "last_login_at",
            "name",
            "organization",
            "role",
            "tenant_id",
            "user_id"
        ]
    );
    assert_eq!(body["user_id"], person.agent["user_id"]);
    assert_eq!(body["email"], seed::ACME_AGENT);
    assert_eq!(body["role"], "agent");
    assert_eq!(
        body["organization"],
        json!({
            "tenant_id": "acme_corp", "tenant_name": "Acme Corp",
            "whatsapp": {"connected": true, "phone_number": "+1 555-010-0200", "waba_id": "waba-of-acme_corp"},
        })
    );
    for time in ["created_at", "last_login_at"] {
        let text = body[time].as_str().unwrap();
        assert!(
            text.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(text).is_ok(),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_organizations_account_is_shown_without_its_token() {
    let world = World::start().await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    let (status, body) = world.call(Method::GET, STATUS, &person.access).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(
        keys(&body),
        [
            "connected",
            "created_at",
            "messaging_limit",
            "note",
            "organization_name",
            "phone_number",
            "phone_number_id",
            "quality_rating",
            "token_status",
            "waba_id"
        ]
    );
    assert_eq!(body["connected"], true);
    assert_eq!(body["waba_id"], "waba-of-acme_corp");
    assert_eq!(body["phone_number_id"], "number-of-acme_corp");
    assert_eq!(body["organization_name"], "Acme Corp");
    assert_eq!(
        (&body["quality_rating"], &body["messaging_limit"]),
        (&json!("GREEN"), &json!("TIER_1K"))
    );
    assert_eq!(body["token_status"], "valid");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_without_whatsapp_is_told_whom_to_ask() {
    let world = World::start().await;
    world
        .directory
        .change("acme_corp", |tenant| tenant.whatsapp = None);
    let page = world.sign_in_page(seed::ACME_AGENT).await;
    let message = page.outcome()["message"].clone();
    assert_eq!(message["onboardingCompleted"], false);
    let token = message["accessToken"].as_str().unwrap();
    let (status, body) = world.call(Method::GET, STATUS, token).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(keys(&body), ["connected", "message"]);
    assert_eq!(body["connected"], false);
    let text = body["message"].as_str().unwrap();
    assert!(
        text.starts_with("WhatsApp not configured for your organization"),
        "{text}"
    );
    assert!(text.contains("administrator"), "{text}");
    let (_, body) = world.call(Method::GET, PROFILE, token).await;
    assert_eq!(
        body["organization"]["whatsapp"],
        json!({"connected": false})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_tenant_is_seen_as_soon_as_its_event_is() {
    let world = World::start().await;
    world.consumers_are_up().await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    let (_, before) = world.call(Method::GET, STATUS, &person.access).await;
    assert_eq!(before["connected"], true);
    world
        .directory
        .change("acme_corp", |tenant| tenant.whatsapp = None);
    let (_, remembered) = world.call(Method::GET, STATUS, &person.access).await;
    assert_eq!(remembered["connected"], true, "answers are remembered");
    world.publish("tenant.whatsapp.removed", "acme_corp").await;
    eventually("the change", async || {
        let (_, body) = world.call(Method::GET, STATUS, &person.access).await;
        (body["connected"] == false).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tenant_service_the_answer_is_to_come_again() {
    let world = World::start().await;
    let person = world.sign_in(seed::ACME_AGENT).await;
    world.directory.set_away(true);
    for path in [PROFILE, STATUS] {
        let (status, body) = world.call(Method::GET, path, &person.access).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body["error"]["code"], "TENANT_DIRECTORY_UNAVAILABLE");
    }
}
