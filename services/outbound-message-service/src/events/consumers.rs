//! Deliveries from the broker, handed to use cases.

use std::sync::Arc;

use async_trait::async_trait;
use portal_db::Db;
use portal_events::{
    Delivery, Envelope, Handled, Handler,
    catalogue::{EventData as _, TenantWhatsappConfigured},
    topology::{EVENTS, QueueKind, QueueSpec, WORK},
};
use portal_tenant_client::TenantClient;
use portal_types::{MessageId, TenantId};
use serde::Deserialize;
use tokio::sync::Notify;

use super::DELIVER;
use crate::{
    store::holds,
    usecases::{
        deliver_lane::{DeliverError, Deliverer},
        templates::Templates,
        token_health,
    },
};

/// Hints that a message is to be delivered.
pub(crate) fn deliver_queue() -> QueueSpec {
    QueueSpec {
        name: "outbound-message-service.deliver",
        kind: QueueKind::Durable,
        bindings: vec![(WORK, DELIVER)],
    }
}

/// Accounts that were configured: their templates and tokens are looked at.
pub(crate) fn account_queue() -> QueueSpec {
    QueueSpec {
        name: "outbound-message-service.accounts",
        kind: QueueKind::Durable,
        bindings: vec![(EVENTS, TenantWhatsappConfigured::TYPE)],
    }
}

/// Changes of tenants after which what waits may go on.
pub(crate) fn tenant_queue() -> QueueSpec {
    QueueSpec {
        name: "outbound-message-service.tenants",
        kind: QueueKind::Durable,
        bindings: vec![
            (EVENTS, "tenant.resumed"),
            (EVENTS, "tenant.whatsapp.configured"),
        ],
    }
}

#[derive(Deserialize)]
struct DeliverHint {
    message_id: MessageId,
    tenant_id: TenantId,
}

/// Delivers the lane of the hinted message.
pub(crate) struct DeliverHints(pub(crate) Deliverer);

#[async_trait]
impl Handler for DeliverHints {
    async fn handle(&self, delivery: &Delivery) -> Handled {
        let hint: DeliverHint = match serde_json::from_slice(&delivery.body) {
            Ok(hint) => hint,
            Err(error) => return Handled::Reject(error.into()),
        };
        match self
            .0
            .deliver(&hint.tenant_id, hint.message_id.as_uuid())
            .await
        {
            Ok(()) => Handled::Done,
            // A token that no key opens stays so until somebody acts: the sweeper comes back to
            // the message, and the queue is free for others.
            Err(error @ DeliverError::Vault(_)) => {
                tracing::error!(tenant.id = %hint.tenant_id, error = &error as &dyn std::error::Error, "sending is not possible");
                Handled::Done
            }
            Err(error @ (DeliverError::Db(_) | DeliverError::Directory(_))) => {
                Handled::Retry(error.into())
            }
        }
    }
}

#[derive(Deserialize)]
struct AnyTenantData {}

/// Lets what waits for a tenant go on.
pub(crate) struct ResumeTenant {
    pub(crate) db: Db,
    pub(crate) tenants: TenantClient,
    pub(crate) sweep_now: Arc<Notify>,
}

#[async_trait]
impl Handler for ResumeTenant {
    async fn handle(&self, delivery: &Delivery) -> Handled {
        let event = match Envelope::<AnyTenantData>::parse(&delivery.body) {
            Ok(event) => event,
            Err(error) => return Handled::Reject(error.into()),
        };
        // The other queue does this, too, but nothing says which of them comes first.
        self.tenants.invalidate(&event.tenantid).await;
        // Without an inbox row: to look once more is harmless.
        let released = self
            .db
            .write("resume_tenant", &event.tenantid, holds::probe_now)
            .await;
        match released {
            Ok(_) => {
                self.sweep_now.notify_one();
                Handled::Done
            }
            Err(error) => Handled::Retry(error.into()),
        }
    }
}

/// Has the templates of an account read and its token tried, because it was configured.
pub(crate) struct LookAtAccount {
    pub(crate) templates: Templates,
    pub(crate) token_due: Arc<Notify>,
}

#[async_trait]
impl Handler for LookAtAccount {
    async fn handle(&self, delivery: &Delivery) -> Handled {
        let event = match Envelope::<TenantWhatsappConfigured>::parse(&delivery.body) {
            Ok(event) => event,
            Err(error) => return Handled::Reject(error.into()),
        };
        let tenant = &event.tenantid;
        // The other queue does this, too, but nothing says which of them comes first.
        self.templates.accounts.tenants.invalidate(tenant).await;
        // Without an inbox row: to look once more is harmless.
        let requested = token_health::request_all(&self.templates.db, tenant, &event.data.waba_id);
        match requested.await {
            Ok(()) => {
                self.templates.due.notify_one();
                self.token_due.notify_one();
                Handled::Done
            }
            Err(error) => Handled::Retry(error.into()),
        }
    }
}
