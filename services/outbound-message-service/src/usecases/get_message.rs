//! Telling what became of a message.

use portal_db::{Db, DbError};
use portal_types::{MessageId, TenantId};

use crate::{
    domain::MessageStatus,
    store::messages::{self, AttemptRow, MessageRow, StatusEventRow},
};

/// A message with everything that happened to it.
pub(crate) struct MessageStory {
    pub(crate) message: MessageRow,
    pub(crate) attempts: Vec<AttemptRow>,
    pub(crate) history: Vec<StatusEventRow>,
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
        let is_told = |event: &StatusEventRow| event.status == MessageStatus::Accepted.as_str();
        if !history.iter().any(is_told) {
            // The row itself tells of its acceptance.
            history.insert(0, StatusEventRow::accepted(message.accepted_at));
        }
        Ok(Some(MessageStory {
            message,
            attempts,
            history,
        }))
    })
    .await
}
