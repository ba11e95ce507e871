//! F25 to F27: poison, a flood, and a token that dies.

use std::time::Duration;

use portal_sandbox::TokenState;
use portal_test_harness::{eventually, publish_event};
use reqwest::StatusCode;
use serde_json::json;
use uuid::Uuid;

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
    for body in ["not json", "{}", r#"{"message_id": 7}"#] {
        publish_work(namespace, body).await;
        stage.poison.push(body.to_owned());
    }
    // An event of a form that is not known here yet.
    let event = json!({
        "specversion": "1.0", "id": Uuid::now_v7(), "source": "/services/tenant-service",
        "type": "com.agentportal.tenant.resumed.v9", "subject": "chaos0",
        "time": "2026-01-01T00:00:00Z", "tenantid": "chaos0", "data": {},
    });
    publish_event(&stage.world.isolation, "tenant.resumed", &event).await;
    stage.poison.push(event.to_string());
    stage.judge().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f26_a_flood_of_one_tenant_waits_for_itself() {
    let stage = Stage::start(Setup::default()).await;
    let flood = stage.tenants[0].clone();
    stage
        .world
        .sandbox
        .set_graph_latency(Duration::from_millis(50));
    // Its number is slow, so that the flood is still there when the others come.
    stage.world.db.execute(&format!(
        "INSERT INTO sending_numbers (tenant_id, phone_number_id, messages_per_second) \
         VALUES ('{}', '{}', 20) ON CONFLICT (tenant_id, phone_number_id) \
         DO UPDATE SET messages_per_second = excluded.messages_per_second",
        flood.name, flood.phone_number_id
    ));
    let texts: Vec<_> = (0..300).collect();
    for some in texts.chunks(50) {
        let posts = some.iter().map(async |n| {
            let body = json!({"to": format!("+1999{n:04}200000"), "text": format!("flood {n}")});
            stage.world.post(&flood.access_token, &body).await.0
        });
        let answers = futures_util::future::join_all(posts).await;
        assert!(answers.iter().all(|status| *status == StatusCode::ACCEPTED));
    }
    let others: Vec<_> = stage.tenants[1..].to_vec();
    for (n, tenant) in others.iter().cycle().take(10).enumerate() {
        let body = json!({"to": format!("+1888{n:04}200000"), "text": format!("quiet {n}")});
        let (status, _) = stage.world.post(&tenant.access_token, &body).await;
        assert_eq!(status, StatusCode::ACCEPTED);
    }
    eventually("everything to be taken", async || {
        (stage.world.sandbox.journal().accepted_messages().len() == 310).then_some(())
    })
    .await;
    // By order and not by time: what came last overtook most of the flood that waited before it.
    let taken = stage.world.sandbox.journal().accepted_messages();
    let last_quiet = taken
        .iter()
        .rposition(|call| call.phone_number_id != flood.phone_number_id)
        .unwrap();
    let last_flood = taken
        .iter()
        .rposition(|call| call.phone_number_id == flood.phone_number_id)
        .unwrap();
    assert!(last_quiet < last_flood, "the flood went first");
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
async fn publish_work(namespace: &str, body: &str) {
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
            body.as_bytes(),
            lapin::BasicProperties::default(),
        )
        .await
        .unwrap();
    connection.close(200, "done".into()).await.unwrap();
}
