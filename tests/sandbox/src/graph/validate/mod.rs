//! Checks of a `POST /messages` body, in the order in which Graph finds faults: product,
//! recipient, type, content, then the optional members.

pub(crate) mod checks;
pub(crate) mod content;
mod interactive;

use serde_json::{Map, Value};

use self::checks::{Checked, Object};
use super::errors::GraphError;
use super::rows;
use super::world::Phone;

/// Content types that may be sent.
const TYPES: [&str; 12] = [
    "audio",
    "contacts",
    "document",
    "image",
    "interactive",
    "location",
    "pin",
    "reaction",
    "sticker",
    "template",
    "text",
    "video",
];

/// Types that exist, in Meta's list or on incoming messages, and cannot be sent.
const NOT_SENDABLE: [&str; 6] = [
    "button",
    "gif",
    "link_preview",
    "order",
    "system",
    "unsupported",
];

/// Meta's own sentence lists these, in capitals.
const TYPE_LIST: &str = "AUDIO, CONTACTS, DOCUMENT, GIF, IMAGE, INTERACTIVE, LINK_PREVIEW, \
                         LOCATION, PIN, REACTION, STICKER, TEMPLATE, TEXT, VIDEO";

/// Members of the envelope besides the content.
const ENVELOPE: [&str; 11] = [
    "messaging_product",
    "recipient_type",
    "to",
    "recipient",
    "type",
    "context",
    "biz_opaque_callback_data",
    "recipient_identity_key_hash",
    "messaging_account_id",
    "access_token",
    "appsecret_proof",
];

const MAX_TEXT: usize = 4096;
/// Sources say 256 bytes or 512 characters; the smaller one finds more mistakes.
const MAX_CALLBACK_DATA: usize = 256;

/// Who a message goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Recipient {
    Phone {
        input: String,
        wa_id: String,
    },
    /// Business-scoped user id.
    User(String),
}

impl Recipient {
    /// The text whose digits may be magic.
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Phone { wa_id, .. } => wa_id,
            Self::User(id) => id,
        }
    }
}

/// A body that asks for something.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Mark an incoming message as read, perhaps with a typing indicator.
    Read,
    /// Send.
    Send(Outgoing),
}

/// A message that may be sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) recipient: Recipient,
    pub(crate) kind: String,
    pub(crate) callback_data: Option<String>,
    /// Media ids that the content uses.
    pub(crate) media: Vec<String>,
}

fn text<'b>(body: &'b Map<String, Value>, name: &str) -> Option<&'b str> {
    body.get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

fn required(name: &str) -> GraphError {
    GraphError::parameter(&format!("The parameter {name} is required."))
}

/// Reads a body. `phone` gives the country code for numbers without a plus; `extra_types` are
/// content types that may be sent besides the documented ones.
pub(crate) fn read(
    body: &Value,
    phone: &Phone,
    extra_types: &[String],
) -> Result<Asked, GraphError> {
    let body = body
        .as_object()
        .ok_or_else(|| required("messaging_product"))?;
    match text(body, "messaging_product") {
        None => return Err(required("messaging_product")),
        Some("whatsapp") => {}
        Some(other) => {
            return Err(GraphError::parameter(&format!(
                "Param messaging_product must be one of {{WHATSAPP}} - got \"{other}\"."
            )));
        }
    }
    // Read receipts have neither `to` nor `type`.
    if body.contains_key("status") {
        return read_receipt(body);
    }
    let recipient = recipient(body, phone)?;
    let kind = content_type(body, extra_types)?;
    let media = content(body, &kind)?;
    optional_members(body)?;
    let unknown = body
        .keys()
        .find(|name| !ENVELOPE.contains(&name.as_str()) && **name != kind);
    if let Some(name) = unknown {
        return Err(GraphError::from(rows::INVALID_PARAMETER)
            .with_details(&format!("Unexpected key \"{name}\" on the request.")));
    }
    let callback_data = text(body, "biz_opaque_callback_data").map(str::to_owned);
    Ok(Asked::Send(Outgoing {
        recipient,
        kind,
        callback_data,
        media,
    }))
}

fn read_receipt(body: &Map<String, Value>) -> Result<Asked, GraphError> {
    if text(body, "status") != Some("read") {
        return Err(GraphError::parameter("Param status must be one of {READ}."));
    }
    let message_id = text(body, "message_id").ok_or_else(|| required("message_id"))?;
    if !message_id.starts_with("wamid.") {
        return Err(GraphError::from(rows::VALUE_INVALID));
    }
    if let Some(indicator) = body.get("typing_indicator")
        && indicator.get("type").and_then(Value::as_str) != Some("text")
    {
        return Err(GraphError::parameter(
            "Param typing_indicator['type'] must be one of {TEXT}.",
        ));
    }
    Ok(Asked::Read)
}

fn recipient(body: &Map<String, Value>, phone: &Phone) -> Result<Recipient, GraphError> {
    match text(body, "recipient_type") {
        None if body.contains_key("recipient_type") => {
            return Err(GraphError::parameter(
                "Param recipient_type must be a string.",
            ));
        }
        None | Some("individual") => {}
        Some("group") => {
            return Err(GraphError::from(rows::INVALID_PARAMETER)
                .with_details("This stand-in serves no groups."));
        }
        Some(other) => {
            return Err(GraphError::parameter(&format!(
                "Param recipient_type must be one of {{GROUP, INDIVIDUAL}} - got \"{other}\"."
            )));
        }
    }
    let to = match body.get("to") {
        Some(Value::String(to)) if !to.is_empty() => Some(to.clone()),
        // Graph reads scalars as text.
        Some(Value::Number(to)) => Some(to.to_string()),
        Some(Value::String(_) | Value::Null) | None => None,
        Some(_) => return Err(GraphError::parameter("Param to must be a string.")),
    };
    // With both, the phone number wins.
    if let Some(input) = to {
        let wa_id = wa_id(&input, &phone.country_code)
            .ok_or_else(|| GraphError::from(rows::INVALID_PARAMETER))?;
        if wa_id == phone.digits() {
            return Err(GraphError::from(rows::TO_SELF));
        }
        return Ok(Recipient::Phone { input, wa_id });
    }
    let user = text(body, "recipient").ok_or_else(|| required("to"))?;
    if is_user_id(user) {
        Ok(Recipient::User(user.to_owned()))
    } else {
        Err(GraphError::from(rows::INVALID_PARAMETER))
    }
}

/// `US.1349…`, or `US.ENT.1181…` for a parent id.
fn is_user_id(text: &str) -> bool {
    let Some((country, rest)) = text.split_once('.') else {
        return false;
    };
    let id = rest.strip_prefix("ENT.").unwrap_or(rest);
    country.len() == 2
        && country.bytes().all(|b| b.is_ascii_uppercase())
        && (1..=128).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Plus, spaces, dashes and brackets are tolerated. Without a plus the business number's own
/// country code is put before the number.
pub(crate) fn wa_id(input: &str, country_code: &str) -> Option<String> {
    let bare: String = input
        .chars()
        .filter(|c| !matches!(c, ' ' | '-' | '(' | ')'))
        .collect();
    let number = match bare.strip_prefix('+') {
        Some(international) => international.to_owned(),
        None if bare.starts_with("00") => return None,
        None => format!("{country_code}{bare}"),
    };
    let fits = (7..=15).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    (fits && !number.starts_with('0')).then(|| canonical(number))
}

/// The rewriting of Brazilian and Mexican mobile numbers that makes `wa_id` differ from the input.
fn canonical(number: String) -> String {
    match (number.get(..2), number.len()) {
        (Some("52"), 12) => number.replacen("52", "521", 1),
        (Some("55"), 13) => {
            let area = number.get(2..4).and_then(|area| area.parse::<u8>().ok());
            match (area, number.get(4..5), number.get(5..)) {
                (Some(area), Some("9"), Some(rest)) if area >= 31 => format!("55{area}{rest}"),
                _ => number,
            }
        }
        _ => number,
    }
}

fn content_type(body: &Map<String, Value>, extra_types: &[String]) -> Result<String, GraphError> {
    let kind = match body.get("type") {
        None => "text",
        Some(Value::String(kind)) => kind,
        Some(_) => return Err(GraphError::parameter("Param type must be a string.")),
    };
    let lower = kind.to_lowercase();
    if TYPES.contains(&lower.as_str()) || extra_types.contains(&lower) {
        Ok(lower)
    } else if NOT_SENDABLE.contains(&lower.as_str()) {
        Err(GraphError::from(rows::UNSUPPORTED_TYPE))
    } else {
        Err(GraphError::parameter(&format!(
            "Param type must be one of {{{TYPE_LIST}}} - got \"{kind}\"."
        )))
    }
}

/// The media ids that the content uses.
fn content(body: &Map<String, Value>, kind: &str) -> Checked<Vec<String>> {
    let content = body.get(kind).ok_or_else(|| {
        GraphError::from(rows::PARAMETER_MISSING).with_details(&format!(
            "Parameter '{kind}' is mandatory for type '{kind}'"
        ))
    })?;
    let fits = if kind == "contacts" {
        content.is_array()
    } else {
        content.is_object()
    };
    if !fits {
        let wanted = if kind == "contacts" {
            "an array"
        } else {
            "a JSON object"
        };
        return Err(GraphError::parameter(&format!(
            "Param {kind} must be {wanted}."
        )));
    }
    if let (Some(cards), "contacts") = (content.as_array(), kind) {
        let cards = cards.iter().enumerate();
        let cards = cards.map(|(i, card)| Object::new(card, format!("contacts[{i}]")));
        content::contacts(&cards.collect::<Checked<Vec<_>>>()?)?;
        return Ok(Vec::new());
    }
    let object = Object::new(content, kind)?;
    match kind {
        "text" => text_content(content.as_object().unwrap_or(&Map::new()))?,
        "image" | "video" | "audio" | "document" | "sticker" => {
            return Ok(content::media(kind, &object)?.into_iter().collect());
        }
        "location" => content::location(&object)?,
        "reaction" => content::reaction(&object)?,
        "interactive" => return interactive::interactive(&object),
        "pin" => {
            return Err(GraphError::from(rows::GROUP_TYPE)
                .with_details("Messages of type pin go to groups only."));
        }
        // Templates are compared with the account's own; unknown types pass as they come.
        _ => {}
    }
    Ok(Vec::new())
}

fn text_content(content: &Map<String, Value>) -> Result<(), GraphError> {
    known_keys(content, "text", &["body", "preview_url"])?;
    match content.get("body") {
        None | Some(Value::Null) => return Err(required("text['body']")),
        Some(Value::String(body)) if body.is_empty() => return Err(required("text['body']")),
        Some(Value::String(body)) if body.chars().count() > MAX_TEXT => {
            return Err(GraphError::parameter(&format!(
                "Param text['body'] must be at most {MAX_TEXT} characters long."
            )));
        }
        Some(Value::String(_)) => {}
        Some(_) => {
            return Err(GraphError::parameter(
                "Param text['body'] must be a string.",
            ));
        }
    }
    match content.get("preview_url") {
        None | Some(Value::Bool(_)) => Ok(()),
        Some(Value::String(flag)) if flag == "true" || flag == "false" => Ok(()),
        Some(_) => Err(GraphError::parameter(
            "Param text['preview_url'] must be a boolean.",
        )),
    }
}

fn known_keys(object: &Map<String, Value>, name: &str, known: &[&str]) -> Result<(), GraphError> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(GraphError::parameter(&format!(
            "Unexpected key \"{key}\" on param \"{name}\"."
        ))),
    }
}

fn optional_members(body: &Map<String, Value>) -> Result<(), GraphError> {
    if let Some(context) = body.get("context") {
        let context = context
            .as_object()
            .ok_or_else(|| GraphError::parameter("Param context must be a JSON object."))?;
        known_keys(context, "context", &["message_id"])?;
        let id = text(context, "message_id").ok_or_else(|| required("context['message_id']"))?;
        if !id.starts_with("wamid.") {
            return Err(GraphError::from(rows::VALUE_INVALID));
        }
    }
    match body.get("biz_opaque_callback_data") {
        None => Ok(()),
        Some(Value::String(data)) if data.len() <= MAX_CALLBACK_DATA => Ok(()),
        Some(Value::String(_)) => Err(GraphError::parameter(&format!(
            "Param biz_opaque_callback_data must be at most {MAX_CALLBACK_DATA} characters long."
        ))),
        Some(_) => Err(GraphError::parameter(
            "Param biz_opaque_callback_data must be a string.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_number() {
        let table = [
            ("+1234567890", "1", Some("1234567890")),
            ("+1 (631) 555-1234", "91", Some("16315551234")),
            ("1 (631) 555-1234", "91", Some("9116315551234")),
            ("004930123456", "49", None),
            ("+04930123456", "49", None),
            ("+123456", "1", None),
            ("+1234567890123456", "1", None),
            ("abc", "1", None),
            ("+52 55 1234 5678", "1", Some("5215512345678")),
            ("+55 31 9 8765 4321", "1", Some("553187654321")),
            ("+55 11 9 8765 4321", "1", Some("5511987654321")),
        ];
        for (input, country, expected) in table {
            assert_eq!(wa_id(input, country).as_deref(), expected, "{input}");
        }
    }

    #[test]
    fn forms_of_a_user_id() {
        for good in ["US.13491208655302741918", "US.ENT.1181abc"] {
            assert!(is_user_id(good), "{good}");
        }
        for bad in ["13491208655302741918", "us.1", "US.", "USA.1", "US.1-2"] {
            assert!(!is_user_id(bad), "{bad}");
        }
    }
}
