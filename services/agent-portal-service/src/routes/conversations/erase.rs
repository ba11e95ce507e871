//! Contacts are exported and erased by administrators of their organization.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, get, http::StatusCode, post, web};
use chrono::{DateTime, Utc};
use portal_auth::{Caller, Guarded};
use portal_service_kit::{
    ApiError,
    http::{ValidPath, ValidQuery},
};
use portal_types::{ConversationId, Role};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{state::AppState, store::erasures::ErasureRow};

/// Whether to erase.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ErasureQuery {
    /// Tells how much would be erased, and leaves all as it is
    #[serde(default)]
    dry_run: bool,
}

/// How far an erasure is; the receipt, when it is over.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErasureView {
    /// None where nothing is erased
    erasure_id: Option<Uuid>,
    /// `would_erase`, `pending` or `completed`
    status: &'static str,
    /// An HMAC of the contact, which only the platform can compute
    contact_hash: Option<String>,
    requested_by: Option<Uuid>,
    /// What was written up to here is erased
    requested_at: Option<DateTime<Utc>>,
    completed_at: Option<DateTime<Utc>>,
    /// Rows of each table; of tables of messages only when it is over
    counts: BTreeMap<String, i64>,
    /// A digest of all of it
    receipt_hash: Option<String>,
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

impl From<ErasureRow> for ErasureView {
    fn from(row: ErasureRow) -> Self {
        let parts = [row.sent_counts, row.kept_counts].into_iter().flatten();
        let counts = parts
            .filter_map(|part| serde_json::from_value::<BTreeMap<String, i64>>(part).ok())
            .flatten()
            .collect();
        Self {
            erasure_id: Some(row.erasure_id),
            status: if row.completed_at.is_some() {
                "completed"
            } else {
                "pending"
            },
            contact_hash: Some(hex(&row.subject_hash)),
            requested_by: row.requested_by,
            requested_at: Some(row.requested_at),
            completed_at: row.completed_at,
            counts,
            receipt_hash: row.receipt_hash.as_deref().map(hex),
        }
    }
}

/// Exports all that is kept of a conversation's contact: a line of JSON for the contact, each
/// conversation, message, assignment and action.
#[utoipa::path(
    operation_id = "export_contact",
    tag = "conversations",
    params(("conversation_id" = ConversationId, Path, description = "A conversation of the contact")),
    responses(
        (status = 200, description = "Lines of JSON", content_type = "application/x-ndjson"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "`FORBIDDEN`: not an administrator"),
        (status = 404, description = "`CONVERSATION_NOT_FOUND`"),
        (status = 503, description = "It cannot be read just now"),
    ),
    security(("bearer" = []))
)]
#[get("/api/conversations/{conversation_id}/export")]
pub(crate) async fn export(
    Guarded(caller, ValidPath(id)): Guarded<Caller, ValidPath<ConversationId>>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    caller.require(Role::Admin)?;
    let lines: Vec<Value> = state.erasures.export(&caller, id, None).await?;
    let mut body = String::new();
    for line in lines {
        body.push_str(&line.to_string());
        body.push('\n');
    }
    Ok(HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .insert_header(("Cache-Control", "no-store"))
        .body(body))
}

/// Erases a conversation's contact: all that was written up to now, in all conversations. A later
/// message begins anew. Messages that are still to be sent are waited for; cancel them to hurry.
#[utoipa::path(
    operation_id = "erase_contact",
    tag = "conversations",
    params(
        ("conversation_id" = ConversationId, Path, description = "A conversation of the contact"),
        ErasureQuery,
    ),
    responses(
        (status = 200, description = "What would be erased (`dry_run`)", body = ErasureView),
        (status = 202, description = "It is being erased", body = ErasureView),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "`FORBIDDEN`: not an administrator"),
        (status = 404, description = "`CONVERSATION_NOT_FOUND`: none, or erased already"),
        (status = 503, description = "It cannot be begun just now"),
    ),
    security(("bearer" = []))
)]
#[post("/api/conversations/{conversation_id}/erase")]
pub(crate) async fn erase_contact(
    Guarded(caller, (ValidPath(id), ValidQuery(query))): Guarded<
        Caller,
        (ValidPath<ConversationId>, ValidQuery<ErasureQuery>),
    >,
    state: web::Data<AppState>,
) -> Result<(web::Json<ErasureView>, StatusCode), ApiError> {
    caller.require(Role::Admin)?;
    if !query.dry_run {
        let row = state.erasures.begin(&caller, id, None).await?;
        return Ok((web::Json(row.into()), StatusCode::ACCEPTED));
    }
    let counts = state.erasures.preview(&caller.tenant_id, id).await?;
    let view = ErasureView {
        erasure_id: None,
        status: "would_erase",
        contact_hash: None,
        requested_by: None,
        requested_at: None,
        completed_at: None,
        counts: counts
            .into_iter()
            .map(|(table, n)| (table.to_owned(), n))
            .collect(),
        receipt_hash: None,
    };
    Ok((web::Json(view), StatusCode::OK))
}

/// Shows how far an erasure is, and its receipt when it is over.
#[utoipa::path(
    operation_id = "show_erasure",
    tag = "conversations",
    params(("erasure_id" = Uuid, Path, description = "The erasure")),
    responses(
        (status = 200, description = "The erasure", body = ErasureView),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "`FORBIDDEN`: not an administrator"),
        (status = 404, description = "`ERASURE_NOT_FOUND`"),
        (status = 503, description = "It cannot be read just now"),
    ),
    security(("bearer" = []))
)]
#[get("/api/conversations/erasures/{erasure_id}")]
pub(crate) async fn show_erasure(
    Guarded(caller, ValidPath(id)): Guarded<Caller, ValidPath<Uuid>>,
    state: web::Data<AppState>,
) -> Result<web::Json<ErasureView>, ApiError> {
    caller.require(Role::Admin)?;
    let row = state.erasures.show(&caller.tenant_id, id).await?;
    Ok(web::Json(row.into()))
}
