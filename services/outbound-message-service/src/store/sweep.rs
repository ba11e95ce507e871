//! What is due, of all tenants: ids only.

use diesel::{QueryableByName, dsl::now, prelude::*, sql_types};
use portal_db::{CrossTenantPath, DbError, Scope, Tx};
use portal_db_schema::schema::messages;
use portal_types::TenantId;
use uuid::Uuid;

use super::outcomes::NumberOfTenant;

/// The one who may look.
pub(crate) const SWEEPER: Scope = Scope::CrossTenant(CrossTenantPath::DeliverySweeper);

/// A message that needs somebody.
#[derive(QueryableByName)]
pub(crate) struct DueMessage {
    #[diesel(sql_type = sql_types::Uuid)]
    pub(crate) message_id: Uuid,
    #[diesel(sql_type = sql_types::Text)]
    tenant_id: String,
}

impl DueMessage {
    pub(crate) fn tenant(&self) -> Result<TenantId, DbError> {
        TenantId::parse(&self.tenant_id)
            .map_err(|_invalid| DbError::Corrupt("messages.tenant_id".to_owned()))
    }
}

/// Numbers that have something to send now; those that are held only when the hold may be probed.
///
/// Jumps from number to number along the index: a long backlog is not walked.
pub(crate) fn list_due_numbers_any_tenant(tx: &mut Tx<'_>) -> Result<Vec<NumberOfTenant>, DbError> {
    Ok(diesel::sql_query(
        "WITH RECURSIVE numbers AS ( \
             (SELECT tenant_id, phone_number_id FROM messages \
              WHERE status IN ('accepted', 'retry_wait') \
              ORDER BY tenant_id, phone_number_id LIMIT 1) \
             UNION ALL \
             SELECT next.tenant_id, next.phone_number_id FROM numbers, LATERAL ( \
                 SELECT m.tenant_id, m.phone_number_id FROM messages m \
                 WHERE m.status IN ('accepted', 'retry_wait') \
                   AND (m.tenant_id, m.phone_number_id) > (numbers.tenant_id, numbers.phone_number_id) \
                 ORDER BY m.tenant_id, m.phone_number_id LIMIT 1) next) \
         SELECT n.tenant_id, n.phone_number_id FROM numbers n \
         WHERE (SELECT true FROM messages m WHERE m.tenant_id = n.tenant_id \
                 AND m.phone_number_id = n.phone_number_id \
                 AND m.status IN ('accepted', 'retry_wait') AND m.next_attempt_at <= now() LIMIT 1) \
           AND NOT EXISTS (SELECT FROM sending_holds h WHERE h.tenant_id = n.tenant_id \
                 AND h.phone_number_id = n.phone_number_id AND h.next_probe_at > now())",
    )
    .load(tx.conn())?)
}

/// Tenants with scheduled messages that are due.
pub(crate) fn list_scheduled_tenants_any_tenant(tx: &mut Tx<'_>) -> Result<Vec<TenantId>, DbError> {
    let tenants: Vec<String> = messages::table
        .filter(messages::status.eq("scheduled"))
        .filter(messages::next_attempt_at.le(now))
        .select(messages::tenant_id)
        .distinct()
        .load(tx.conn())?;
    let parsed = tenants.iter().map(|tenant| TenantId::parse(tenant));
    parsed
        .collect::<Result<_, _>>()
        .map_err(|_invalid| DbError::Corrupt("messages.tenant_id".to_owned()))
}

/// Messages whose worker died with the request in hand.
pub(crate) fn list_lost_any_tenant(
    tx: &mut Tx<'_>,
    limit: i64,
) -> Result<Vec<DueMessage>, DbError> {
    list(
        tx,
        "SELECT message_id, tenant_id FROM messages \
         WHERE status = 'sending' AND lease_until < now() ORDER BY lease_until LIMIT $1",
        limit,
    )
}

/// Messages that could not be sent within their time to live.
pub(crate) fn list_expired_any_tenant(
    tx: &mut Tx<'_>,
    limit: i64,
) -> Result<Vec<DueMessage>, DbError> {
    list(
        tx,
        "SELECT message_id, tenant_id FROM messages \
         WHERE status IN ('accepted', 'retry_wait') AND expires_at <= now() \
         ORDER BY expires_at LIMIT $1",
        limit,
    )
}

fn list(tx: &mut Tx<'_>, sql: &str, limit: i64) -> Result<Vec<DueMessage>, DbError> {
    Ok(diesel::sql_query(sql)
        .bind::<sql_types::BigInt, _>(limit)
        .load(tx.conn())?)
}

/// How much waits, of all tenants.
#[derive(QueryableByName)]
pub(crate) struct Waiting {
    /// Messages that could be sent now.
    #[diesel(sql_type = sql_types::BigInt)]
    pub(crate) due: i64,
    /// Numbers that are held.
    #[diesel(sql_type = sql_types::BigInt)]
    pub(crate) held: i64,
}

/// Counts what waits.
pub(crate) fn measure_any_tenant(tx: &mut Tx<'_>) -> Result<Waiting, DbError> {
    Ok(diesel::sql_query(
        "SELECT (SELECT count(*) FROM messages \
             WHERE status IN ('accepted', 'retry_wait') AND next_attempt_at <= now()) AS due, \
             (SELECT count(*) FROM sending_holds) AS held",
    )
    .get_result(tx.conn())?)
}

/// Messages that have been unknown for longer than their tenant's horizon (`default_horizon` in seconds where
/// it chose none). If that `needs_webhooks`, webhooks of their number must be seen to arrive:
/// something of Meta's that is newer than the attempt. Without that the horizon waits, a day at most.
pub(crate) fn list_overdue_unknown_any_tenant(
    tx: &mut Tx<'_>,
    default_horizon: i32,
    needs_webhooks: bool,
    limit: i64,
) -> Result<Vec<DueMessage>, DbError> {
    Ok(diesel::sql_query(
        "SELECT m.message_id, m.tenant_id FROM messages m \
         LEFT JOIN sending_policies p ON p.tenant_id = m.tenant_id \
         LEFT JOIN sending_numbers n ON n.tenant_id = m.tenant_id \
             AND n.phone_number_id = m.phone_number_id \
         WHERE m.status = 'unknown' \
           AND m.unknown_since < now() - make_interval(secs => COALESCE(p.unknown_horizon_seconds, $1)) \
           AND (NOT $3 OR GREATEST(n.last_status_at, n.last_inbound_at) > m.unknown_since \
               OR m.unknown_since < now() - interval '24 hours') \
         ORDER BY m.unknown_since LIMIT $2",
    )
    .bind::<sql_types::Integer, _>(default_horizon)
    .bind::<sql_types::BigInt, _>(limit)
    .bind::<sql_types::Bool, _>(needs_webhooks)
    .load(tx.conn())?)
}

/// How many messages wait to be sent, by tenant.
pub(crate) fn count_waiting_any_tenant(tx: &mut Tx<'_>) -> Result<Vec<(TenantId, u64)>, DbError> {
    let counts: Vec<(String, i64)> = messages::table
        .filter(messages::status.eq_any(["accepted", "sending", "retry_wait"]))
        .group_by(messages::tenant_id)
        .select((messages::tenant_id, diesel::dsl::count_star()))
        .load(tx.conn())?;
    counts
        .into_iter()
        .map(|(tenant, count)| {
            let tenant = TenantId::parse(&tenant)
                .map_err(|_invalid| DbError::Corrupt("messages.tenant_id".to_owned()))?;
            Ok((tenant, u64::try_from(count).unwrap_or_default()))
        })
        .collect()
}
