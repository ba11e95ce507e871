//! RabbitMQ with the smallest rights for each service. Every installation of these tests runs on them.

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions,
        ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions,
        QueueDeleteOptions, QueuePurgeOptions,
    },
    types::FieldTable,
};
use portal_e2e::installation::Installation;
use portal_sandbox::seed;
use portal_test_harness::{ServiceRole, amqp_url_as, eventually};
use reqwest::StatusCode;

const SERVICES: [(ServiceRole, &str); 3] = [
    (ServiceRole::Tenant, "tenant-service"),
    (ServiceRole::AgentPortal, "agent-portal-service"),
    (ServiceRole::Outbound, "outbound-message-service"),
];
const QUEUES: [&str; 4] = [
    "tenant-service.whatsapp-token-reports",
    "agent-portal-service.tenants",
    "outbound-message-service.deliver",
    "outbound-message-service.tenants",
];

/// A service's user at the broker; each question has a channel of its own, for a refusal closes it.
struct User {
    connection: Connection,
    name: &'static str,
    namespace: String,
}

impl User {
    async fn enter(world: &Installation, (role, name): (ServiceRole, &'static str)) -> Self {
        let properties = ConnectionProperties::default();
        let connection = Connection::connect(&amqp_url_as(role), properties).await;
        Self {
            connection: connection.unwrap(),
            name,
            namespace: world.isolation.rabbitmq_namespace.clone(),
        }
    }

    fn full(&self, name: &str) -> lapin::types::ShortString {
        format!("{}{name}", self.namespace).into()
    }

    async fn refused<T>(&self, what: &str, asking: impl AsyncFnOnce(Channel) -> lapin::Result<T>) {
        let channel = self.connection.create_channel().await.unwrap();
        let name = self.name;
        match asking(channel).await {
            Ok(_) => panic!("{name} may {what}"),
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("ACCESS_REFUSED"), "{name} {what}: {error}");
            }
        }
    }

    async fn is_refused_the_queue(&self, queue: &str) {
        let name = || self.full(queue);
        let what = |verb: &str| format!("{verb} {queue}");
        self.refused(&what("read"), async |channel| {
            channel.basic_get(name(), BasicGetOptions::default()).await
        })
        .await;
        self.refused(&what("consume"), async |channel| {
            let options = BasicConsumeOptions::default();
            let consume = channel.basic_consume(name(), "".into(), options, FieldTable::default());
            consume.await.map(|_| ())
        })
        .await;
        self.refused(&what("purge"), async |channel| {
            channel
                .queue_purge(name(), QueuePurgeOptions::default())
                .await
        })
        .await;
        self.refused(&what("delete"), async |channel| {
            channel
                .queue_delete(name(), QueueDeleteOptions::default())
                .await
        })
        .await;
        self.refused(&what("declare"), async |channel| {
            let options = QueueDeclareOptions::default();
            let other = self.full(&format!("{queue}.more"));
            channel
                .queue_declare(other, options, FieldTable::default())
                .await
        })
        .await;
        self.refused(&what("bind"), async |channel| {
            let events = self.full("agent-portal.events");
            let options = QueueBindOptions::default();
            let bind =
                channel.queue_bind(name(), events, "#".into(), options, FieldTable::default());
            bind.await
        })
        .await;
    }

    async fn is_refused_the_exchange(&self, exchange: &str) {
        self.refused(&format!("delete {exchange}"), async |channel| {
            let options = ExchangeDeleteOptions::default();
            channel.exchange_delete(self.full(exchange), options).await
        })
        .await;
        self.refused(&format!("declare {exchange}"), async |channel| {
            let options = ExchangeDeclareOptions {
                durable: true,
                ..Default::default()
            };
            let name = self.full(exchange);
            channel
                .exchange_declare(name, ExchangeKind::Direct, options, FieldTable::default())
                .await
        })
        .await;
    }

    async fn is_refused_publishing_to(&self, exchange: &str) {
        self.refused(&format!("publish to {exchange}"), async |channel| {
            publish(&channel, self.full(exchange)).await
        })
        .await;
    }
}

async fn publish(channel: &Channel, exchange: lapin::types::ShortString) -> lapin::Result<()> {
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let publish = channel.basic_publish(
        exchange,
        "nobody.listens".into(),
        options,
        b"{}",
        properties,
    );
    publish.await?.await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_service_has_the_rights_that_it_needs_in_rabbitmq_and_no_other() {
    let world = Installation::start().await;
    let token = world.token(seed::ACME_AGENT).await;
    let (status, accepted) = world.send(&token, "+1234567890").await;
    assert_eq!(status, StatusCode::ACCEPTED, "{accepted}");
    let id = accepted["message_id"].as_str().unwrap();
    eventually("the message to be sent", async || {
        let (_, message) = world.message(&token, id).await;
        (message["status"] != "accepted").then_some(())
    })
    .await;

    for service in SERVICES {
        let user = User::enter(&world, service).await;
        for queue in QUEUES.iter().filter(|queue| !queue.starts_with(user.name)) {
            user.is_refused_the_queue(queue).await;
            user.is_refused_the_queue(&format!("{queue}.dead")).await;
        }
        for exchange in ["events", "commands", "work", "dead-letters", "another"] {
            user.is_refused_the_exchange(&format!("agent-portal.{exchange}"))
                .await;
        }
        user.is_refused_publishing_to("agent-portal.commands").await;
        let channel = user.connection.create_channel().await.unwrap();
        publish(&channel, user.full("agent-portal.events"))
            .await
            .unwrap();
        if user.name == "outbound-message-service" {
            publish(&channel, user.full("agent-portal.work"))
                .await
                .unwrap();
        } else {
            user.is_refused_publishing_to("agent-portal.work").await;
        }
    }
}
