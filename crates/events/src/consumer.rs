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
    dead_letter::{self, DeadLetter, DeadLetters},
    topology::{self, QueueKind, QueueSpec, WORK, short},
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
    /// The delivery can never be handled: it goes to the dead letters.
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

/// Who takes the deliveries of a queue.
#[derive(Clone)]
enum Taker {
    Handler(Arc<dyn Handler>),
    /// Of a queue's dead letters.
    Keeper(Arc<dyn DeadLetters>),
}

/// The queues that a process consumes, on one connection of their own: a publisher that the broker
/// blocks must not hold up acknowledgements.
pub struct Consumers {
    options: BrokerOptions,
    state: BrokerState,
    subscriptions: Vec<Subscription>,
    declared: Vec<QueueSpec>,
    dead_letters: Option<Arc<dyn DeadLetters>>,
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
            dead_letters: None,
            handled,
        }
    }

    /// Keeps what no handler of a durable queue takes, also what the broker gives up. What is kept
    /// comes back when it is published to [`WORK`] with the queue's name as its routing key.
    #[must_use]
    pub fn keep_dead_letters(mut self, keeper: impl DeadLetters) -> Self {
        self.dead_letters = Some(Arc::new(keeper));
        self
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
        let mut spec = subscription.queue.clone();
        let keeper = self
            .dead_letters
            .clone()
            .filter(|_| spec.kind == QueueKind::Durable);
        if keeper.is_some() {
            spec.bindings.push((WORK, spec.name));
        }
        let queue = topology::declare_queue(&channel, &self.options.namespace, &spec).await?;
        let handler = Taker::Handler(Arc::clone(&subscription.handler));
        let work = self.work(spec.name, handler, keeper.clone(), stop);
        let Some(keeper) = keeper else {
            return consume(&channel, &queue, subscription.concurrency, work, stop).await;
        };
        let dead_channel = connection.create_channel().await?;
        let dead = topology::dead_queue(&queue);
        let keep = self.work(spec.name, Taker::Keeper(keeper), None, stop);
        // Whichever ends takes the other with it.
        let ended = stop.child_token();
        let both = tokio::join!(
            async {
                let result =
                    consume(&channel, &queue, subscription.concurrency, work, &ended).await;
                ended.cancel();
                result
            },
            async {
                let result = consume(&dead_channel, &dead, 1, keep, &ended).await;
                ended.cancel();
                result
            },
        );
        both.0.and(both.1)
    }

    fn work(
        &self,
        queue: &'static str,
        taker: Taker,
        keeper: Option<Arc<dyn DeadLetters>>,
        stop: &CancellationToken,
    ) -> Work {
        Work {
            queue,
            taker,
            keeper,
            handled: self.handled.clone(),
            stop: stop.clone(),
        }
    }
}

/// Consumes a queue that is there until `stop`, then finishes what has begun.
async fn consume(
    channel: &Channel,
    queue: &str,
    concurrency: u16,
    work: Work,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    channel
        .basic_qos(concurrency, BasicQosOptions::default())
        .await?;
    let mut deliveries = channel
        .basic_consume(
            short(queue),
            short(""),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let tag = deliveries.tag();
    let permits = Arc::new(Semaphore::new(usize::from(concurrency)));
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
                    let work = work.clone();
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
                if let Err(error) = sign_of_life(channel, queue).await {
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

async fn sign_of_life(channel: &Channel, queue: &str) -> anyhow::Result<()> {
    let passive = QueueDeclareOptions {
        passive: true,
        ..Default::default()
    };
    let asking = channel.queue_declare(short(queue), passive, FieldTable::default());
    tokio::time::timeout(ANSWER_TIMEOUT, asking).await??;
    Ok(())
}

#[derive(Clone)]
struct Work {
    queue: &'static str,
    taker: Taker,
    keeper: Option<Arc<dyn DeadLetters>>,
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
            let outcome = match &self.taker {
                Taker::Handler(handler) => handler.handle(delivery).await,
                Taker::Keeper(keeper) => match keeper.keep(self.letter(message, None)).await {
                    Ok(()) => Handled::Done,
                    Err(error) => Handled::Retry(error),
                },
            };
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
                Handled::Reject(error) => return self.bury(message, &error).await,
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

impl Work {
    /// Keeps a delivery that can never be handled, or leaves it to the dead-letter queue, from where
    /// it is kept as soon as that is possible.
    async fn bury(
        &self,
        message: &lapin::message::Delivery,
        error: &anyhow::Error,
    ) -> lapin::Result<bool> {
        let reason = dead_letter::reason(error);
        tracing::error!(
            queue = self.queue,
            error = reason,
            "a delivery goes to the dead letters"
        );
        if let Some(keeper) = &self.keeper {
            match keeper.keep(self.letter(message, Some(reason))).await {
                Ok(()) => return message.ack(BasicAckOptions::default()).await,
                Err(error) => tracing::warn!(
                    queue = self.queue,
                    error = format!("{error:#}"),
                    "a dead letter stays with the broker for now"
                ),
            }
        }
        message.reject(BasicRejectOptions { requeue: false }).await
    }

    /// The delivery as a dead letter; without a reason the broker gave it up.
    fn letter(&self, message: &lapin::message::Delivery, reason: Option<String>) -> DeadLetter {
        let headers = dead_letter::headers_json(message.properties.headers().as_ref());
        let (error, former_key) = match reason {
            Some(reason) => (reason, None),
            None => dead_letter::death(&headers),
        };
        DeadLetter {
            queue: self.queue,
            routing_key: former_key.unwrap_or_else(|| message.routing_key.to_string()),
            broker_message_id: message
                .properties
                .message_id()
                .as_ref()
                .map(ToString::to_string),
            traceparent: header(message, "traceparent"),
            headers,
            body: message.data.clone(),
            error,
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
