//! `POST /api/tenants/import`: many tenants get their Genesys organizations at once.

use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload, post, web};
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use portal_auth::{Guarded, PlatformAdmin};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{BodyLimit, MediaType, RequestId, ValidQuery, read_body},
};
use portal_tenant_orgs::{FileRow, VerdictKind};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::context;
use crate::{
    state::Started,
    usecases::{self, import::Import},
};

/// Rows of one file at the most.
const MOST_ROWS: usize = 10_000;
/// The largest file.
const MAX_FILE_BYTES: usize = 1024 * 1024;

/// Extractor: a CSV file as the body.
pub(super) struct CsvFile(web::BytesMut);

impl FromRequest for CsvFile {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read_body(request, payload, MediaType::Csv, BodyLimit(MAX_FILE_BYTES));
        async move { body.await.map(Self) }.boxed_local()
    }
}

/// How to treat a file.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ImportQuery {
    /// `true` only says what would be done
    #[serde(default)]
    dry_run: bool,
}

/// What becomes of a file, row by row.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImportReport {
    rows: Vec<ImportRow>,
    /// Whether the tenants have their organizations now
    applied: bool,
    dry_run: bool,
    total: usize,
    set: usize,
    unchanged: usize,
    errors: usize,
}

/// What becomes of a row.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImportRow {
    /// In the file; the header is line 1
    line: u64,
    tenant_id: String,
    genesys_org_id: String,
    /// `set`, `unchanged`, `conflict`, `unknown_tenant` or `invalid`
    result: &'static str,
    /// `ROW_INVALID`, `TENANT_ID_INVALID`, `GENESYS_ORG_ID_INVALID`, `TENANT_DUPLICATE`,
    /// `GENESYS_ORG_DUPLICATE`, `TENANT_NOT_FOUND`, `TENANT_DELETED`, `GENESYS_ORG_TAKEN`
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
}

impl ImportReport {
    fn of(rows: Vec<FileRow>, import: Import, dry_run: bool) -> Self {
        let rows: Vec<_> = rows
            .into_iter()
            .zip(import.verdicts)
            .map(|(row, verdict)| {
                let reason = verdict.reason();
                ImportRow {
                    line: row.line,
                    tenant_id: row.tenant_id,
                    genesys_org_id: row.genesys_org_id,
                    result: verdict.kind().into(),
                    code: reason.map(|reason| reason.code),
                    message: reason.map(|reason| reason.message),
                }
            })
            .collect();
        let count = |kind: VerdictKind| {
            let word = <&str>::from(kind);
            rows.iter().filter(|row| row.result == word).count()
        };
        Self {
            applied: import.applied,
            dry_run,
            total: rows.len(),
            set: count(VerdictKind::Set),
            unchanged: count(VerdictKind::Unchanged),
            errors: rows.iter().filter(|row| row.code.is_some()).count(),
            rows,
        }
    }
}

/// Gives many tenants their Genesys organizations: all of a file, or nothing when a row is bad.
#[utoipa::path(
    tag = "genesys",
    security(("bearer" = [])),
    params(ImportQuery),
    request_body(
        content = String,
        content_type = "text/csv",
        description = "The header `tenant_id,genesys_org_id` and rows, as spreadsheets write them (UTF-8 or UTF-16; comma, semicolon or tab); at most 1 MiB and 10,000 rows",
    ),
    responses(
        (status = 200, description = "What was done, or would be; also a rehearsal that finds bad rows", body = ImportReport),
        (status = 400, description = "`IMPORT_REJECTED`: a row is bad, the report is in `error.details`; \
            `VALIDATION_FAILED`: the file cannot be read"),
        (status = 401, description = "`TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`"),
        (status = 403, description = "`FORBIDDEN`: only platform administrators"),
        (status = 409, description = "`IMPORT_OVERTAKEN`, `GENESYS_ORG_TAKEN`: somebody changed a tenant meanwhile"),
        (status = 413, description = "`BODY_TOO_LARGE`"),
        (status = 415, description = "`UNSUPPORTED_MEDIA_TYPE`"),
    )
)]
#[post("/api/tenants/import")]
pub(super) async fn import_genesys_orgs(
    Guarded(admin, (query, file)): Guarded<PlatformAdmin, (ValidQuery<ImportQuery>, CsvFile)>,
    Started(state): Started,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let dry_run = query.0.dry_run;
    let mut errors = FieldErrors::new();
    let rows = errors.check("body", portal_tenant_orgs::read(&*file.0, MOST_ROWS));
    let rows = rows.ok_or_else(|| ApiError::from(errors))?;
    let ctx = context(&admin, &request_id);
    let import = usecases::import::import_genesys_orgs(ctx, &state.deps, &rows, dry_run).await?;
    let report = ImportReport::of(rows, import, dry_run);
    if report.errors == 0 || dry_run {
        return Ok(HttpResponse::Ok().json(report));
    }
    let report = serde_json::to_value(report).map_err(ApiError::internal)?;
    Err(ApiError::bad_request(
        "IMPORT_REJECTED",
        "Some rows are bad, and nothing was changed: see the report.",
    )
    .with_details(report))
}
