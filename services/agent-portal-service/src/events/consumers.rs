//! Deliveries from the broker, handed to use cases.

use async_trait::async_trait;
use portal_conversations::Fact;
use portal_events::{
    Delivery, Envelope, EventContext, Handled, Handler,
    catalogue::{
        EventData as _, GenesysConversationRouted, MessageAccepted, MessageCanceled,
        MessageDelivered, MessageEchoed, MessageFailed, MessageRead, MessageReceived, MessageSent,
        TenantDeleted, TenantSuspended,
    },
    topology::{EVENTS, QueueKind, QueueSpec},
};
use portal_tenant_client::TenantClient;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    domain::RevokeReason,
    usecases::{
        conversations::{Conversations, Event, GenesysError, Intake, Routed},
        sessions::Sessions,
    },
};

/// Tenants whose people may not go on.
pub(crate) fn tenant_queue() -> QueueSpec {
    QueueSpec {
        name: "agent-portal-service.tenants",
        kind: QueueKind::Durable,
        bindings: vec![
            (EVENTS, TenantSuspended::TYPE),
            (EVENTS, TenantDeleted::TYPE),
        ],
    }
}

/// What becomes of messages.
pub(crate) fn message_queue() -> QueueSpec {
    let types = [
        MessageReceived::TYPE,
        MessageEchoed::TYPE,
        MessageAccepted::TYPE,
        MessageSent::TYPE,
        MessageDelivered::TYPE,
        MessageRead::TYPE,
        MessageFailed::TYPE,
        MessageCanceled::TYPE,
    ];
    QueueSpec {
        name: "agent-portal-service.messages",
        kind: QueueKind::Durable,
        bindings: types.into_iter().map(|name| (EVENTS, name)).collect(),
    }
}

/// What Genesys' routing says.
pub(crate) fn genesys_queue() -> QueueSpec {
    QueueSpec {
        name: "agent-portal-service.genesys",
        kind: QueueKind::Durable,
        bindings: vec![(EVENTS, GenesysConversationRouted::TYPE)],
    }
}

/// So long after its event a conversation may still come: messages come by another queue.
const CONVERSATION_MAY_COME: chrono::Duration = chrono::Duration::seconds(30);

/// Keeps conversations in step with Genesys.
pub(crate) struct FollowGenesys(pub(crate) Conversations);

#[async_trait]
impl Handler for FollowGenesys {
    async fn handle(&self, delivery: &Delivery) -> Handled {
        let event = match Envelope::<GenesysConversationRouted>::parse(&delivery.body) {
            Ok(event) => event,
            Err(error) => return Handled::Reject(error.into()),
        };
        let may_come = self.0.clock.now() - event.time < CONVERSATION_MAY_COME;
        let routed = Routed {
            id: event.id,
            tenant: event.tenantid,
            data: event.data,
            context: EventContext {
                traceparent: event.traceparent,
                request_id: event.requestid,
            },
        };
        match self.0.follow_genesys(routed).await {
            Ok(()) => Handled::Done,
            Err(error @ GenesysError::UnknownConversation) if may_come => {
                Handled::Retry(error.into())
            }
            Err(GenesysError::Db(error)) if error.is_transient() => Handled::Retry(error.into()),
            Err(error) => Handled::Reject(error.into()),
        }
    }
}

/// Keeps conversations.
pub(crate) struct KeepConversations(pub(crate) Intake);

#[async_trait]
impl Handler for KeepConversations {
    async fn handle(&self, delivery: &Delivery) -> Handled {
        let event = match read_message_event(delivery) {
            Ok(event) => event,
            Err(error) => return Handled::Reject(error),
        };
        match self.0.take(event).await {
            Ok(()) => Handled::Done,
            Err(error) if error.is_transient() => Handled::Retry(error.into()),
            Err(error) => Handled::Reject(error.into()),
        }
    }
}

fn read_message_event(delivery: &Delivery) -> anyhow::Result<Event> {
    fn read<T: DeserializeOwned>(delivery: &Delivery) -> anyhow::Result<Envelope<T>> {
        Ok(Envelope::parse(&delivery.body)?)
    }
    let head = read::<AnyTenantData>(delivery)?;
    let fact = match delivery.routing_key.as_str() {
        MessageReceived::TYPE => Fact::received(read(delivery)?.data),
        MessageEchoed::TYPE => Fact::echoed(read(delivery)?.data),
        MessageAccepted::TYPE => Fact::accepted(read(delivery)?)?,
        MessageSent::TYPE => Fact::sent(read(delivery)?.data),
        MessageDelivered::TYPE => Fact::delivered(read(delivery)?.data),
        MessageRead::TYPE => Fact::read(read(delivery)?.data),
        MessageFailed::TYPE => Fact::failed(&read(delivery)?),
        MessageCanceled::TYPE => Fact::canceled(&read(delivery)?.data),
        other => anyhow::bail!("{other} tells nothing of a message"),
    };
    Ok(Event {
        id: head.id,
        tenant: head.tenantid,
        fact,
        context: EventContext {
            traceparent: head.traceparent,
            request_id: head.requestid,
        },
    })
}

/// What the envelope says is enough: the event's type is the routing key.
#[derive(Deserialize)]
struct AnyTenantData {}

/// Ends the sessions of a tenant that was suspended or deleted.
pub(crate) struct EndSessions {
    pub(crate) sessions: Sessions,
    pub(crate) tenants: TenantClient,
}

#[async_trait]
impl Handler for EndSessions {
    async fn handle(&self, delivery: &Delivery) -> Handled {
        let event = match Envelope::<AnyTenantData>::parse(&delivery.body) {
            Ok(event) => event,
            Err(error) => return Handled::Reject(error.into()),
        };
        let reason = match delivery.routing_key.as_str() {
            TenantSuspended::TYPE => RevokeReason::TenantSuspended,
            TenantDeleted::TYPE => RevokeReason::TenantDeleted,
            other => return Handled::Reject(anyhow::anyhow!("{other} ends no sessions")),
        };
        // The other queue does this, too, but nothing says which of them comes first: nobody may
        // sign in again by what is remembered from before.
        self.tenants.invalidate(&event.tenantid).await;
        let context = EventContext::current(event.requestid);
        let ended = self
            .sessions
            .end_of_tenant(event.id, &event.tenantid, event.time, reason, context)
            .await;
        match ended {
            Ok(()) => Handled::Done,
            Err(error) => Handled::Retry(error.into()),
        }
    }
}
