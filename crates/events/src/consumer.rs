//! Consuming: deliveries go to a handler and are acknowledged after it is done.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures_util::StreamExt as _;
use lapin::{
    Channel, Connection,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions,
        BasicRejectOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use opentelemetry::{KeyValue, metrics::Counter};
use portal_service_kit::telemetry::propagation;
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    broker::{ANSWER_TIMEOUT, BrokerOptions, BrokerState, Link},
    topology::{self, QueueSpec, short},
};

/// How often each consumer's channel is asked for a sign of life: a consumer can fall silent
/// without any error (lapin issues 283, 357, 389, 427).
const WATCHDOG: Duration = Duration::from_secs(30);

/// What a handler made of a delivery.
#[derive(Debug)]
pub enum Handled {
    /// The effect is committed, or was before.
    Done,
    /// Something is away that comes back; the same delivery is handled again after a pause.
    Retry(anyhow::Error),
    /// The delivery can never be handled: it goes to the dead-letter queue.
    Reject(anyhow::Error),
}

/// A message from a queue.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The routing key: for events, the event type.
    pub routing_key: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Handles the deliveries of one queue. Must be safe to repeat.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Handles one delivery.
    async fn handle(&self, delivery: &Delivery) -> Handled;
}

struct Subscription {
    queue: QueueSpec,
    concurrency: u16,
    handler: Arc<dyn Handler>,
}

/// The queues that a process consumes, on one connection of their own: a publisher that the broker
/// blocks must not hold up acknowledgements.
pub struct Consumers {
    options: BrokerOptions,
    state: BrokerState,
    subscriptions: Vec<Subscription>,
    declared: Vec<QueueSpec>,
    handled: Counter<u64>,
}

impl Consumers {
    /// No queues yet.
    pub fn new(options: BrokerOptions, state: BrokerState) -> Self {
        let handled = opentelemetry::global::meter("portal-events")
            .u64_counter("broker.deliveries")
            .with_description("Deliveries by queue and outcome")
            .build();
        Self {
            options,
            state,
            subscriptions: Vec::new(),
            declared: Vec::new(),
            handled,
        }
    }

    /// Adds a queue. With a `concurrency` of 1 deliveries are handled strictly in order.
    #[must_use]
    pub fn subscribe(mut self, queue: QueueSpec, concurrency: u16, handler: impl Handler) -> Self {
        self.subscriptions.push(Subscription {
            queue,
            concurrency,
            handler: Arc::new(handler),
        });
        self
    }

    /// Makes sure that a queue is there which another process consumes: work that this process gives
    /// it must not wait in the outbox until that one runs.
    #[must_use]
    pub fn declare(mut self, queue: QueueSpec) -> Self {
        self.declared.push(queue);
        self
    }

    /// Consumes until `shutdown` is cancelled, then finishes what has begun. A broker that is away
    /// is waited for; a channel that fails takes the connection down, and all is built again.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut link = Link::new(&self.options, "consume", &self.state, &shutdown);
        while let Some(connection) = link.connect().await {
            let result = self.consume_all(&connection, &shutdown).await;
            link.ended(connection, result).await;
        }
    }

    async fn consume_all(
        &self,
        connection: &Connection,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<()> {
        if !self.declared.is_empty() {
            topology::declare_exchanges(connection, &self.options.namespace).await?;
            let channel = connection.create_channel().await?;
            for queue in &self.declared {
                topology::declare_queue(&channel, &self.options.namespace, queue).await?;
            }
            channel.close(200, short("done")).await?;
        }
        let failed = shutdown.child_token();
        let loops = self.subscriptions.iter().map(|subscription| async {
            let result = self.consume_one(connection, subscription, &failed).await;
            failed.cancel();
            result
        });
        let results = futures_util::future::join_all(loops).await;
        results.into_iter().collect()
    }

    async fn consume_one(
        &self,
        connection: &Connection,
        subscription: &Subscription,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        topology::declare_exchanges(connection, &self.options.namespace).await?;
        let channel = connection.create_channel().await?;
        let queue =
            topology::declare_queue(&channel, &self.options.namespace, &subscription.queue).await?;
        channel
            .basic_qos(subscription.concurrency, BasicQosOptions::default())
            .await?;
        let mut deliveries = channel
            .basic_consume(
                short(queue.clone()),
                short(""),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await?;
        let tag = deliveries.tag();
        let permits = Arc::new(Semaphore::new(usize::from(subscription.concurrency)));
        let mut running = JoinSet::new();
        let mut watchdog = tokio::time::interval(WATCHDOG);

        let outcome = loop {
            let permit = Arc::clone(&permits).acquire_owned();
            let next = async {
                let permit = permit.await;
                (permit, deliveries.next().await)
            };
            tokio::select! {
                () = stop.cancelled() => break Ok(()),
                (permit, delivery) = next => match delivery {
                    Some(Ok(delivery)) => {
                        let work = Work {
                            queue: subscription.queue.name,
                            handler: Arc::clone(&subscription.handler),
                            handled: self.handled.clone(),
                            stop: stop.clone(),
                        };
                        running.spawn(async move {
                            let _permit = permit;
                            work.run(delivery).await;
                        });
                    }
                    Some(Err(error)) => break Err(error.into()),
                    // The broker ended the consumer (queue deleted, leader lost) without an error.
                    None => break Err(anyhow::anyhow!("the broker ended the consumer of {queue}")),
                },
                _ = watchdog.tick() => {
                    if let Err(error) = sign_of_life(&channel, &queue).await {
                        break Err(error);
                    }
                }
            }
            while running.try_join_next().is_some() {}
        };
        if outcome.is_ok() {
            // No more deliveries, while those in hand are finished and acknowledged.
            channel
                .basic_cancel(tag, BasicCancelOptions::default())
                .await?;
        }
        while running.join_next().await.is_some() {}
        outcome
    }
}

async fn sign_of_life(channel: &Channel, queue: &str) -> anyhow::Result<()> {
    let passive = QueueDeclareOptions {
        passive: true,
        ..Default::default()
    };
    let asking = channel.queue_declare(short(queue), passive, FieldTable::default());
    tokio::time::timeout(ANSWER_TIMEOUT, asking).await??;
    Ok(())
}

struct Work {
    queue: &'static str,
    handler: Arc<dyn Handler>,
    handled: Counter<u64>,
    stop: CancellationToken,
}

impl Work {
    async fn run(self, message: lapin::message::Delivery) {
        let delivery = Delivery {
            routing_key: message.routing_key.to_string(),
            body: message.data.clone(),
        };
        let span = tracing::info_span!(
            "consume",
            otel.kind = "consumer",
            messaging.system = "rabbitmq",
            messaging.destination.name = self.queue,
            messaging.message.id = message
                .properties
                .message_id()
                .as_ref()
                .map(tracing::field::display),
        );
        if let Some(traceparent) = header(&message, "traceparent") {
            let headers = [("traceparent", traceparent.as_str())];
            propagation::set_parent_from_headers(&span, headers.into_iter());
        }
        let answered = self.handle(&delivery, &message).instrument(span).await;
        match answered {
            // The delivery belonged to a connection that is gone: it comes again, and the inbox or
            // the claim makes that harmless.
            Ok(false) => tracing::debug!(
                queue = self.queue,
                "an answer came too late for its channel"
            ),
            Ok(true) => {}
            Err(error) => {
                tracing::debug!(queue = self.queue, error = %error, "an answer could not be given");
            }
        }
    }

    async fn handle(
        &self,
        delivery: &Delivery,
        message: &lapin::message::Delivery,
    ) -> lapin::Result<bool> {
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(10))
            .with_jitter()
            .without_max_times()
            .build();
        loop {
            let outcome = self.handler.handle(delivery).await;
            let label = match &outcome {
                Handled::Done => "done",
                Handled::Retry(_) => "retry",
                Handled::Reject(_) => "reject",
            };
            self.handled.add(
                1,
                &[
                    KeyValue::new("queue", self.queue),
                    KeyValue::new("outcome", label),
                ],
            );
            match outcome {
                Handled::Done => return message.ack(BasicAckOptions::default()).await,
                Handled::Reject(error) => {
                    tracing::error!(
                        queue = self.queue,
                        error = format!("{error:#}"),
                        "a delivery goes to the dead letters"
                    );
                    return message.reject(BasicRejectOptions { requeue: false }).await;
                }
                Handled::Retry(error) => {
                    tracing::warn!(
                        queue = self.queue,
                        error = format!("{error:#}"),
                        "a delivery is handled again after a pause"
                    );
                    let pause = pauses.next().unwrap_or(Duration::from_secs(10));
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        // reject and not nack: from RabbitMQ 4.3 on a nack no longer counts
                        // towards the delivery limit.
                        () = self.stop.cancelled() => {
                            return message.reject(BasicRejectOptions { requeue: true }).await;
                        }
                    }
                }
            }
        }
    }
}

fn header(message: &lapin::message::Delivery, name: &str) -> Option<String> {
    match message.properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(value) => Some(value.to_string()),
        AMQPValue::ShortString(value) => Some(value.to_string()),
        _ => None,
    }
}
