//! `user_sync_runs`.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Integer, Text, Uuid as SqlUuid},
};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::user_sync_runs as runs;
use portal_types::TenantId;
use uuid::Uuid;

use crate::domain::{SyncCause, SyncCounts, SyncRun, SyncStatus};

#[derive(Queryable, Selectable)]
#[diesel(table_name = runs)]
struct RunRow {
    run_id: Uuid,
    tenant_id: String,
    status: String,
    cause: String,
    next_page: i32,
    pages: Option<i32>,
    total: Option<i32>,
    created: i32,
    updated: i32,
    deactivated: i32,
    skipped: i32,
    error_code: Option<String>,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl TryFrom<RunRow> for SyncRun {
    type Error = DbError;

    fn try_from(row: RunRow) -> Result<Self, DbError> {
        let corrupt = |what: &str| DbError::Corrupt(format!("user_sync_runs.{what}"));
        Ok(Self {
            run_id: row.run_id,
            tenant_id: TenantId::parse(&row.tenant_id).map_err(|_form| corrupt("tenant_id"))?,
            status: row.status.parse().map_err(|_word| corrupt("status"))?,
            cause: row.cause,
            next_page: row.next_page,
            pages: row.pages,
            total: row.total,
            counts: SyncCounts {
                created: row.created,
                updated: row.updated,
                deactivated: row.deactivated,
                skipped: row.skipped,
            },
            error_code: row.error_code,
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    }
}

/// Begins a run, unless one is running; answers the one that runs now.
pub(crate) fn begin(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    cause: SyncCause,
    requested_by: Option<String>,
) -> Result<SyncRun, DbError> {
    diesel::insert_into(runs::table)
        .values((
            runs::run_id.eq(Uuid::now_v7()),
            runs::tenant_id.eq(tenant_id.as_str()),
            runs::cause.eq(cause.as_ref()),
            runs::requested_by.eq(requested_by),
        ))
        // The unique index allows one running run a tenant.
        .on_conflict_do_nothing()
        .execute(tx.conn())?;
    runs::table
        .filter(runs::tenant_id.eq(tenant_id.as_str()))
        .filter(runs::status.eq(SyncStatus::Running.as_ref()))
        .select(RunRow::as_select())
        .first(tx.conn())?
        .try_into()
}

/// A run.
pub(crate) fn find(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    run_id: Uuid,
) -> Result<Option<SyncRun>, DbError> {
    runs::table
        .filter(runs::tenant_id.eq(tenant_id.as_str()))
        .filter(runs::run_id.eq(run_id))
        .select(RunRow::as_select())
        .first(tx.conn())
        .optional()?
        .map(SyncRun::try_from)
        .transpose()
}

/// The latest runs, the newest first.
pub(crate) fn list_latest(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    limit: i64,
) -> Result<Vec<SyncRun>, DbError> {
    let rows: Vec<RunRow> = runs::table
        .filter(runs::tenant_id.eq(tenant_id.as_str()))
        .order(runs::started_at.desc())
        .limit(limit)
        .select(RunRow::as_select())
        .load(tx.conn())?;
    rows.into_iter().map(SyncRun::try_from).collect()
}

/// Takes a run that nobody works on, for so many seconds; false when somebody does or it has ended.
/// By the database's clock: replicas need not agree on the time.
pub(crate) fn claim(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    run_id: Uuid,
    seconds: i32,
) -> Result<bool, DbError> {
    let rows = diesel::sql_query(
        "UPDATE user_sync_runs SET lease_until = now() + make_interval(secs => $3), updated_at = now() \
         WHERE tenant_id = $1 AND run_id = $2 AND status = 'running' \
           AND (lease_until IS NULL OR lease_until < now())",
    )
    .bind::<Text, _>(tenant_id.as_str())
    .bind::<SqlUuid, _>(run_id)
    .bind::<Integer, _>(seconds)
    .execute(tx.conn())?;
    Ok(rows == 1)
}

/// Keeps the run for so many seconds more; with 0 others may take it at once.
pub(crate) fn hold(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    run_id: Uuid,
    seconds: i32,
) -> Result<(), DbError> {
    diesel::sql_query(
        "UPDATE user_sync_runs SET lease_until = now() + make_interval(secs => $3), updated_at = now() \
         WHERE tenant_id = $1 AND run_id = $2 AND status = 'running'",
    )
    .bind::<Text, _>(tenant_id.as_str())
    .bind::<SqlUuid, _>(run_id)
    .bind::<Integer, _>(seconds)
    .execute(tx.conn())?;
    Ok(())
}

/// Adds what a part of the run did. False when the run is at another page by now: somebody else
/// works on it, and what this transaction did must not count.
pub(crate) fn advance(
    tx: &mut Tx<'_>,
    run: &SyncRun,
    next_page: i32,
    listing: Option<(i32, i32)>,
    counts: SyncCounts,
) -> Result<bool, DbError> {
    let at_page = runs::table
        .filter(runs::tenant_id.eq(run.tenant_id.as_str()))
        .filter(runs::run_id.eq(run.run_id))
        .filter(runs::status.eq(SyncStatus::Running.as_ref()))
        .filter(runs::next_page.eq(run.next_page));
    let rows = diesel::update(at_page)
        .set((
            runs::next_page.eq(next_page),
            listing.map(|(pages, total)| (runs::pages.eq(pages), runs::total.eq(total))),
            runs::created.eq(runs::created + counts.created),
            runs::updated.eq(runs::updated + counts.updated),
            runs::deactivated.eq(runs::deactivated + counts.deactivated),
            runs::skipped.eq(runs::skipped + counts.skipped),
            runs::updated_at.eq(diesel::dsl::now),
        ))
        .execute(tx.conn())?;
    Ok(rows == 1)
}

/// Ends a run.
pub(crate) fn finish(
    tx: &mut Tx<'_>,
    tenant_id: &TenantId,
    run_id: Uuid,
    status: SyncStatus,
    error_code: Option<&str>,
) -> Result<(), DbError> {
    let running = runs::table
        .filter(runs::tenant_id.eq(tenant_id.as_str()))
        .filter(runs::run_id.eq(run_id))
        .filter(runs::status.eq(SyncStatus::Running.as_ref()));
    diesel::update(running)
        .set((
            runs::status.eq(status.as_ref()),
            runs::error_code.eq(error_code),
            runs::lease_until.eq(None::<DateTime<Utc>>),
            runs::finished_at.eq(diesel::dsl::now),
            runs::updated_at.eq(diesel::dsl::now),
        ))
        .execute(tx.conn())?;
    Ok(())
}

#[derive(QueryableByName)]
struct Due {
    #[diesel(sql_type = Text)]
    tenant_id: String,
}

/// Tenants whose people are due for a sync, by their own interval or else `default_minutes`.
pub(crate) fn list_due_any_tenant(
    tx: &mut Tx<'_>,
    default_minutes: i32,
    limit: i32,
) -> Result<Vec<TenantId>, DbError> {
    let rows: Vec<Due> = diesel::sql_query(
        "SELECT t.tenant_id FROM tenants t \
         WHERE t.status = 'active' AND t.genesys_org_id IS NOT NULL \
           AND coalesce(t.user_sync_minutes, $1) > 0 \
           AND EXISTS (SELECT FROM tenant_credentials c WHERE c.tenant_id = t.tenant_id AND c.kind = 'genesys') \
           AND NOT EXISTS (SELECT FROM user_sync_runs r WHERE r.tenant_id = t.tenant_id AND (r.status = 'running' \
               OR r.started_at > now() - make_interval(mins => coalesce(t.user_sync_minutes, $1)))) \
         ORDER BY random() LIMIT $2",
    )
    .bind::<Integer, _>(default_minutes)
    .bind::<Integer, _>(limit)
    .load(tx.conn())?;
    rows.into_iter()
        .map(|row| {
            TenantId::parse(&row.tenant_id)
                .map_err(|_form| DbError::Corrupt("tenants.tenant_id".to_owned()))
        })
        .collect()
}

/// Runs that nobody works on, of all tenants.
pub(crate) fn list_idle_any_tenant(
    tx: &mut Tx<'_>,
    limit: i64,
) -> Result<Vec<(TenantId, Uuid)>, DbError> {
    let rows: Vec<(String, Uuid)> = runs::table
        .filter(runs::status.eq(SyncStatus::Running.as_ref()))
        .filter(
            runs::lease_until
                .is_null()
                .or(runs::lease_until.lt(diesel::dsl::now)),
        )
        .order(runs::started_at)
        .limit(limit)
        .select((runs::tenant_id, runs::run_id))
        .load(tx.conn())?;
    rows.into_iter()
        .map(|(tenant, run)| {
            let tenant = TenantId::parse(&tenant)
                .map_err(|_form| DbError::Corrupt("user_sync_runs.tenant_id".to_owned()))?;
            Ok((tenant, run))
        })
        .collect()
}
