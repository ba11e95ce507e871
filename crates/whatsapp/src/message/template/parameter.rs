//! Values of variables.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::is_identifier;
use crate::message::{
    checker::Checker,
    interactive::{ProductSection, check_sections},
    media::{HeaderDocument, HeaderMedium},
    simple::Location,
    tagged::read_by_type,
};

/// Longest value of a variable, in characters (Meta's `OpenAPI` document). The rendered text has
/// tighter limits of its own: code 132005.
const MAX_VALUE_CHARS: usize = 32_768;
/// Meta refuses values with more of them in a row.
const MAX_SPACES_IN_A_ROW: usize = 4;
/// Longest coupon code in general, in characters.
const MAX_COUPON_CHARS: usize = 20;
const MAX_TOKEN_CHARS: usize = 512;
/// Milliseconds since 1970 have had more digits since 1973, seconds will not before the year 5138.
const FIRST_MILLISECOND: i64 = 100_000_000_000;

/// The value of a variable.
#[derive(Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Parameter {
    /// Text, in headers, bodies and at the end of a button's address.
    Text(TextParameter),
    /// An amount of money, in headers and bodies.
    Currency(CurrencyParameter),
    /// A time, in headers and bodies.
    DateTime(DateTimeParameter),
    /// The image of a header.
    Image(ImageParameter),
    /// The video of a header.
    Video(VideoParameter),
    /// The document of a header.
    Document(DocumentParameter),
    /// The place of a header.
    Location(LocationParameter),
    /// The product of a header.
    Product(ProductParameter),
    /// What comes back when somebody taps a quick reply.
    Payload(PayloadParameter),
    /// The code that a button copies.
    CouponCode(CouponParameter),
    /// What a button for a form or a catalog opens.
    Action(ActionParameter),
    /// When an offer ends.
    LimitedTimeOffer(OfferParameter),
}

read_by_type!(Parameter {
    "text" => Text,
    "currency" => Currency,
    "date_time" => DateTime,
    "image" => Image,
    "video" => Video,
    "document" => Document,
    "location" => Location,
    "product" => Product,
    "payload" => Payload,
    "coupon_code" => CouponCode,
    "action" => Action,
    "limited_time_offer" => LimitedTimeOffer,
});

impl Parameter {
    pub(super) fn check(&self, c: &mut Checker<'_>) {
        if let Some(name) = self.name()
            && !is_identifier(name)
        {
            c.refuse(
                "parameter_name",
                "must have lower-case letters, digits and underscores only",
            );
        }
        match self {
            Self::Text(text) => check_value(c, "text", &text.text),
            Self::Currency(amount) => c.inside("currency", |c| amount.currency.check(c)),
            Self::DateTime(time) => c.inside("date_time", |c| {
                check_value(c, "fallback_value", &time.date_time.fallback_value);
            }),
            Self::Image(image) => c.inside("image", |c| image.image.check(c)),
            Self::Video(video) => c.inside("video", |c| video.video.check(c)),
            Self::Document(file) => c.inside("document", |c| file.document.check(c)),
            Self::Location(place) => c.inside("location", |c| place.location.check(c)),
            Self::Product(product) => c.inside("product", |c| product.product.check(c)),
            Self::Payload(payload) => c.text("payload", &payload.payload, MAX_TOKEN_CHARS),
            Self::CouponCode(coupon) => coupon.check(c),
            Self::Action(action) => c.inside("action", |c| action.action.check(c)),
            Self::LimitedTimeOffer(offer) => {
                c.inside("limited_time_offer", |c| offer.limited_time_offer.check(c));
            }
        }
    }

    /// Names its variable, if it is of a type that can have one.
    pub fn set_name(&mut self, name: String) {
        match self {
            Self::Text(text) => text.parameter_name = Some(name),
            Self::Currency(amount) => amount.parameter_name = Some(name),
            Self::DateTime(time) => time.parameter_name = Some(name),
            _ => {}
        }
    }

    /// The name of its variable.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Text(text) => text.parameter_name.as_deref(),
            Self::Currency(amount) => amount.parameter_name.as_deref(),
            Self::DateTime(time) => time.parameter_name.as_deref(),
            _ => None,
        }
    }

    /// Whether it stands within a text, and so may have a name.
    pub(super) fn is_textual(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Currency(_) | Self::DateTime(_))
    }
}

/// Meta refuses values that would tear the text apart (132012).
fn check_value(c: &mut Checker<'_>, field: &str, value: &str) {
    c.text(field, value, MAX_VALUE_CHARS);
    if value.contains(['\n', '\r', '\t']) || value.contains(&" ".repeat(MAX_SPACES_IN_A_ROW + 1)) {
        c.refuse(
            field,
            "must not hold line breaks, tabs or more than four blanks in a row",
        );
    }
}

/// A text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TextParameter {
    /// The name of the variable, in templates with named ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter_name: Option<String>,
    /// Without line breaks, tabs and more than four blanks in a row.
    pub text: String,
}

/// An amount of money.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CurrencyParameter {
    /// The name of the variable, in templates with named ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter_name: Option<String>,
    /// The amount.
    pub currency: Currency,
}

/// An amount of money.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Currency {
    /// Shown when the amount cannot be.
    pub fallback_value: String,
    /// Three capital letters (ISO 4217).
    pub code: String,
    /// The amount times 1000.
    pub amount_1000: i64,
}

impl Currency {
    fn check(&self, c: &mut Checker<'_>) {
        check_value(c, "fallback_value", &self.fallback_value);
        if self.code.len() != 3 || !self.code.bytes().all(|b| b.is_ascii_uppercase()) {
            c.refuse("code", "must be the three capital letters of a currency");
        }
    }
}

/// A time.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DateTimeParameter {
    /// The name of the variable, in templates with named ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter_name: Option<String>,
    /// The time.
    pub date_time: DateTime,
}

/// A time as text; the Cloud API knows no other form.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TemplateDateTime)]
pub struct DateTime {
    /// What is shown.
    pub fallback_value: String,
}

/// The image of a header.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageParameter {
    /// The image.
    pub image: HeaderMedium,
}

/// The video of a header.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VideoParameter {
    /// The video.
    pub video: HeaderMedium,
}

/// The document of a header.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentParameter {
    /// The document, a PDF.
    pub document: HeaderDocument,
}

/// The place of a header.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LocationParameter {
    /// The place.
    pub location: Location,
}

/// The product of a header.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductParameter {
    /// The product.
    pub product: Product,
}

/// A product of a catalog.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// The catalog.
    pub catalog_id: String,
    /// The product's id in the catalog.
    pub product_retailer_id: String,
}

impl Product {
    fn check(&self, c: &mut Checker<'_>) {
        c.id("catalog_id", &self.catalog_id);
        c.product("product_retailer_id", &self.product_retailer_id);
    }
}

/// What a quick reply brings back.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayloadParameter {
    /// Comes back when somebody taps.
    pub payload: String,
}

/// A code to copy.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CouponParameter {
    /// 1 to 20 letters and digits; with a limited-time offer at most 15.
    #[schema(max_length = 20)]
    pub coupon_code: String,
}

impl CouponParameter {
    fn check(&self, c: &mut Checker<'_>) {
        let code = &self.coupon_code;
        if !(1..=MAX_COUPON_CHARS).contains(&code.len())
            || !code.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            c.refuse(
                "coupon_code",
                format!("must be 1 to {MAX_COUPON_CHARS} letters and digits"),
            );
        }
    }
}

/// What a button opens.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionParameter {
    /// A form, or products of a catalog.
    pub action: ActionValues,
}

/// A form (the first two), or products of a catalog (the last two).
#[derive(Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionValues {
    /// Comes back with the answers of a form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_token: Option<String>,
    /// What the form is filled with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub flow_action_data: Option<Map<String, Value>>,
    /// The product whose picture is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnail_product_retailer_id: Option<String>,
    /// The products.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 10)]
    pub sections: Option<Vec<ProductSection>>,
}

impl ActionValues {
    fn check(&self, c: &mut Checker<'_>) {
        c.optional_text("flow_token", self.flow_token.as_deref(), MAX_TOKEN_CHARS);
        if let Some(thumbnail) = &self.thumbnail_product_retailer_id {
            c.product("thumbnail_product_retailer_id", thumbnail);
        }
        if let Some(sections) = &self.sections {
            check_sections(c, sections);
        }
    }
}

/// When an offer ends.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfferParameter {
    /// The offer.
    pub limited_time_offer: Offer,
}

/// When an offer ends.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Milliseconds since 1970-01-01T00:00Z.
    pub expiration_time_ms: i64,
}

impl Offer {
    fn check(&self, c: &mut Checker<'_>) {
        if self.expiration_time_ms < FIRST_MILLISECOND {
            c.refuse(
                "expiration_time_ms",
                "must be in milliseconds since 1970, not in seconds",
            );
        }
    }
}
