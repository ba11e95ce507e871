//! `GET /api/messages/holds`

use actix_web::{get, web};
use chrono::{DateTime, Utc};
use portal_auth::Caller;
use portal_service_kit::ApiError;
use portal_types::Role;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    error::from_db, state::AppState, store::holds::HoldRow, usecases::get_message::list_holds,
};

/// A number whose sending waits. It costs no attempts, and ends by itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct HoldView {
    phone_number_id: String,
    /// `credential` (Meta refuses the token), `account` (Meta restricted number or account),
    /// `payment`, `quality` (people complain), `tenant` (suspended) or `not_configured`.
    reason: String,
    /// Meta's code, if Meta is the reason.
    error_code: Option<i64>,
    since: DateTime<Utc>,
    /// When it is tried again whether sending works.
    next_probe_at: DateTime<Utc>,
}

impl From<HoldRow> for HoldView {
    fn from(hold: HoldRow) -> Self {
        Self {
            phone_number_id: hold.phone_number_id,
            reason: hold.reason,
            error_code: hold.error_code,
            since: hold.since,
            next_probe_at: hold.next_probe_at,
        }
    }
}

/// All numbers of the organization whose sending waits.
#[derive(Serialize, ToSchema)]
pub(crate) struct HoldList {
    holds: Vec<HoldView>,
}

/// The numbers of the organization whose sending waits, and why.
#[utoipa::path(
    tag = "messages",
    responses(
        (status = 200, description = "The holds; none is the good case", body = HoldList),
        (status = 401, description = "The token is missing, expired or revoked"),
        (status = 403, description = "This needs the role supervisor"),
        (status = 503, description = "They cannot be read just now"),
    ),
    security(("bearer" = []))
)]
#[get("/api/messages/holds")]
pub(crate) async fn get_holds(
    caller: Caller,
    state: web::Data<AppState>,
) -> Result<web::Json<HoldList>, ApiError> {
    caller.require(Role::Supervisor)?;
    let holds = list_holds(&state.db, &caller.tenant_id)
        .await
        .map_err(from_db)?;
    Ok(web::Json(HoldList {
        holds: holds.into_iter().map(HoldView::from).collect(),
    }))
}
