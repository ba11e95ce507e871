//! Buttons of templates.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

use super::Parameter;
use crate::message::checker::Checker;

/// The last place of a button in a template.
const MAX_INDEX: u8 = 9;

/// The values of a button.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateButton {
    /// What the button does.
    pub sub_type: ButtonKind,
    /// Its place in the template, from 0 on; buttons without variables count too.
    pub index: ButtonIndex,
    /// One value, of the type that fits the button.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
}

impl TemplateButton {
    pub(super) fn check(&self, c: &mut Checker<'_>) {
        let fewest = usize::from(self.sub_type.needs_value());
        c.each("parameters", &self.parameters, fewest..=1, |c, value| {
            if self.sub_type.takes(value) {
                value.check(c);
            } else {
                c.refuse("type", "is of no use for a button of this sub_type");
            }
        });
    }
}

/// What a button does. Others have no variables: they are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ButtonKind {
    /// Answers; takes a `payload`.
    #[serde(alias = "QUICK_REPLY")]
    QuickReply,
    /// Opens an address, whose end is a `text`; of authentication templates, too, with the code.
    #[serde(alias = "URL")]
    Url,
    /// Copies a `coupon_code`.
    #[serde(alias = "COPY_CODE")]
    CopyCode,
    /// Opens a form; takes an `action`.
    #[serde(alias = "FLOW")]
    Flow,
    /// Opens the catalog; takes an `action`, or nothing.
    #[serde(alias = "CATALOG")]
    Catalog,
    /// Opens products; takes an `action`.
    #[serde(alias = "MPM")]
    Mpm,
}

impl ButtonKind {
    /// A form and the catalog also open without a value.
    fn needs_value(self) -> bool {
        !matches!(self, Self::Catalog | Self::Flow)
    }

    fn takes(self, value: &Parameter) -> bool {
        matches!(
            (self, value),
            (Self::QuickReply, Parameter::Payload(_))
                | (Self::Url, Parameter::Text(_))
                | (Self::CopyCode, Parameter::CouponCode(_))
                | (Self::Flow | Self::Catalog | Self::Mpm, Parameter::Action(_))
        )
    }
}

/// The place of a button, 0 to 9. Read as number or text, written as text: Meta takes both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, pattern = "^[0-9]$", examples("0"))]
pub struct ButtonIndex(u8);

impl ButtonIndex {
    /// A place from 0 to 9.
    pub fn new(place: u8) -> Option<Self> {
        (place <= MAX_INDEX).then_some(Self(place))
    }

    /// The place.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Serialize for ButtonIndex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ButtonIndex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Number(u8),
            Text(String),
        }
        let place = match Given::deserialize(deserializer) {
            Ok(Given::Number(place)) => Some(place),
            Ok(Given::Text(text)) => text.parse().ok(),
            Err(_) => None,
        };
        place
            .and_then(Self::new)
            .ok_or_else(|| de::Error::custom("must be the place of a button, 0 to 9"))
    }
}
