//! What services that send report of a tenant's token.

use async_trait::async_trait;
use portal_db::audit::Actor;
use portal_events::{
    Delivery, Envelope, Handled, Handler,
    catalogue::{EventData, TenantWhatsappTokenInvalid, TenantWhatsappTokenRestored},
    topology::{self, QueueKind, QueueSpec},
};
use portal_types::{EventId, TenantId};

use crate::{
    domain::whatsapp_account::TokenStatus,
    usecases::{
        Deps, OpContext, TenantError,
        whatsapp_accounts::{TokenReport, record_token_report},
    },
};

/// The queue, which is the consumer's name in the inbox, too.
const TOKEN_REPORTS: &str = "tenant-service.whatsapp-token-reports";

/// The queue of token reports.
pub(crate) fn token_reports_queue() -> QueueSpec {
    QueueSpec {
        name: TOKEN_REPORTS,
        kind: QueueKind::Durable,
        bindings: vec![
            (topology::EVENTS, TenantWhatsappTokenInvalid::TYPE),
            (topology::EVENTS, TenantWhatsappTokenRestored::TYPE),
        ],
    }
}

/// Handles token reports.
pub(crate) struct TokenReports {
    pub(crate) deps: Deps,
}

#[async_trait]
impl Handler for TokenReports {
    async fn handle(&self, delivery: &Delivery) -> Handled {
        let (ctx, report) = match read(delivery) {
            Ok(read) => read,
            Err(error) => return Handled::Reject(error),
        };
        match record_token_report(ctx, &self.deps, TOKEN_REPORTS, report).await {
            Ok(()) => Handled::Done,
            Err(TenantError::Db(error)) if error.is_transient() => Handled::Retry(error.into()),
            Err(error) => Handled::Reject(error.into()),
        }
    }
}

fn read(delivery: &Delivery) -> anyhow::Result<(OpContext, TokenReport)> {
    match delivery.routing_key.as_str() {
        TenantWhatsappTokenInvalid::TYPE => {
            let event = Envelope::<TenantWhatsappTokenInvalid>::parse(&delivery.body)?;
            let facts = (
                event.data.tenant_id,
                event.data.waba_id,
                event.data.error_code,
            );
            report(
                event.id,
                &event.tenantid,
                event.requestid,
                event.time,
                facts,
                TokenStatus::Invalid,
            )
        }
        TenantWhatsappTokenRestored::TYPE => {
            let event = Envelope::<TenantWhatsappTokenRestored>::parse(&delivery.body)?;
            let facts = (event.data.tenant_id, event.data.waba_id, None);
            report(
                event.id,
                &event.tenantid,
                event.requestid,
                event.time,
                facts,
                TokenStatus::Valid,
            )
        }
        other => anyhow::bail!("the queue is not bound to {other}"),
    }
}

fn report(
    event_id: EventId,
    envelope_tenant: &TenantId,
    request_id: Option<String>,
    seen_at: chrono::DateTime<chrono::Utc>,
    (tenant_id, waba_id, error_code): (TenantId, String, Option<i64>),
    status: TokenStatus,
) -> anyhow::Result<(OpContext, TokenReport)> {
    anyhow::ensure!(
        *envelope_tenant == tenant_id,
        "envelope and data name different tenants"
    );
    let actor = Actor::Service("outbound-message-service".to_owned());
    let report = TokenReport {
        event_id,
        tenant_id,
        waba_id,
        status,
        error_code,
        seen_at,
    };
    Ok((OpContext { actor, request_id }, report))
}
