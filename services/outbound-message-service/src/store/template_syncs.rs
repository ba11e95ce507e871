//! Table `template_syncs`: when an account's templates are read next, and what came of it last.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{dsl::now, prelude::*, sql_types};
use portal_db::{CrossTenantPath, DbError, Scope, Tx};
use portal_db_schema::schema::template_syncs as syncs;
use portal_types::TenantId;

use super::{delivery::database_now, tenant_of};

/// The path that finds accounts whose templates or token are to be looked at.
pub(crate) const SCHEDULER: Scope = Scope::CrossTenant(CrossTenantPath::AccountScheduler);

/// An account of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub(crate) struct AccountRow {
    #[diesel(sql_type = sql_types::Text)]
    tenant_id: String,
    #[diesel(sql_type = sql_types::Text)]
    pub(crate) waba_id: String,
}

impl AccountRow {
    pub(crate) fn tenant(&self) -> Result<TenantId, DbError> {
        TenantId::parse(&self.tenant_id)
            .map_err(|_invalid| DbError::Corrupt("tenant_whatsapp_config.tenant_id".to_owned()))
    }
}

/// What is known of the reading of an account's templates.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = syncs)]
pub(crate) struct SyncRow {
    pub(crate) due_at: DateTime<Utc>,
    pub(crate) fetch_at: Option<DateTime<Utc>>,
    pub(crate) lease_until: Option<DateTime<Utc>>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) read_so_far: i32,
    pub(crate) synced_at: Option<DateTime<Utc>>,
    pub(crate) total: i32,
    pub(crate) created: i32,
    pub(crate) updated: i32,
    pub(crate) removed: i32,
    pub(crate) failures: i32,
    pub(crate) error_class: Option<String>,
    pub(crate) error_code: Option<i64>,
}

/// What a complete reading found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SyncCounts {
    pub(crate) total: i32,
    pub(crate) created: i32,
    pub(crate) updated: i32,
    pub(crate) removed: i32,
}

impl SyncCounts {
    /// Whether anything is not as it was.
    pub(crate) const fn is_news(self) -> bool {
        self.created + self.updated + self.removed > 0
    }
}

/// Accounts of active tenants whose templates are to be read, the longest overdue first.
pub(crate) fn list_due_any_tenant(tx: &mut Tx<'_>, limit: i64) -> Result<Vec<AccountRow>, DbError> {
    Ok(diesel::sql_query(
        "SELECT c.tenant_id, c.waba_id FROM tenant_whatsapp_config c \
         JOIN tenants t ON t.tenant_id = c.tenant_id AND t.status = 'active' \
         LEFT JOIN template_syncs s ON s.tenant_id = c.tenant_id AND s.waba_id = c.waba_id \
         WHERE (s.due_at IS NULL OR s.due_at <= now() OR s.fetch_at <= now()) \
           AND (s.lease_until IS NULL OR s.lease_until < now()) \
         ORDER BY s.due_at NULLS FIRST LIMIT $1",
    )
    .bind::<sql_types::BigInt, _>(limit)
    .load(tx.conn())?)
}

/// The state of an account's reading; none before the first.
pub(crate) fn find(tx: &mut Tx<'_>, waba_id: &str) -> Result<Option<SyncRow>, DbError> {
    Ok(syncs::table
        .filter(syncs::waba_id.eq(waba_id))
        .select(SyncRow::as_select())
        .first(tx.conn())
        .optional()?)
}

/// How often the account's templates have changed; none while they were never read wholly.
pub(crate) fn find_version(tx: &mut Tx<'_>, waba_id: &str) -> Result<Option<i64>, DbError> {
    Ok(syncs::table
        .filter(syncs::waba_id.eq(waba_id))
        .filter(syncs::synced_at.is_not_null())
        .select(syncs::version)
        .first(tx.conn())
        .optional()?)
}

fn ensure(tx: &mut Tx<'_>, waba_id: &str) -> Result<(), DbError> {
    let tenant_id = tenant_of(tx);
    diesel::insert_into(syncs::table)
        .values((syncs::tenant_id.eq(tenant_id), syncs::waba_id.eq(waba_id)))
        .on_conflict_do_nothing()
        .execute(tx.conn())?;
    Ok(())
}

/// Takes the account for the time of `lease`; none when another replica works on it. Answers its state.
/// By the database's clock: replicas need not agree on the time.
pub(crate) fn claim(
    tx: &mut Tx<'_>,
    waba_id: &str,
    lease: TimeDelta,
) -> Result<Option<SyncRow>, DbError> {
    ensure(tx, waba_id)?;
    let at = database_now(tx)?;
    let free = syncs::lease_until.is_null().or(syncs::lease_until.lt(at));
    Ok(
        diesel::update(syncs::table.filter(syncs::waba_id.eq(waba_id)).filter(free))
            .set((
                syncs::lease_until.eq(at + lease),
                syncs::started_at.eq(at),
                syncs::read_so_far.eq(0),
            ))
            .returning(SyncRow::as_returning())
            .get_result(tx.conn())
            .optional()?,
    )
}

/// Keeps the account for the time of `lease` more and tells how far the reading is.
pub(crate) fn report_progress(
    tx: &mut Tx<'_>,
    waba_id: &str,
    read_so_far: usize,
    lease: TimeDelta,
) -> Result<(), DbError> {
    let at = database_now(tx)?;
    diesel::update(syncs::table.filter(syncs::waba_id.eq(waba_id)))
        .set((
            syncs::lease_until.eq(at + lease),
            syncs::read_so_far.eq(i32::try_from(read_so_far).unwrap_or(i32::MAX)),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// The reading is complete; the next one is due after `next`.
pub(crate) fn finish(
    tx: &mut Tx<'_>,
    waba_id: &str,
    counts: SyncCounts,
    next: TimeDelta,
) -> Result<(), DbError> {
    let at = database_now(tx)?;
    let changed = i64::from(counts.is_news());
    diesel::update(syncs::table.filter(syncs::waba_id.eq(waba_id)))
        .set((
            (
                syncs::version.eq(syncs::version + changed),
                syncs::due_at.eq(at + next),
                syncs::fetch_at.eq(None::<DateTime<Utc>>),
                syncs::lease_until.eq(None::<DateTime<Utc>>),
                syncs::synced_at.eq(at),
            ),
            syncs::read_so_far.eq(counts.total),
            syncs::total.eq(counts.total),
            syncs::created.eq(counts.created),
            syncs::updated.eq(counts.updated),
            syncs::removed.eq(counts.removed),
            syncs::failures.eq(0),
            syncs::error_class.eq(None::<String>),
            syncs::error_code.eq(None::<i64>),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Single templates were asked for; `more` says whether others wait.
pub(crate) fn finish_fetch(tx: &mut Tx<'_>, waba_id: &str, more: bool) -> Result<(), DbError> {
    let fetch_at = more.then(Utc::now);
    diesel::update(syncs::table.filter(syncs::waba_id.eq(waba_id)))
        .set((
            syncs::fetch_at.eq(fetch_at),
            syncs::lease_until.eq(None::<DateTime<Utc>>),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// The reading failed; the next one is due after `next`.
pub(crate) fn fail(
    tx: &mut Tx<'_>,
    waba_id: &str,
    error_class: &str,
    error_code: Option<i64>,
    next: TimeDelta,
) -> Result<(), DbError> {
    let at = database_now(tx)?;
    let fetch_at = find(tx, waba_id)?.and_then(|row| row.fetch_at);
    diesel::update(syncs::table.filter(syncs::waba_id.eq(waba_id)))
        .set((
            syncs::due_at.eq(at + next),
            syncs::fetch_at.eq(fetch_at.map(|_due| at + next)),
            syncs::lease_until.eq(None::<DateTime<Utc>>),
            syncs::failures.eq(syncs::failures + 1),
            syncs::error_class.eq(error_class),
            syncs::error_code.eq(error_code),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Makes a complete reading due now; the budget of a failed one is not waited for.
pub(crate) fn request(tx: &mut Tx<'_>, waba_id: &str) -> Result<(), DbError> {
    ensure(tx, waba_id)?;
    diesel::update(syncs::table.filter(syncs::waba_id.eq(waba_id)))
        .set(syncs::due_at.eq(now))
        .execute(tx.conn())?;
    Ok(())
}

/// The account's templates changed; with `fetch`, some are to be asked for.
pub(crate) fn note_change(tx: &mut Tx<'_>, waba_id: &str, fetch: bool) -> Result<(), DbError> {
    ensure(tx, waba_id)?;
    let row = syncs::table.filter(syncs::waba_id.eq(waba_id));
    diesel::update(row)
        .set(syncs::version.eq(syncs::version + 1))
        .execute(tx.conn())?;
    if fetch {
        diesel::update(row)
            .set(syncs::fetch_at.eq(now))
            .execute(tx.conn())?;
    }
    Ok(())
}

/// Forgets the accounts that the tenant had before.
pub(crate) fn delete_of_others(tx: &mut Tx<'_>, waba_id: &str) -> Result<(), DbError> {
    diesel::delete(syncs::table.filter(syncs::waba_id.ne(waba_id))).execute(tx.conn())?;
    Ok(())
}
