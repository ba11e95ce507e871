//! What a tenant chose for its sending; no row means the defaults.

use diesel::{dsl::now, prelude::*};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::sending_policies;
use portal_types::TenantId;

use crate::domain::SendingPolicy;

#[derive(Queryable, Selectable)]
#[diesel(table_name = sending_policies)]
struct PolicyRow {
    window_policy: String,
    unknown_policy: String,
    unknown_horizon_seconds: Option<i32>,
    treat_5xx_as_unknown: bool,
    allow_raw: bool,
}

/// The tenant's choices; `None` when it never chose.
pub(crate) fn find(tx: &mut Tx<'_>, tenant: &TenantId) -> Result<Option<SendingPolicy>, DbError> {
    let row: Option<PolicyRow> = sending_policies::table
        .find(tenant.as_str())
        .select(PolicyRow::as_select())
        .first(tx.conn())
        .optional()?;
    row.map(|row| {
        let corrupt = |column: &str| DbError::Corrupt(format!("sending_policies.{column}"));
        Ok(SendingPolicy {
            window_policy: row
                .window_policy
                .parse()
                .map_err(|_unknown| corrupt("window_policy"))?,
            unknown_policy: row
                .unknown_policy
                .parse()
                .map_err(|_unknown| corrupt("unknown_policy"))?,
            unknown_horizon_seconds: row.unknown_horizon_seconds,
            treat_5xx_as_unknown: row.treat_5xx_as_unknown,
            allow_raw: row.allow_raw,
        })
    })
    .transpose()
}

/// Writes the tenant's choices in place of what it chose before.
pub(crate) fn put(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    policy: &SendingPolicy,
) -> Result<(), DbError> {
    let values = (
        sending_policies::window_policy.eq(<&str>::from(policy.window_policy)),
        sending_policies::unknown_policy.eq(<&str>::from(policy.unknown_policy)),
        sending_policies::unknown_horizon_seconds.eq(policy.unknown_horizon_seconds),
        sending_policies::treat_5xx_as_unknown.eq(policy.treat_5xx_as_unknown),
        sending_policies::allow_raw.eq(policy.allow_raw),
        sending_policies::updated_at.eq(now),
    );
    diesel::insert_into(sending_policies::table)
        .values((sending_policies::tenant_id.eq(tenant.as_str()), values))
        .on_conflict(sending_policies::tenant_id)
        .do_update()
        .set(values)
        .execute(tx.conn())?;
    Ok(())
}
