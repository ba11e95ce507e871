//! Requests for a place, an address, a number, a call.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Action, Body, Checker, Heading, check_label};
use crate::message::tagged::constant;

/// Longest life of a button that calls: 30 days.
const MAX_CALL_TTL_MINUTES: u32 = 43_200;

constant! {
    /// The name of the action that asks for a place.
    LocationRequestName = "send_location"
}

/// Asks where the recipient is; the answer is an ordinary location that quotes this message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LocationRequestAction {
    /// `send_location`
    pub name: LocationRequestName,
}

impl Action for LocationRequestAction {
    const HEADER: Heading = Heading::None;
    const HAS_FOOTER: bool = false;

    fn check(&self, _: &mut Checker<'_>) {}
}

constant! {
    /// The name of the action that asks for a phone number.
    ContactRequestName = "request_contact_info"
}

/// Asks for the recipient's phone number; the answer is a contact card.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactRequestAction {
    /// `request_contact_info`
    pub name: ContactRequestName,
}

impl Action for ContactRequestAction {
    fn check(&self, _: &mut Checker<'_>) {}
}

constant! {
    /// The name of the action that asks for the permission to call.
    CallPermissionName = "call_permission_request"
}

/// Asks whether the business may call.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallPermissionAction {
    /// `call_permission_request`
    pub name: CallPermissionName,
}

impl Action for CallPermissionAction {
    const BODY: Body = Body::Optional;

    fn check(&self, _: &mut Checker<'_>) {}
}

constant! {
    /// The name of the action that asks for an address.
    AddressName = "address_message"
}

/// Asks for a postal address.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressAction {
    /// `address_message`
    pub name: AddressName,
    /// For which country, and what is known already.
    pub parameters: AddressParameters,
}

impl Action for AddressAction {
    fn check(&self, c: &mut Checker<'_>) {
        let country = &self.parameters.country;
        if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
            c.refuse(
                "parameters.country",
                "must be the two capital letters of a country",
            );
        }
    }
}

/// What is known of an address. The names of its parts differ from country to country, and Meta
/// checks them.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressParameters {
    /// Two letters, for example `IN`.
    pub country: String,
    /// Parts that are filled in already.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub values: Option<Map<String, Value>>,
    /// Addresses to choose from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub saved_addresses: Option<Vec<Map<String, Value>>>,
    /// What was wrong with an earlier answer, by part.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub validation_errors: Option<Map<String, Value>>,
}

constant! {
    /// The name of the action that calls the business.
    VoiceCallName = "voice_call"
}

/// A button that calls the business.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VoiceCallAction {
    /// `voice_call`
    pub name: VoiceCallName,
    /// How it is shown, and for how long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<VoiceCallParameters>,
}

impl Action for VoiceCallAction {
    fn check(&self, c: &mut Checker<'_>) {
        let Some(parameters) = &self.parameters else {
            return;
        };
        c.inside("parameters", |c| {
            if let Some(label) = &parameters.display_text {
                check_label(c, "display_text", label);
            }
            let ttl = parameters.ttl_minutes;
            if ttl.is_some_and(|ttl| !(1..=MAX_CALL_TTL_MINUTES).contains(&ttl)) {
                c.refuse(
                    "ttl_minutes",
                    format!("must be 1 to {MAX_CALL_TTL_MINUTES} minutes"),
                );
            }
        });
    }
}

/// How a button that calls is shown, and for how long.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VoiceCallParameters {
    /// The button's text, 1 to 20 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 20)]
    pub display_text: Option<String>,
    /// Minutes for which it works, 1 to 43,200; 10,080 unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 43_200)]
    pub ttl_minutes: Option<u32>,
}
