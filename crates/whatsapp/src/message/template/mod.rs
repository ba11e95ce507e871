//! Templates with the values of their variables.
//!
//! Source: Cloud API reference, template messages (2026). Whether the values fit a template is known
//! only with the template; here is checked what holds for all.

mod button;
mod component;
mod parameter;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use button::{ButtonIndex, ButtonKind, TemplateButton};
pub use component::{
    TemplateBody, TemplateCard, TemplateCarousel, TemplateComponent, TemplateHeader, TemplateOffer,
};
pub use parameter::{
    ActionParameter, ActionValues, CouponParameter, Currency, CurrencyParameter, DateTime,
    DateTimeParameter, DocumentParameter, ImageParameter, LocationParameter, Offer, OfferParameter,
    Parameter, PayloadParameter, Product, ProductParameter, TextParameter, VideoParameter,
};

use super::checker::Checker;

const MAX_NAME_CHARS: usize = 512;

/// A template with the values of its variables.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "order_update", "language": {"code": "en_US"},
    "components": [{"type": "body", "parameters": [{"type": "text", "text": "7045"}]}]
}))]
pub struct Template {
    /// Lower-case letters, digits and underscores, at most 512.
    #[schema(max_length = 512)]
    pub name: String,
    /// The language, to the letter as the template has it.
    pub language: Language,
    /// The values, by component; only components with variables appear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<TemplateComponent>,
}

impl Template {
    pub(super) fn check(&self, c: &mut Checker<'_>) {
        check_template_name(c, "name", &self.name);
        c.inside("language", |c| {
            check_language_code(c, "code", &self.language.code);
        });
        component::check_all(c, &self.components);
    }
}

/// The language of a template.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Language {
    /// `en`, `en_US`, …: two different templates.
    pub code: String,
}

fn check_template_name(c: &mut Checker<'_>, field: &str, name: &str) {
    if !is_identifier(name) || name.len() > MAX_NAME_CHARS {
        c.refuse(
            field,
            "must be the name of a template: lower-case letters, digits and underscores, at most 512",
        );
    }
}

fn check_language_code(c: &mut Checker<'_>, field: &str, code: &str) {
    let (language, region) = code
        .split_once('_')
        .map_or((code, None), |(l, r)| (l, Some(r)));
    let is_language =
        (2..=3).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_lowercase());
    let is_region = region.is_none_or(|region| match region.len() {
        2 => region.bytes().all(|b| b.is_ascii_uppercase()),
        3 => region.bytes().all(|b| b.is_ascii_digit()),
        _ => false,
    });
    if !is_language || !is_region {
        c.refuse(
            field,
            "must be a language as templates have it, for example en or en_US (with an underscore)",
        );
    }
}

/// Names of templates and of named parameters.
fn is_identifier(name: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    !name.is_empty() && name.bytes().all(is_part)
}
