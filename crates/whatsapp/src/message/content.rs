//! Content by type.

use std::{borrow::Cow, fmt};

use portal_service_kit::{FieldErrors, http::read_member};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap};
use serde_json::{Map, Value};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, RefOr,
        schema::{Schema, Type},
    },
};

use super::{
    Audio, Contacts, Document, Image, Interactive, Location, Reaction, Sticker, Template, Text,
    Video, checker::Checker,
};

/// Longest name of a type that is handed through.
const MAX_TYPE_CHARS: usize = 64;
/// Members of a request beside the content (Cloud API reference, messages): no type has such a
/// name.
const ENVELOPE: &[&str] = &[
    "messaging_product",
    "recipient_type",
    "to",
    "recipient",
    "type",
    "context",
    "biz_opaque_callback_data",
    "recipient_identity_key_hash",
    "messaging_account_id",
    "paid_messaging_account_id",
    "status",
    "message_id",
    "typing_indicator",
];

/// Content that is handed through as it is: of a type that this crate does not know, or in a form
/// of a known one that it does not.
#[derive(Clone, PartialEq)]
pub struct Raw {
    /// The value of `type` in the request.
    pub type_name: String,
    /// What stands under that name.
    pub value: Value,
}

/// Declares [`Content`]: its types, how each is named, read, written and described.
macro_rules! contents {
    ($($(#[$doc:meta])* $tag:literal => $variant:ident($body:ident),)+) => {
        /// Content by type. Stored and sent as `{"<type>": …}`; [`Content::type_name`] gives the
        /// type.
        ///
        /// `Debug` shows the type alone.
        #[derive(Clone, PartialEq)]
        #[non_exhaustive]
        #[allow(clippy::allow_attributes, clippy::large_enum_variant, reason = "one a request; its size hangs on the features of serde_json")]
        pub enum Content {
            $($(#[$doc])* $variant($body),)+
            /// Handed through as it is.
            Raw(Raw),
        }

        impl Content {
            /// The types that are known and checked.
            pub const TYPES: &[&str] = &[$($tag),+];

            /// The value of `type` in the request.
            pub fn type_name(&self) -> &str {
                match self {
                    $(Self::$variant(_) => $tag,)+
                    Self::Raw(raw) => &raw.type_name,
                }
            }

            /// Reads what stands in a body under the name of its type, which is also the path of
            /// what is found wrong, and checks it.
            pub fn read(type_name: &str, value: Value, errors: &mut FieldErrors) -> Option<Self> {
                let content = match type_name {
                    $($tag => read_member(value, $tag, errors).map(Self::$variant),)+
                    _ => {
                        errors.add("type", format!("must be one of {}", Self::TYPES.join(", ")));
                        None
                    }
                }?;
                content.check(errors);
                Some(content)
            }

            fn stored(type_name: String, value: Value) -> Self {
                let typed = match type_name.as_str() {
                    $($tag => Deserialize::deserialize(&value).ok().map(Self::$variant),)+
                    _ => None,
                };
                typed.unwrap_or(Self::Raw(Raw { type_name, value }))
            }
        }

        /// The content alone; [`Content`] adds the member `type`.
        #[derive(ToSchema)]
        #[serde(rename_all = "snake_case")]
        #[expect(dead_code, reason = "only described")]
        #[allow(clippy::allow_attributes, clippy::large_enum_variant, reason = "never made, only described")]
        enum Described {
            $($(#[$doc])* $variant($body),)+
        }

        impl Serialize for Content {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(Some(1))?;
                match self {
                    $(Self::$variant(body) => map.serialize_entry($tag, body)?,)+
                    Self::Raw(raw) => map.serialize_entry(&raw.type_name, &raw.value)?,
                }
                map.end()
            }
        }
    };
}

contents! {
    /// Plain text.
    "text" => Text(Text),
    /// A template, the only content outside the customer service window.
    "template" => Template(Template),
    /// An image.
    "image" => Image(Image),
    /// A video.
    "video" => Video(Video),
    /// A sound or a voice message.
    "audio" => Audio(Audio),
    /// A file.
    "document" => Document(Document),
    /// A sticker.
    "sticker" => Sticker(Sticker),
    /// A place on the map.
    "location" => Location(Location),
    /// Contact cards.
    "contacts" => Contacts(Contacts),
    /// A reaction to a message.
    "reaction" => Reaction(Reaction),
    /// Something to tap on.
    "interactive" => Interactive(Interactive),
}

impl Content {
    /// The template that it is, also where it is handed through in a form that is known.
    pub fn template(&self) -> Option<Cow<'_, Template>> {
        match self {
            Self::Template(template) => Some(Cow::Borrowed(template)),
            Self::Raw(raw) if raw.type_name == "template" => {
                Deserialize::deserialize(&raw.value).ok().map(Cow::Owned)
            }
            _ => None,
        }
    }

    /// Adds every field that breaks a documented limit, by its path from the name of the type on:
    /// `text.body`.
    pub fn check(&self, errors: &mut FieldErrors) {
        let c = &mut Checker::new(errors, self.type_name());
        match self {
            Self::Text(body) => body.check(c),
            Self::Template(body) => body.check(c),
            Self::Image(body) => body.check(c),
            Self::Video(body) => body.check(c),
            Self::Audio(body) => body.check(c),
            Self::Document(body) => body.check(c),
            Self::Sticker(body) => body.check(c),
            Self::Location(body) => body.check(c),
            Self::Contacts(body) => body.check(c),
            Self::Reaction(body) => body.check(c),
            Self::Interactive(body) => body.check(c),
            Self::Raw(raw) => raw.check(errors),
        }
    }
}

impl Raw {
    fn check(&self, errors: &mut FieldErrors) {
        let name = self.type_name.as_str();
        let is_name = (1..=MAX_TYPE_CHARS).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            && !ENVELOPE.contains(&name);
        if !is_name {
            errors.add(
                "type",
                "must be the name of a type: lower-case letters, digits and _",
            );
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Content").field(&self.type_name()).finish()
    }
}

/// Reads the stored form. What is not of a known form is handed through: a message that was
/// accepted once is sent as it was, whatever this version knows.
impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members = Map::<String, Value>::deserialize(deserializer)?.into_iter();
        match (members.next(), members.next()) {
            (Some((type_name, value)), None) => Ok(Self::stored(type_name, value)),
            _ => Err(de::Error::custom(
                "content must have one member, named by its type",
            )),
        }
    }
}

/// `oneOf` by `type`.
impl PartialSchema for Content {
    fn schema() -> RefOr<Schema> {
        let mut described = Described::schema();
        if let RefOr::T(Schema::OneOf(kinds)) = &mut described {
            for kind in &mut kinds.items {
                if let RefOr::T(Schema::Object(object)) = kind
                    && let Some(name) = object.required.first().cloned()
                {
                    let tag = ObjectBuilder::new()
                        .schema_type(Type::String)
                        .enum_values(Some([name]));
                    object.properties.insert("type".to_owned(), tag.into());
                    object.required.push("type".to_owned());
                }
            }
        }
        described
    }
}

impl ToSchema for Content {
    fn name() -> Cow<'static, str> {
        "MessageContent".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Described::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_has_each_type_by_its_name() {
        let schema = serde_json::to_value(Content::schema()).unwrap();
        let kinds = schema["oneOf"].as_array().unwrap();
        let names: Vec<&str> = kinds
            .iter()
            .map(|kind| kind["properties"]["type"]["enum"][0].as_str().unwrap())
            .collect();
        assert_eq!(names, Content::TYPES);
        for (kind, name) in kinds.iter().zip(names) {
            assert_eq!(kind["required"], serde_json::json!([name, "type"]));
            assert!(kind["properties"].get(name).is_some(), "{kind}");
        }
    }
}
