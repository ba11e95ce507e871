//! Business accounts, phone numbers and tokens of the Graph side.

use serde::{Deserialize, Serialize};

use super::seed;

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
}

impl GraphWorld {
    pub(crate) fn seeded() -> Self {
        Self {
            wabas: seed::wabas(),
            tokens: seed::tokens(),
        }
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
        self.wabas.push(waba);
        self.tokens.push(token);
    }

    /// Sets the state of a token given by name or value; false when there is none.
    pub(crate) fn set_token_state(&mut self, which: &str, state: TokenState) -> bool {
        let found = self
            .tokens
            .iter_mut()
            .find(|token| token.name == which || token.value == which);
        let known = found.is_some();
        if let Some(token) = found {
            token.state = state;
        }
        known
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

    /// The account, if the token may use it.
    pub(crate) fn waba(&self, token: &GraphToken, id: &str) -> Option<&Waba> {
        self.wabas
            .iter()
            .find(|waba| waba.id == id && token.waba_ids.contains(&waba.id))
    }
}
