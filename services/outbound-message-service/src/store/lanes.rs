//! Taking work: the heads of a number's lanes, each with its attempt, in one statement.
//!
//! A lane is all messages from one number to one recipient: they leave in the order of acceptance,
//! one at a time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{QueryableByName, prelude::*, sql_types};
use portal_db::{DbError, Tx};
use uuid::Uuid;

use super::tenant_of;

/// What a number's turn begins with.
#[derive(QueryableByName)]
pub(crate) struct NumberState {
    #[diesel(sql_type = sql_types::Timestamptz)]
    pub(crate) now: DateTime<Utc>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Integer>)]
    pub(crate) messages_per_second: Option<i32>,
    #[diesel(sql_type = sql_types::Bool)]
    pub(crate) is_known: bool,
    #[diesel(sql_type = sql_types::Bool)]
    pub(crate) treat_5xx_as_unknown: bool,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    pub(crate) hold_reason: Option<String>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Timestamptz>)]
    pub(crate) next_probe_at: Option<DateTime<Utc>>,
}

/// What is known of a number of the transaction's tenant.
///
/// Others that take work of the same number wait until this transaction ends: who looks after them
/// sees what they took.
pub(crate) fn open_turn(tx: &mut Tx<'_>, phone_number_id: &str) -> Result<NumberState, DbError> {
    let tenant = tenant_of(tx);
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1 || '/' || $2, 4))")
        .bind::<sql_types::Text, _>(&tenant)
        .bind::<sql_types::Text, _>(phone_number_id)
        .execute(tx.conn())?;
    Ok(diesel::sql_query(
        "SELECT now() AS now, n.messages_per_second, n.tenant_id IS NOT NULL AS is_known, \
             COALESCE(p.treat_5xx_as_unknown, false) AS treat_5xx_as_unknown, \
             h.reason AS hold_reason, h.next_probe_at \
         FROM (SELECT $1::text AS tenant_id, $2::text AS phone_number_id) me \
         LEFT JOIN sending_numbers n USING (tenant_id, phone_number_id) \
         LEFT JOIN sending_policies p USING (tenant_id) \
         LEFT JOIN sending_holds h USING (tenant_id, phone_number_id)",
    )
    .bind::<sql_types::Text, _>(&tenant)
    .bind::<sql_types::Text, _>(phone_number_id)
    .get_result(tx.conn())?)
}

/// A message whose attempt is written: exactly one request may follow.
#[derive(Clone, QueryableByName)]
pub(crate) struct ClaimedMessage {
    #[diesel(sql_type = sql_types::Uuid)]
    pub(crate) message_id: Uuid,
    #[diesel(sql_type = sql_types::Uuid)]
    pub(crate) attempt_id: Uuid,
    #[diesel(sql_type = sql_types::Integer)]
    pub(crate) attempt: i32,
    #[diesel(sql_type = sql_types::Text)]
    pub(crate) recipient: String,
    #[diesel(sql_type = sql_types::Jsonb)]
    pub(crate) content: serde_json::Value,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    pub(crate) reply_to: Option<String>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    pub(crate) traceparent: Option<String>,
}

/// Takes up to `limit` messages that are due, the urgent first, each the head of its lane, and
/// writes their attempts; not those to `resting` recipients.
///
/// Subqueries with a limit stay lookups in an index; as `EXISTS` they become joins that read the
/// number's whole backlog for each message.
///
/// Within [`open_turn`] only. A head that somebody else has locked (to cancel it, say) is passed
/// over, and with it its lane.
pub(crate) fn claim_heads(
    tx: &mut Tx<'_>,
    phone_number_id: &str,
    limit: i64,
    lease: Duration,
    resting: &[String],
) -> Result<Vec<ClaimedMessage>, DbError> {
    let tenant = tenant_of(tx);
    Ok(diesel::sql_query(
        "WITH due AS ( \
             SELECT m.message_id FROM messages m \
             WHERE m.tenant_id = $1 AND m.phone_number_id = $2 \
               AND m.status IN ('accepted', 'retry_wait') \
               AND m.next_attempt_at <= now() AND m.expires_at > now() \
               AND m.recipient <> ALL ($5) \
               AND m.message_id = (SELECT e.message_id FROM messages e WHERE e.tenant_id = $1 \
                   AND e.phone_number_id = $2 AND e.recipient = m.recipient \
                   AND e.status IN ('accepted', 'sending', 'retry_wait') ORDER BY e.seq LIMIT 1) \
               AND (SELECT e.seq FROM messages e WHERE e.tenant_id = $1 \
                   AND e.phone_number_id = $2 AND e.recipient = m.recipient \
                   AND e.status = 'sending' LIMIT 1) IS NULL \
             ORDER BY m.send_class DESC, m.seq LIMIT $3 FOR UPDATE OF m SKIP LOCKED), \
         claimed AS ( \
             UPDATE messages m SET status = 'sending', attempts = m.attempts + 1, \
                 lease_until = now() + make_interval(secs => $4), next_attempt_at = NULL, \
                 updated_at = now() \
             FROM due WHERE m.message_id = due.message_id \
             RETURNING m.message_id, m.tenant_id, m.attempts, m.recipient, m.content, m.reply_to, \
                 m.traceparent, m.send_class, m.seq), \
         written AS ( \
             INSERT INTO message_attempts (attempt_id, tenant_id, message_id, number, traceparent) \
             SELECT gen_random_uuid(), tenant_id, message_id, attempts, traceparent FROM claimed \
             RETURNING attempt_id, message_id) \
         SELECT c.message_id, w.attempt_id, c.attempts AS attempt, c.recipient, c.content, \
             c.reply_to, c.traceparent \
         FROM claimed c JOIN written w USING (message_id) ORDER BY c.send_class DESC, c.seq",
    )
    .bind::<sql_types::Text, _>(&tenant)
    .bind::<sql_types::Text, _>(phone_number_id)
    .bind::<sql_types::BigInt, _>(limit)
    .bind::<sql_types::Double, _>(lease.as_secs_f64())
    .bind::<sql_types::Array<sql_types::Text>, _>(resting)
    .load(tx.conn())?)
}
