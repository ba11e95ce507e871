//! Scheduled messages that are due: looked at again, then into their lanes.

use chrono::{DateTime, Utc};
use portal_db::{DbError, Tx};
use portal_events::catalogue::MessageError;
use portal_types::TenantId;
use portal_whatsapp::Content;
use uuid::Uuid;

use super::{
    change_state,
    sweep::{BATCH, Sweeper, policy_error},
};
use crate::{
    domain::{MessageStatus, draft::free_form_types},
    store::{
        amendments::{self, DueTemplate, Released},
        delivery, messages,
        sweep::{self, SWEEPER},
    },
};

/// What became due until a time, as far as it must not be sent any more.
struct Review {
    until: DateTime<Utc>,
    refused: Vec<(Uuid, MessageError)>,
}

impl Sweeper {
    /// Lets scheduled messages that are due enter their lanes; those fail that would be refused if
    /// they were accepted now: their customer service window has closed, their template cannot be
    /// sent any more, or their contact stopped marketing.
    pub(crate) async fn release_scheduled(&self) -> Result<(), DbError> {
        let tenants = self
            .db
            .read(
                "sweep.list_scheduled",
                SWEEPER,
                sweep::list_scheduled_tenants_any_tenant,
            )
            .await?;
        for tenant in tenants {
            let review = self.review(&tenant).await?;
            let released = self
                .db
                .write("sweep.release_scheduled", &tenant, move |tx| {
                    release(tx, &review)
                })
                .await?;
            for number in released {
                self.dispatch.wake(&tenant, &number.phone_number_id);
            }
            self.relay.wake();
        }
        Ok(())
    }

    /// Holds the due templates against what is known of them now.
    async fn review(&self, tenant: &TenantId) -> Result<Review, DbError> {
        let (until, due) = self
            .db
            .read("sweep.list_due_templates", tenant, |tx| {
                let until = delivery::database_now(tx)?;
                let due = amendments::list_due_templates(tx, until, BATCH)?;
                Ok::<_, DbError>((until, due))
            })
            .await?;
        let mut refused = Vec::new();
        if !due.is_empty()
            && let Some((waba_id, phone_number_id)) = self.account(tenant).await
        {
            // Of another account, which the tenant had before, nothing is known.
            for message in due
                .into_iter()
                .filter(|message| message.phone_number_id == phone_number_id)
            {
                let id = message.message_id;
                let reason = self.refusal(tenant, &waba_id, message).await?;
                refused.extend(reason.map(|reason| (id, reason)));
            }
        }
        Ok(Review { until, refused })
    }

    /// The tenant's account and number. None when the tenant has none or it cannot be told just now:
    /// then its messages wait in their lanes for it, and Meta decides about their templates.
    async fn account(&self, tenant: &TenantId) -> Option<(String, String)> {
        match self.templates.accounts.sending_number(tenant).await {
            Ok(account) => Some(account),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "due templates are not looked at again"
                );
                None
            }
        }
    }

    async fn refusal(
        &self,
        tenant: &TenantId,
        waba_id: &str,
        message: DueTemplate,
    ) -> Result<Option<MessageError>, DbError> {
        let Ok(content) = serde_json::from_value::<Content>(message.content) else {
            return Ok(None);
        };
        let Some(template) = content.template() else {
            return Ok(None);
        };
        let finding = self.templates.check(tenant, waba_id, &template).await?;
        if finding.is_marketing() && message.has_stopped_marketing {
            return Ok(Some(marketing_stopped()));
        }
        let faults = finding.errors.fields();
        let told: Vec<_> = faults
            .iter()
            .map(|fault| format!("{} {}", fault.field, fault.message))
            .collect();
        Ok((!told.is_empty()).then(|| template_unusable(&told.join("; "))))
    }
}

fn release(tx: &mut Tx<'_>, review: &Review) -> Result<Vec<Released>, DbError> {
    let at = delivery::database_now(tx)?;
    let outside = amendments::list_outside_window(tx, &free_form_types(), BATCH)?;
    let outside = outside.into_iter().map(|id| (id, outside_window()));
    for (id, error) in review.refused.iter().cloned().chain(outside) {
        if let Some(row) = messages::lock(tx, id)?
            && row.status()? == MessageStatus::Scheduled
            && row.next_attempt_at.is_some_and(|due| due <= at)
        {
            change_state::fail(tx, &row, at, error)?;
        }
    }
    amendments::release_scheduled(tx, review.until, BATCH)
}

fn outside_window() -> MessageError {
    policy_error(
        "window_closed",
        "The customer service window had closed before the message was due",
        Some("Outside the window only templates arrive."),
    )
}

fn marketing_stopped() -> MessageError {
    policy_error(
        "marketing_stopped",
        "The contact stopped marketing messages before the message was due",
        Some("Only the contact can resume them, in WhatsApp."),
    )
}

fn template_unusable(faults: &str) -> MessageError {
    policy_error(
        "template_unusable",
        "The template could not be sent any more when the message was due",
        Some(faults),
    )
}
