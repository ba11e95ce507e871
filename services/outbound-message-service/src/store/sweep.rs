//! What is due, of all tenants: ids only.

use diesel::{QueryableByName, dsl::now, prelude::*, sql_types};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::messages;
use portal_types::TenantId;
use uuid::Uuid;

/// A message that needs a worker.
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

/// A lost hint is given again after so long.
const HINT_LOST_AFTER: &str = "interval '30 seconds'";

/// Messages whose time has come and that no worker was told of lately, oldest first; those of held
/// numbers only when the hold may be probed, and messages whose worker died.
pub(crate) fn list_due_any_tenant(tx: &mut Tx<'_>, limit: i64) -> Result<Vec<DueMessage>, DbError> {
    let sql = format!(
        "(SELECT m.message_id, m.tenant_id FROM messages m \
          WHERE m.status IN ('accepted', 'retry_wait') AND m.next_attempt_at <= now() \
            AND (m.hinted_at IS NULL OR m.hinted_at < now() - {HINT_LOST_AFTER}) \
            AND NOT EXISTS (SELECT FROM sending_holds h WHERE h.tenant_id = m.tenant_id \
                AND h.phone_number_id = m.phone_number_id AND h.next_probe_at > now()) \
          ORDER BY m.next_attempt_at LIMIT $1) \
         UNION ALL \
         (SELECT m.message_id, m.tenant_id FROM messages m \
          WHERE m.status = 'sending' AND m.lease_until < now() \
            AND (m.hinted_at IS NULL OR m.hinted_at < now() - {HINT_LOST_AFTER}) LIMIT $1)"
    );
    Ok(diesel::sql_query(sql)
        .bind::<sql_types::BigInt, _>(limit)
        .load(tx.conn())?)
}

/// Notes that workers are told of these; answers those that nobody else told of meanwhile, with
/// the trace that each belongs to.
pub(crate) fn mark_hinted(
    tx: &mut Tx<'_>,
    ids: &[Uuid],
) -> Result<Vec<(Uuid, Option<String>)>, DbError> {
    let lost = diesel::dsl::sql::<sql_types::Bool>(&format!(
        "(hinted_at IS NULL OR hinted_at < now() - {HINT_LOST_AFTER})"
    ));
    Ok(diesel::update(
        messages::table
            .filter(messages::message_id.eq_any(ids))
            .filter(lost),
    )
    .set(messages::hinted_at.eq(now))
    .returning((messages::message_id, messages::traceparent))
    .get_results(tx.conn())?)
}

/// Messages that have been unknown for longer than their tenant's horizon, or than
/// `default_horizon` in seconds where the tenant chose none.
pub(crate) fn list_overdue_unknown_any_tenant(
    tx: &mut Tx<'_>,
    default_horizon: i32,
    limit: i64,
) -> Result<Vec<DueMessage>, DbError> {
    Ok(diesel::sql_query(
        "SELECT m.message_id, m.tenant_id FROM messages m LEFT JOIN sending_policies p USING (tenant_id) \
         WHERE m.status = 'unknown' AND m.unknown_since \
               < now() - make_interval(secs => coalesce(p.unknown_horizon_seconds, $1)) \
         ORDER BY m.unknown_since LIMIT $2",
    )
    .bind::<sql_types::Integer, _>(default_horizon)
    .bind::<sql_types::BigInt, _>(limit)
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
