//! Exchanges and queues. Arguments here never change on a running broker (a queue would have to be
//! deleted); numbers that may change belong in broker policies.

use lapin::{
    Channel, Connection, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};

/// Public events: topic, the routing key is the event type.
pub const EVENTS: &str = "agent-portal.events";
/// Public commands: direct.
pub const COMMANDS: &str = "agent-portal.commands";
/// Work that a service gives to itself: direct, not public.
pub const WORK: &str = "agent-portal.work";
/// Where rejected deliveries go: direct, the routing key is the queue's name.
pub const DEAD_LETTERS: &str = "agent-portal.dead-letters";

/// After so many deliveries without an answer (a consumer that dies on it) a message is dead.
const DELIVERY_LIMIT: i64 = 20;

/// How a queue lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueKind {
    /// Shared by all replicas; keeps its messages: a quorum queue with a dead-letter queue.
    Durable,
    /// One for each process, gone with it: for caches that every replica has to drop.
    PerProcess,
}

/// A queue and what it is bound to.
#[derive(Debug, Clone)]
pub struct QueueSpec {
    /// The queue's name, without namespace; a per-process queue adds its own suffix.
    pub name: &'static str,
    /// How it lives.
    pub kind: QueueKind,
    /// Exchange and binding key pairs.
    pub bindings: Vec<(&'static str, &'static str)>,
}

pub(crate) fn short(text: impl Into<String>) -> ShortString {
    ShortString::from(text.into())
}

/// Makes the exchanges that are not there. A service whose user may not make one works with what it
/// finds: to ask needs no right.
pub(crate) async fn declare_exchanges(
    connection: &Connection,
    namespace: &str,
) -> lapin::Result<()> {
    let kinds = [
        (EVENTS, ExchangeKind::Topic),
        (COMMANDS, ExchangeKind::Direct),
        (WORK, ExchangeKind::Direct),
        (DEAD_LETTERS, ExchangeKind::Direct),
    ];
    let mut channel = connection.create_channel().await?;
    for (name, kind) in kinds {
        let options = ExchangeDeclareOptions {
            durable: true,
            ..Default::default()
        };
        let asked = ExchangeDeclareOptions {
            passive: true,
            ..options
        };
        let name = short(format!("{namespace}{name}"));
        let found = channel
            .exchange_declare(name.clone(), kind.clone(), asked, FieldTable::default())
            .await;
        if found.is_err() {
            // The refusal closed the channel. Whatever it was, making the exchange succeeds or tells.
            channel = connection.create_channel().await?;
            channel
                .exchange_declare(name, kind, options, FieldTable::default())
                .await?;
        }
    }
    channel.close(200, short("done")).await
}

/// Declares the queue with its bindings and answers its full name.
pub(crate) async fn declare_queue(
    channel: &Channel,
    namespace: &str,
    spec: &QueueSpec,
) -> lapin::Result<String> {
    let name = match spec.kind {
        QueueKind::Durable => {
            let name = format!("{namespace}{}", spec.name);
            declare_durable(channel, namespace, &name).await?;
            name
        }
        QueueKind::PerProcess => {
            let name = format!("{namespace}{}.{}", spec.name, uuid::Uuid::now_v7().simple());
            let options = QueueDeclareOptions {
                exclusive: true,
                auto_delete: true,
                ..Default::default()
            };
            channel
                .queue_declare(short(name.clone()), options, FieldTable::default())
                .await?;
            name
        }
    };
    for (exchange, key) in &spec.bindings {
        channel
            .queue_bind(
                short(name.clone()),
                short(format!("{namespace}{exchange}")),
                short(*key),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await?;
    }
    Ok(name)
}

/// The queue of a durable queue's dead letters.
pub(crate) fn dead_queue(name: &str) -> String {
    format!("{name}.dead")
}

async fn declare_durable(channel: &Channel, namespace: &str, name: &str) -> lapin::Result<()> {
    let durable = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let text = |value: &str| AMQPValue::LongString(value.into());

    let dead = dead_queue(name);
    let mut arguments = FieldTable::default();
    arguments.insert(short("x-queue-type"), text("quorum"));
    channel
        .queue_declare(short(dead.clone()), durable, arguments)
        .await?;
    let dead_letters = format!("{namespace}{DEAD_LETTERS}");
    channel
        .queue_bind(
            short(dead),
            short(dead_letters.clone()),
            short(name),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await?;

    let mut arguments = FieldTable::default();
    arguments.insert(short("x-queue-type"), text("quorum"));
    arguments.insert(
        short("x-delivery-limit"),
        AMQPValue::LongLongInt(DELIVERY_LIMIT),
    );
    arguments.insert(short("x-dead-letter-exchange"), text(&dead_letters));
    arguments.insert(short("x-dead-letter-routing-key"), text(name));
    // At-least-once dead-lettering needs reject-publish: with drop-head the broker silently falls
    // back to at-most-once (RabbitMQ guide, "Quorum Queues").
    arguments.insert(short("x-dead-letter-strategy"), text("at-least-once"));
    arguments.insert(short("x-overflow"), text("reject-publish"));
    channel
        .queue_declare(short(name), durable, arguments)
        .await?;
    Ok(())
}
