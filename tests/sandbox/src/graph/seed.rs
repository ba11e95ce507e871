//! The app, business accounts, numbers and tokens that exist at the start.

use super::world::{GraphToken, Phone, TokenState, Waba, both_scopes, own_app};

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

/// Config id of Facebook Login for Business that Embedded Signup begins with.
pub const SIGNUP_CONFIG_ID: &str = "600000000000001";
/// The business portfolio that Embedded Signup tells of.
pub const BUSINESS_ID: &str = "500000000000001";
/// Two-step PIN of Acme's and Globex' numbers.
pub const SEEDED_PIN: &str = "112233";

/// For signup: an account with one number that is not registered.
pub const FRESH_WABA_ID: &str = "100000000000011";
/// Its number's id.
pub const FRESH_PHONE_NUMBER_ID: &str = "200000000000011";
/// For signup: an account with two numbers that are not registered.
pub const TWO_NUMBERS_WABA_ID: &str = "100000000000012";
/// The first number's id.
pub const FIRST_PHONE_NUMBER_ID: &str = "200000000000012";
/// The second number's id.
pub const SECOND_PHONE_NUMBER_ID: &str = "200000000000013";
/// For signup: an account whose number stays in the `WhatsApp` Business app.
pub const COEXISTENCE_WABA_ID: &str = "100000000000014";
/// Its number's id.
pub const COEXISTENCE_PHONE_NUMBER_ID: &str = "200000000000014";
/// For signup: an account whose number has two-step verification and is not registered.
pub const TWO_STEP_WABA_ID: &str = "100000000000015";
/// Its number's id.
pub const TWO_STEP_PHONE_NUMBER_ID: &str = "200000000000015";
/// The PIN of that number.
pub const TWO_STEP_PIN: &str = "246810";

/// An account that nobody has signed up with yet.
fn fresh(id: &str, name: &str, phones: Vec<Phone>) -> Waba {
    Waba {
        id: id.to_owned(),
        name: name.to_owned(),
        phones,
        subscribed: false,
    }
}

fn fresh_phone(id: &str, display: &str, name: &str) -> Phone {
    Phone {
        id: id.to_owned(),
        display_phone_number: display.to_owned(),
        country_code: "1".to_owned(),
        verified_name: name.to_owned(),
        registered: false,
        pin: None,
        is_on_biz_app: false,
        code_verified: true,
    }
}

fn signup_wabas() -> Vec<Waba> {
    let coexistence = Phone {
        registered: true,
        is_on_biz_app: true,
        ..fresh_phone(
            COEXISTENCE_PHONE_NUMBER_ID,
            "+1 555-010-0014",
            "Corner Shop",
        )
    };
    let two_step = Phone {
        pin: Some(TWO_STEP_PIN.to_owned()),
        ..fresh_phone(TWO_STEP_PHONE_NUMBER_ID, "+1 555-010-0015", "Careful Bank")
    };
    vec![
        fresh(
            FRESH_WABA_ID,
            "Initech",
            vec![fresh_phone(
                FRESH_PHONE_NUMBER_ID,
                "+1 555-010-0011",
                "Initech Help",
            )],
        ),
        fresh(
            TWO_NUMBERS_WABA_ID,
            "Twin Stores",
            vec![
                fresh_phone(FIRST_PHONE_NUMBER_ID, "+1 555-010-0012", "Twin North"),
                fresh_phone(SECOND_PHONE_NUMBER_ID, "+1 555-010-0013", "Twin South"),
            ],
        ),
        fresh(COEXISTENCE_WABA_ID, "Corner Shop", vec![coexistence]),
        fresh(TWO_STEP_WABA_ID, "Careful Bank", vec![two_step]),
    ]
}

pub(crate) fn wabas() -> Vec<Waba> {
    let mut wabas = running_wabas();
    wabas.extend(signup_wabas());
    wabas
}

fn running_phone(id: &str, display: &str, country_code: &str, name: &str) -> Phone {
    Phone {
        country_code: country_code.to_owned(),
        registered: true,
        pin: Some(SEEDED_PIN.to_owned()),
        ..fresh_phone(id, display, name)
    }
}

fn running_wabas() -> Vec<Waba> {
    vec![
        Waba {
            id: ACME_WABA_ID.to_owned(),
            name: "Acme Corp".to_owned(),
            phones: vec![running_phone(
                ACME_PHONE_NUMBER_ID,
                ACME_DISPLAY_PHONE_NUMBER,
                "1",
                "Acme Support",
            )],
            subscribed: true,
        },
        Waba {
            id: GLOBEX_WABA_ID.to_owned(),
            name: "Globex Corporation".to_owned(),
            phones: vec![running_phone(
                GLOBEX_PHONE_NUMBER_ID,
                GLOBEX_DISPLAY_PHONE_NUMBER,
                "49",
                "Globex Service",
            )],
            subscribed: true,
        },
    ]
}

fn token(name: &str, value: &str, waba_id: &str, state: TokenState) -> GraphToken {
    GraphToken {
        name: name.to_owned(),
        value: value.to_owned(),
        waba_ids: vec![waba_id.to_owned()],
        state,
        scopes: both_scopes(),
        app_id: own_app(),
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
