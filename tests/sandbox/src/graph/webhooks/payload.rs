//! The bodies of status webhooks.

use chrono::Utc;
use serde_json::{Map, Value, json};

use super::Status;
use crate::config::PayloadVersion;
use crate::crypto::stable_digits;
use crate::graph::messages::Accepted;
use crate::graph::validate::Recipient;

const ERRORS_PAGE: &str = "/documentation/business-messaging/whatsapp/support/error-codes";

/// A whole body with one change.
pub(crate) fn envelope(waba_id: &str, field: &str, value: &Value) -> Value {
    json!({
        "object": "whatsapp_business_account",
        "entry": [{"id": waba_id, "changes": [{"value": value, "field": field}]}],
    })
}

/// A body of a management field, which carries a time.
pub(crate) fn timed(waba_id: &str, field: &str, value: &Value) -> Value {
    json!({
        "object": "whatsapp_business_account",
        "entry": [{
            "id": waba_id,
            "time": Utc::now().timestamp(),
            "changes": [{"value": value, "field": field}],
        }],
    })
}

/// The body for some statuses of one message.
pub(super) fn payload(accepted: &Accepted, statuses: &[Status], version: PayloadVersion) -> Value {
    let has_failed = statuses
        .iter()
        .any(|status| matches!(status, Status::Failed(_)));
    let objects: Vec<Value> = statuses
        .iter()
        .map(|status| status_object(accepted, *status, version))
        .collect();
    let contacts = (!has_failed).then(|| vec![contact(&accepted.recipient)]);
    let value = value_of(
        &accepted.phone.digits(),
        &accepted.phone.id,
        &objects,
        contacts,
    );
    envelope(&accepted.waba_id, "messages", &value)
}

/// The `value` of a change that carries statuses.
pub(super) fn value_of(
    digits: &str,
    phone_number_id: &str,
    statuses: &[Value],
    contacts: Option<Vec<Value>>,
) -> Value {
    let mut value = json!({
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": digits, "phone_number_id": phone_number_id},
        "statuses": statuses,
    });
    if let (Some(contacts), Some(members)) = (contacts, value.as_object_mut()) {
        members.insert("contacts".to_owned(), Value::Array(contacts));
    }
    value
}

/// The business-scoped id of the person, always the same for the same number.
pub(crate) fn user_id_of(wa_id: &str) -> String {
    format!("US.{}", stable_digits(wa_id, 17))
}

fn user_id(recipient: &Recipient) -> String {
    match recipient {
        Recipient::User(id) => id.clone(),
        Recipient::Phone { wa_id, .. } => user_id_of(wa_id),
    }
}

pub(super) fn contact(recipient: &Recipient) -> Value {
    let profile = json!({"name": "Sandbox Recipient"});
    match recipient {
        Recipient::Phone { wa_id, .. } => {
            json!({"profile": profile, "wa_id": wa_id, "user_id": user_id(recipient)})
        }
        Recipient::User(id) => json!({"profile": profile, "user_id": id}),
    }
}

pub(super) fn status_object(accepted: &Accepted, status: Status, version: PayloadVersion) -> Value {
    let mut object = Map::new();
    let now = Utc::now().timestamp().to_string();
    object.insert("id".to_owned(), json!(accepted.wamid));
    object.insert("status".to_owned(), json!(status.name()));
    object.insert("timestamp".to_owned(), json!(now));
    let failed = matches!(status, Status::Failed(_));
    if let Recipient::Phone { wa_id, .. } = &accepted.recipient {
        object.insert("recipient_id".to_owned(), json!(wa_id));
    }
    if !failed || matches!(accepted.recipient, Recipient::User(_)) {
        object.insert(
            "recipient_user_id".to_owned(),
            json!(user_id(&accepted.recipient)),
        );
    }
    if let Some(data) = &accepted.callback_data {
        object.insert("biz_opaque_callback_data".to_owned(), json!(data));
    }
    // Both come with sent and with one of delivered and read.
    if matches!(status, Status::Sent | Status::Delivered) {
        if version == PayloadVersion::V23 {
            object.insert("conversation".to_owned(), conversation(accepted, status));
        }
        let pricing = json!({
            "billable": true,
            "pricing_model": "PMP",
            "type": "regular",
            "category": accepted.category,
        });
        object.insert("pricing".to_owned(), pricing);
    }
    if let Status::Failed(row) = status {
        let errors = json!([{
            "code": row.code,
            "title": row.title,
            "message": row.title,
            "error_data": {"details": row.details},
            "href": ERRORS_PAGE,
        }]);
        object.insert("errors".to_owned(), errors);
    }
    Value::Object(object)
}

fn conversation(accepted: &Accepted, status: Status) -> Value {
    let mut conversation = json!({
        "id": stable_digits(&accepted.wamid, 32),
        "origin": {"type": accepted.category},
    });
    if let (Status::Sent, Some(members)) = (status, conversation.as_object_mut()) {
        let end = accepted.at.timestamp() + 86_400;
        members.insert("expiration_timestamp".to_owned(), json!(end.to_string()));
    }
    conversation
}
