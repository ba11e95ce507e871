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
use portal_types::TenantId;
use serde::Deserialize;
use tokio::sync::Notify;

use super::DELIVER;
use crate::{
    store::{holds, numbers},
    usecases::{dispatch::DispatchWaker, templates::Templates, token_health},
};

/// Hints that a number has something to send.
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

/// A number of a tenant has something to send. Of the former form, with a message's id, too.
#[derive(Deserialize)]
struct DeliverHint {
    tenant_id: TenantId,
    phone_number_id: Option<String>,
}

/// Calls for the turn of the hinted number.
pub(crate) struct DeliverHints {
    pub(crate) dispatch: DispatchWaker,
    pub(crate) tenants: TenantClient,
}

#[async_trait]
impl Handler for DeliverHints {
    async fn handle(&self, delivery: &Delivery) -> Handled {
        let hint: DeliverHint = match serde_json::from_slice(&delivery.body) {
            Ok(hint) => hint,
            Err(error) => return Handled::Reject(error.into()),
        };
        if let Some(number) = hint.phone_number_id {
            self.dispatch.hinted(&hint.tenant_id, &number);
            return Handled::Done;
        }
        match self.tenants.sending_profile(&hint.tenant_id).await {
            Ok(profile) => {
                if let Some(whatsapp) = profile.and_then(|profile| profile.whatsapp.clone()) {
                    self.dispatch
                        .hinted(&hint.tenant_id, &whatsapp.phone_number_id);
                }
                Handled::Done
            }
            Err(error) => Handled::Retry(error.into()),
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
    pub(crate) check_now: Arc<Notify>,
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
        let number = match self.tenants.sending_profile(&event.tenantid).await {
            Ok(profile) => profile.and_then(|profile| profile.whatsapp.clone()),
            Err(error) => return Handled::Retry(error.into()),
        };
        let number = number.map(|whatsapp| whatsapp.phone_number_id);
        // Without an inbox row: to look once more is harmless.
        let released = self
            .db
            .write("resume_tenant", &event.tenantid, move |tx| {
                if let Some(number) = &number {
                    numbers::check_again(tx, number)?;
                }
                holds::probe_now(tx)
            })
            .await;
        match released {
            Ok(_) => {
                self.sweep_now.notify_one();
                self.check_now.notify_one();
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
