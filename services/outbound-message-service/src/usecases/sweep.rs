//! Looking for what nobody was told of: heals lost hints, wakes waiting retries, ends what waited
//! too long, settles what stays unknown.

use chrono::{DateTime, Utc};
use portal_db::{Db, DbError, Tx};
use portal_events::{RelayWaker, catalogue::MessageError};
use portal_types::TenantId;

use crate::{
    domain::MessageStatus,
    store::{
        amendments,
        delivery::{self, AttemptOutcome},
        idempotency,
        messages::{self, MessageRow},
        sweep::{self, DueMessage, SWEEPER, Waiting},
    },
    usecases::{change_state, dispatch::DispatchWaker, templates::Templates},
};

/// Messages of one look.
pub(super) const BATCH: i64 = 500;

/// What sweeping needs.
#[derive(Clone)]
pub(crate) struct Sweeper {
    pub(crate) db: Db,
    pub(crate) relay: RelayWaker,
    pub(crate) dispatch: DispatchWaker,
    pub(crate) templates: Templates,
    pub(crate) unknown_horizon_seconds: i32,
    pub(crate) horizon_needs_webhooks: bool,
}

impl Sweeper {
    /// Calls for all numbers that have something to send; answers of how many.
    pub(crate) async fn wake_due(&self) -> Result<usize, DbError> {
        let numbers = self
            .db
            .read(
                "sweep.list_due",
                SWEEPER,
                sweep::list_due_numbers_any_tenant,
            )
            .await?;
        for number in &numbers {
            let tenant = TenantId::parse(&number.tenant_id)
                .map_err(|_invalid| DbError::Corrupt("messages.tenant_id".to_owned()))?;
            self.dispatch.wake(&tenant, &number.phone_number_id);
        }
        Ok(numbers.len())
    }

    /// Notes that Meta may have the messages whose worker died with the request in hand.
    pub(crate) async fn end_lost(&self) -> Result<usize, DbError> {
        let lost = self
            .db
            .read("sweep.list_lost", SWEEPER, |tx| {
                sweep::list_lost_any_tenant(tx, BATCH)
            })
            .await?;
        self.each("sweep.end_lost", lost, |tx, row, at| {
            let is_lost = row.status()? == MessageStatus::Sending
                && row.lease_until.is_some_and(|until| until < at);
            if !is_lost {
                return Ok(());
            }
            let lost = AttemptOutcome {
                outcome: Some("unknown"),
                error_class: Some("worker_lost"),
                ..AttemptOutcome::default()
            };
            delivery::finish_attempt(tx, row.message_id, row.attempts, &lost)?;
            change_state::mark_unknown(tx, row)
        })
        .await
    }

    /// Ends messages that could not be sent within their time to live.
    pub(crate) async fn end_expired(&self) -> Result<usize, DbError> {
        let expired = self
            .db
            .read("sweep.list_expired", SWEEPER, |tx| {
                sweep::list_expired_any_tenant(tx, BATCH)
            })
            .await?;
        self.each("sweep.end_expired", expired, |tx, row, at| {
            let waits = matches!(
                row.status()?,
                MessageStatus::Accepted | MessageStatus::RetryWait
            );
            if waits && row.expires_at <= at {
                change_state::fail(tx, row, at, too_late())?;
            }
            Ok(())
        })
        .await
    }

    /// Settles messages about which no webhook told within the horizon: they fail loudly and are not
    /// sent again, because Meta may have taken them. Those of a tenant that wants them sent at least
    /// once are sent again, marked as possible duplicates.
    pub(crate) async fn settle_unknown(&self) -> Result<usize, DbError> {
        let horizon = self.unknown_horizon_seconds;
        let needs_webhooks = self.horizon_needs_webhooks;
        let overdue = self
            .db
            .read("sweep.list_unknown", SWEEPER, move |tx| {
                sweep::list_overdue_unknown_any_tenant(tx, horizon, needs_webhooks, BATCH)
            })
            .await?;
        let count = self.each("sweep.settle_unknown", overdue, settle).await?;
        if count > 0 {
            tracing::warn!(
                messages = count,
                "messages whose outcome stayed unknown are settled"
            );
        }
        Ok(count)
    }

    /// Looks at each message again, locked and within its tenant's walls.
    async fn each(
        &self,
        name: &'static str,
        due: Vec<DueMessage>,
        work: fn(&mut Tx<'_>, &MessageRow, DateTime<Utc>) -> Result<(), DbError>,
    ) -> Result<usize, DbError> {
        let count = due.len();
        for message in due {
            let id = message.message_id;
            let tenant = message.tenant()?;
            let number = self
                .db
                .write(name, &tenant, move |tx| {
                    let Some(row) = messages::lock(tx, id)? else {
                        return Ok::<_, DbError>(None);
                    };
                    let at = delivery::database_now(tx)?;
                    work(tx, &row, at)?;
                    Ok(Some(row.phone_number_id))
                })
                .await?;
            // Its lane goes on.
            if let Some(number) = number {
                self.dispatch.wake(&tenant, &number);
            }
        }
        if count > 0 {
            self.relay.wake();
        }
        Ok(count)
    }

    /// How much waits, of all tenants.
    pub(crate) async fn count_waiting(&self) -> Result<Waiting, DbError> {
        self.db
            .read("sweep.count_waiting", SWEEPER, sweep::measure_any_tenant)
            .await
    }

    /// Forgets idempotency keys whose time is over.
    pub(crate) async fn forget_keys(&self) -> Result<usize, DbError> {
        self.db
            .write(
                "sweep.forget_keys",
                SWEEPER,
                idempotency::delete_expired_any_tenant,
            )
            .await
    }
}

fn settle(tx: &mut Tx<'_>, row: &MessageRow, at: DateTime<Utc>) -> Result<(), DbError> {
    if row.status()? != MessageStatus::Unknown {
        return Ok(());
    }
    // Twice at the most: a third message would not make the first two less likely.
    if row.expires_at > at && !row.possible_duplicate && amendments::wants_at_least_once(tx)? {
        return amendments::send_again(tx, row);
    }
    change_state::fail(tx, row, at, undetermined())
}

fn too_late() -> MessageError {
    policy_error(
        "expired",
        "The message could not be sent within its time to live",
        None,
    )
}

fn undetermined() -> MessageError {
    policy_error(
        "undetermined",
        "Meta's answer was lost and no webhook told the outcome",
        Some("The message may have arrived. Ask the recipient before it is sent again."),
    )
}

/// An end by a rule of ours.
pub(super) fn policy_error(class: &str, title: &str, details: Option<&str>) -> MessageError {
    MessageError {
        code: None,
        title: title.to_owned(),
        details: details.map(str::to_owned),
        class: class.to_owned(),
    }
}
