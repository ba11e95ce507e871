//! Incoming messages, made to order: what a person would have sent to a number.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::media::Media;
use super::messages::wamid;
use super::seed;
use super::webhooks::{Delivery, deliver, envelope, user_id_of};
use crate::http::Call;
use crate::state::State;

/// A message that a person sends. Everything has a default.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Inbound {
    /// The number that receives it; Acme's when absent.
    pub phone_number_id: String,
    /// Digits of the person; `null` for a person known by `user_id` only.
    pub from: Option<String>,
    /// Business-scoped user id; made from the digits when absent.
    pub user_id: Option<String>,
    /// Leaves `user_id` out, as before April 2026.
    pub without_user_id: bool,
    /// Profile name; an empty one leaves the profile out.
    pub profile_name: String,
    /// User name in the profile.
    pub username: Option<String>,
    /// `text`, `image`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// The member named as the type; a fitting one when absent. An object is laid over that.
    pub content: Option<Value>,
    /// File of a media message.
    pub media: Option<InboundMedia>,
    /// Unix seconds; now when absent.
    pub timestamp: Option<i64>,
    /// Message id; a new one when absent.
    pub id: Option<String>,
    /// Quoted message and the like.
    pub context: Option<Value>,
    /// The ad that it came from.
    pub referral: Option<Value>,
    /// Members laid over the message, at the end.
    pub message: Option<Value>,
    /// Members laid over the webhook's value, at the end.
    pub value: Option<Value>,
    /// How often the webhook is sent.
    pub copies: u32,
}

impl Default for Inbound {
    fn default() -> Self {
        Self {
            phone_number_id: seed::ACME_PHONE_NUMBER_ID.to_owned(),
            from: Some("16505551234".to_owned()),
            user_id: None,
            without_user_id: false,
            profile_name: "Sandbox Customer".to_owned(),
            username: None,
            kind: "text".to_owned(),
            content: None,
            media: None,
            timestamp: None,
            id: None,
            context: None,
            referral: None,
            message: None,
            value: None,
            copies: 1,
        }
    }
}

/// The file of an incoming media message.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InboundMedia {
    /// MIME type.
    pub mime_type: String,
    /// Its bytes; zeros when absent.
    pub body_base64: Option<String>,
    /// Length of the zeros.
    #[serde(default = "some_bytes")]
    pub size: usize,
}

fn some_bytes() -> usize {
    1_024
}

/// Ids of what came in.
#[derive(Debug, Clone)]
pub struct Received {
    /// Message id.
    pub id: String,
    /// Media id, for messages with a file.
    pub media_id: Option<String>,
}

/// Receives a message: opens the 24-hour window, counts, keeps the file, sends the webhook.
pub(crate) fn receive(
    state: &Arc<State>,
    order: Inbound,
    call: Option<&Call>,
) -> Result<Received, String> {
    let user_id = order
        .user_id
        .clone()
        .or_else(|| order.from.as_deref().map(user_id_of));
    let Some(person) = order.from.clone().or_else(|| user_id.clone()) else {
        return Err("from or user_id is needed.".to_owned());
    };
    let settings = state.settings();
    let (waba_id, digits, subscribed, media) = {
        let mut world = state.graph();
        let waba_id = super::waba_of(&world, &order.phone_number_id)
            .ok_or("There is no such phone_number_id.")?;
        let media = match file_of(&order)? {
            None => None,
            Some((mime, bytes)) => {
                let lifetime = settings.graph.inbound_media_lifetime;
                let media = Media::new(&world, &order.phone_number_id, &mime, bytes, lifetime);
                let url = call.map(|call| {
                    super::media::url_for(
                        &mut world,
                        &media,
                        call,
                        settings.graph.media_url_lifetime,
                    )
                });
                world.media.insert(media.id.clone(), media.clone());
                Some((media, url))
            }
        };
        let at = order
            .timestamp
            .and_then(|at| DateTime::from_timestamp(at, 0));
        for key in [Some(person.clone()), user_id.clone()]
            .into_iter()
            .flatten()
        {
            let window = world.windows.entry((order.phone_number_id.clone(), key));
            let last = window.or_default();
            *last = (*last).max(at.unwrap_or_else(Utc::now));
        }
        let phone = world
            .phone_mut(&order.phone_number_id)
            .map(|phone| phone.digits());
        let subscribed = world.waba_mut(&waba_id).is_some_and(|waba| waba.subscribed);
        (waba_id, phone.unwrap_or_default(), subscribed, media)
    };
    state.limiter().incoming(&order.phone_number_id);
    let id = order.id.clone().unwrap_or_else(|| wamid(&person));
    let media_id = media.as_ref().map(|(media, _)| media.id.clone());
    let value = value_of(&order, user_id, &id, &digits, media);
    if subscribed {
        let body = envelope(&waba_id, "messages", &value);
        let mut delivery = Delivery::new(&body, format!("incoming {}", order.kind));
        delivery.phone_number_id = Some(order.phone_number_id);
        delivery.wamid = Some(id.clone());
        for _ in 0..order.copies {
            deliver(state, delivery.clone());
        }
    }
    Ok(Received { id, media_id })
}

const MEDIA_KINDS: [(&str, &str); 5] = [
    ("image", "image/jpeg"),
    ("video", "video/mp4"),
    ("audio", "audio/ogg; codecs=opus"),
    ("document", "application/pdf"),
    ("sticker", "image/webp"),
];

fn file_of(order: &Inbound) -> Result<Option<(String, Bytes)>, String> {
    let Some((_, usual)) = MEDIA_KINDS.iter().find(|(kind, _)| *kind == order.kind) else {
        return Ok(None);
    };
    let Some(media) = &order.media else {
        return Ok(Some(((*usual).to_owned(), vec![0; some_bytes()].into())));
    };
    let bytes = match &media.body_base64 {
        Some(encoded) => STANDARD
            .decode(encoded)
            .map_err(|error| format!("media.body_base64: {error}"))?,
        None => vec![0; media.size],
    };
    Ok(Some((media.mime_type.clone(), bytes.into())))
}

fn value_of(
    order: &Inbound,
    user_id: Option<String>,
    id: &str,
    digits: &str,
    media: Option<(Media, Option<String>)>,
) -> Value {
    let user_id = user_id.filter(|_| !order.without_user_id);
    let now = order.timestamp.unwrap_or_else(|| Utc::now().timestamp());
    let mut message = Map::new();
    let mut contact = Map::new();
    if !order.profile_name.is_empty() {
        let mut profile = json!({"name": order.profile_name});
        if let Some(username) = &order.username {
            profile["username"] = json!(username);
        }
        contact.insert("profile".to_owned(), profile);
    }
    if let Some(from) = &order.from {
        message.insert("from".to_owned(), json!(from));
        contact.insert("wa_id".to_owned(), json!(from));
    }
    if let Some(user_id) = &user_id {
        message.insert("from_user_id".to_owned(), json!(user_id));
        contact.insert("user_id".to_owned(), json!(user_id));
    }
    message.insert("id".to_owned(), json!(id));
    message.insert("timestamp".to_owned(), json!(now.to_string()));
    message.insert("type".to_owned(), json!(order.kind));
    let mut content = usual_content(&order.kind, media);
    if let Some(given) = &order.content {
        lay_over(&mut content, given);
    }
    // What cannot be shown says so in `errors`, next to the kind that it had.
    if order.kind == "unsupported" {
        message.insert("errors".to_owned(), json!([unsupported()]));
    }
    if !content.is_null() {
        message.insert(order.kind.clone(), content);
    }
    for (name, part) in [("context", &order.context), ("referral", &order.referral)] {
        if let Some(part) = part {
            message.insert(name.to_owned(), part.clone());
        }
    }
    let mut message = Value::Object(message);
    if let Some(given) = &order.message {
        lay_over(&mut message, given);
    }
    let mut value = json!({
        "messaging_product": "whatsapp",
        "metadata": {
            "display_phone_number": digits,
            "phone_number_id": order.phone_number_id,
        },
        "messages": [message],
    });
    // Changes of a number or an identity come without contacts.
    if order.kind != "system" {
        value["contacts"] = json!([contact]);
    }
    if let Some(given) = &order.value {
        lay_over(&mut value, given);
    }
    value
}

fn unsupported() -> Value {
    json!({
        "code": 131_051,
        "title": "Message type unknown",
        "message": "Message type unknown",
        "error_data": {"details": "Message type is currently not supported."},
    })
}

/// Members of the second replace those of the first; `null` takes them away.
fn lay_over(base: &mut Value, over: &Value) {
    match (base.as_object_mut(), over.as_object()) {
        (Some(base), Some(over)) => {
            for (name, value) in over {
                if value.is_null() {
                    base.remove(name);
                } else {
                    base.insert(name.clone(), value.clone());
                }
            }
        }
        _ => *base = over.clone(),
    }
}

/// A fitting content for each type; `null` for those that are not known.
fn usual_content(kind: &str, media: Option<(Media, Option<String>)>) -> Value {
    if let Some((media, url)) = media {
        let mut content = json!({
            "id": media.id,
            "mime_type": media.mime,
            "sha256": media.sha256_base64(),
        });
        if let Some(url) = url {
            content["url"] = json!(url);
        }
        match kind {
            "audio" => content["voice"] = json!(true),
            "document" => content["filename"] = json!("document.pdf"),
            "sticker" => content["animated"] = json!(false),
            _ => {}
        }
        return content;
    }
    match kind {
        "text" => json!({"body": "Hello"}),
        "location" => json!({"latitude": 37.483, "longitude": -122.149, "name": "HQ"}),
        "contacts" => json!([{
            "name": {"formatted_name": "Ada Lovelace", "first_name": "Ada"},
            "phones": [{"phone": "+1 650-555-9999", "type": "CELL", "wa_id": "16505559999"}],
        }]),
        "reaction" => json!({"message_id": "wamid.unknown", "emoji": "👍"}),
        "interactive" => json!({
            "type": "button_reply",
            "button_reply": {"id": "yes", "title": "Yes"},
        }),
        "button" => json!({"payload": "yes", "text": "Yes"}),
        "order" => json!({
            "catalog_id": "700000000000001",
            "text": "Please",
            "product_items": [{
                "product_retailer_id": "chair",
                "quantity": 1,
                "item_price": 99.5,
                "currency": "USD",
            }],
        }),
        "system" => json!({
            "body": "User changed from 16505551234 to 16505555678",
            "type": "user_changed_number",
            "wa_id": "16505555678",
            "user_id": user_id_of("16505555678"),
            "previous_user_id": user_id_of("16505551234"),
        }),
        "edit" => json!({
            "original_message_id": "wamid.unknown",
            "message": {"type": "text", "text": {"body": "Hello again"}},
        }),
        "revoke" => json!({"original_message_id": "wamid.unknown"}),
        "unsupported" => json!({"type": "poll"}),
        _ => Value::Null,
    }
}
