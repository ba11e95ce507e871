//! What is sent.

use std::fmt;

use portal_types::PhoneNumber;
use serde::{Deserialize, Serialize, Serializer};

/// Longest body of a text message, in characters (Cloud API reference, text messages).
pub const MAX_TEXT_CHARS: usize = 4096;

/// One message to one recipient, ready to be sent.
///
/// `Debug` shows neither the recipient nor the content: both are personal.
#[derive(Clone, PartialEq, Eq)]
pub struct OutboundMessage {
    /// The recipient. It is sent with its plus: without it Meta prefixes the country code of the
    /// sending number.
    pub to: PhoneNumber,
    /// One person or a group.
    pub recipient_type: RecipientType,
    /// `wamid` of the message that this one answers; it appears as a quotation.
    pub context: Option<String>,
    /// Note that Meta repeats in every status webhook of this message, see [`crate::callback`].
    /// Sources disagree on its limit (256 bytes or 512 characters): stay below 256 ASCII bytes.
    pub biz_opaque_callback_data: Option<String>,
    /// What the recipient gets.
    pub content: Content,
}

/// Who the recipient is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecipientType {
    /// One person.
    #[default]
    Individual,
}

/// Content by type. Serialised as `{"<type>": {…}}`; [`Content::type_name`] gives the type.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Content {
    /// Plain text.
    Text(Text),
}

impl Content {
    /// The value of `type` in the request.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
        }
    }
}

/// A text message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// 1 to [`MAX_TEXT_CHARS`] characters; Meta refuses others with code 100.
    pub body: String,
    /// Whether the first `http(s)://` address in the body is shown with a preview.
    pub preview_url: bool,
}

impl fmt::Debug for OutboundMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboundMessage")
            .field("type", &self.content.type_name())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Content").field(&self.type_name()).finish()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Text").finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Context<'a> {
    message_id: &'a str,
}

impl Serialize for OutboundMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Envelope<'a> {
            messaging_product: &'static str,
            recipient_type: RecipientType,
            to: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            context: Option<Context<'a>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            biz_opaque_callback_data: Option<&'a str>,
            r#type: &'static str,
            #[serde(flatten)]
            content: &'a Content,
        }
        Envelope {
            messaging_product: "whatsapp",
            recipient_type: self.recipient_type,
            to: self.to.as_e164(),
            context: self
                .context
                .as_deref()
                .map(|message_id| Context { message_id }),
            biz_opaque_callback_data: self.biz_opaque_callback_data.as_deref(),
            r#type: self.content.type_name(),
            content: &self.content,
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message() -> OutboundMessage {
        OutboundMessage {
            to: PhoneNumber::parse("+1 234 567 890").unwrap(),
            recipient_type: RecipientType::Individual,
            context: None,
            biz_opaque_callback_data: None,
            content: Content::Text(Text {
                body: "Hello".to_owned(),
                preview_url: false,
            }),
        }
    }

    #[test]
    fn a_text_message_has_the_documented_shape() {
        assert_eq!(
            serde_json::to_value(message()).unwrap(),
            json!({
                "messaging_product": "whatsapp", "recipient_type": "individual",
                "to": "+1234567890", "type": "text",
                "text": {"body": "Hello", "preview_url": false}
            })
        );
    }

    #[test]
    fn a_quoted_reply_with_a_note_has_the_documented_shape() {
        let message = OutboundMessage {
            context: Some("wamid.abc".to_owned()),
            biz_opaque_callback_data: Some("v1.note".to_owned()),
            ..message()
        };
        let sent = serde_json::to_value(message).unwrap();
        assert_eq!(sent["context"], json!({"message_id": "wamid.abc"}));
        assert_eq!(sent["biz_opaque_callback_data"], json!("v1.note"));
    }

    #[test]
    fn debug_shows_neither_recipient_nor_text() {
        let shown = format!("{:?}", message());
        assert!(
            !shown.contains("234") && !shown.contains("Hello"),
            "{shown}"
        );
        let shown = format!("{:?}", message().content);
        assert!(!shown.contains("Hello"), "{shown}");
    }
}
