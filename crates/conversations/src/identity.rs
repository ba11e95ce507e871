//! Who a contact is: by number or by business-scoped user id, as Meta shows it.

use std::fmt;

/// A number with its plus or a business-scoped user id; never rewritten.
///
/// Numbers come before user ids, so that the first of several names the contact: by its number, as
/// long as one is known.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(String);

/// Who a contact is stays out of logs.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

impl Identity {
    /// The number of these digits, as `wa_id` has them.
    pub fn number(digits: &str) -> Self {
        Self(format!("+{digits}"))
    }

    /// A business-scoped user id, or a number with its plus.
    pub fn of(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits, if it is a number.
    pub fn digits(&self) -> Option<&str> {
        self.0.strip_prefix('+')
    }

    /// The other form of the number, where Meta uses two for one phone: Brazilian mobiles with and
    /// without the ninth digit, Mexican ones with and without the 1 after the country.
    ///
    /// Meta, "Phone numbers": for Brazil and Mexico the API may change the prefix of a number.
    /// Landlines have no second form: in Brazil they begin with 2 to 5, and a mobile with a ninth
    /// digit before such a number is somebody else's.
    pub fn variant(&self) -> Option<Self> {
        let digits = self.digits()?;
        if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let other = if let Some(national) = digits.strip_prefix("55") {
            let (area, number) = national.split_at_checked(2)?;
            let is_mobile = |number: &str| matches!(number.as_bytes().first(), Some(b'6'..=b'9'));
            match (number.len(), number.strip_prefix('9')) {
                (9, Some(short)) if is_mobile(short) => format!("55{area}{short}"),
                (8, _) if is_mobile(number) => format!("55{area}9{number}"),
                _ => return None,
            }
        } else if let Some(national) = digits.strip_prefix("52") {
            match (national.len(), national.strip_prefix('1')) {
                (11, Some(short)) => format!("52{short}"),
                (10, _) => format!("521{national}"),
                _ => return None,
            }
        } else {
            return None;
        };
        Some(Self::number(&other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mobiles_of_brazil_and_mexico_have_a_second_form_and_nothing_else_has() {
        for (one, other) in [
            ("+5511988887777", Some("+551188887777")),
            ("+551188887777", Some("+5511988887777")),
            ("+5215512345678", Some("+525512345678")),
            ("+525512345678", Some("+5215512345678")),
            // A landline of São Paulo, and the mobile that looks like it with a 9 before it.
            ("+551144445555", None),
            ("+5511944445555", None),
            ("+5511", None),
            ("+14155550000", None),
            ("+52155123456789", None),
            ("US.5511988887777", None),
        ] {
            let variant = Identity::of(one).variant();
            assert_eq!(variant, other.map(Identity::of), "{one}");
        }
    }

    #[test]
    fn a_variant_leads_back() {
        for digits in [
            "5511988887777",
            "551168887777",
            "5215512345678",
            "525512345678",
        ] {
            let identity = Identity::number(digits);
            assert_eq!(identity.variant().unwrap().variant(), Some(identity));
        }
    }

    #[test]
    fn numbers_come_before_user_ids() {
        assert!(Identity::number("99999999999") < Identity::of("AA.1"));
    }
}
