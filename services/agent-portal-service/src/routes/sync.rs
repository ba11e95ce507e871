//! Syncs of the organization's people with Genesys. For administrators.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use portal_auth::{AdminOfTenant, Guarded};
use portal_service_kit::{
    ApiError,
    http::{RequestId, ValidPath},
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    domain::{SyncRun, SyncStatus},
    state::AppState,
    usecases::Cause,
};

/// What a sync did.
#[derive(Serialize, ToSchema)]
struct SyncResultsView {
    created: i32,
    updated: i32,
    deactivated: i32,
    skipped: i32,
    /// People of the listing, as far as it is known
    total: i32,
}

impl From<&SyncRun> for SyncResultsView {
    fn from(run: &SyncRun) -> Self {
        Self {
            created: run.counts.created,
            updated: run.counts.updated,
            deactivated: run.counts.deactivated,
            skipped: run.counts.skipped,
            total: run.total.unwrap_or(0),
        }
    }
}

/// The answer to the order to sync.
#[derive(Serialize, ToSchema)]
pub(crate) struct SyncStartedView {
    success: bool,
    run_id: Uuid,
    /// `running`, `completed` or `failed`
    status: String,
    results: SyncResultsView,
    /// Why it failed
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
}

/// A sync.
#[derive(Serialize, ToSchema)]
pub(crate) struct SyncRunView {
    run_id: Uuid,
    /// `running`, `completed` or `failed`
    status: String,
    /// `admin` or `schedule`
    cause: String,
    /// Pages that have been read
    page: i32,
    pages: Option<i32>,
    results: SyncResultsView,
    error_code: Option<String>,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<SyncRun> for SyncRunView {
    fn from(run: SyncRun) -> Self {
        Self {
            run_id: run.run_id,
            status: run.status.as_ref().to_owned(),
            page: run.next_page - 1,
            pages: run.pages,
            results: SyncResultsView::from(&run),
            cause: run.cause,
            error_code: run.error_code,
            started_at: run.started_at,
            finished_at: run.finished_at,
        }
    }
}

/// The latest syncs.
#[derive(Serialize, ToSchema)]
pub(crate) struct SyncRunsView {
    runs: Vec<SyncRunView>,
    total: usize,
}

/// Syncs the organization's people with Genesys: creates who is new, refreshes names and roles, and
/// switches off who has left.
///
/// One sync runs at a time; a second order joins it. One that takes long goes on in the background
/// (202): its progress is on the event stream as `user_sync.progress`.
#[utoipa::path(
    tag = "organization",
    responses(
        (status = 200, description = "The sync has ended", body = SyncStartedView),
        (status = 202, description = "The sync goes on", body = SyncStartedView),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "`FORBIDDEN`: only administrators of the organization"),
        (status = 409, description = "`GENESYS_CREDENTIALS_MISSING`"),
        (status = 502, description = "`SYNC_FAILED`: Genesys refuses; the message says what to do"),
        (status = 503, description = "Something it needs is away; try again"),
    ),
    security(("bearer" = []))
)]
#[post("/api/organization/sync-users")]
pub(crate) async fn sync_users(
    AdminOfTenant(caller): AdminOfTenant,
    state: web::Data<AppState>,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let cause = Cause::request(&request_id);
    let sync = &state.user_sync;
    let begun = sync
        .begin(&caller.tenant_id, Some(caller.user_id), &cause)
        .await?;
    let run = sync.wait(&caller.tenant_id, begun.run_id).await?;
    if run.status == SyncStatus::Failed {
        return Err(crate::error::sync_failed(run.error_code.as_deref()));
    }
    let mut answer = match run.status {
        SyncStatus::Running => HttpResponse::Accepted(),
        SyncStatus::Completed | SyncStatus::Failed => HttpResponse::Ok(),
    };
    Ok(answer.json(SyncStartedView {
        success: true,
        run_id: run.run_id,
        status: run.status.as_ref().to_owned(),
        results: SyncResultsView::from(&run),
        error_code: run.error_code,
    }))
}

/// The latest syncs, the newest first. For administrators.
#[utoipa::path(
    tag = "organization",
    responses(
        (status = 200, description = "The latest syncs", body = SyncRunsView),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "`FORBIDDEN`: only administrators of the organization"),
    ),
    security(("bearer" = []))
)]
#[get("/api/organization/sync-users")]
pub(crate) async fn list_syncs(
    AdminOfTenant(caller): AdminOfTenant,
    state: web::Data<AppState>,
) -> Result<web::Json<SyncRunsView>, ApiError> {
    let runs = state.user_sync.list(&caller.tenant_id).await?;
    let runs: Vec<_> = runs.into_iter().map(SyncRunView::from).collect();
    Ok(web::Json(SyncRunsView {
        total: runs.len(),
        runs,
    }))
}

/// A sync. For administrators.
#[utoipa::path(
    tag = "organization",
    params(("run_id" = Uuid, Path, description = "The sync")),
    responses(
        (status = 200, description = "The sync", body = SyncRunView),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "`FORBIDDEN`: only administrators of the organization"),
        (status = 404, description = "`SYNC_NOT_FOUND`"),
    ),
    security(("bearer" = []))
)]
#[get("/api/organization/sync-users/{run_id}")]
pub(crate) async fn show_sync(
    Guarded(AdminOfTenant(caller), ValidPath(run_id)): Guarded<AdminOfTenant, ValidPath<Uuid>>,
    state: web::Data<AppState>,
) -> Result<web::Json<SyncRunView>, ApiError> {
    let run = state.user_sync.show(&caller.tenant_id, run_id).await?;
    Ok(web::Json(run.into()))
}
