//! What is sent.

mod checker;
mod contacts;
mod content;
pub mod interactive;
mod media;
mod recipient;
mod simple;
mod tagged;
pub mod template;

use std::fmt;

use serde::{Serialize, Serializer};

pub use contacts::{
    Contact, ContactAddress, ContactEmail, ContactName, ContactOrg, ContactPhone, ContactUrl,
    Contacts,
};
pub use content::{Content, Raw};
pub use interactive::Interactive;
pub use media::{Audio, Document, HeaderDocument, HeaderMedium, Image, Sticker, Video};
pub use recipient::{Bsuid, InvalidRecipient, Recipient};
pub use simple::{Location, MAX_TEXT_CHARS, Reaction, Text};
pub use template::Template;

/// One message to one recipient, ready to be sent.
///
/// `Debug` shows neither the recipient nor the content: both are personal.
#[derive(Clone, PartialEq)]
pub struct OutboundMessage {
    /// Who gets it.
    pub to: Recipient,
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

impl fmt::Debug for OutboundMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboundMessage")
            .field("type", &self.content.type_name())
            .finish_non_exhaustive()
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
            #[serde(skip_serializing_if = "Option::is_none")]
            to: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            recipient: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            context: Option<Context<'a>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            biz_opaque_callback_data: Option<&'a str>,
            r#type: &'a str,
            #[serde(flatten)]
            content: &'a Content,
        }
        let (to, recipient) = match &self.to {
            Recipient::Phone(number) => (Some(number.as_e164()), None),
            Recipient::Bsuid(id) => (None, Some(id.as_str())),
        };
        Envelope {
            messaging_product: "whatsapp",
            recipient_type: self.recipient_type,
            to,
            recipient,
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
            to: Recipient::parse("+1 234 567 890").unwrap(),
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
    fn a_person_without_a_number_is_named_as_recipient() {
        let message = OutboundMessage {
            to: Recipient::parse("US.13491208655302741918").unwrap(),
            ..message()
        };
        let sent = serde_json::to_value(message).unwrap();
        assert_eq!(sent["recipient"], json!("US.13491208655302741918"));
        assert_eq!(sent.get("to"), None);
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
