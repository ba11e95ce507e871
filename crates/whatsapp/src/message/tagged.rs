//! Objects whose form depends on their `type`.

use portal_service_kit::http::error_at;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// Splits an object into its `type`, which must be one of `known`, and its other members.
///
/// Case does not count: lists of templates write types in capitals, requests do not.
pub(super) fn take_type<'de, D: Deserializer<'de>>(
    deserializer: D,
    known: &[&'static str],
) -> Result<(&'static str, Value), D::Error> {
    let mut members = Map::<String, Value>::deserialize(deserializer)?;
    let given = members.remove("type");
    let Some(given) = given.as_ref().and_then(Value::as_str) else {
        return Err(error_at("type", &expected(known)));
    };
    known
        .iter()
        .find(|name| name.eq_ignore_ascii_case(given))
        .map(|name| (*name, Value::Object(members)))
        .ok_or_else(|| error_at("type", &expected(known)))
}

fn expected(known: &[&str]) -> String {
    format!("must be one of {}", known.join(", "))
}

/// Reads an enum of structs by its `type`; each struct refuses members that it does not know.
macro_rules! read_by_type {
    ($name:ident { $($tag:literal => $variant:ident),+ $(,)? }) => {
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let (tag, members) = $crate::message::tagged::take_type(deserializer, &[$($tag),+])?;
                match tag {
                    $($tag => portal_service_kit::http::from_buffered(members).map(Self::$variant),)+
                    _ => Err(portal_service_kit::http::error_at("type", "is not known")),
                }
            }
        }
    };
}

/// A name that an object must carry and that says nothing.
macro_rules! constant {
    ($(#[$doc:meta])* $name:ident = $value:literal) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize,
        )]
        pub enum $name {
            #[doc = concat!("`", $value, "`")]
            #[default]
            #[serde(rename = $value)]
            Value,
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .enum_values(Some([$value]))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }
    };
}

pub(super) use {constant, read_by_type};
