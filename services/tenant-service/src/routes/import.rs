//! `POST /api/tenants/import`: many tenants get their Genesys organizations at once.

use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload, post, web};
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use portal_auth::{Guarded, PlatformAdmin};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{BodyLimit, MediaType, RequestId, ValidQuery, read_body},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::context;
use crate::{
    domain::import::{self, FileRow, RowResult},
    state::Started,
    usecases::{self, import::Import},
};

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
    mapped: usize,
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
    /// `mapped`, `unchanged` or `error`
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
            .zip(import.results)
            .map(|(row, result)| {
                let (result, error) = match result {
                    RowResult::Mapped(_) => ("mapped", None),
                    RowResult::Unchanged => ("unchanged", None),
                    RowResult::Error(error) => ("error", Some(error)),
                };
                ImportRow {
                    line: row.line,
                    tenant_id: row.tenant_id,
                    genesys_org_id: row.genesys_org_id,
                    result,
                    code: error.map(|error| error.code),
                    message: error.map(|error| error.message),
                }
            })
            .collect();
        let count = |result| rows.iter().filter(|row| row.result == result).count();
        Self {
            applied: import.applied,
            dry_run,
            total: rows.len(),
            mapped: count("mapped"),
            unchanged: count("unchanged"),
            errors: count("error"),
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
        description = "UTF-8 with the header `tenant_id,genesys_org_id`; at most 1 MiB and 10,000 rows",
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
    let rows = errors.check("body", import::read(&file.0));
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
