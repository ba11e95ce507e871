//! Meta's verbs: posts as it sends them, signed.

use aws_lc_rs::hmac;
use portal_sandbox::seed;
use portal_test_harness::eventually;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::World;

pub(crate) fn sign(secret: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("sha256={}", hex::encode(hmac::sign(&key, body.as_bytes())))
}

/// Posts a body to one of Meta's doors.
pub(crate) async fn post_to(
    world: &World,
    path: &str,
    body: &str,
    signature: Option<&str>,
) -> StatusCode {
    let mut request = world
        .http
        .post(format!("{}{path}", world.url))
        .body(body.to_owned());
    if let Some(signature) = signature {
        request = request.header("X-Hub-Signature-256", signature);
    }
    request.send().await.unwrap().status()
}

pub(crate) async fn post(world: &World, body: &str, signature: Option<&str>) -> StatusCode {
    post_to(world, "/webhooks/whatsapp", body, signature).await
}

/// Posts changes of accounts, signed, and waits until they are applied.
pub(crate) async fn tell(world: &World, entries: &[Value]) {
    tell_only(world, entries).await;
    all_applied(world).await;
}

/// As [`tell`], without waiting.
pub(crate) async fn tell_only(world: &World, entries: &[Value]) {
    let body = json!({"object": "whatsapp_business_account", "entry": entries}).to_string();
    let signature = sign(seed::APP_SECRET, &body);
    assert_eq!(post(world, &body, Some(&signature)).await, StatusCode::OK);
}

pub(crate) async fn all_applied(world: &World) {
    eventually("all posts to be applied", async || {
        let pending = "SELECT count(*) FROM webhook_intake WHERE state = 'pending'";
        (world.db.query(pending) == ["0"]).then_some(())
    })
    .await;
}

/// One change of an account.
pub(crate) fn entry(waba: &str, field: &str, value: &Value) -> Value {
    json!({"id": waba, "time": 1_739_321_024, "changes": [{"field": field, "value": value}]})
}

/// What stands in the value of a number's change.
pub(crate) fn of_number(number: &str, what: &Value) -> Value {
    let mut value = json!({"messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "1", "phone_number_id": number}});
    let fields = what.as_object().unwrap().clone();
    value.as_object_mut().unwrap().extend(fields);
    value
}

/// Statuses of a number.
pub(crate) fn statuses(number: &str, statuses: &[Value]) -> Value {
    entry(
        "1",
        "messages",
        &of_number(number, &json!({"statuses": statuses})),
    )
}

pub(crate) fn status_post(number: &str, all: &[Value]) -> String {
    json!({"object": "whatsapp_business_account", "entry": [statuses(number, all)]}).to_string()
}

pub(crate) fn status(wamid: &str, status: &str) -> Value {
    json!({"id": wamid, "status": status, "timestamp": "1750030073", "recipient_id": "1234567890"})
}

/// A person, as webhooks show it.
#[derive(Clone, Copy)]
pub(crate) struct Person {
    pub(crate) wa_id: Option<&'static str>,
    pub(crate) user_id: Option<&'static str>,
    pub(crate) name: &'static str,
}

/// With everything shown.
pub(crate) const SHEENA: Person = Person {
    wa_id: Some("16505551234"),
    user_id: Some("US.13491208655302741918"),
    name: "Sheena",
};

/// A person's message to a number; `extra` is laid over it.
pub(crate) fn inbound(number: &str, person: Person, wamid: &str, at: i64, extra: &Value) -> Value {
    let mut message = json!({"id": wamid, "timestamp": at.to_string()});
    let mut contact = json!({"profile": {"name": person.name}});
    if let Some(wa_id) = person.wa_id {
        message["from"] = wa_id.into();
        contact["wa_id"] = wa_id.into();
    }
    if let Some(user_id) = person.user_id {
        message["from_user_id"] = user_id.into();
        contact["user_id"] = user_id.into();
    }
    let fields = extra.as_object().unwrap().clone();
    message.as_object_mut().unwrap().extend(fields);
    let value = of_number(
        number,
        &json!({"contacts": [contact], "messages": [message]}),
    );
    entry("1", "messages", &value)
}

/// A text of a person.
pub(crate) fn text(number: &str, person: Person, wamid: &str, at: i64) -> Value {
    let content = json!({"type": "text", "text": {"body": "Is anybody there?"}});
    inbound(number, person, wamid, at, &content)
}
