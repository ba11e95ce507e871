//! A tenant's WhatsApp Business Account and its default number.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use portal_types::PhoneNumber;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::tenant::BadText;

/// An id that Meta gave (WABA, phone number, business). Digits today; Meta promises only a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetaId(String);

impl MetaId {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MetaId {
    type Err = BadText;

    fn from_str(value: &str) -> Result<Self, BadText> {
        let fits = (1..=64).contains(&value.len())
            && value
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if fits {
            Ok(Self(value.to_owned()))
        } else {
            Err(BadText("must be an id that Meta gave"))
        }
    }
}

/// Whether Meta takes the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::AsRefStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum TokenStatus {
    /// It has not been used yet.
    Unknown,
    Valid,
    Invalid,
}

impl TokenStatus {
    pub(crate) fn as_str(&self) -> &str {
        self.as_ref()
    }
}

/// A configuration to be written.
#[derive(Debug, Clone)]
pub(crate) struct NewWhatsappAccount {
    pub(crate) waba_id: MetaId,
    pub(crate) business_id: Option<MetaId>,
    pub(crate) phone_number_id: MetaId,
    pub(crate) display_phone_number: PhoneNumber,
    pub(crate) access_token: SecretString,
    /// Of two-step verification; without one that of the same number stays.
    pub(crate) pin: Option<SecretString>,
    /// What Meta said, where it was asked.
    pub(crate) proven: Option<Proven>,
}

/// What Meta said of a token and its number.
#[derive(Debug, Clone)]
pub(crate) struct Proven {
    pub(crate) token_expires_at: Option<DateTime<Utc>>,
    pub(crate) verified_name: Option<String>,
    pub(crate) quality_rating: Option<String>,
    pub(crate) messaging_limit: Option<String>,
    pub(crate) at: DateTime<Utc>,
}

/// Checks the form of a two-step PIN.
pub(crate) fn check_pin(pin: &SecretString) -> Result<(), BadText> {
    let text = pin.expose_secret();
    if text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit()) {
        Ok(())
    } else {
        Err(BadText("must be six digits"))
    }
}

/// Checks the form of an access token; its content is Meta's affair.
pub(crate) fn check_token(token: &SecretString) -> Result<(), BadText> {
    let text = token.expose_secret();
    let fits = (8..=4_096).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if fits {
        Ok(())
    } else {
        Err(BadText("must be an access token of 8 to 4096 characters"))
    }
}

/// A configuration as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WhatsappAccount {
    pub(crate) config_id: Uuid,
    pub(crate) waba_id: String,
    pub(crate) business_id: Option<String>,
    pub(crate) number: DefaultNumber,
    pub(crate) token_last4: String,
    pub(crate) token_fingerprint: String,
    pub(crate) token_status: TokenStatus,
    pub(crate) token_error_code: Option<i64>,
    pub(crate) token_expires_at: Option<DateTime<Utc>>,
    pub(crate) verified_at: Option<DateTime<Utc>>,
    /// A PIN is kept, so that the number can be registered again.
    pub(crate) has_pin: bool,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// The number that messages leave from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DefaultNumber {
    pub(crate) phone_number_id: String,
    pub(crate) display_phone_number: String,
    pub(crate) quality_rating: Option<String>,
    pub(crate) messaging_limit: Option<String>,
    pub(crate) verified_name: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_tokens_keep_to_their_form() {
        assert!("102290129340398".parse::<MetaId>().is_ok());
        for bad in ["", "1 2", "1/2", &"1".repeat(65)] {
            assert!(bad.parse::<MetaId>().is_err(), "{bad:?}");
        }
        assert!(check_token(&"EAAGm0PX4ZCpsBA".into()).is_ok());
        for bad in [
            "",
            "short",
            "with space inside",
            "line\nbreaks",
            &"x".repeat(4_097),
        ] {
            assert!(check_token(&bad.into()).is_err(), "{bad:?}");
        }
    }
}
