//! `/api/organization`: the organization and its people.

use actix_web::{get, patch, put, web};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use portal_auth::{AdminOfTenant, Caller, Guarded, SupervisorOfTenant};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{Page, Patch, RequestId, ValidJson, ValidPath, ValidQuery},
};
use portal_types::{Role, TenantId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::sync::SyncRunView;
use crate::{
    domain::{DeactivatedBy, User},
    state::AppState,
    store::people::PeopleFilter,
    usecases::{
        Cause,
        organization::Organization,
        people::{PersonChange, RoleChange},
    },
};

/// The caller's organization.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrganizationView {
    tenant_id: TenantId,
    name: String,
    genesys_org_id: Option<String>,
    genesys_region: Option<String>,
    whatsapp: WhatsAppView,
    users: UserCountsView,
    /// The newest sync of its people; for supervisors and administrators
    #[serde(skip_serializing_if = "Option::is_none")]
    last_sync: Option<SyncRunView>,
}

/// Whether the organization can send.
#[derive(Serialize, ToSchema)]
struct WhatsAppView {
    connected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<String>,
}

/// How many people there are.
#[derive(Serialize, ToSchema)]
struct UserCountsView {
    active: i64,
    total: i64,
}

impl OrganizationView {
    fn new(found: Organization, role: Role) -> Self {
        let whatsapp = found.profile.whatsapp;
        Self {
            tenant_id: found.profile.tenant_id,
            name: found.profile.name,
            genesys_org_id: found.profile.genesys_org_id,
            genesys_region: found.profile.genesys_region,
            whatsapp: WhatsAppView {
                connected: whatsapp.is_some(),
                phone_number: whatsapp.map(|whatsapp| whatsapp.display_phone_number),
            },
            users: UserCountsView {
                active: found.active_people,
                total: found.people,
            },
            last_sync: found
                .last_sync
                .filter(|_| role >= Role::Supervisor)
                .map(SyncRunView::from),
        }
    }
}

/// Shows the caller's organization.
#[utoipa::path(
    tag = "organization",
    responses(
        (status = 200, description = "The organization", body = OrganizationView),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 503, description = "Something it needs is away; try again"),
    ),
    security(("bearer" = []))
)]
#[get("/api/organization/profile")]
pub(crate) async fn organization_profile(
    caller: Caller,
    state: web::Data<AppState>,
) -> Result<web::Json<OrganizationView>, ApiError> {
    let found = state.organizations.show(&caller.tenant_id).await?;
    Ok(web::Json(OrganizationView::new(found, caller.role)))
}

/// What an administrator of the organization may change of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateOrganizationRequest {
    /// 1 to 255 characters
    name: String,
}

/// Changes the organization's name. For administrators.
#[utoipa::path(
    tag = "organization",
    request_body = UpdateOrganizationRequest,
    responses(
        (status = 200, description = "The organization as it is now", body = OrganizationView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "`FORBIDDEN`: only administrators of the organization"),
        (status = 503, description = "Something it needs is away; try again"),
    ),
    security(("bearer" = []))
)]
#[put("/api/organization/profile")]
pub(crate) async fn update_organization(
    Guarded(AdminOfTenant(caller), body): Guarded<
        AdminOfTenant,
        ValidJson<UpdateOrganizationRequest>,
    >,
    state: web::Data<AppState>,
) -> Result<web::Json<OrganizationView>, ApiError> {
    let name = body.0.name.trim().to_owned();
    let mut errors = FieldErrors::new();
    if !(1..=255).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        errors.add("name", "must be 1 to 255 characters");
    }
    errors.into_result()?;
    let found = state
        .organizations
        .rename(&caller.tenant_id, caller.user_id, &name)
        .await?;
    Ok(web::Json(OrganizationView::new(found, caller.role)))
}

/// A person of the organization.
#[derive(Serialize, ToSchema)]
pub(crate) struct PersonView {
    user_id: UserId,
    name: String,
    email: Option<String>,
    role: Role,
    /// The role that an administrator gave, whatever Genesys says
    role_override: Option<Role>,
    is_active: bool,
    /// `admin`, `genesys` or `operator`
    deactivated_by: Option<&'static str>,
    /// Brought from a legacy installation; the first sign-in with this e-mail makes it that person's
    is_placeholder: bool,
    created_at: DateTime<Utc>,
    last_login_at: Option<DateTime<Utc>>,
}

impl From<User> for PersonView {
    fn from(user: User) -> Self {
        Self {
            user_id: user.user_id,
            name: user.name,
            email: user.email,
            role: user.role,
            role_override: user.role_override,
            is_active: user.is_active,
            deactivated_by: user.deactivated_by.map(DeactivatedBy::as_str),
            is_placeholder: user.is_placeholder,
            created_at: user.created_at,
            last_login_at: user.last_login_at,
        }
    }
}

/// A page of people.
#[derive(Serialize, ToSchema)]
pub(crate) struct PeopleView {
    users: Vec<PersonView>,
    total: i64,
    limit: u32,
    /// For the next page; none on the last one
    next_cursor: Option<String>,
}

/// Which people to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListPeopleQuery {
    /// `agent`, `supervisor` or `admin`
    role: Option<String>,
    /// Whether they may sign in; all when not given
    active: Option<bool>,
    /// Part of the name or of the e-mail
    q: Option<String>,
    /// 1 to 100, 50 when not given
    limit: Option<u32>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

/// Lists the organization's people by name. For supervisors and administrators.
#[utoipa::path(
    tag = "organization",
    params(ListPeopleQuery),
    responses(
        (status = 200, description = "A page of people", body = PeopleView),
        (status = 400, description = "`VALIDATION_FAILED`"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "`FORBIDDEN`: only supervisors and administrators"),
    ),
    security(("bearer" = []))
)]
#[get("/api/organization/users")]
pub(crate) async fn list_people(
    Guarded(SupervisorOfTenant(caller), query): Guarded<
        SupervisorOfTenant,
        ValidQuery<ListPeopleQuery>,
    >,
    state: web::Data<AppState>,
) -> Result<web::Json<PeopleView>, ApiError> {
    let query = query.0;
    let mut errors = FieldErrors::new();
    let limit = Page::checked(query.limit, None, &mut errors).limit;
    let role = query
        .role
        .and_then(|role| errors.check("role", role.parse::<Role>()));
    let after = query.cursor.and_then(|cursor| {
        let read = read_cursor(&cursor).ok_or("must be next_cursor of the page before");
        errors.check("cursor", read)
    });
    errors.into_result()?;
    let filter = PeopleFilter {
        role,
        is_active: query.active,
        text: query
            .q
            .map(|q| q.trim().to_owned())
            .filter(|q| !q.is_empty()),
        after,
    };
    // One more than asked for tells whether there is another page.
    let (mut people, total) = state
        .people
        .list(&caller.tenant_id, filter, limit + 1)
        .await?;
    let has_more = people.len() > limit as usize;
    people.truncate(limit as usize);
    let next_cursor = people.last().filter(|_| has_more).map(write_cursor);
    Ok(web::Json(PeopleView {
        users: people.into_iter().map(PersonView::from).collect(),
        total,
        limit,
        next_cursor,
    }))
}

/// The place of a person in the list, opaque for callers.
fn write_cursor(user: &User) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}{}", user.user_id, user.name))
}

fn read_cursor(text: &str) -> Option<(String, UserId)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let (id, name) = text.split_at_checked(36)?;
    Some((name.to_owned(), id.parse().ok()?))
}

/// Shows a person. For supervisors and administrators.
#[utoipa::path(
    tag = "organization",
    params(("user_id" = UserId, Path, description = "The person")),
    responses(
        (status = 200, description = "The person", body = PersonView),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "`FORBIDDEN`: only supervisors and administrators"),
        (status = 404, description = "`USER_NOT_FOUND`"),
    ),
    security(("bearer" = []))
)]
#[get("/api/organization/users/{user_id}")]
pub(crate) async fn show_person(
    Guarded(SupervisorOfTenant(caller), ValidPath(user_id)): Guarded<
        SupervisorOfTenant,
        ValidPath<UserId>,
    >,
    state: web::Data<AppState>,
) -> Result<web::Json<PersonView>, ApiError> {
    let user = state.people.show(&caller.tenant_id, user_id).await?;
    Ok(web::Json(user.into()))
}

/// What is to be changed of a person; what is not given stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdatePersonRequest {
    /// `agent`, `supervisor` or `admin`, whatever Genesys says; `null` goes back to what Genesys says
    /// at the next sign-in or sync
    #[serde(default)]
    #[schema(value_type = Option<Role>)]
    role: Patch<Role>,
    /// `false` ends the person's sessions at once, everywhere
    active: Option<bool>,
}

/// Changes a person's role, or whether the person may sign in. For administrators.
#[utoipa::path(
    tag = "organization",
    params(("user_id" = UserId, Path, description = "The person")),
    request_body = UpdatePersonRequest,
    responses(
        (status = 200, description = "The person as they are now", body = PersonView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "`FORBIDDEN`: only administrators of the organization"),
        (status = 404, description = "`USER_NOT_FOUND`"),
        (status = 409, description = "`LAST_ADMIN`, `CANNOT_DEACTIVATE_SELF`"),
    ),
    security(("bearer" = []))
)]
#[patch("/api/organization/users/{user_id}")]
pub(crate) async fn update_person(
    Guarded(AdminOfTenant(caller), (ValidPath(user_id), body)): Guarded<
        AdminOfTenant,
        (ValidPath<UserId>, ValidJson<UpdatePersonRequest>),
    >,
    state: web::Data<AppState>,
    request_id: RequestId,
) -> Result<web::Json<PersonView>, ApiError> {
    let change = PersonChange {
        role: match body.0.role {
            Patch::Keep => RoleChange::Keep,
            Patch::Clear => RoleChange::AsInGenesys,
            Patch::Set(role) => RoleChange::Set(role),
        },
        active: body.0.active,
    };
    let cause = Cause::request(&request_id);
    let people = &state.people;
    let user = people
        .change(&caller.tenant_id, caller.user_id, user_id, change, &cause)
        .await?;
    Ok(web::Json(user.into()))
}
