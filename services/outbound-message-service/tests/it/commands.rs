//! `message.send` over the broker: the same door as over HTTP.

use portal_test_harness::publish_command;
use serde_json::{Value, json};

use crate::world::World;

pub(crate) fn command(id: uuid::Uuid, tenant: &str, data: &Value) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/systems/crm",
        "type": "com.agentportal.message.send.v1", "subject": "order-7",
        "time": chrono::Utc::now(), "tenantid": tenant, "data": data,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_carried_out_once_however_often_it_comes() {
    let world = World::start().await;
    let token = world.sisters.token("acme");
    let events = world.listen("message.accepted").await;
    let id = uuid::Uuid::now_v7();
    let data = json!({"to": "+1234567000", "type": "text", "text": {"body": "Hello"},
        "genesys_conversation_id": "7b1c5d0e"});
    for _ in 0..2 {
        publish_command(
            &world.isolation,
            "message.send",
            &command(id, "acme", &data),
        )
        .await;
    }
    let accepted = events.next().await;
    assert_eq!(
        accepted.envelope["data"]["sent_by"],
        json!({"kind": "service", "id": "/systems/crm"})
    );
    assert_eq!(
        accepted.envelope["data"]["genesys_conversation_id"],
        "7b1c5d0e"
    );
    let message = accepted.envelope["data"]["message_id"].as_str().unwrap();
    world.reaches(&token, message, "read").await;

    // The same id for something else is refused, and so both earlier deliveries were handled.
    let refusals = world.listen("message.rejected").await;
    let other = json!({"to": "+1234567001", "type": "text", "text": {"body": "Hello"}});
    publish_command(
        &world.isolation,
        "message.send",
        &command(id, "acme", &other),
    )
    .await;
    let refused = refusals.next().await;
    assert_eq!(
        refused.envelope["data"]["errors"][0]["code"],
        "IDEMPOTENCY_KEY_REUSED"
    );
    assert_eq!(world.db.query("SELECT count(*) FROM messages"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_command_is_answered_with_what_is_wrong_and_stops_nobody() {
    let world = World::start().await;
    let refusals = world.listen("message.rejected").await;
    let id = uuid::Uuid::now_v7();
    let bad = json!({"to": "12", "type": "text", "text": {"body": "x"}});
    publish_command(&world.isolation, "message.send", &json!({"no": "command"})).await;
    publish_command(&world.isolation, "message.send", &command(id, "acme", &bad)).await;
    let refused = refusals.next().await.envelope;
    assert_eq!(refused["tenantid"], "acme");
    assert_eq!(refused["data"]["command_id"], id.to_string());
    assert_eq!(refused["data"]["errors"][0]["field"], "to", "{refused}");

    let unknown = uuid::Uuid::now_v7();
    let good = json!({"to": "+1234567000", "type": "text", "text": {"body": "x"}});
    publish_command(
        &world.isolation,
        "message.send",
        &command(unknown, "initech", &good),
    )
    .await;
    let refused = refusals.next().await.envelope;
    assert_eq!(refused["data"]["errors"][0]["code"], "TENANT_NOT_ACTIVE");
    assert_eq!(world.db.query("SELECT count(*) FROM messages"), ["0"]);
}
