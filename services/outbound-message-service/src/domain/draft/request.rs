//! The bodies of the doors that send.

use chrono::{DateTime, Utc};
use portal_service_kit::FieldErrors;
use portal_types::ConversationId;
use portal_whatsapp::{
    Content, MAX_TEXT_CHARS, Raw, Recipient, Text,
    message::{
        Template,
        template::{Language, TemplateComponent},
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    Draft, Envelope, SendClass,
    template_values::{ButtonValue, Parameters, ShortValue, Values},
};

/// Declares the body of a door: its content, with what every message can have besides.
macro_rules! send_request {
    ($(#[$meta:meta])* $name:ident { $($content:tt)* }) => {
        $(#[$meta])*
        pub(crate) struct $name {
            /// The recipient: a phone number in E.164 form (spaces, dashes and brackets are
            /// tolerated, and so is a bare `wa_id` of digits) or a business-scoped user id.
            #[schema(value_type = Recipient)]
            pub(crate) to: String,
            $($content)*
            /// The `wamid` of the message that this one answers.
            #[serde(default)]
            #[schema(max_length = 255)]
            pub(crate) reply_to: Option<String>,
            /// The conversation with the recipient, if the caller knows it.
            #[serde(default)]
            pub(crate) conversation_id: Option<ConversationId>,
            /// The conversation of Genesys Cloud that the message belongs to: the conversation
            /// with the recipient carries it from then on.
            #[serde(default)]
            #[schema(max_length = 255)]
            pub(crate) genesys_conversation_id: Option<String>,
            /// `reply` unless given.
            #[serde(default)]
            pub(crate) class: SendClass,
            /// Sent at this time, within a year; at once unless given.
            #[serde(default)]
            pub(crate) send_at: Option<DateTime<Utc>>,
            /// How many seconds the message may wait to be sent, from `send_at` on; then it fails.
            #[serde(default)]
            #[schema(minimum = 1, maximum = 2_592_000)]
            pub(crate) ttl_seconds: Option<u32>,
        }

        impl $name {
            fn envelope(&mut self) -> Envelope {
                Envelope {
                    to: std::mem::take(&mut self.to),
                    reply_to: self.reply_to.take(),
                    genesys_conversation_id: self.genesys_conversation_id.take(),
                    conversation_id: self.conversation_id,
                    class: self.class,
                    send_at: self.send_at,
                    ttl_seconds: self.ttl_seconds,
                }
            }
        }
    };
}

send_request! {
    /// `POST /api/messages/send`
    #[derive(Deserialize, Serialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    #[schema(example = json!({"to": "+1234567890", "text": "Test message"}))]
    SendTextRequest {
        /// 1 to 4096 characters.
        #[schema(min_length = 1, max_length = 4096)]
        pub(crate) text: String,
        /// Whether `WhatsApp` shows a preview of the first link.
        #[serde(default)]
        pub(crate) preview_url: bool,
    }
}

send_request! {
    /// `POST /api/messages`
    #[derive(Deserialize, Serialize, ToSchema)]
    #[schema(example = json!({
        "to": "+1234567890", "type": "image",
        "image": {"link": "https://example.com/a.png", "caption": "Ours"}
    }))]
    SendMessageRequest {
        /// The type of the content, which stands in the member of that name.
        #[serde(rename = "type")]
        #[schema(ignore)]
        pub(crate) kind: String,
        /// Hands the content through to Meta unchecked: for types and forms that are not known
        /// here. An administrator of the organization must have allowed it.
        #[serde(default)]
        pub(crate) raw: bool,
        /// The content; other members are refused.
        #[serde(flatten)]
        #[schema(value_type = Content)]
        pub(crate) content: Map<String, Value>,
    }
}

send_request! {
    /// `POST /api/messages/send/template`
    ///
    /// Either `components`, as Meta has them, or the short forms `header`, `parameters` and
    /// `buttons`, or none of them for a template without variables.
    #[derive(Deserialize, Serialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    #[schema(example = json!({
        "to": "+1234567890", "template_name": "order_update", "language": "en_US",
        "parameters": ["7045", "Tuesday"]
    }))]
    SendTemplateRequest {
        /// The name of an approved template.
        #[schema(max_length = 512)]
        pub(crate) template_name: String,
        /// Its language, to the letter: `en` and `en_US` are two templates.
        pub(crate) language: String,
        /// The values of the body: a list in the order of the variables, or an object by their
        /// names.
        #[serde(default)]
        pub(crate) parameters: Option<Parameters>,
        /// The value of the header.
        #[serde(default)]
        pub(crate) header: Option<ShortValue>,
        /// The values of buttons.
        #[serde(default)]
        pub(crate) buttons: Vec<ButtonValue>,
        /// All values as Meta has them, instead of the short forms.
        #[serde(default)]
        pub(crate) components: Option<Vec<TemplateComponent>>,
    }
}

impl SendTextRequest {
    /// Checks the request; names every bad field.
    pub(crate) fn into_draft(mut self, now: DateTime<Utc>) -> Result<Draft, FieldErrors> {
        let (text, preview_url) = (std::mem::take(&mut self.text), self.preview_url);
        let content = |errors: &mut FieldErrors| {
            let length = text.chars().count();
            if text.trim().is_empty() {
                errors.add("text", "must not be empty");
            } else if length > MAX_TEXT_CHARS {
                errors.add(
                    "text",
                    format!(
                        "must have at most {MAX_TEXT_CHARS} characters, has {length}: send it in parts"
                    ),
                );
            }
            Some(Content::Text(Text {
                body: text,
                preview_url,
            }))
        };
        self.envelope().seal(content, now)
    }
}

impl SendMessageRequest {
    /// Checks the request; names every bad field.
    pub(crate) fn into_draft(mut self, now: DateTime<Utc>) -> Result<Draft, FieldErrors> {
        let (kind, raw) = (std::mem::take(&mut self.kind), self.raw);
        let members = std::mem::take(&mut self.content);
        let content = |errors: &mut FieldErrors| read_content(kind, raw, members, errors);
        self.envelope().seal(content, now)
    }
}

/// Reads the content that stands among `members` under the name of its type, and checks it.
pub(crate) fn read_content(
    kind: String,
    raw: bool,
    mut members: Map<String, Value>,
    errors: &mut FieldErrors,
) -> Option<Content> {
    let value = members.remove(&kind);
    for other in members.keys() {
        errors.add(
            other.as_str(),
            "is not a known field of a message of this type",
        );
    }
    let Some(value) = value else {
        let is_known = raw || Content::TYPES.contains(&kind.as_str());
        if is_known && !kind.is_empty() {
            errors.add(kind.as_str(), "is missing");
        } else {
            errors.add("type", unknown_type());
        }
        return None;
    };
    if raw {
        let content = Content::Raw(Raw {
            type_name: kind,
            value,
        });
        content.check(errors);
        return Some(content);
    }
    if Content::TYPES.contains(&kind.as_str()) {
        return Content::read(&kind, value, errors);
    }
    errors.add("type", unknown_type());
    None
}

fn unknown_type() -> String {
    format!(
        "must be one of {}; others need \"raw\": true",
        Content::TYPES.join(", ")
    )
}

impl SendTemplateRequest {
    /// Checks the request; names every bad field.
    pub(crate) fn into_draft(mut self, now: DateTime<Utc>) -> Result<Draft, FieldErrors> {
        let name = std::mem::take(&mut self.template_name);
        let code = std::mem::take(&mut self.language);
        let whole = self.components.take();
        let short = Values {
            header: self.header.take(),
            body: self.parameters.take(),
            buttons: std::mem::take(&mut self.buttons),
        };
        let content = |errors: &mut FieldErrors| {
            if whole.is_some() && !short.is_empty() {
                errors.add(
                    "components",
                    "already holds all values: leave out header, parameters and buttons",
                );
            }
            let (components, fields) = match whole {
                Some(components) => (components, vec![]),
                None => short.into_components(errors),
            };
            let content = Content::Template(Template {
                name,
                language: Language { code },
                components,
            });
            let mut found = FieldErrors::new();
            content.check(&mut found);
            for bad in found.fields() {
                errors.add(as_asked(&bad.field, &fields), bad.message.as_str());
            }
            Some(content)
        };
        self.envelope().seal(content, now)
    }
}

/// A field of a template, by the name that it has at this door; `fields` names the components that
/// were given in short form.
fn as_asked(field: &str, fields: &[String]) -> String {
    let inner = field.strip_prefix("template.").unwrap_or(field);
    match inner {
        "name" => return "template_name".to_owned(),
        "language.code" => return "language".to_owned(),
        _ => {}
    }
    let short = inner
        .strip_prefix("components[")
        .and_then(|rest| rest.split_once(']'))
        .and_then(|(index, rest)| Some((fields.get(index.parse::<usize>().ok()?)?, rest)));
    match short {
        // Of these the body alone has more than one value.
        Some((part, rest)) if part == "parameters" => {
            let value = rest.strip_prefix(".parameters").unwrap_or(rest);
            format!("{part}{value}")
        }
        Some((part, _)) => part.clone(),
        None => inner.to_owned(),
    }
}
