//! What keeps the memory fresh: the events of tenant-service.

use async_trait::async_trait;
use portal_events::{
    Delivery, Envelope, Handled, Handler,
    topology::{EVENTS, QueueKind, QueueSpec},
};
use serde::Deserialize;

use crate::TenantClient;

/// A queue of this process for changes of tenants; every process has its own memory.
pub fn change_queue(name: &'static str) -> QueueSpec {
    QueueSpec {
        name,
        kind: QueueKind::PerProcess,
        bindings: vec![(EVENTS, "tenant.#")],
    }
}

/// Drops what this process remembers of a tenant that changed.
#[derive(Debug, Clone)]
pub struct ForgetTenant(pub TenantClient);

/// What the envelope says is enough.
#[derive(Deserialize)]
struct AnyTenantData {}

#[async_trait]
impl Handler for ForgetTenant {
    async fn handle(&self, delivery: &Delivery) -> Handled {
        match Envelope::<AnyTenantData>::parse(&delivery.body) {
            Ok(event) => {
                self.0.invalidate(&event.tenantid).await;
                Handled::Done
            }
            Err(error) => Handled::Reject(error.into()),
        }
    }
}
