//! F25 to F27: poison, a flood, and a token that dies.

use portal_sandbox::TokenState;
use portal_test_harness::eventually;
use serde_json::json;

use crate::{
    generator::Load,
    stage::{Setup, Stage},
};

#[tokio::test(flavor = "multi_thread")]
async fn f25_poison_stops_nobody_else() {
    let mut stage = Stage::start(Setup::default()).await;
    stage.load(Load::default());
    stage.accepted(10).await;
    // A stored message that nothing can read, at the head of its lane.
    stage.world.db.execute(
        "UPDATE messages SET content = '{\"unheard_of\": {}}' WHERE message_id = ( \
             SELECT message_id FROM messages WHERE status = 'accepted' LIMIT 1)",
    );
    let namespace = &stage.world.isolation.rabbitmq_namespace;
    for body in [b"not json".as_slice(), b"{}", b"{\"message_id\": 7}"] {
        publish_work(namespace, body).await;
    }
    stage.judge().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f27_a_dead_token_costs_no_attempts_and_a_new_one_resumes() {
    let mut stage = Stage::start(Setup::default()).await;
    let tenant = stage.tenants[0].clone();
    stage.load(Load::default());
    stage.accepted(15).await;
    assert!(
        stage
            .world
            .sandbox
            .set_graph_token(&tenant.name, TokenState::Revoked)
    );
    let held = format!(
        "SELECT count(*) FROM sending_holds WHERE tenant_id = '{}' AND reason = 'credential'",
        tenant.name
    );
    eventually("the number to be held", async || {
        (stage.world.db.query(&held) == ["1"]).then_some(())
    })
    .await;
    let so_far = stage.accepted_so_far();
    stage.accepted(so_far + 20).await;
    assert!(
        stage
            .world
            .sandbox
            .set_graph_token(&tenant.name, TokenState::Active)
    );
    let configured = json!({
        "tenant_id": tenant.name, "waba_id": "1", "phone_number_id": tenant.phone_number_id,
        "display_phone_number": "1",
    });
    stage
        .world
        .publish("tenant.whatsapp.configured", &tenant.name, configured)
        .await;
    let evidence = stage.judge().await;
    assert!(
        evidence.rows.iter().all(|row| row.status == "read"),
        "a message was given up for a token"
    );
}

/// A hint that this service never wrote.
async fn publish_work(namespace: &str, body: &[u8]) {
    let connection = lapin::Connection::connect(
        &portal_test_harness::amqp_url(),
        lapin::ConnectionProperties::default(),
    )
    .await
    .unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel
        .basic_publish(
            format!("{namespace}agent-portal.work").into(),
            "message.deliver".into(),
            lapin::options::BasicPublishOptions::default(),
            body,
            lapin::BasicProperties::default(),
        )
        .await
        .unwrap();
    connection.close(200, "done".into()).await.unwrap();
}
