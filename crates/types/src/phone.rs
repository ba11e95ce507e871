//! Phone numbers as callers write them, held in E.164 form.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A phone number in E.164 form: `+` and 7 to 15 digits.
///
/// Checked by form only: whether the number exists is for Meta to decide.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, examples("+1234567890"))]
pub struct PhoneNumber(String);

/// Why a text is not a phone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a phone number in E.164 form, for example +14155550123 ('+' and 7 to 15 digits)")]
pub struct InvalidPhoneNumber;

impl PhoneNumber {
    /// Reads a number; spaces, dashes, dots and brackets are tolerated, and a bare `wa_id` of
    /// digits is given its plus (without it Meta would prefix the sender's own country code:
    /// Cloud API, "Phone number formats").
    pub fn parse(value: &str) -> Result<Self, InvalidPhoneNumber> {
        let trimmed = value.trim();
        let body = trimmed.strip_prefix('+').unwrap_or(trimmed);
        let mut digits = String::with_capacity(16);
        for c in body.chars() {
            match c {
                '0'..='9' => digits.push(c),
                ' ' | '-' | '(' | ')' | '.' | '\u{a0}' => {}
                _ => return Err(InvalidPhoneNumber),
            }
        }
        if (7..=15).contains(&digits.len()) {
            Ok(Self(format!("+{digits}")))
        } else {
            Err(InvalidPhoneNumber)
        }
    }

    /// The number with its plus, as Meta wants it in a request.
    pub fn as_e164(&self) -> &str {
        &self.0
    }

    /// The digits alone, as Meta's webhooks carry them (`wa_id`).
    pub fn digits(&self) -> &str {
        self.0.strip_prefix('+').unwrap_or(&self.0)
    }
}

impl fmt::Debug for PhoneNumber {
    // A number is personal data: Debug ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhoneNumber(..)")
    }
}

impl FromStr for PhoneNumber {
    type Err = InvalidPhoneNumber;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        Self::parse(value)
    }
}

impl<'de> Deserialize<'de> for PhoneNumber {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = String::deserialize(deserializer)?;
        Self::parse(&value).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerated_forms_become_e164() {
        for (given, expected) in [
            ("+1234567890", "+1234567890"),
            ("1234567890", "+1234567890"),
            (" +1 (415) 555-0123 ", "+14155550123"),
            ("+49.30.1234567", "+49301234567"),
            ("1234567", "+1234567"),
            ("123456789012345", "+123456789012345"),
        ] {
            let number = PhoneNumber::parse(given).unwrap();
            assert_eq!(number.as_e164(), expected);
            assert_eq!(format!("+{}", number.digits()), expected);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "",
            "+",
            "123456",
            "1234567890123456",
            "+1+2345678",
            "12345x7890",
            "++1234567",
        ] {
            assert_eq!(PhoneNumber::parse(bad), Err(InvalidPhoneNumber), "{bad:?}");
        }
    }

    #[test]
    fn debug_does_not_show_the_number() {
        let number = PhoneNumber::parse("+1234567890").unwrap();
        assert!(!format!("{number:?}").contains("123"));
    }
}
