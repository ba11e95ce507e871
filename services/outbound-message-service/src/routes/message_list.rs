//! `GET /api/messages`

use actix_web::{get, web};
use chrono::{DateTime, Utc};
use portal_auth::{Guarded, MessageReader};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{Page, ValidQuery},
};
use portal_types::ConversationId;
use portal_whatsapp::Recipient;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::messages::MessageSummary;
use crate::{
    domain::{MessageStatus, place::Place},
    error::from_db,
    state::AppState,
    store::message_list::MessageFilter,
    usecases::list_messages::list_messages,
};

/// Which messages to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// To this recipient: a number in E.164 form, or a user id
    to: Option<String>,
    /// In this state
    #[param(value_type = Option<MessageStatus>)]
    status: Option<String>,
    /// Accepted from this moment on
    since: Option<DateTime<Utc>>,
    /// Accepted before this moment
    until: Option<DateTime<Utc>>,
    /// Of this conversation
    conversation_id: Option<ConversationId>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
    /// 1 to 100, 50 when not given
    limit: Option<u32>,
}

impl ListQuery {
    fn checked(self) -> Result<(MessageFilter, Option<Place>, u32), ApiError> {
        let mut errors = FieldErrors::new();
        let filter = MessageFilter {
            recipient: self
                .to
                .and_then(|to| errors.check("to", Recipient::parse(&to)))
                .map(|to| to.as_str().to_owned()),
            status: self
                .status
                .and_then(|status| errors.check("status", known_status(&status))),
            conversation_id: self.conversation_id.map(ConversationId::as_uuid),
            since: self.since,
            until: self.until,
        };
        let after = self
            .cursor
            .and_then(|cursor| given_place(&cursor, &mut errors));
        let limit = Page::checked(self.limit, None, &mut errors).limit;
        errors.into_result()?;
        Ok((filter, after, limit))
    }
}

/// Reads a cursor that a caller gives back.
pub(super) fn given_place(cursor: &str, errors: &mut FieldErrors) -> Option<Place> {
    let place = Place::from_cursor(cursor);
    errors.check(
        "cursor",
        place.ok_or("must be the next_cursor of the page before"),
    )
}

fn known_status(status: &str) -> Result<MessageStatus, &'static str> {
    status.parse().map_err(|_unknown| {
        "must be scheduled, accepted, sending, retry_wait, unknown, sent, delivered, read, failed or canceled"
    })
}

/// A page of messages.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageListView {
    messages: Vec<MessageSummary>,
    /// `null` on the last page
    next_cursor: Option<String>,
}

/// The organization's messages, the newest first. What happened to one of them is told by
/// `GET /api/messages/{message_id}`.
#[utoipa::path(
    operation_id = "list_messages",
    tag = "messages",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of messages", body = MessageListView),
        (status = 400, description = "Some parameters cannot be used; all of them are named"),
        (status = 401, description = "The token or API key is missing, expired or revoked"),
        (status = 403, description = "The API key lacks the scope messages:read"),
        (status = 503, description = "The messages cannot be read just now"),
    ),
    security(("bearer" = []))
)]
#[get("/api/messages")]
pub(crate) async fn list(
    Guarded(MessageReader(caller), ValidQuery(query)): Guarded<
        MessageReader,
        ValidQuery<ListQuery>,
    >,
    state: web::Data<AppState>,
) -> Result<web::Json<MessageListView>, ApiError> {
    let (filter, after, limit) = query.checked()?;
    let page = list_messages(&state.db, caller.tenant_id(), filter, after, limit)
        .await
        .map_err(from_db)?;
    let messages: Result<Vec<_>, _> = page
        .items
        .into_iter()
        .map(MessageSummary::try_from)
        .collect();
    Ok(web::Json(MessageListView {
        messages: messages.map_err(from_db)?,
        next_cursor: page.next.map(Place::to_cursor),
    }))
}
