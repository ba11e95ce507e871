//! Looking for what is due: heals lost hints, wakes waiting retries, settles what stays unknown.

use std::collections::BTreeMap;

use portal_db::{Db, DbError, outbox};
use portal_events::{EventContext, RelayWaker, catalogue::MessageError, outbox_work};
use portal_types::TenantId;
use uuid::Uuid;

use crate::{
    domain::{MessageStatus, Source},
    events::{DELIVER, SOURCE},
    store::{delivery, idempotency, messages, sweep},
    usecases::change_state::{self, Report},
};

const BATCH: i64 = 500;

/// What sweeping needs.
#[derive(Clone)]
pub(crate) struct Sweeper {
    pub(crate) db: Db,
    pub(crate) relay: RelayWaker,
    pub(crate) unknown_horizon_seconds: i32,
}

impl Sweeper {
    /// Tells workers of all messages that are due; answers of how many.
    pub(crate) async fn hint_due(&self) -> Result<usize, DbError> {
        let due = self
            .db
            .read("sweep.list_due", idempotency::SWEEPER, |tx| {
                sweep::list_due_any_tenant(tx, BATCH)
            })
            .await?;
        let mut by_tenant: BTreeMap<TenantId, Vec<Uuid>> = BTreeMap::new();
        for message in due {
            by_tenant
                .entry(message.tenant()?)
                .or_default()
                .push(message.message_id);
        }
        let mut hinted = 0;
        for (tenant, ids) in by_tenant {
            hinted += self.hint(&tenant, ids).await?;
        }
        if hinted > 0 {
            self.relay.wake();
        }
        Ok(hinted)
    }

    async fn hint(&self, tenant: &TenantId, ids: Vec<Uuid>) -> Result<usize, DbError> {
        let owner = tenant.clone();
        self.db
            .write("sweep.hint", tenant, move |tx| {
                let rows: Vec<_> = sweep::mark_hinted(tx, &ids)?
                    .into_iter()
                    .map(|(id, traceparent)| {
                        let work = serde_json::json!({ "message_id": id, "tenant_id": owner });
                        let context = EventContext {
                            traceparent,
                            request_id: None,
                        };
                        outbox_work(SOURCE, &owner, &context, DELIVER, id.to_string(), work)
                    })
                    .collect();
                outbox::append(tx, &rows)?;
                Ok(rows.len())
            })
            .await
    }

    /// Gives up messages that no webhook has settled within the horizon: they fail loudly, and are
    /// not sent again, because Meta may have taken them.
    pub(crate) async fn settle_unknown(&self) -> Result<usize, DbError> {
        let horizon = self.unknown_horizon_seconds;
        let overdue = self
            .db
            .read("sweep.list_unknown", idempotency::SWEEPER, move |tx| {
                sweep::list_overdue_unknown_any_tenant(tx, horizon, BATCH)
            })
            .await?;
        let count = overdue.len();
        for message in overdue {
            let id = message.message_id;
            self.db
                .write(
                    "sweep.settle_unknown",
                    &message.tenant()?,
                    move |tx| match messages::lock(tx, id)? {
                        Some(row) if row.status()? == MessageStatus::Unknown => {
                            let at = delivery::database_now(tx)?;
                            change_state::report(tx, &row, undetermined(at)).map(drop)
                        }
                        _ => Ok(()),
                    },
                )
                .await?;
        }
        if count > 0 {
            tracing::warn!(
                messages = count,
                "messages whose outcome stayed unknown are given up"
            );
            self.relay.wake();
        }
        Ok(count)
    }

    /// Forgets idempotency keys whose time is over.
    pub(crate) async fn forget_keys(&self) -> Result<usize, DbError> {
        self.db
            .write("sweep.forget_keys", idempotency::SWEEPER, |tx| {
                idempotency::delete_expired_any_tenant(tx)
            })
            .await
    }
}

fn undetermined(at: chrono::DateTime<chrono::Utc>) -> Report {
    Report {
        status: MessageStatus::Failed,
        source: Source::Policy,
        at,
        wamid: None,
        pricing: None,
        error: Some(MessageError {
            code: None,
            title: "Meta's answer was lost and no webhook told the outcome".to_owned(),
            details: Some(
                "The message may have arrived. Ask the recipient before it is sent again."
                    .to_owned(),
            ),
            class: "undetermined".to_owned(),
        }),
    }
}
