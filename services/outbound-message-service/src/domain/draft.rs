//! A message as a caller asks for it, checked before anything is stored.

use portal_service_kit::FieldErrors;
use portal_types::{ConversationId, PhoneNumber};
use portal_whatsapp::{Content, MAX_TEXT_CHARS, Text};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Meta's ids of messages are shorter than this.
const MAX_WAMID_CHARS: usize = 255;

/// `POST /api/messages/send`
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"to": "+1234567890", "text": "Test message"}))]
pub(crate) struct SendTextRequest {
    /// The recipient in E.164 form; spaces, dashes and brackets are tolerated, and so is a bare
    /// `wa_id` of digits.
    pub(crate) to: String,
    /// 1 to 4096 characters.
    #[schema(min_length = 1, max_length = 4096)]
    pub(crate) text: String,
    /// Whether `WhatsApp` shows a preview of the first link.
    #[serde(default)]
    pub(crate) preview_url: bool,
    /// The `wamid` of the message that this one answers.
    #[serde(default)]
    #[schema(max_length = 255)]
    pub(crate) reply_to: Option<String>,
    /// The conversation with the recipient, if the caller knows it.
    #[serde(default)]
    pub(crate) conversation_id: Option<ConversationId>,
}

/// A message that may be accepted.
pub(crate) struct Draft {
    pub(crate) to: PhoneNumber,
    pub(crate) content: Content,
    pub(crate) reply_to: Option<String>,
    pub(crate) conversation_id: Option<ConversationId>,
}

impl TryFrom<SendTextRequest> for Draft {
    type Error = FieldErrors;

    fn try_from(request: SendTextRequest) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::new();
        let to = errors.check("to", PhoneNumber::parse(&request.to));
        let length = request.text.chars().count();
        if request.text.trim().is_empty() {
            errors.add("text", "must not be empty");
        } else if length > MAX_TEXT_CHARS {
            errors.add(
                "text",
                format!(
                    "must have at most {MAX_TEXT_CHARS} characters, has {length}: send it in parts"
                ),
            );
        }
        if let Some(reply_to) = &request.reply_to
            && (reply_to.is_empty()
                || reply_to.chars().count() > MAX_WAMID_CHARS
                || !reply_to.chars().all(|c| c.is_ascii_graphic()))
        {
            errors.add(
                "reply_to",
                "must be the wamid of a message, as webhooks carry it",
            );
        }
        match to {
            Some(to) if errors.is_empty() => Ok(Self {
                to,
                content: Content::Text(Text {
                    body: request.text,
                    preview_url: request.preview_url,
                }),
                reply_to: request.reply_to,
                conversation_id: request.conversation_id,
            }),
            _ => Err(errors),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(to: &str, text: &str) -> SendTextRequest {
        SendTextRequest {
            to: to.to_owned(),
            text: text.to_owned(),
            preview_url: false,
            reply_to: None,
            conversation_id: None,
        }
    }

    fn bad_fields(request: SendTextRequest) -> Vec<String> {
        let errors = Draft::try_from(request).err().unwrap();
        errors
            .fields()
            .iter()
            .map(|error| error.field.clone())
            .collect()
    }

    #[test]
    fn limits_count_characters_and_not_bytes() {
        let longest = "ü".repeat(4096);
        assert!(Draft::try_from(request("+1234567890", &longest)).is_ok());
        assert_eq!(
            bad_fields(request("+1234567890", &format!("{longest}x"))),
            ["text"]
        );
        assert_eq!(bad_fields(request("+1234567890", "")), ["text"]);
        assert_eq!(bad_fields(request("+1234567890", " \n")), ["text"]);
    }

    #[test]
    fn every_bad_field_is_named() {
        let bad = SendTextRequest {
            reply_to: Some("a b".to_owned()),
            ..request("12", "")
        };
        assert_eq!(bad_fields(bad), ["to", "text", "reply_to"]);
    }
}
