//! Consuming: deliveries go to a handler and are acknowledged after it is done.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use lapin::{
    Channel, Connection,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions},
    types::FieldTable,
};
use opentelemetry::metrics::Counter;
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    broker::{ANSWER_TIMEOUT, BrokerOptions, BrokerState, Link, Up, Wanted},
    dead_letter::DeadLetters,
    topology::{self, QueueKind, QueueSpec, WORK, short},
    work::{Taker, Work},
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

/// The queues that a process consumes, on one connection of their own: a publisher that the broker
/// blocks must not hold up acknowledgements.
pub struct Consumers {
    options: BrokerOptions,
    state: BrokerState,
    _wanted: Wanted,
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
            _wanted: state.want(),
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
        let mut link = Link::new(&self.options, "consume", &shutdown);
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
        let standing = Standing::new(self.subscriptions.len(), &self.state);
        let loops = self.subscriptions.iter().map(|subscription| async {
            let begun = || standing.one_more();
            let result = self
                .consume_one(connection, subscription, begun, &failed)
                .await;
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
        begun: impl FnOnce(),
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
            return consume(
                &channel,
                &queue,
                subscription.concurrency,
                work,
                begun,
                stop,
            )
            .await;
        };
        let dead_channel = connection.create_channel().await?;
        let dead = topology::dead_queue(&queue);
        let keep = self.work(spec.name, Taker::Keeper(keeper), None, stop);
        // Whichever ends takes the other with it.
        let ended = stop.child_token();
        let both = tokio::join!(
            async {
                let concurrency = subscription.concurrency;
                let result = consume(&channel, &queue, concurrency, work, begun, &ended).await;
                ended.cancel();
                result
            },
            async {
                let result = consume(&dead_channel, &dead, 1, keep, || {}, &ended).await;
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

/// Counts the connection as up when the last of its queues is consumed: before, an event may pass by.
struct Standing {
    missing: AtomicUsize,
    state: BrokerState,
    up: OnceLock<Up>,
}

impl Standing {
    fn new(queues: usize, state: &BrokerState) -> Self {
        Self {
            missing: AtomicUsize::new(queues),
            state: state.clone(),
            up: OnceLock::new(),
        }
    }

    fn one_more(&self) {
        if self.missing.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.up.get_or_init(|| self.state.mark_up());
        }
    }
}

/// Consumes a queue that is there until `stop`, tells when it has begun, and at the end finishes what is in hand.
async fn consume(
    channel: &Channel,
    queue: &str,
    concurrency: u16,
    work: Work,
    begun: impl FnOnce(),
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
    begun();
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
