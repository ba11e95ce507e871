//! A failed message goes back to its lane, to be sent again under the same id: for the service and
//! for the operator alike.

use diesel::{QueryableByName, prelude::*, sql_types};
use uuid::Uuid;

use crate::{DbError, Tx};

/// What became of the wish to send a failed message again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requeue {
    /// It waits at the end of its lane; workers are to be told.
    Back(Requeued),
    /// It is not failed (any more): its state, which is left alone.
    NotFailed(String),
    /// Meta may have taken it, and the duplicate is not accepted.
    MayHaveArrived,
    /// The tenant has no such message.
    NotFound,
}

/// A message that is to be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requeued {
    /// The number that it is sent from.
    pub phone_number_id: String,
    /// The trace that it belongs to.
    pub traceparent: Option<String>,
}

#[derive(QueryableByName)]
struct Failed {
    #[diesel(sql_type = sql_types::Text)]
    status: String,
    #[diesel(sql_type = sql_types::Text)]
    phone_number_id: String,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    traceparent: Option<String>,
    #[diesel(sql_type = sql_types::Bool)]
    may_have_arrived: bool,
}

/// Undetermined ones may have arrived, and so may those with more requests of unknown outcome than
/// webhooks have told of.
const LOCK: &str = "SELECT m.status, m.phone_number_id, m.traceparent, \
        coalesce(m.error ->> 'class' = 'undetermined', false) \
        OR (SELECT count(*) FROM message_attempts a WHERE a.tenant_id = m.tenant_id \
                AND a.message_id = m.message_id AND coalesce(a.outcome, 'unknown') = 'unknown') \
            > (m.wamid IS NOT NULL)::int AS may_have_arrived \
     FROM messages m WHERE m.message_id = $1 AND m.tenant_id = $2 FOR UPDATE OF m";

/// Its time to live begins anew, with the length that it had; wamids of earlier copies stay in the
/// attempts and in the history.
const PUT_BACK: &str = "UPDATE messages m SET status = 'accepted', seq = DEFAULT, \
        next_attempt_at = now(), retries = 0, error = NULL, wamid = NULL, \
        pricing = NULL, discarded_at = NULL, possible_duplicate = possible_duplicate OR $3, \
        expires_at = now() + (m.expires_at - coalesce( \
            (SELECT max(e.occurred_at) FROM message_status_events e WHERE e.tenant_id = m.tenant_id \
                AND e.message_id = m.message_id AND e.status = 'accepted'), \
            m.send_at, m.accepted_at)), \
        updated_at = now() \
     WHERE m.message_id = $1 AND m.tenant_id = $2";

const NOTE: &str = "INSERT INTO message_status_events \
        (status_event_id, tenant_id, message_id, status, source, changed_status, occurred_at) \
     VALUES ($1, $2, $3, 'accepted', 'api', true, now()) ON CONFLICT DO NOTHING";

/// Puts a failed message of the transaction's tenant back; `accept_duplicate` says that it may
/// arrive twice.
pub fn requeue_failed(
    tx: &mut Tx<'_>,
    message_id: Uuid,
    accept_duplicate: bool,
) -> Result<Requeue, DbError> {
    let tenant = tx.tenant().map(ToString::to_string).unwrap_or_default();
    let found: Option<Failed> = diesel::sql_query(LOCK)
        .bind::<sql_types::Uuid, _>(message_id)
        .bind::<sql_types::Text, _>(&tenant)
        .get_result(tx.conn())
        .optional()?;
    let Some(found) = found else {
        return Ok(Requeue::NotFound);
    };
    if found.status != "failed" {
        return Ok(Requeue::NotFailed(found.status));
    }
    if found.may_have_arrived && !accept_duplicate {
        return Ok(Requeue::MayHaveArrived);
    }
    diesel::sql_query(PUT_BACK)
        .bind::<sql_types::Uuid, _>(message_id)
        .bind::<sql_types::Text, _>(&tenant)
        .bind::<sql_types::Bool, _>(found.may_have_arrived)
        .execute(tx.conn())?;
    diesel::sql_query(NOTE)
        .bind::<sql_types::Uuid, _>(Uuid::now_v7())
        .bind::<sql_types::Text, _>(&tenant)
        .bind::<sql_types::Uuid, _>(message_id)
        .execute(tx.conn())?;
    Ok(Requeue::Back(Requeued {
        phone_number_id: found.phone_number_id,
        traceparent: found.traceparent,
    }))
}
