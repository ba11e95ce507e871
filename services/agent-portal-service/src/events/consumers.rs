//! Deliveries from the broker, handed to use cases.

use async_trait::async_trait;
use portal_events::{
    Delivery, Envelope, EventContext, Handled, Handler,
    catalogue::{EventData as _, TenantDeleted, TenantSuspended},
    topology::{EVENTS, QueueKind, QueueSpec},
};
use portal_tenant_client::TenantClient;
use serde::Deserialize;

use crate::{domain::RevokeReason, usecases::sessions::Sessions};

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
