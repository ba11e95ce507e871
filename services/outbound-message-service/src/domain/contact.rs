//! Contacts in the form of a recipient.

use portal_types::PhoneNumber;

/// The contact that `text` names: a number becomes E.164, a business-scoped user id stays as it is.
pub(crate) fn parse(text: &str) -> Option<String> {
    if let Ok(number) = PhoneNumber::parse(text) {
        return Some(number.as_e164().to_owned());
    }
    let (country, rest) = text.split_once('.')?;
    let fits = country.len() == 2
        && text.len() <= 160
        && country.bytes().all(|byte| byte.is_ascii_uppercase())
        && rest
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    (fits && !rest.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn numbers_and_user_ids_are_told_apart() {
        for (text, expected) in [
            ("16505551234", Some("+16505551234")),
            ("+1 650 555-1234", Some("+16505551234")),
            ("US.13491208655302741918", Some("US.13491208655302741918")),
            ("US.ENT.1181", Some("US.ENT.1181")),
            ("us.1", None),
            ("US.", None),
            ("US.1 2", None),
            ("", None),
        ] {
            assert_eq!(parse(text).as_deref(), expected, "{text}");
        }
    }
}
