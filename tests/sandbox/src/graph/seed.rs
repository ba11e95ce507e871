//! The app, business accounts, numbers and tokens that exist at the start.

use super::world::{GraphToken, Phone, TokenState, Waba};

/// Meta app that owns the tokens and receives the webhooks.
pub const APP_ID: &str = "300000000000001";
/// Its secret: signs webhooks, proves tokens, and is half of the app token.
pub const APP_SECRET: &str = "sandbox-app-secret";

/// Business account of Acme.
pub const ACME_WABA_ID: &str = "100000000000001";
/// Its number's id.
pub const ACME_PHONE_NUMBER_ID: &str = "200000000000001";
/// The number as people see it.
pub const ACME_DISPLAY_PHONE_NUMBER: &str = "+1 555-010-0001";
/// Its access token.
pub const ACME_TOKEN: &str = "EAASANDBOXacme0000000000000000000000000001";
/// Name of that token in the journal.
pub const ACME_TOKEN_NAME: &str = "acme";

/// Business account of Globex.
pub const GLOBEX_WABA_ID: &str = "100000000000002";
/// Its number's id.
pub const GLOBEX_PHONE_NUMBER_ID: &str = "200000000000002";
/// The number as people see it (Germany).
pub const GLOBEX_DISPLAY_PHONE_NUMBER: &str = "+49 30 5550002";
/// Its access token.
pub const GLOBEX_TOKEN: &str = "EAASANDBOXglobex00000000000000000000000002";
/// Name of that token in the journal.
pub const GLOBEX_TOKEN_NAME: &str = "globex";

/// A token of Acme that ran out long ago (190, subcode 463).
pub const EXPIRED_TOKEN: &str = "EAASANDBOXexpired0000000000000000000000003";

pub(crate) fn wabas() -> Vec<Waba> {
    vec![
        Waba {
            id: ACME_WABA_ID.to_owned(),
            name: "Acme Corp".to_owned(),
            phones: vec![Phone {
                id: ACME_PHONE_NUMBER_ID.to_owned(),
                display_phone_number: ACME_DISPLAY_PHONE_NUMBER.to_owned(),
                country_code: "1".to_owned(),
                verified_name: "Acme Support".to_owned(),
            }],
        },
        Waba {
            id: GLOBEX_WABA_ID.to_owned(),
            name: "Globex Corporation".to_owned(),
            phones: vec![Phone {
                id: GLOBEX_PHONE_NUMBER_ID.to_owned(),
                display_phone_number: GLOBEX_DISPLAY_PHONE_NUMBER.to_owned(),
                country_code: "49".to_owned(),
                verified_name: "Globex Service".to_owned(),
            }],
        },
    ]
}

fn token(name: &str, value: &str, waba_id: &str, state: TokenState) -> GraphToken {
    GraphToken {
        name: name.to_owned(),
        value: value.to_owned(),
        waba_ids: vec![waba_id.to_owned()],
        state,
    }
}

pub(crate) fn tokens() -> Vec<GraphToken> {
    vec![
        token(
            ACME_TOKEN_NAME,
            ACME_TOKEN,
            ACME_WABA_ID,
            TokenState::Active,
        ),
        token(
            GLOBEX_TOKEN_NAME,
            GLOBEX_TOKEN,
            GLOBEX_WABA_ID,
            TokenState::Active,
        ),
        token("expired", EXPIRED_TOKEN, ACME_WABA_ID, TokenState::Expired),
    ]
}
