//! F5 to F7: a broker that goes, forgets everything, or refuses.

use lapin::{
    Connection, ConnectionProperties,
    options::{ExchangeDeleteOptions, QueueDeleteOptions},
};
use portal_test_harness::{PrivateRabbit, eventually};

use crate::{generator::Load, stage::Stage, world::Servers};

async fn on(rabbit: &PrivateRabbit) -> Stage {
    Stage::on(Servers {
        amqp_url: rabbit.url(),
        ..Servers::shared()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn f5_a_broker_that_stops_and_one_that_dies_lose_nothing() {
    let rabbit = PrivateRabbit::start();
    let mut stage = on(&rabbit).await;
    stage.load(Load {
        messages: 25,
        ..Load::default()
    });
    stage.accepted(20).await;
    rabbit.stop();
    let so_far = stage.accepted_so_far();
    stage.accepted(so_far + 20).await;
    rabbit.resume();
    let so_far = stage.accepted_so_far();
    stage.accepted(so_far + 20).await;
    rabbit.kill();
    rabbit.resume();
    stage.judge().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f6_deleted_queues_and_exchanges_lose_nothing() {
    let rabbit = PrivateRabbit::start();
    let mut stage = on(&rabbit).await;
    stage.load(Load {
        messages: 25,
        ..Load::default()
    });
    stage.accepted(30).await;
    delete_all(&rabbit.url(), &stage.world.isolation.rabbitmq_namespace).await;
    let so_far = stage.accepted_so_far();
    stage.accepted(so_far + 30).await;
    rabbit.forget();
    stage.judge().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f7_a_broker_in_alarm_stops_no_acceptance() {
    let rabbit = PrivateRabbit::start();
    let mut stage = on(&rabbit).await;
    stage.load(Load {
        messages: 25,
        ..Load::default()
    });
    stage.accepted(20).await;
    rabbit.control("set_vm_memory_high_watermark absolute 1");
    let so_far = stage.accepted_so_far();
    stage.accepted(so_far + 40).await;
    assert_eq!(stage.server_errors(), [""; 0]);
    rabbit.control("set_vm_memory_high_watermark absolute 2GiB");
    stage.judge().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f6_a_broker_that_is_away_stops_no_sending() {
    // Hints are a convenience: the database is the queue.
    let rabbit = PrivateRabbit::start();
    let mut stage = on(&rabbit).await;
    rabbit.stop();
    stage.load(Load::default());
    stage.accepted(60).await;
    eventually("messages to be sent without a broker", async || {
        (stage.world.sandbox.journal().accepted_messages().len() >= 60).then_some(())
    })
    .await;
    rabbit.resume();
    stage.judge().await;
}

/// Everything that the service made, as an operator would by mistake.
async fn delete_all(url: &str, namespace: &str) {
    let connection = Connection::connect(url, ConnectionProperties::default());
    let connection = connection.await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    for queue in ["deliver", "accounts", "tenants", "commands"] {
        let queue = format!("{namespace}outbound-message-service.{queue}");
        for name in [format!("{queue}.dead"), queue] {
            let deleted = channel.queue_delete(name.into(), QueueDeleteOptions::default());
            deleted.await.unwrap();
        }
    }
    for exchange in ["events", "commands", "work", "dead-letters"] {
        let name = format!("{namespace}agent-portal.{exchange}");
        let deleted = channel.exchange_delete(name.into(), ExchangeDeleteOptions::default());
        deleted.await.unwrap();
    }
    connection.close(200, "done".into()).await.unwrap();
}
