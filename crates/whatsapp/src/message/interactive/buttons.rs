//! Buttons that answer, and the button that opens a web address.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Action, Checker, MAX_BUTTON_ID_CHARS, check_label, check_tap_id};
use crate::message::tagged::constant;

/// Most answers below a text.
pub(super) const MAX_BUTTONS: usize = 3;

/// One to three answers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ButtonsAction {
    /// The answers.
    #[schema(min_items = 1, max_items = 3)]
    pub buttons: Vec<Button>,
}

impl Action for ButtonsAction {
    fn check(&self, c: &mut Checker<'_>) {
        c.each("buttons", &self.buttons, 1..=MAX_BUTTONS, |c, button| {
            c.inside("reply", |c| button.reply.check(c));
        });
        let replies = || self.buttons.iter().map(|button| &button.reply);
        c.unique(
            "buttons[].reply.id",
            replies().map(|reply| reply.id.as_str()),
        );
        c.unique(
            "buttons[].reply.title",
            replies().map(|reply| reply.title.as_str()),
        );
    }
}

constant! {
    /// The kind of a button that answers.
    ReplyName = "reply"
}

/// A button that answers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Button {
    /// `reply`
    #[serde(rename = "type")]
    pub kind: ReplyName,
    /// The answer.
    pub reply: Reply,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// Comes back when somebody taps; 1 to 256 characters, unique in the message.
    #[schema(max_length = 256)]
    pub id: String,
    /// 1 to 20 characters, unique in the message.
    #[schema(max_length = 20)]
    pub title: String,
}

impl Reply {
    pub(super) fn check(&self, c: &mut Checker<'_>) {
        check_tap_id(c, &self.id, MAX_BUTTON_ID_CHARS);
        check_label(c, "title", &self.title);
    }
}

constant! {
    /// The name of the action that opens a web address.
    CtaUrlName = "cta_url"
}

/// A button that opens a web address.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CtaUrlAction {
    /// `cta_url`
    pub name: CtaUrlName,
    /// Where it leads.
    pub parameters: CtaUrlParameters,
}

impl Action for CtaUrlAction {
    fn check(&self, c: &mut Checker<'_>) {
        c.inside("parameters", |c| self.parameters.check(c));
    }
}

/// Where a button leads.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CtaUrlParameters {
    /// The button's text, 1 to 20 characters.
    #[schema(max_length = 20)]
    pub display_text: String,
    /// The web address.
    pub url: String,
}

impl CtaUrlParameters {
    pub(super) fn check(&self, c: &mut Checker<'_>) {
        check_label(c, "display_text", &self.display_text);
        c.web_address("url", &self.url);
    }
}
