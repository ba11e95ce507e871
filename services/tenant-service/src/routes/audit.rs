//! The audit log.

use actix_web::{HttpResponse, get};
use chrono::{DateTime, Utc};
use portal_auth::{Guarded, PlatformAdmin};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{Page, ValidQuery},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    domain::audit::{AuditFilter, Place},
    state::Started,
    store::audit::AuditRow,
    usecases::audit_trail,
};

/// Which entries to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// Entries of this tenant
    tenant_id: Option<String>,
    /// The id of who acted
    actor: Option<String>,
    /// Such as `tenant.update`
    action: Option<String>,
    /// `succeeded`, `refused` or `failed`
    outcome: Option<String>,
    /// From this moment on
    since: Option<DateTime<Utc>>,
    /// Before this moment
    until: Option<DateTime<Utc>>,
    /// 1 to 100, 50 when not given
    limit: Option<u32>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

impl AuditQuery {
    fn checked(self) -> Result<(AuditFilter, Option<Place>, u32), ApiError> {
        let mut errors = FieldErrors::new();
        let limit = Page::checked(self.limit, None, &mut errors).limit;
        let outcome = self.outcome.and_then(|outcome| {
            let known = ["succeeded", "refused", "failed"];
            let found = known.into_iter().find(|word| *word == outcome);
            errors.check(
                "outcome",
                found.ok_or("must be succeeded, refused or failed"),
            )
        });
        let place = self.cursor.and_then(|cursor| {
            let place = Place::from_cursor(&cursor);
            errors.check(
                "cursor",
                place.ok_or("must be the next_cursor of the page before"),
            )
        });
        errors.into_result()?;
        let filter = AuditFilter {
            tenant_id: self.tenant_id,
            actor: self.actor,
            action: self.action,
            outcome,
            since: self.since,
            until: self.until,
        };
        Ok((filter, place, limit))
    }
}

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditEntryView {
    audit_id: Uuid,
    occurred_at: DateTime<Utc>,
    /// Which service wrote it
    service: String,
    /// `null` is the platform
    tenant_id: Option<String>,
    actor_kind: String,
    actor_id: Option<String>,
    action: String,
    target: Option<String>,
    outcome: String,
    details: Value,
    request_id: Option<String>,
    traceparent: Option<String>,
    /// Its number in the chain of its tenant, or of the platform
    seq: i64,
    /// Hexadecimal; over the entry and the hash of the one before it
    entry_hash: String,
}

impl From<AuditRow> for AuditEntryView {
    fn from(row: AuditRow) -> Self {
        Self {
            audit_id: row.audit_id,
            occurred_at: row.occurred_at,
            service: row.service,
            tenant_id: row.tenant_id,
            actor_kind: row.actor_kind,
            actor_id: row.actor_id,
            action: row.action,
            target: row.target,
            outcome: row.outcome,
            details: row.details,
            request_id: row.request_id,
            traceparent: row.traceparent,
            seq: row.seq,
            entry_hash: hex::encode(row.entry_hash),
        }
    }
}

/// A page of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditPageView {
    entries: Vec<AuditEntryView>,
    /// `null` on the last page
    next_cursor: Option<String>,
}

/// Lists entries of the audit log, the newest first.
#[utoipa::path(
    tag = "admin",
    security(("bearer" = [])),
    params(AuditQuery),
    responses(
        (status = 200, description = "A page of entries", body = AuditPageView),
        (status = 400, description = "`VALIDATION_FAILED`"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators; `TOTP_ENROLMENT_REQUIRED`"),
    )
)]
#[get("/api/admin/audit")]
pub(super) async fn list_audit(
    Guarded(_admin, query): Guarded<PlatformAdmin, ValidQuery<AuditQuery>>,
    Started(state): Started,
) -> Result<HttpResponse, ApiError> {
    let (filter, after, limit) = query.0.checked()?;
    let (entries, next) = audit_trail::list_entries(&state.deps, filter, after, limit)
        .await
        .map_err(crate::error::database)?;
    Ok(HttpResponse::Ok().json(AuditPageView {
        entries: entries.into_iter().map(AuditEntryView::from).collect(),
        next_cursor: next.map(Place::to_cursor),
    }))
}
