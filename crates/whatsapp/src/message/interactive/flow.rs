//! A form ("Flow").

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Action, Checker};
use crate::message::tagged::constant;

const MAX_CTA_CHARS: usize = 30;
/// No limits are documented for names of flows and screens.
const MAX_NAME_CHARS: usize = 512;

constant! {
    /// The name of the action that opens a form.
    FlowName = "flow"
}

constant! {
    /// The version of the message, a text.
    FlowVersion = "3"
}

/// A button that opens a form.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowAction {
    /// `flow`
    pub name: FlowName,
    /// Which form, and how.
    pub parameters: FlowParameters,
}

impl Action for FlowAction {
    fn check(&self, c: &mut Checker<'_>) {
        c.inside("parameters", |c| self.parameters.check(c));
    }
}

/// Which form is opened, and how.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowParameters {
    /// `3`
    pub flow_message_version: FlowVersion,
    /// The form by its id; either this or `flow_name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_id: Option<String>,
    /// The form by its name; either this or `flow_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_name: Option<String>,
    /// Text of the button, 1 to 30 characters without emoji.
    #[schema(max_length = 30)]
    pub flow_cta: String,
    /// Comes back with the answers; `unused` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_token: Option<String>,
    /// Whether the form is a draft; `published` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<FlowMode>,
    /// Where the first screen comes from; `navigate` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_action: Option<FlowActionKind>,
    /// The first screen; only with `navigate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_action_payload: Option<FlowActionPayload>,
}

impl FlowParameters {
    fn check(&self, c: &mut Checker<'_>) {
        match (&self.flow_id, &self.flow_name) {
            (Some(id), None) => c.id("flow_id", id),
            (None, Some(name)) => c.text("flow_name", name, MAX_NAME_CHARS),
            (Some(_), Some(_)) => c.refuse_this("must have either flow_id or flow_name, has both"),
            (None, None) => c.refuse_this("must have either flow_id or flow_name"),
        }
        c.text("flow_cta", &self.flow_cta, MAX_CTA_CHARS);
        if self.flow_cta.chars().any(is_emoji) {
            c.refuse("flow_cta", "must not hold emoji");
        }
        c.optional_text("flow_token", self.flow_token.as_deref(), MAX_NAME_CHARS);
        let Some(payload) = &self.flow_action_payload else {
            return;
        };
        if self.flow_action == Some(FlowActionKind::DataExchange) {
            c.refuse(
                "flow_action_payload",
                "is only possible with flow_action navigate",
            );
        }
        c.inside("flow_action_payload", |c| {
            c.text("screen", &payload.screen, MAX_NAME_CHARS);
            if payload.data.as_ref().is_some_and(Map::is_empty) {
                c.refuse("data", "must not be empty: leave it out");
            }
        });
    }
}

/// The blocks of pictures, and the marks that turn other characters into pictures.
fn is_emoji(c: char) -> bool {
    matches!(c, '\u{1f000}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}' | '\u{2b00}'..='\u{2bff}'
        | '\u{fe0f}' | '\u{20e3}')
}

/// The state of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlowMode {
    /// Not yet published.
    Draft,
    /// Published.
    Published,
}

/// Where the first screen of a form comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlowActionKind {
    /// From the message.
    Navigate,
    /// From the business's endpoint.
    DataExchange,
}

/// The first screen of a form.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowActionPayload {
    /// Its id.
    pub screen: String,
    /// What it is filled with; not empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub data: Option<Map<String, Value>>,
}
