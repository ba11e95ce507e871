//! Parts of templates that have variables.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Parameter, TemplateButton};
use crate::message::{checker::Checker, tagged::read_by_type};

/// Header, body, offer, carousel and ten buttons.
const MAX_COMPONENTS: usize = 14;
/// A body of 1024 characters has no room for more.
const MAX_BODY_VALUES: usize = 256;
const MIN_CARDS: usize = 2;
const MAX_CARDS: usize = 10;
/// Longest coupon code below a limited-time offer, in characters.
const MAX_OFFER_COUPON_CHARS: usize = 15;

/// The values of a part of a template.
#[derive(Clone, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TemplateComponent {
    /// What stands above the text.
    Header(TemplateHeader),
    /// The text.
    Body(TemplateBody),
    /// A button.
    Button(TemplateButton),
    /// An offer that ends.
    LimitedTimeOffer(TemplateOffer),
    /// Cards side by side.
    Carousel(TemplateCarousel),
}

read_by_type!(TemplateComponent {
    "header" => Header,
    "body" => Body,
    "button" => Button,
    "limited_time_offer" => LimitedTimeOffer,
    "carousel" => Carousel,
});

/// The value of a header.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateHeader {
    /// One text, image, video, document, location or product.
    #[schema(min_items = 1, max_items = 1)]
    pub parameters: Vec<Parameter>,
}

/// The values of a body.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateBody {
    /// Texts, amounts and times: all with names, or all without and in the order of the variables.
    pub parameters: Vec<Parameter>,
}

/// The end of an offer.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateOffer {
    /// One `limited_time_offer`.
    #[schema(min_items = 1, max_items = 1)]
    pub parameters: Vec<Parameter>,
}

/// The values of cards.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateCarousel {
    /// As many as the template has, 2 to 10.
    #[schema(min_items = 2, max_items = 10)]
    pub cards: Vec<TemplateCard>,
}

/// The values of a card.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateCard {
    /// Its place, from 0 on.
    #[schema(maximum = 9)]
    pub card_index: u8,
    /// Header, body and buttons.
    #[schema(no_recursion)]
    pub components: Vec<TemplateComponent>,
}

/// Checks the components of a template.
pub(super) fn check_all(c: &mut Checker<'_>, components: &[TemplateComponent]) {
    check_each(c, components, |c, component| match component {
        TemplateComponent::LimitedTimeOffer(offer) => offer.check(c),
        TemplateComponent::Carousel(carousel) => carousel.check(c),
        part => part.check(c),
    });
    let has_offer = components
        .iter()
        .any(|component| matches!(component, TemplateComponent::LimitedTimeOffer(_)));
    if has_offer {
        c.inside("components", |c| {
            c.items(components, &mut |c, component| {
                check_offer_coupon(c, component);
            });
        });
    }
}

fn check_each(
    c: &mut Checker<'_>,
    components: &[TemplateComponent],
    mut look: impl FnMut(&mut Checker<'_>, &TemplateComponent),
) {
    let mut seen = HashSet::new();
    c.each(
        "components",
        components,
        0..=MAX_COMPONENTS,
        |c, component| {
            if !seen.insert(component.place()) {
                c.refuse_this("appears twice: give all values of a part at once");
            }
            look(c, component);
        },
    );
}

fn check_offer_coupon(c: &mut Checker<'_>, component: &TemplateComponent) {
    let TemplateComponent::Button(button) = component else {
        return;
    };
    for value in &button.parameters {
        if let Parameter::CouponCode(coupon) = value {
            let code = &coupon.coupon_code;
            c.at_most("parameters[0].coupon_code", code, MAX_OFFER_COUPON_CHARS);
        }
    }
}

impl TemplateComponent {
    /// What can be there once: a part by its name, a button by its place.
    fn place(&self) -> (&'static str, u8) {
        match self {
            Self::Header(_) => ("header", 0),
            Self::Body(_) => ("body", 0),
            Self::Button(button) => ("button", button.index.get()),
            Self::LimitedTimeOffer(_) => ("limited_time_offer", 0),
            Self::Carousel(_) => ("carousel", 0),
        }
    }

    /// Checks what may also be part of a card.
    fn check(&self, c: &mut Checker<'_>) {
        match self {
            Self::Header(header) => header.check(c),
            Self::Body(body) => body.check(c),
            Self::Button(button) => button.check(c),
            Self::LimitedTimeOffer(_) | Self::Carousel(_) => {
                c.refuse("type", "must be header, body or button on a card");
            }
        }
    }
}

impl TemplateHeader {
    fn check(&self, c: &mut Checker<'_>) {
        c.each(
            "parameters",
            &self.parameters,
            1..=1,
            |c, value| match value {
                Parameter::Payload(_)
                | Parameter::CouponCode(_)
                | Parameter::Action(_)
                | Parameter::LimitedTimeOffer(_) => c.refuse("type", "is of no use in a header"),
                value => value.check(c),
            },
        );
    }
}

impl TemplateBody {
    fn check(&self, c: &mut Checker<'_>) {
        let values = &self.parameters;
        c.each("parameters", values, 0..=MAX_BODY_VALUES, |c, value| {
            if value.is_textual() {
                value.check(c);
            } else {
                c.refuse("type", "must be text, currency or date_time in a body");
            }
        });
        let names = || values.iter().filter_map(|value| value.name());
        let with_name = names().count();
        if with_name != 0 && with_name != values.len() {
            c.refuse(
                "parameters",
                "must all have a parameter_name, or none of them",
            );
        }
        c.unique("parameters[].parameter_name", names());
    }
}

impl TemplateOffer {
    fn check(&self, c: &mut Checker<'_>) {
        c.each(
            "parameters",
            &self.parameters,
            1..=1,
            |c, value| match value {
                Parameter::LimitedTimeOffer(_) => value.check(c),
                _ => c.refuse("type", "must be limited_time_offer here"),
            },
        );
    }
}

impl TemplateCarousel {
    fn check(&self, c: &mut Checker<'_>) {
        c.each("cards", &self.cards, MIN_CARDS..=MAX_CARDS, |c, card| {
            check_each(c, &card.components, |c, component| component.check(c));
        });
        c.card_order(self.cards.iter().map(|card| card.card_index));
    }
}
