//! What contacts wrote: `GET /api/messages/received/{inbound_id}`, and until when they can be
//! written to freely: `GET /api/messages/windows`.

use actix_web::{get, web};
use chrono::{DateTime, Utc};
use portal_auth::{Guarded, MessageReader};
use portal_service_kit::{
    ApiError, FieldErrors,
    http::{ValidPath, ValidQuery},
};
use portal_types::ConversationId;
use portal_whatsapp::Recipient;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    error::{from_db, message_not_found},
    state::AppState,
    store::{contacts::WindowRow, inbound::InboundRow},
    usecases::read_received,
};

/// A message of a contact, as Meta sent it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReceivedView {
    inbound_id: Uuid,
    conversation_id: ConversationId,
    /// `inbound`, or `outbound` for one that was written on the organization's phone.
    direction: &'static str,
    wamid: String,
    phone_number_id: String,
    /// The contact as a recipient: its number with a plus, or its business-scoped user id.
    from: String,
    wa_id: Option<String>,
    user_id: Option<String>,
    contact_name: Option<String>,
    username: Option<String>,
    #[serde(rename = "type")]
    message_type: String,
    /// The text of a text message.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The message as Meta sent it.
    payload: serde_json::Value,
    /// The wamid of the message that it answers.
    context_wamid: Option<String>,
    /// The wamid of the message that it reacts to, edits or revokes.
    refers_to: Option<String>,
    /// Meta's id of its file.
    media_id: Option<String>,
    /// When it was written, by Meta's clock.
    sent_at: DateTime<Utc>,
    received_at: DateTime<Utc>,
}

impl From<InboundRow> for ReceivedView {
    fn from(row: InboundRow) -> Self {
        let text = row
            .payload
            .pointer("/text/body")
            .and_then(serde_json::Value::as_str);
        Self {
            inbound_id: row.inbound_id,
            conversation_id: row.conversation_id.into(),
            direction: if row.origin == "phone" {
                "outbound"
            } else {
                "inbound"
            },
            text: text.map(str::to_owned),
            wamid: row.wamid,
            phone_number_id: row.phone_number_id,
            from: row.contact,
            wa_id: row.wa_id,
            user_id: row.user_id,
            contact_name: row.profile_name,
            username: row.username,
            message_type: row.type_,
            payload: row.payload,
            context_wamid: row.context_wamid,
            refers_to: row.refers_to,
            media_id: row.media_id,
            sent_at: row.sent_at,
            received_at: row.received_at,
        }
    }
}

/// A message that a contact wrote to the organization.
#[utoipa::path(
    tag = "messages",
    params(("inbound_id" = String, Path,
        description = "The inbound_id of the event message.received, or the wamid")),
    responses(
        (status = 200, description = "The message", body = ReceivedView),
        (status = 401, description = "The token or API key is missing, expired or revoked"),
        (status = 403, description = "The API key lacks the scope messages:read"),
        (status = 404, description = "The organization has no such message"),
        (status = 503, description = "The message cannot be read just now"),
    ),
    security(("bearer" = []))
)]
#[get("/api/messages/received/{inbound_id}")]
pub(crate) async fn get_received(
    Guarded(MessageReader(caller), ValidPath(id)): Guarded<MessageReader, ValidPath<String>>,
    state: web::Data<AppState>,
) -> Result<web::Json<ReceivedView>, ApiError> {
    let row = read_received::find(&state.db, caller.tenant_id(), id)
        .await
        .map_err(from_db)?
        .ok_or_else(message_not_found)?;
    Ok(web::Json(row.into()))
}

/// Whose window.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WindowQuery {
    /// The contact: a number, or a business-scoped user id.
    to: Option<String>,
}

/// Until when a contact can be written to freely.
#[derive(Serialize, ToSchema)]
pub(crate) struct WindowsView {
    to: String,
    /// One for each number of the organization that the contact wrote to.
    windows: Vec<WindowView>,
}

/// The customer service window of a contact with a number.
#[derive(Serialize, ToSchema)]
pub(crate) struct WindowView {
    phone_number_id: String,
    /// Whether it is open now.
    open: bool,
    last_inbound_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl From<WindowRow> for WindowView {
    fn from(row: WindowRow) -> Self {
        Self {
            phone_number_id: row.phone_number_id,
            open: row.expires_at > Utc::now(),
            last_inbound_at: row.last_inbound_at,
            expires_at: row.expires_at,
        }
    }
}

/// Until when a contact can be written to with anything but templates.
#[utoipa::path(
    tag = "messages",
    params(WindowQuery),
    responses(
        (status = 200, description = "The windows; none for a contact that never wrote", body = WindowsView),
        (status = 400, description = "`to` is missing or no recipient"),
        (status = 401, description = "The token or API key is missing, expired or revoked"),
        (status = 403, description = "The API key lacks the scope messages:read"),
        (status = 503, description = "The windows cannot be read just now"),
    ),
    security(("bearer" = []))
)]
#[get("/api/messages/windows")]
pub(crate) async fn list_windows(
    Guarded(MessageReader(caller), ValidQuery(query)): Guarded<
        MessageReader,
        ValidQuery<WindowQuery>,
    >,
    state: web::Data<AppState>,
) -> Result<web::Json<WindowsView>, ApiError> {
    let mut errors = FieldErrors::new();
    let to = errors.check(
        "to",
        Recipient::parse(query.to.as_deref().unwrap_or_default()),
    );
    let Some(to) = to else {
        return Err(ApiError::validation(&errors));
    };
    let to = to.as_str().to_owned();
    let windows = read_received::windows(&state.db, caller.tenant_id(), to.clone())
        .await
        .map_err(from_db)?;
    Ok(web::Json(WindowsView {
        to,
        windows: windows.into_iter().map(WindowView::from).collect(),
    }))
}
