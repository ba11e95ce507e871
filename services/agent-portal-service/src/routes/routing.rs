//! Presence, capacity, and the organization's rules of its conversations.

use actix_web::{get, patch, put, web};
use chrono::{DateTime, Utc};
use portal_auth::{AdminOfTenant, Caller, Guarded, SupervisorOfTenant};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{Patch, RequestId, ValidJson, ValidPath},
};
use portal_types::UserId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{ConversationRules, MAX_CAPACITY, PRESENCE_LASTS},
    state::AppState,
    store::routing::AtWork,
    usecases::{Cause, conversations::RulesChange},
};

/// A person's part in the work on conversations.
#[derive(Serialize, ToSchema)]
pub(crate) struct PresenceView {
    user_id: UserId,
    name: String,
    /// `agent`, `supervisor` or `admin`
    role: String,
    /// `available` gets conversations, `busy` gets no more, `away` and `offline` are not there
    presence: String,
    since: Option<DateTime<Utc>>,
    /// Until when it holds if it is not said again; then the person is taken to be offline
    expires_at: Option<DateTime<Utc>>,
    /// Up to how many open conversations a rule gives to the person
    capacity: i32,
    /// Whether that is the organization's default
    is_default_capacity: bool,
    /// Open conversations that the person holds
    load: i64,
    /// When a rule gave the person a conversation last
    last_given_at: Option<DateTime<Utc>>,
}

impl PresenceView {
    fn new(person: AtWork, rules: ConversationRules) -> Self {
        let is_there = person.presence != "offline";
        let fresh = person.seen_at.filter(|_| is_there);
        Self {
            user_id: person.user_id.into(),
            name: person.name,
            role: person.role,
            presence: person.presence,
            since: person.since,
            expires_at: fresh.map(|at| at + PRESENCE_LASTS),
            is_default_capacity: person.capacity.is_none(),
            capacity: person.capacity.unwrap_or(rules.default_capacity),
            load: person.load,
            last_given_at: person.last_given_at,
        }
    }
}

/// Everybody's part in the work.
#[derive(Serialize, ToSchema)]
pub(crate) struct PeopleAtWorkView {
    /// By name
    users: Vec<PresenceView>,
}

/// What the caller says of the own presence.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SayPresenceRequest {
    /// `available`, `busy`, `away` or `offline`
    presence: String,
}

fn word<T: std::str::FromStr>(
    errors: &mut FieldErrors,
    field: &str,
    word: &str,
    known: &str,
) -> Option<T> {
    let read = word.parse().map_err(|_word| format!("must be {known}"));
    errors.check(field, read)
}

/// The caller's own presence, capacity and load.
#[utoipa::path(
    operation_id = "show_own_presence",
    tag = "routing",
    responses(
        (status = 200, description = "As it counts now", body = PresenceView),
        (status = 401, description = "The token is missing, expired or revoked"),
    ),
    security(("bearer" = []))
)]
#[get("/api/agents/presence")]
pub(crate) async fn show_presence(
    caller: Caller,
    state: web::Data<AppState>,
) -> Result<web::Json<PresenceView>, ApiError> {
    let (tenant, user) = (&caller.tenant_id, caller.user_id);
    let (person, rules) = state.conversations.at_work(tenant, user).await?;
    Ok(web::Json(PresenceView::new(person, rules)))
}

/// Says whether the caller takes part. It holds for 90 seconds, or until it is said again, and no
/// longer than the caller's sessions: say it every 30 seconds.
#[utoipa::path(
    operation_id = "say_own_presence",
    tag = "routing",
    request_body = SayPresenceRequest,
    responses(
        (status = 200, description = "As it counts now", body = PresenceView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "The token is missing, expired or revoked"),
    ),
    security(("bearer" = []))
)]
#[put("/api/agents/presence")]
pub(crate) async fn say_presence(
    Guarded(caller, ValidJson(body)): Guarded<Caller, ValidJson<SayPresenceRequest>>,
    state: web::Data<AppState>,
) -> Result<web::Json<PresenceView>, ApiError> {
    let mut errors = FieldErrors::new();
    let known = "available, busy, away or offline";
    let presence = word(&mut errors, "presence", &body.presence, known);
    let Some(presence) = presence else {
        return Err(ApiError::validation(&errors));
    };
    let (tenant, user) = (&caller.tenant_id, caller.user_id);
    let found = state
        .conversations
        .say_presence(tenant, user, presence)
        .await?;
    Ok(web::Json(PresenceView::new(found.0, found.1)))
}

/// Who is there, with how much work. For supervisors and administrators.
#[utoipa::path(
    operation_id = "list_people_at_work",
    tag = "routing",
    responses(
        (status = 200, description = "All active people", body = PeopleAtWorkView),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "`FORBIDDEN`: only supervisors and administrators"),
    ),
    security(("bearer" = []))
)]
#[get("/api/organization/presence")]
pub(crate) async fn people_at_work(
    SupervisorOfTenant(caller): SupervisorOfTenant,
    state: web::Data<AppState>,
) -> Result<web::Json<PeopleAtWorkView>, ApiError> {
    let found = state
        .conversations
        .people_at_work(&caller.tenant_id)
        .await?;
    let (people, rules) = found;
    let users = people.into_iter();
    Ok(web::Json(PeopleAtWorkView {
        users: users.map(|one| PresenceView::new(one, rules)).collect(),
    }))
}

/// How much a person is given at once.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetCapacityRequest {
    /// 0 to 1000; `null` is the organization's default
    #[serde(deserialize_with = "Option::deserialize")]
    capacity: Option<i32>,
}

fn check_capacity(errors: &mut FieldErrors, field: &str, capacity: Option<i32>) {
    if capacity.is_some_and(|capacity| !(0..=MAX_CAPACITY).contains(&capacity)) {
        errors.add(field, format!("must be 0 to {MAX_CAPACITY}"));
    }
}

/// Says up to how many open conversations a rule gives to a person. Nobody loses what they hold. For
/// supervisors and administrators.
#[utoipa::path(
    operation_id = "set_capacity",
    tag = "routing",
    params(("user_id" = UserId, Path, description = "The person")),
    request_body = SetCapacityRequest,
    responses(
        (status = 200, description = "The person's part now", body = PresenceView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "`FORBIDDEN`: only supervisors and administrators"),
        (status = 404, description = "`USER_NOT_FOUND`"),
    ),
    security(("bearer" = []))
)]
#[put("/api/organization/users/{user_id}/capacity")]
pub(crate) async fn set_capacity(
    Guarded(SupervisorOfTenant(caller), (ValidPath(user), ValidJson(body))): Guarded<
        SupervisorOfTenant,
        (ValidPath<UserId>, ValidJson<SetCapacityRequest>),
    >,
    state: web::Data<AppState>,
) -> Result<web::Json<PresenceView>, ApiError> {
    let mut errors = FieldErrors::new();
    check_capacity(&mut errors, "capacity", body.capacity);
    errors.into_result()?;
    let tenant = &caller.tenant_id;
    let found = state
        .conversations
        .set_capacity(tenant, user, body.capacity)
        .await?;
    Ok(web::Json(PresenceView::new(found.0, found.1)))
}

/// Longest time that messages are kept by a rule, in days.
const MOST_DAYS: i32 = 3_650;

/// How the organization wants its conversations kept and given.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConversationRulesView {
    /// What a contact who writes after a close begins: the `same` conversation again, or a `new`
    /// episode of it
    reopen_as: &'static str,
    /// `manual`: people take what waits; `automatic`: a rule gives it to those who are available
    assignment: &'static str,
    /// The master of assignments: `portal`, or `genesys`, by whose events alone they change then
    routing: &'static str,
    /// Of people without a capacity of their own
    default_capacity: i32,
    /// What becomes of the conversations of somebody who goes away, where assignment is automatic:
    /// `keep`, `return_unanswered` or `return_all`
    on_absence: &'static str,
    /// Messages that are older than so many days are erased, and conversations with none left; `null`:
    /// all are kept
    retention_days: Option<i32>,
}

impl From<ConversationRules> for ConversationRulesView {
    fn from(rules: ConversationRules) -> Self {
        Self {
            reopen_as: rules.reopen_as.into(),
            assignment: rules.assignment.into(),
            routing: rules.routing.into(),
            default_capacity: rules.default_capacity,
            on_absence: rules.on_absence.into(),
            retention_days: rules.retention_days,
        }
    }
}

/// What is to be changed of the rules; what is not given stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeRulesRequest {
    /// `same` or `new`
    reopen_as: Option<String>,
    /// `manual` or `automatic`
    assignment: Option<String>,
    /// `portal` or `genesys`
    routing: Option<String>,
    /// 0 to 1000
    default_capacity: Option<i32>,
    /// `keep`, `return_unanswered` or `return_all`
    on_absence: Option<String>,
    /// 1 to 3650, or `null` to keep all messages. What was erased does not come back
    #[serde(default)]
    #[schema(value_type = Option<i32>)]
    retention_days: Patch<i32>,
}

impl ChangeRulesRequest {
    fn check(self) -> Result<RulesChange, ApiError> {
        let mut errors = FieldErrors::new();
        check_capacity(&mut errors, "default_capacity", self.default_capacity);
        if let Patch::Set(days) = self.retention_days
            && !(1..=MOST_DAYS).contains(&days)
        {
            errors.add(
                "retention_days",
                "must be 1 to 3650, or null to keep all messages",
            );
        }
        let e = &mut errors;
        let change = RulesChange {
            reopen_as: self
                .reopen_as
                .and_then(|given| word(e, "reopen_as", &given, "same or new")),
            assignment: self
                .assignment
                .and_then(|given| word(e, "assignment", &given, "manual or automatic")),
            routing: self
                .routing
                .and_then(|given| word(e, "routing", &given, "portal or genesys")),
            default_capacity: self.default_capacity,
            on_absence: self.on_absence.and_then(|given| {
                let known = "keep, return_unanswered or return_all";
                word(e, "on_absence", &given, known)
            }),
            retention_days: self.retention_days,
        };
        errors.into_result()?;
        Ok(change)
    }
}

/// How the organization's conversations are kept and given. For supervisors and administrators.
#[utoipa::path(
    operation_id = "show_conversation_rules",
    tag = "routing",
    responses(
        (status = 200, description = "The rules", body = ConversationRulesView),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "`FORBIDDEN`: only supervisors and administrators"),
    ),
    security(("bearer" = []))
)]
#[get("/api/organization/conversation-rules")]
pub(crate) async fn show_rules(
    SupervisorOfTenant(caller): SupervisorOfTenant,
    state: web::Data<AppState>,
) -> Result<web::Json<ConversationRulesView>, ApiError> {
    let rules = state.conversations.rules(&caller.tenant_id).await?;
    Ok(web::Json(rules.into()))
}

/// Changes how the organization's conversations are kept and given. For administrators.
#[utoipa::path(
    operation_id = "change_conversation_rules",
    tag = "routing",
    request_body = ChangeRulesRequest,
    responses(
        (status = 200, description = "The rules now", body = ConversationRulesView),
        (status = 400, description = "`VALIDATION_FAILED`, `INVALID_JSON`"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "`FORBIDDEN`: only administrators of the organization"),
    ),
    security(("bearer" = []))
)]
#[patch("/api/organization/conversation-rules")]
pub(crate) async fn change_rules(
    Guarded(AdminOfTenant(caller), ValidJson(body)): Guarded<
        AdminOfTenant,
        ValidJson<ChangeRulesRequest>,
    >,
    state: web::Data<AppState>,
    request_id: RequestId,
) -> Result<web::Json<ConversationRulesView>, ApiError> {
    let change = body.check()?;
    let (tenant, by) = (&caller.tenant_id, caller.user_id);
    let cause = Cause::request(&request_id);
    let rules = state
        .conversations
        .change_rules(tenant, by, change, &cause)
        .await?;
    Ok(web::Json(rules.into()))
}
