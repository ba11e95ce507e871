//! Business accounts, phone numbers and tokens of the Graph side.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::errors::GraphError;
use super::media::{Media, Ticket};
use super::seed;
use super::templates::{Template, seeds};

/// A business phone number.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phone {
    /// `phone_number_id`.
    pub id: String,
    /// As people see it, with plus.
    pub display_phone_number: String,
    /// Put before recipients that come without a plus.
    pub country_code: String,
    /// Name that recipients see.
    pub verified_name: String,
    /// May send; a number that is not answers 133010.
    #[serde(default = "yes")]
    pub registered: bool,
    /// The PIN of two-step verification, if that is on. Meta never shows it.
    #[serde(default, skip_serializing)]
    pub pin: Option<String>,
    /// In use in the `WhatsApp` Business app, too ("coexistence").
    #[serde(default)]
    pub is_on_biz_app: bool,
    /// Its owner proved to be the owner.
    #[serde(default = "yes")]
    pub code_verified: bool,
}

fn yes() -> bool {
    true
}

impl Phone {
    /// Digits only, as webhooks carry it.
    pub(crate) fn digits(&self) -> String {
        self.display_phone_number
            .chars()
            .filter(char::is_ascii_digit)
            .collect()
    }
}

/// A business account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waba {
    /// Id.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Its numbers.
    pub phones: Vec<Phone>,
    /// The app receives the account's webhooks.
    #[serde(default = "yes")]
    pub subscribed: bool,
}

/// Whether a token works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// Works.
    #[default]
    Active,
    /// 190 with subcode 460.
    Revoked,
    /// 190 with subcode 463.
    Expired,
}

/// An access token and the accounts that it opens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphToken {
    /// How the journal calls it.
    pub name: String,
    /// The token.
    pub value: String,
    /// Accounts that it may use.
    pub waba_ids: Vec<String>,
    /// Whether it works.
    #[serde(default)]
    pub state: TokenState,
    /// What it may be used for.
    #[serde(default = "both_scopes")]
    pub scopes: Vec<String>,
    /// The app that it was made for.
    #[serde(default = "own_app")]
    pub app_id: String,
}

/// Reads and changes accounts and numbers.
pub(crate) const MANAGEMENT: &str = "whatsapp_business_management";
/// Sends messages.
pub(crate) const MESSAGING: &str = "whatsapp_business_messaging";

pub(crate) fn both_scopes() -> Vec<String> {
    vec![MANAGEMENT.to_owned(), MESSAGING.to_owned()]
}

pub(crate) fn own_app() -> String {
    seed::APP_ID.to_owned()
}

/// What a person granted in Embedded Signup, until it is exchanged for a token.
#[derive(Debug, Clone)]
pub(crate) struct SignupCode {
    pub(crate) code: String,
    pub(crate) waba_id: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) made: Instant,
    pub(crate) used: bool,
    pub(crate) expired: bool,
}

/// A business account together with its token, to be added in one call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewWaba {
    /// The account.
    pub waba: Waba,
    /// Its token; `waba_ids` may be left empty and then is this account.
    pub token: GraphToken,
}

/// Everything the Graph side knows.
#[derive(Debug, Default)]
pub(crate) struct GraphWorld {
    pub(crate) wabas: Vec<Waba>,
    pub(crate) tokens: Vec<GraphToken>,
    pub(crate) codes: Vec<SignupCode>,
    pub(crate) templates: Vec<Template>,
    pub(crate) media: HashMap<String, Media>,
    pub(crate) tickets: Vec<Ticket>,
    /// Last incoming message by number and person.
    pub(crate) windows: HashMap<(String, String), DateTime<Utc>>,
    /// When tokens end, in Unix seconds, by their value.
    pub(crate) expiries: HashMap<String, i64>,
    /// When a number was registered or deregistered.
    registrations: HashMap<String, Vec<Instant>>,
}

/// Calls of `register` and `deregister` for one number within [`REGISTRATION_WINDOW`].
const REGISTRATIONS: usize = 10;
const REGISTRATION_WINDOW: Duration = Duration::from_hours(72);

impl GraphWorld {
    pub(crate) fn seeded() -> Self {
        let wabas = seed::wabas();
        Self {
            templates: wabas
                .iter()
                .flat_map(|waba| seeds::templates(&waba.id))
                .collect(),
            wabas,
            tokens: seed::tokens(),
            ..Self::default()
        }
    }

    /// Counts a call of `register` or `deregister`; false when there were too many.
    pub(crate) fn may_register(&mut self, phone_number_id: &str) -> bool {
        let calls = self
            .registrations
            .entry(phone_number_id.to_owned())
            .or_default();
        calls.retain(|at| at.elapsed() < REGISTRATION_WINDOW);
        if calls.len() >= REGISTRATIONS {
            return false;
        }
        calls.push(Instant::now());
        true
    }

    pub(crate) fn waba_mut(&mut self, id: &str) -> Option<&mut Waba> {
        self.wabas.iter_mut().find(|waba| waba.id == id)
    }

    pub(crate) fn phone_mut(&mut self, id: &str) -> Option<&mut Phone> {
        self.wabas
            .iter_mut()
            .flat_map(|waba| waba.phones.iter_mut())
            .find(|phone| phone.id == id)
    }

    /// Adds or replaces an account and its token.
    pub(crate) fn put_waba(&mut self, new: NewWaba) {
        let NewWaba { waba, mut token } = new;
        if token.waba_ids.is_empty() {
            token.waba_ids.push(waba.id.clone());
        }
        self.wabas.retain(|old| old.id != waba.id);
        self.tokens
            .retain(|old| old.name != token.name && old.value != token.value);
        if !self.templates.iter().any(|have| have.waba_id == waba.id) {
            self.templates.extend(seeds::templates(&waba.id));
        }
        self.wabas.push(waba);
        self.tokens.push(token);
    }

    /// Sets the state of a token given by name or value; false when there is none.
    pub(crate) fn set_token_state(&mut self, which: &str, state: TokenState) -> bool {
        let found = self
            .tokens
            .iter_mut()
            // Of the tokens of several signups the newest is meant.
            .rev()
            .find(|token| token.name == which || token.value == which);
        let known = found.is_some();
        if let Some(token) = found {
            token.state = state;
        }
        known
    }

    /// When a token ends; 0 is never.
    pub(crate) fn expires_at(&self, token: &GraphToken) -> i64 {
        self.expiries.get(&token.value).copied().unwrap_or(0)
    }

    /// Sets when a token given by name or value ends; false when there is none.
    pub(crate) fn set_expiry(&mut self, which: &str, expires_at: Option<i64>) -> bool {
        let found = self
            .tokens
            .iter()
            .rev()
            .find(|token| token.name == which || token.value == which);
        let Some(value) = found.map(|token| token.value.clone()) else {
            return false;
        };
        match expires_at {
            Some(at) => self.expiries.insert(value, at),
            None => self.expiries.remove(&value),
        };
        true
    }

    /// True while free-form messages to this person are allowed.
    pub(crate) fn is_window_open(&self, phone_number_id: &str, person: &str) -> bool {
        let key = (phone_number_id.to_owned(), person.to_owned());
        self.windows
            .get(&key)
            .is_some_and(|last| Utc::now() - *last < chrono::Duration::hours(24))
    }

    pub(crate) fn token(&self, value: &str) -> Option<&GraphToken> {
        self.tokens.iter().find(|token| token.value == value)
    }

    /// The number and its account, if the token may use it.
    pub(crate) fn phone(&self, token: &GraphToken, id: &str) -> Option<(&Waba, &Phone)> {
        self.wabas
            .iter()
            .filter(|waba| token.waba_ids.contains(&waba.id))
            .find_map(|waba| Some((waba, waba.phones.iter().find(|phone| phone.id == id)?)))
    }

    /// The account, or what Graph says when the token may not use it.
    pub(crate) fn own_waba(
        &self,
        token: &GraphToken,
        id: &str,
        method: &str,
    ) -> Result<&Waba, GraphError> {
        self.waba(token, id)
            .ok_or_else(|| GraphError::no_object(method, id))
    }

    /// The account, if the token may use it.
    pub(crate) fn waba(&self, token: &GraphToken, id: &str) -> Option<&Waba> {
        self.wabas
            .iter()
            .find(|waba| waba.id == id && token.waba_ids.contains(&waba.id))
    }
}
