//! The broker as other services see it: catching events, publishing them.

use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
        QueueBindOptions, QueueDeclareOptions,
    },
    types::FieldTable,
};
use serde_json::Value;

use crate::{Isolation, amqp_url, eventually};

/// An event as it went over the broker.
#[derive(Debug)]
pub struct CaughtEvent {
    /// The event type.
    pub routing_key: String,
    /// The message's properties.
    pub properties: BasicProperties,
    /// The CloudEvents envelope.
    pub envelope: Value,
}

/// A queue of the test's own that catches events.
pub struct EventListener {
    channel: Channel,
    queue: String,
    _connection: Connection,
}

impl EventListener {
    /// Catches events that match `binding` from now on; waits for the exchange.
    pub async fn start(isolation: &Isolation, binding: &str) -> Self {
        Self::start_on(isolation.events_exchange(), binding).await
    }

    /// Catches what the queue of this name gives up from now on; waits for the exchange.
    pub async fn of_dead_letters(isolation: &Isolation, queue: &str) -> Self {
        let namespace = &isolation.rabbitmq_namespace;
        let exchange = format!("{namespace}agent-portal.dead-letters");
        Self::start_on(exchange, &format!("{namespace}{queue}")).await
    }

    async fn start_on(exchange: String, binding: &str) -> Self {
        let connection = connect().await;
        let channel = connection.create_channel().await.expect("a channel");
        let exclusive = QueueDeclareOptions {
            exclusive: true,
            ..Default::default()
        };
        let queue = channel
            .queue_declare("".into(), exclusive, FieldTable::default())
            .await
            .expect("a queue")
            .name()
            .clone();
        eventually("the exchange", async || {
            // A failed bind closes its channel.
            let channel = connection.create_channel().await.ok()?;
            let bind = channel.queue_bind(
                queue.clone(),
                exchange.as_str().into(),
                binding.into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            );
            bind.await.ok()
        })
        .await;
        Self {
            channel,
            queue: queue.to_string(),
            _connection: connection,
        }
    }

    /// The next event; waits for it.
    pub async fn next(&self) -> CaughtEvent {
        eventually("an event", async || self.poll().await).await
    }

    /// The next event if one is there.
    pub async fn poll(&self) -> Option<CaughtEvent> {
        let options = BasicGetOptions { no_ack: true };
        let queue = self.queue.as_str().into();
        let message = self
            .channel
            .basic_get(queue, options)
            .await
            .expect("the queue answers")?;
        Some(CaughtEvent {
            routing_key: message.routing_key.to_string(),
            envelope: serde_json::from_slice(&message.data).expect("events are JSON"),
            properties: message.delivery.properties,
        })
    }
}

/// Makes the exchanges as an operator: services whose users are an installation's may not.
pub async fn make_exchanges(isolation: &Isolation) {
    let connection = connect().await;
    let channel = connection.create_channel().await.expect("a channel");
    for (name, kind) in [
        ("events", ExchangeKind::Topic),
        ("commands", ExchangeKind::Direct),
        ("work", ExchangeKind::Direct),
        ("dead-letters", ExchangeKind::Direct),
    ] {
        let options = ExchangeDeclareOptions {
            durable: true,
            ..Default::default()
        };
        let name = format!("{}agent-portal.{name}", isolation.rabbitmq_namespace);
        channel
            .exchange_declare(name.into(), kind, options, FieldTable::default())
            .await
            .expect("the exchange is made");
    }
    connection
        .close(200, "done".into())
        .await
        .expect("the connection closes");
}

/// Publishes an event of type `kind` as another service would.
pub async fn publish_event(isolation: &Isolation, kind: &str, envelope: &Value) {
    let connection = connect().await;
    let channel = connection.create_channel().await.expect("a channel");
    channel
        .basic_publish(
            isolation.events_exchange().into(),
            kind.into(),
            BasicPublishOptions::default(),
            envelope.to_string().as_bytes(),
            BasicProperties::default(),
        )
        .await
        .expect("the event is written")
        .await
        .expect("the event is taken");
    connection
        .close(200, "done".into())
        .await
        .expect("the connection closes");
}

/// Gives a command as another internal system would; waits until a queue takes it.
pub async fn publish_command(isolation: &Isolation, command: &str, envelope: &Value) {
    let connection = connect().await;
    let exchange = format!("{}agent-portal.commands", isolation.rabbitmq_namespace);
    let body = envelope.to_string();
    eventually("a queue for the command", async || {
        // A missing exchange closes the channel.
        let channel = connection.create_channel().await.ok()?;
        let confirm = ConfirmSelectOptions::default();
        channel.confirm_select(confirm).await.ok()?;
        let mandatory = BasicPublishOptions {
            mandatory: true,
            ..Default::default()
        };
        let publish = channel.basic_publish(
            exchange.as_str().into(),
            command.into(),
            mandatory,
            body.as_bytes(),
            BasicProperties::default(),
        );
        let confirmation = publish.await.ok()?.await.ok()?;
        matches!(confirmation, Confirmation::Ack(None)).then_some(())
    })
    .await;
    // A channel may be closing just now; the command is taken all the same.
    drop(connection.close(200, "done".into()).await);
}

async fn connect() -> Connection {
    Connection::connect(&amqp_url(), ConnectionProperties::default())
        .await
        .expect("the test broker answers")
}
