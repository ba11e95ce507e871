//! Publishing with confirms.
//!
//! Measured on lapin 4.12.3: confirms get mixed up when several tasks publish on one channel, and
//! a returned (mandatory, unroutable) message hangs on the next confirm instead of its own. So one
//! task owns the channel, publishes a batch, awaits all its confirms, and matches returned messages
//! by their id.

use std::collections::HashSet;

use lapin::{
    BasicProperties, Channel, Confirmation, Connection,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable},
};
use portal_db::outbox::UnpublishedEvent;
use uuid::Uuid;

use crate::{
    broker::ANSWER_TIMEOUT,
    topology::{self, short},
};

const PERSISTENT: u8 = 2;

pub(crate) struct Publisher {
    channel: Channel,
    namespace: String,
}

impl Publisher {
    pub(crate) async fn open(connection: &Connection, namespace: &str) -> anyhow::Result<Self> {
        topology::declare_exchanges(connection, namespace).await?;
        let channel = connection.create_channel().await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        Ok(Self {
            channel,
            namespace: namespace.to_owned(),
        })
    }

    /// Publishes the batch and answers the ids that the broker took, up to the first that it refused:
    /// later ones must not overtake it. Work that no queue takes holds up nobody: it is published again
    /// when its queue is there. An error means that nothing is known of the rest.
    pub(crate) async fn publish(&self, batch: &[UnpublishedEvent]) -> anyhow::Result<Vec<Uuid>> {
        tokio::time::timeout(ANSWER_TIMEOUT, self.publish_batch(batch)).await?
    }

    async fn publish_batch(&self, batch: &[UnpublishedEvent]) -> anyhow::Result<Vec<Uuid>> {
        let mut confirms = Vec::with_capacity(batch.len());
        for event in batch {
            let options = BasicPublishOptions {
                // Work that no queue takes is a fault; an event that nobody wants is not.
                mandatory: event.exchange == topology::WORK,
                ..Default::default()
            };
            let confirm = self
                .channel
                .basic_publish(
                    short(format!("{}{}", self.namespace, event.exchange)),
                    short(event.routing_key.as_str()),
                    options,
                    event.payload.as_bytes(),
                    properties(event),
                )
                .await?;
            confirms.push(confirm);
        }

        let mut acked = Vec::with_capacity(batch.len());
        let mut returned = HashSet::new();
        for confirm in confirms {
            let confirmation = confirm.await?;
            acked.push(is_published(&confirmation));
            if let Some(message) = confirmation.take_message()
                && let Some(id) = message.delivery.properties.message_id()
            {
                returned.insert(id.to_string());
            }
        }
        let confirmed: Vec<Uuid> = batch
            .iter()
            .zip(acked)
            .take_while(|(_, acked)| *acked)
            .filter(|(event, _)| !returned.contains(&event.event_id.to_string()))
            .map(|(event, _)| event.event_id)
            .collect();
        if confirmed.len() < batch.len() {
            tracing::warn!(
                published = confirmed.len(),
                batch = batch.len(),
                "the broker did not take a whole batch; the rest is published again"
            );
        }
        Ok(confirmed)
    }
}

/// Without confirm mode every publish resolves as `NotRequested`: that proves nothing.
const fn is_published(confirmation: &Confirmation) -> bool {
    matches!(confirmation, Confirmation::Ack(_))
}

fn properties(event: &UnpublishedEvent) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(
        short("tenant-id"),
        AMQPValue::LongString(event.tenant_id.as_str().into()),
    );
    if let Some(traceparent) = &event.traceparent {
        headers.insert(
            short("traceparent"),
            AMQPValue::LongString(traceparent.as_str().into()),
        );
    }
    let content_type = if event.exchange == topology::WORK {
        "application/json"
    } else {
        "application/cloudevents+json"
    };
    BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type(short(content_type))
        .with_message_id(short(event.event_id.to_string()))
        .with_type(short(event.routing_key.as_str()))
        .with_timestamp(u64::try_from(event.created_at.timestamp()).unwrap_or_default())
        .with_headers(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_ack_counts_as_published() {
        assert!(is_published(&Confirmation::Ack(None)));
        assert!(!is_published(&Confirmation::Nack(None)));
        assert!(!is_published(&Confirmation::NotRequested));
    }
}
