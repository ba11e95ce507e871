//! Cards side by side.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Action, Checker, CtaUrlName, CtaUrlParameters, Header, Heading, Reply, Words,
    buttons::MAX_BUTTONS,
};
use crate::message::tagged::constant;

const MAX_CARDS: usize = 10;
const MAX_CARD_BODY_CHARS: usize = 160;
const MAX_CARD_LINE_BREAKS: usize = 2;
/// Types of cards are an open set; no limit is documented.
const MAX_TYPE_CHARS: usize = 64;

/// Up to ten cards.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CarouselAction {
    /// One to ten cards.
    #[schema(min_items = 1, max_items = 10)]
    pub cards: Vec<CarouselCard>,
}

impl Action for CarouselAction {
    const HEADER: Heading = Heading::None;
    const HAS_FOOTER: bool = false;

    fn check(&self, c: &mut Checker<'_>) {
        c.each("cards", &self.cards, 1..=MAX_CARDS, |c, card| card.check(c));
        c.card_order(self.cards.iter().map(|card| card.card_index));
    }
}

/// A card.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CarouselCard {
    /// Its place, from 0 on.
    #[schema(maximum = 9)]
    pub card_index: u8,
    /// `cta_url`
    #[serde(rename = "type")]
    pub kind: String,
    /// An image or a video.
    pub header: Header,
    /// Text of at most 160 characters with at most two line breaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Words>,
    /// What there is to tap on.
    pub action: CardAction,
}

impl CarouselCard {
    fn check(&self, c: &mut Checker<'_>) {
        c.text("type", &self.kind, MAX_TYPE_CHARS);
        match &self.header {
            Header::Image(_) | Header::Video(_) => c.inside("header", |c| self.header.check(c)),
            Header::Text(_) | Header::Document(_) => {
                c.refuse("header.type", "must be image or video on a card");
            }
        }
        if let Some(body) = &self.body {
            c.inside("body", |c| {
                c.text("text", &body.text, MAX_CARD_BODY_CHARS);
                if body.text.matches('\n').count() > MAX_CARD_LINE_BREAKS {
                    c.refuse("text", "must have at most two line breaks");
                }
            });
        }
        c.inside("action", |c| self.action.check(c));
    }
}

/// What there is to tap on a card: one web address, or one to three answers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CardAction {
    /// `cta_url`, with `parameters`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<CtaUrlName>,
    /// Where the button leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<CtaUrlParameters>,
    /// The answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 3)]
    pub buttons: Option<Vec<CardReply>>,
}

impl CardAction {
    fn check(&self, c: &mut Checker<'_>) {
        match (&self.name, &self.parameters, &self.buttons) {
            (Some(_), Some(parameters), None) => c.inside("parameters", |c| parameters.check(c)),
            (None, None, Some(buttons)) => {
                c.each("buttons", buttons, 1..=MAX_BUTTONS, |c, button| {
                    c.inside("quick_reply", |c| button.quick_reply.check(c));
                });
            }
            _ => c.refuse_this("must have either name and parameters, or buttons"),
        }
    }
}

constant! {
    /// The kind of an answer on a card.
    CardReplyName = "quick_reply"
}

/// An answer on a card.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CardReply {
    /// `quick_reply`
    #[serde(rename = "type")]
    pub kind: CardReplyName,
    /// The answer.
    pub quick_reply: Reply,
}
