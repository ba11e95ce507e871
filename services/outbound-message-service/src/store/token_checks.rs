//! Table `token_checks`: whether Meta takes the token of an account.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{prelude::*, sql_types};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::token_checks as checks;

use super::{delivery::database_now, template_syncs::AccountRow, tenant_of};

/// What is known of a token.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = checks)]
pub(crate) struct CheckRow {
    pub(crate) status: String,
    pub(crate) failures: i32,
    pub(crate) lease_until: Option<DateTime<Utc>>,
}

/// Accounts of active tenants whose token is to be tried, the longest overdue first; also those that
/// are held because of it since the last try.
pub(crate) fn list_due_any_tenant(tx: &mut Tx<'_>, limit: i64) -> Result<Vec<AccountRow>, DbError> {
    Ok(diesel::sql_query(
        "SELECT c.tenant_id, c.waba_id FROM tenant_whatsapp_config c \
         JOIN tenants t ON t.tenant_id = c.tenant_id AND t.status = 'active' \
         LEFT JOIN token_checks k ON k.tenant_id = c.tenant_id AND k.waba_id = c.waba_id \
         WHERE (k.due_at IS NULL OR k.due_at <= now() OR EXISTS ( \
                 SELECT FROM sending_holds h WHERE h.tenant_id = c.tenant_id \
                 AND h.reason = 'credential' AND h.since > k.checked_at)) \
           AND (k.lease_until IS NULL OR k.lease_until < now()) \
         ORDER BY k.due_at NULLS FIRST LIMIT $1",
    )
    .bind::<sql_types::BigInt, _>(limit)
    .load(tx.conn())?)
}

/// Takes the account for the time of `lease`; none when another replica tries its token.
pub(crate) fn claim(
    tx: &mut Tx<'_>,
    waba_id: &str,
    lease: TimeDelta,
) -> Result<Option<CheckRow>, DbError> {
    ensure(tx, waba_id)?;
    let at = database_now(tx)?;
    let free = checks::lease_until.is_null().or(checks::lease_until.lt(at));
    Ok(diesel::update(
        checks::table
            .filter(checks::waba_id.eq(waba_id))
            .filter(free),
    )
    .set(checks::lease_until.eq(at + lease))
    .returning(CheckRow::as_returning())
    .get_result(tx.conn())
    .optional()?)
}

fn ensure(tx: &mut Tx<'_>, waba_id: &str) -> Result<(), DbError> {
    let tenant_id = tenant_of(tx);
    diesel::insert_into(checks::table)
        .values((checks::tenant_id.eq(tenant_id), checks::waba_id.eq(waba_id)))
        .on_conflict_do_nothing()
        .execute(tx.conn())?;
    Ok(())
}

/// What is known of the account's token, locked until the transaction ends.
pub(crate) fn lock(tx: &mut Tx<'_>, waba_id: &str) -> Result<CheckRow, DbError> {
    ensure(tx, waba_id)?;
    Ok(checks::table
        .filter(checks::waba_id.eq(waba_id))
        .select(CheckRow::as_select())
        .for_update()
        .first(tx.conn())?)
}

/// Meta answered; the next try is due after `next`.
pub(crate) fn finish(
    tx: &mut Tx<'_>,
    waba_id: &str,
    status: &str,
    error_code: Option<i64>,
    next: TimeDelta,
) -> Result<(), DbError> {
    let at = database_now(tx)?;
    diesel::update(checks::table.filter(checks::waba_id.eq(waba_id)))
        .set((
            checks::status.eq(status),
            checks::error_code.eq(error_code),
            checks::checked_at.eq(at),
            checks::due_at.eq(at + next),
            checks::lease_until.eq(None::<DateTime<Utc>>),
            checks::failures.eq(0),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Meta did not say; the next try is due after `next`.
pub(crate) fn postpone(tx: &mut Tx<'_>, waba_id: &str, next: TimeDelta) -> Result<(), DbError> {
    let at = database_now(tx)?;
    diesel::update(checks::table.filter(checks::waba_id.eq(waba_id)))
        .set((
            checks::due_at.eq(at + next),
            checks::lease_until.eq(None::<DateTime<Utc>>),
            checks::failures.eq(checks::failures + 1),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Makes a try due now.
pub(crate) fn request(tx: &mut Tx<'_>, waba_id: &str) -> Result<(), DbError> {
    ensure(tx, waba_id)?;
    diesel::update(checks::table.filter(checks::waba_id.eq(waba_id)))
        .set(checks::due_at.eq(diesel::dsl::now))
        .execute(tx.conn())?;
    Ok(())
}
