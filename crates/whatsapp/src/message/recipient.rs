//! Who gets a message.

use std::{borrow::Cow, fmt};

use portal_types::PhoneNumber;

/// Most characters of a business-scoped user id after its country (Meta, "Business-scoped user
/// IDs").
const MAX_BSUID_CHARS: usize = 128;

/// One person: by phone number, or by the id that a person without a visible number has.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Recipient {
    /// Sent as `to`, with its plus: without it Meta prefixes the country code of the sending
    /// number.
    Phone(PhoneNumber),
    /// Sent as `recipient`.
    Bsuid(Bsuid),
}

/// A text is neither a phone number nor a business-scoped user id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a phone number in E.164 form, for example +14155550123 ('+' and 7 to 15 digits), or a \
     business-scoped user id, for example US.13491208655302741918"
)]
pub struct InvalidRecipient;

impl Recipient {
    /// Reads either form; a phone number as [`PhoneNumber::parse`] does.
    pub fn parse(value: &str) -> Result<Self, InvalidRecipient> {
        let phone = PhoneNumber::parse(value).ok().map(Self::Phone);
        phone
            .or_else(|| Bsuid::parse(value.trim()).map(Self::Bsuid))
            .ok_or(InvalidRecipient)
    }

    /// The form in which it is stored and shown: `+14155550123` or `US.1349…`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Phone(number) => number.as_e164(),
            Self::Bsuid(id) => id.as_str(),
        }
    }

    /// What names the same person in webhooks: the `wa_id` (digits) or the business-scoped user
    /// id.
    pub fn contact_key(&self) -> &str {
        match self {
            Self::Phone(number) => number.digits(),
            Self::Bsuid(id) => id.as_str(),
        }
    }
}

impl From<PhoneNumber> for Recipient {
    fn from(number: PhoneNumber) -> Self {
        Self::Phone(number)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Phone(_) => "Recipient::Phone(..)",
            Self::Bsuid(_) => "Recipient::Bsuid(..)",
        })
    }
}

impl utoipa::PartialSchema for Recipient {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some(
                "A phone number in E.164 form (spaces, dashes and brackets are tolerated, and so is \
                 a bare wa_id of digits), or a business-scoped user id",
            ))
            .examples(["+1234567890", "US.13491208655302741918"])
            .into()
    }
}

impl utoipa::ToSchema for Recipient {
    fn name() -> Cow<'static, str> {
        "Recipient".into()
    }
}

/// A business-scoped user id: two letters of a country, `.`, for parent ids `ENT.`, and 1 to 128
/// letters and digits. Opaque; it is valid within one business portfolio.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Bsuid(String);

impl Bsuid {
    /// Reads an id, to the letter.
    pub fn parse(value: &str) -> Option<Self> {
        let (country, rest) = value.split_once('.')?;
        let id = rest.strip_prefix("ENT.").unwrap_or(rest);
        let is_country = country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase());
        let is_id = (1..=MAX_BSUID_CHARS).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric());
        (is_country && is_id).then(|| Self(value.to_owned()))
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Bsuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bsuid(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_keep_their_kind() {
        let phone = Recipient::parse("1 (234) 567-890").unwrap();
        assert_eq!(
            (phone.as_str(), phone.contact_key()),
            ("+1234567890", "1234567890")
        );
        for id in [
            "US.13491208655302741918",
            "DE.ENT.aB9",
            &format!("US.{}", "9".repeat(128)),
        ] {
            let user = Recipient::parse(id).unwrap();
            assert!(matches!(user, Recipient::Bsuid(_)), "{id}");
            assert_eq!((user.as_str(), user.contact_key()), (id, id));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let too_long = format!("US.{}", "9".repeat(129));
        for bad in [
            "", "US.", "us.134", "USA.134", "US.13-4", "US.ENT.", "US 134", &too_long,
        ] {
            assert_eq!(Recipient::parse(bad), Err(InvalidRecipient), "{bad:?}");
        }
    }

    #[test]
    fn debug_tells_nobody() {
        for text in ["+1234567890", "US.1349"] {
            let shown = format!("{:?}", Recipient::parse(text).unwrap());
            assert!(!shown.contains("34"), "{shown}");
        }
    }
}
