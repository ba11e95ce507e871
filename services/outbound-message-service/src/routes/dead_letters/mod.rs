//! `/api/messages/dead-letters`: for administrators of the organization.

mod views;

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use portal_auth::{AdminOfTenant, Guarded};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{Page, RequestId, ValidJson, ValidPath, ValidQuery, parse_json},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use self::views::{DeadLetterDetail, DeadLetterPage, DeadLetterView};
use super::{decider, message_list::given_place};
use crate::{
    domain::{
        dead_letter::{LetterFilter, LetterSource, LetterState},
        place::Place,
    },
    error::from_db,
    state::AppState,
    usecases::dead_letters::{
        BulkReplay, Discarded, LetterError, MOST_REPLAYS, Replayed, discard_letter, find_letter,
        list_letters, replay_letter, replay_many,
    },
};

/// Which dead letters to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LettersQuery {
    /// `message` or `queue`; both when not given
    #[param(value_type = Option<LetterSource>)]
    source: Option<String>,
    /// `open` when not given
    #[param(value_type = Option<LetterState>)]
    state: Option<String>,
    /// Failed messages with this class of error, such as `undetermined`
    class: Option<String>,
    /// Failed messages with this error code of Meta
    code: Option<i64>,
    /// Accepted or kept from this moment on
    since: Option<DateTime<Utc>>,
    /// Accepted or kept before this moment
    until: Option<DateTime<Utc>>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
    /// 1 to 100, 50 when not given
    limit: Option<u32>,
}

impl LettersQuery {
    fn checked(self) -> Result<(LetterFilter, Option<Place>, u32), ApiError> {
        let mut errors = FieldErrors::new();
        let source = self.source.and_then(|source| {
            let known = source.parse::<LetterSource>();
            errors.check(
                "source",
                known.map_err(|_unknown| "must be message or queue"),
            )
        });
        let state = self.state.and_then(|state| {
            let known = state.parse::<LetterState>();
            errors.check(
                "state",
                known.map_err(|_unknown| "must be open, replayed or discarded"),
            )
        });
        let after = self
            .cursor
            .and_then(|cursor| given_place(&cursor, &mut errors));
        let limit = Page::checked(self.limit, None, &mut errors).limit;
        errors.into_result()?;
        let filter = LetterFilter {
            source,
            state: state.unwrap_or_default(),
            class: self.class,
            code: self.code,
            since: self.since,
            until: self.until,
        };
        Ok((filter, after, limit))
    }
}

/// Lists what failed for good and waits for a decision, the newest first: messages, and deliveries of
/// the broker that no part of the service took.
#[utoipa::path(
    operation_id = "list_dead_letters",
    tag = "dead letters",
    params(LettersQuery),
    responses(
        (status = 200, description = "A page of dead letters", body = DeadLetterPage),
        (status = 400, description = "Some parameters cannot be used; all of them are named"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "Only administrators of the organization"),
        (status = 503, description = "They cannot be read just now"),
    ),
    security(("bearer" = []))
)]
#[get("/api/messages/dead-letters")]
pub(crate) async fn list(
    Guarded(AdminOfTenant(caller), ValidQuery(query)): Guarded<
        AdminOfTenant,
        ValidQuery<LettersQuery>,
    >,
    state: web::Data<AppState>,
) -> Result<web::Json<DeadLetterPage>, ApiError> {
    let (filter, after, limit) = query.checked()?;
    let page = list_letters(&state.db, &caller.tenant_id, filter, after, limit)
        .await
        .map_err(from_db)?;
    let letters: Result<Vec<_>, _> = page.items.iter().map(DeadLetterView::try_from).collect();
    Ok(web::Json(DeadLetterPage {
        dead_letters: letters.map_err(from_db)?,
        next_cursor: page.next.map(Place::to_cursor),
    }))
}

/// Shows a dead letter; of its content only the structure.
#[utoipa::path(
    tag = "dead letters",
    params(("dead_letter_id" = Uuid, Path, description = "The dead letter; for a failed message the message's id")),
    responses(
        (status = 200, description = "The dead letter", body = DeadLetterDetail),
        (status = 400, description = "The id is not a UUID"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "Only administrators of the organization"),
        (status = 404, description = "The organization has no such dead letter"),
        (status = 503, description = "It cannot be read just now"),
    ),
    security(("bearer" = []))
)]
#[get("/api/messages/dead-letters/{dead_letter_id}")]
pub(crate) async fn show(
    Guarded(AdminOfTenant(caller), ValidPath(id)): Guarded<AdminOfTenant, ValidPath<Uuid>>,
    state: web::Data<AppState>,
) -> Result<web::Json<DeadLetterDetail>, ApiError> {
    let letter = find_letter(&state.db, &caller.tenant_id, id)
        .await
        .map_err(from_db)?
        .ok_or(LetterError::NotFound)?;
    let detail = DeadLetterDetail::try_from(&letter);
    detail.map(web::Json).map_err(from_db)
}

/// Whether a second arrival is taken into the bargain.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReplayRequest {
    /// Needed where nobody knows whether the message arrived.
    accept_duplicate: bool,
}

impl ReplayRequest {
    /// Reads a body, which may be left out.
    fn read(body: &[u8]) -> Result<Self, ApiError> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        parse_json(body)
    }
}

/// What came of a decision.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DecisionView {
    dead_letter_id: Uuid,
    /// Whether anything was changed
    done: bool,
    /// Where the message or the letter stands, if there was nothing to do
    status: Option<String>,
}

/// Sends a failed message again under its id, or gives a delivery back to its queue. Does nothing if
/// that happened already.
#[utoipa::path(
    tag = "dead letters",
    params(("dead_letter_id" = Uuid, Path, description = "The dead letter")),
    request_body(content = Option<ReplayRequest>, description = "May be left out"),
    responses(
        (status = 200, description = "It is replayed, or there was nothing to do", body = DecisionView),
        (status = 400, description = "The id is not a UUID, or the body does not fit"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "Only administrators of the organization"),
        (status = 404, description = "The organization has no such dead letter"),
        (status = 409, description = "`MESSAGE_MAY_HAVE_ARRIVED`: it may have arrived, say accept_duplicate; `NOT_REPLAYABLE`"),
        (status = 503, description = "Nothing was changed; try again"),
    ),
    security(("bearer" = []))
)]
#[post("/api/messages/dead-letters/{dead_letter_id}/replay")]
pub(crate) async fn replay(
    Guarded(AdminOfTenant(caller), (ValidPath(id), body)): Guarded<
        AdminOfTenant,
        (ValidPath<Uuid>, web::Bytes),
    >,
    state: web::Data<AppState>,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let wish = ReplayRequest::read(&body)?;
    let replayed = replay_letter(
        &state.db,
        &state.relay,
        &caller.tenant_id,
        id,
        wish.accept_duplicate,
        decider(&caller, &request_id),
    )
    .await?;
    let status = match replayed {
        Replayed::Done => None,
        Replayed::Needless(status) => Some(status),
    };
    Ok(HttpResponse::Ok().json(DecisionView {
        dead_letter_id: id,
        done: status.is_none(),
        status,
    }))
}

/// Puts a dead letter aside.
#[utoipa::path(
    tag = "dead letters",
    params(("dead_letter_id" = Uuid, Path, description = "The dead letter")),
    responses(
        (status = 200, description = "It is put aside, or was not open", body = DecisionView),
        (status = 400, description = "The id is not a UUID"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "Only administrators of the organization"),
        (status = 404, description = "The organization has no such dead letter"),
        (status = 503, description = "Nothing was changed; try again"),
    ),
    security(("bearer" = []))
)]
#[post("/api/messages/dead-letters/{dead_letter_id}/discard")]
pub(crate) async fn discard(
    Guarded(AdminOfTenant(caller), ValidPath(id)): Guarded<AdminOfTenant, ValidPath<Uuid>>,
    state: web::Data<AppState>,
    request_id: RequestId,
) -> Result<HttpResponse, ApiError> {
    let who = decider(&caller, &request_id);
    let discarded = discard_letter(&state.db, &caller.tenant_id, id, who).await?;
    Ok(HttpResponse::Ok().json(DecisionView {
        dead_letter_id: id,
        done: discarded == Discarded::Done,
        status: None,
    }))
}

/// Which failed messages to send again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkReplayRequest {
    /// Those with this class of error
    #[serde(default)]
    class: Option<String>,
    /// Those with this error code of Meta
    #[serde(default)]
    code: Option<i64>,
    /// Accepted from this moment on
    #[serde(default)]
    since: Option<DateTime<Utc>>,
    /// Accepted before this moment
    #[serde(default)]
    until: Option<DateTime<Utc>>,
    /// Those of which nobody knows whether they arrived, too
    #[serde(default)]
    accept_duplicate: bool,
    /// Count only
    #[serde(default)]
    dry_run: bool,
    /// 1 to 1000, 1000 when not given
    #[serde(default)]
    limit: Option<u32>,
    /// `next_cursor` of the call before
    #[serde(default)]
    cursor: Option<String>,
}

/// How far a replay of many messages came.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkReplayView {
    /// Messages that this call looked at
    matched: u32,
    /// Those that are sent again
    replayed: u32,
    /// Those that may have arrived and were left
    may_have_arrived: u32,
    /// Those that were not failed any more
    needless: u32,
    /// Those that are left to the next call
    remaining: i64,
    /// `null` when all were looked at
    next_cursor: Option<String>,
}

/// Sends failed messages again, the oldest first. One call takes a part; `next_cursor` leads on.
#[utoipa::path(
    tag = "dead letters",
    request_body = BulkReplayRequest,
    responses(
        (status = 200, description = "How far it came", body = BulkReplayView),
        (status = 400, description = "Some fields cannot be used; all of them are named"),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "Only administrators of the organization"),
        (status = 503, description = "A part may be done; call again"),
    ),
    security(("bearer" = []))
)]
#[post("/api/messages/dead-letters/replay")]
pub(crate) async fn replay_all(
    Guarded(AdminOfTenant(caller), ValidJson(body)): Guarded<
        AdminOfTenant,
        ValidJson<BulkReplayRequest>,
    >,
    state: web::Data<AppState>,
    request_id: RequestId,
) -> Result<web::Json<BulkReplayView>, ApiError> {
    let mut errors = FieldErrors::new();
    let limit = body.limit.unwrap_or(MOST_REPLAYS);
    if !(1..=MOST_REPLAYS).contains(&limit) {
        errors.add("limit", format!("must be 1 to {MOST_REPLAYS}"));
    }
    let after = body
        .cursor
        .and_then(|cursor| given_place(&cursor, &mut errors));
    errors.into_result()?;
    let order = BulkReplay {
        filter: LetterFilter {
            class: body.class,
            code: body.code,
            since: body.since,
            until: body.until,
            ..LetterFilter::default()
        },
        accept_duplicate: body.accept_duplicate,
        dry_run: body.dry_run,
        limit,
        after,
    };
    let who = decider(&caller, &request_id);
    let report = replay_many(&state.db, &state.relay, &caller.tenant_id, order, who)
        .await
        .map_err(from_db)?;
    Ok(web::Json(BulkReplayView {
        matched: report.matched,
        replayed: report.replayed,
        may_have_arrived: report.may_have_arrived,
        needless: report.needless,
        remaining: report.remaining,
        next_cursor: report.next.map(Place::to_cursor),
    }))
}
