//! `/api/templates`

use std::time::Duration;

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use portal_auth::{Caller, Guarded, TenantCaller};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{Page, ValidPath, ValidQuery},
};
use portal_types::{ApiScope, Role};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    domain::templates::{APPROVED, TemplateSchema, json_schema},
    state::AppState,
    store::{
        template_syncs::SyncRow,
        templates::{TemplateFilter, TemplateRow},
    },
};

/// How long a call waits for the reading that it asked for.
const PATIENCE: Duration = Duration::from_secs(10);
const ANY: &str = "ANY";

/// Which templates to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TemplateQuery {
    /// `APPROVED` when not given: only those can be sent. `ANY` lists all
    status: Option<String>,
    /// `MARKETING`, `UTILITY` or `AUTHENTICATION`
    category: Option<String>,
    /// Such as `en_US`, with an underscore
    language: Option<String>,
    /// A part of the name
    q: Option<String>,
    /// 1 to 100, 50 when not given
    limit: Option<u32>,
    /// Templates to leave out
    offset: Option<u32>,
}

/// Templates of the organization's account.
#[derive(Serialize, ToSchema)]
pub(crate) struct TemplateListView {
    items: Vec<TemplateView>,
    /// Of all pages together.
    total: i64,
    limit: u32,
    offset: u32,
    /// How fresh they are.
    sync: SyncView,
}

/// A template in one language.
#[derive(Serialize, ToSchema)]
pub(crate) struct TemplateView {
    name: String,
    language: String,
    /// Meta's id.
    id: String,
    /// Only `APPROVED` ones can be sent.
    status: String,
    /// Why it has this status, as Meta says.
    status_reason: Option<String>,
    /// When a pause is expected to end.
    paused_until: Option<DateTime<Utc>>,
    category: String,
    sub_category: Option<String>,
    /// `GREEN`, `YELLOW`, `RED` or `UNKNOWN`.
    quality: Option<String>,
    rejected_reason: Option<String>,
    last_updated: Option<DateTime<Utc>>,
    /// Whether a send must give anything but its name and language.
    needs_parameters: bool,
    /// What a send must give, part by part.
    schema: TemplateSchema,
    /// The same as JSON Schema (draft 2020-12) of the values of `POST /api/messages/send/template`:
    /// `header`, `parameters` and `buttons`, or `components`.
    #[schema(value_type = Object)]
    values_schema: Value,
    /// The components as Meta lists them.
    components: Value,
}

impl From<TemplateRow> for TemplateView {
    fn from(row: TemplateRow) -> Self {
        let components = row.components.unwrap_or_default();
        let schema = TemplateSchema::read(&components, row.is_named);
        Self {
            needs_parameters: !schema.needs_nothing(),
            values_schema: json_schema::of(&schema),
            schema,
            name: row.name,
            language: row.language,
            id: row.template_id,
            status: row.status,
            status_reason: row.status_reason,
            paused_until: row.paused_until,
            category: row.category,
            sub_category: row.sub_category,
            quality: row.quality,
            rejected_reason: row.rejected_reason,
            last_updated: row.last_updated,
            components,
        }
    }
}

/// The reading of templates from Meta.
#[derive(Serialize, ToSchema)]
pub(crate) struct SyncView {
    /// `never`, `running`, `done` or `failed`.
    status: &'static str,
    /// Templates read so far by the running one.
    read_so_far: i32,
    /// When the running or last one began.
    started_at: Option<DateTime<Utc>>,
    /// When all were read last.
    synced_at: Option<DateTime<Utc>>,
    /// When they are read next.
    due_at: Option<DateTime<Utc>>,
    /// Templates that the last complete reading found.
    total: i32,
    created: i32,
    updated: i32,
    removed: i32,
    /// What kind of failure kept Meta's answer away; none when the last reading went well.
    error_class: Option<String>,
    /// Meta's code of it.
    error_code: Option<i64>,
}

impl From<Option<SyncRow>> for SyncView {
    fn from(row: Option<SyncRow>) -> Self {
        let now = Utc::now();
        let status = match &row {
            Some(row) if row.lease_until.is_some_and(|until| until > now) => "running",
            Some(row) if row.failures > 0 => "failed",
            Some(row) if row.synced_at.is_some() => "done",
            _ => "never",
        };
        let known = row.as_ref();
        Self {
            status,
            read_so_far: known.map_or(0, |row| row.read_so_far),
            started_at: known.and_then(|row| row.started_at),
            synced_at: known.and_then(|row| row.synced_at),
            due_at: known.map(|row| row.due_at),
            total: known.map_or(0, |row| row.total),
            created: known.map_or(0, |row| row.created),
            updated: known.map_or(0, |row| row.updated),
            removed: known.map_or(0, |row| row.removed),
            error_code: known.and_then(|row| row.error_code),
            error_class: row.and_then(|row| row.error_class),
        }
    }
}

/// The templates of the organization's account, by name; only approved ones unless asked otherwise.
#[utoipa::path(
    tag = "templates",
    params(TemplateQuery),
    responses(
        (status = 200, description = "A part of the templates", body = TemplateListView),
        (status = 400, description = "Some fields cannot be used; all of them are named"),
        (status = 401, description = "The token or API key is missing, expired or revoked"),
        (status = 403, description = "The organization is suspended, or the API key lacks the scope templates:read"),
        (status = 409, description = "The organization has no WhatsApp configuration"),
        (status = 503, description = "The templates cannot be read just now"),
    ),
    security(("bearer" = []))
)]
#[get("/api/templates")]
pub(crate) async fn list_templates(
    Guarded(caller, ValidQuery(query)): Guarded<TenantCaller, ValidQuery<TemplateQuery>>,
    state: web::Data<AppState>,
) -> Result<web::Json<TemplateListView>, ApiError> {
    caller.require_scope(ApiScope::TemplatesRead)?;
    let mut errors = FieldErrors::new();
    let page = Page::checked(query.limit, query.offset, &mut errors);
    errors.into_result()?;
    let word = |word: Option<String>| word.map(|word| word.to_ascii_uppercase());
    let status = word(query.status).unwrap_or_else(|| APPROVED.to_owned());
    let filter = TemplateFilter {
        status: (status != ANY).then_some(status),
        category: word(query.category),
        language: query.language,
        text: query.q,
    };
    let list = state
        .templates
        .list(caller.tenant_id(), filter, page)
        .await?;
    Ok(web::Json(TemplateListView {
        items: list.rows.into_iter().map(TemplateView::from).collect(),
        total: list.total,
        limit: page.limit,
        offset: page.offset,
        sync: list.sync.into(),
    }))
}

/// In which language.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LanguageQuery {
    /// Such as `en_US`; all languages when not given
    language: Option<String>,
}

/// A template in its languages.
#[derive(Serialize, ToSchema)]
pub(crate) struct TemplateLanguagesView {
    name: String,
    languages: Vec<TemplateView>,
}

/// A template of any status, in all of its languages or in one.
#[utoipa::path(
    tag = "templates",
    params(
        ("template_name" = String, Path, description = "The name of the template"),
        LanguageQuery,
    ),
    responses(
        (status = 200, description = "The template", body = TemplateLanguagesView),
        (status = 400, description = "Some fields cannot be used; all of them are named"),
        (status = 401, description = "The token or API key is missing, expired or revoked"),
        (status = 403, description = "The organization is suspended, or the API key lacks the scope templates:read"),
        (status = 404, description = "The organization has no such template in this language"),
        (status = 409, description = "The organization has no WhatsApp configuration"),
        (status = 503, description = "The template cannot be read just now"),
    ),
    security(("bearer" = []))
)]
#[get("/api/templates/{template_name}")]
pub(crate) async fn get_template(
    Guarded(caller, (ValidPath(name), ValidQuery(query))): Guarded<
        TenantCaller,
        (ValidPath<String>, ValidQuery<LanguageQuery>),
    >,
    state: web::Data<AppState>,
) -> Result<web::Json<TemplateLanguagesView>, ApiError> {
    caller.require_scope(ApiScope::TemplatesRead)?;
    let rows = state
        .templates
        .get(caller.tenant_id(), name.clone(), query.language)
        .await?;
    Ok(web::Json(TemplateLanguagesView {
        name,
        languages: rows.into_iter().map(TemplateView::from).collect(),
    }))
}

/// Reads all templates from Meta now. When that takes long, the answer says how far it is, and
/// another call or `GET /api/templates` tells more.
#[utoipa::path(
    tag = "templates",
    responses(
        (status = 200, description = "They were read, or Meta did not give them: `status` says which", body = SyncView),
        (status = 202, description = "They are being read", body = SyncView),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "Only supervisors and administrators; or the organization is suspended"),
        (status = 409, description = "The organization has no WhatsApp configuration"),
        (status = 503, description = "`META_LIMIT`: Meta takes no more calls for now; or nothing can be stored just now"),
    ),
    security(("bearer" = []))
)]
#[post("/api/templates/sync")]
pub(crate) async fn sync_templates(
    caller: Caller,
    state: web::Data<AppState>,
) -> Result<HttpResponse, ApiError> {
    caller.require(Role::Supervisor)?;
    let row = state
        .templates
        .sync_now(&caller.tenant_id, PATIENCE)
        .await?;
    let view = SyncView::from(Some(row));
    Ok(if view.status == "running" {
        HttpResponse::Accepted().json(view)
    } else {
        HttpResponse::Ok().json(view)
    })
}
