//! Sending a failed message again, under its id and at the end of its lane.

use portal_db::{
    DbError, Tx,
    audit::{Actor, AuditEntry, Outcome},
    outbox,
    requeue::{Requeue, requeue_failed},
};
use uuid::Uuid;

use crate::events::{SOURCE, hint};

/// Who decides, for the audit log.
#[derive(Debug, Clone)]
pub(crate) struct Decider {
    pub(crate) actor: Actor,
    pub(crate) request_id: Option<String>,
}

impl Decider {
    /// The line of the audit log about a decision.
    pub(crate) fn entry(
        &self,
        action: &'static str,
        target: &impl ToString,
        details: serde_json::Value,
    ) -> AuditEntry {
        AuditEntry {
            service: SOURCE.role,
            actor: self.actor.clone(),
            action,
            target: Some(target.to_string()),
            outcome: Outcome::Succeeded,
            details,
            request_id: self.request_id.clone(),
        }
    }
}

/// Puts a failed message back and tells workers, within the transaction.
pub(crate) fn requeue(
    tx: &mut Tx<'_>,
    id: Uuid,
    accept_duplicate: bool,
) -> Result<Requeue, DbError> {
    let done = requeue_failed(tx, id, accept_duplicate)?;
    if let Requeue::Back(back) = &done {
        let tenant = tx.own_tenant()?;
        let hint = hint(&tenant, &back.phone_number_id, back.traceparent.clone());
        outbox::append(tx, &[hint])?;
    }
    Ok(done)
}
