//! Telling what became of a message.

use portal_db::{Db, DbError};
use portal_types::{MessageId, TenantId};

use crate::{
    domain::MessageStatus,
    store::{
        holds::{self, HoldRow},
        messages::{self, AttemptRow, MessageRow, StatusEventRow},
        trace::{self, OutboxRow},
    },
};

/// A message with everything that happened to it.
pub(crate) struct MessageStory {
    pub(crate) message: MessageRow,
    pub(crate) attempts: Vec<AttemptRow>,
    pub(crate) history: Vec<StatusEventRow>,
    /// What the message waits for, if its number is held.
    pub(crate) hold: Option<HoldRow>,
    /// What is still known of what was published about it.
    pub(crate) published: Vec<OutboxRow>,
}

/// The message, if it is the tenant's.
#[tracing::instrument(name = "usecase.get_message", skip_all, fields(tenant.id = %tenant, message.id = %id))]
pub(crate) async fn get_message(
    db: &Db,
    tenant: &TenantId,
    id: MessageId,
) -> Result<Option<MessageStory>, DbError> {
    db.read("get_message", tenant, move |tx| {
        let Some(message) = messages::find(tx, id.as_uuid())? else {
            return Ok(None);
        };
        let attempts = messages::list_attempts(tx, id.as_uuid())?;
        let mut history = messages::list_status_events(tx, id.as_uuid())?;
        // Not any of its rows: what failed and was sent again was accepted again.
        let is_told = |event: &StatusEventRow| event.status == MessageStatus::Accepted.as_str();
        if !history.first().is_some_and(is_told) {
            // The row itself tells of its acceptance.
            history.insert(0, StatusEventRow::accepted(message.accepted_at));
        }
        let waits = matches!(
            message.status()?,
            MessageStatus::Accepted | MessageStatus::RetryWait
        );
        let hold = if waits {
            holds::find(tx, &message.phone_number_id)?
        } else {
            None
        };
        let published = trace::list_outbox(tx, id.as_uuid())?;
        Ok(Some(MessageStory {
            message,
            attempts,
            history,
            hold,
            published,
        }))
    })
    .await
}

/// The tenant's numbers whose sending waits.
#[tracing::instrument(name = "usecase.list_holds", skip_all, fields(tenant.id = %tenant))]
pub(crate) async fn list_holds(db: &Db, tenant: &TenantId) -> Result<Vec<HoldRow>, DbError> {
    db.read("list_holds", tenant, holds::list).await
}
