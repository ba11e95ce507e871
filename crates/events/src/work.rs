//! One delivery in hand: given to its taker, repeated, buried, answered.

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use lapin::{
    options::{BasicAckOptions, BasicRejectOptions},
    types::AMQPValue,
};
use opentelemetry::{KeyValue, metrics::Counter};
use portal_service_kit::telemetry::propagation;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::{
    consumer::{Delivery, Handled, Handler},
    dead_letter::{self, DeadLetter, DeadLetters},
};

/// Who takes the deliveries of a queue.
#[derive(Clone)]
pub(crate) enum Taker {
    Handler(Arc<dyn Handler>),
    /// Of a queue's dead letters.
    Keeper(Arc<dyn DeadLetters>),
}

/// What happens with the deliveries of a queue.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) queue: &'static str,
    pub(crate) taker: Taker,
    pub(crate) keeper: Option<Arc<dyn DeadLetters>>,
    pub(crate) handled: Counter<u64>,
    pub(crate) stop: CancellationToken,
}

impl Work {
    pub(crate) async fn run(self, message: lapin::message::Delivery) {
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
