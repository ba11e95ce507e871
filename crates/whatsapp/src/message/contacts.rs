//! Contact cards.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::checker::Checker;

/// Most cards in a message (Meta's `OpenAPI` document).
const MAX_CONTACTS: usize = 5;
/// No limits are documented for lists and texts of a card.
const MAX_ENTRIES: usize = 20;
const MAX_CHARS: usize = 1000;

/// One to five contact cards.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Contacts(pub Vec<Contact>);

impl Contacts {
    pub(super) fn check(&self, c: &mut Checker<'_>) {
        c.count(self.0.len(), 1..=MAX_CONTACTS);
        c.items(&self.0, &mut |c, contact| contact.check(c));
    }
}

/// A contact card.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// The name, with at least one part besides the formatted form.
    pub name: ContactName,
    /// Phone numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phones: Vec<ContactPhone>,
    /// Mail addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emails: Vec<ContactEmail>,
    /// Postal addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<ContactAddress>,
    /// Where the person works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org: Option<ContactOrg>,
    /// Web addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<ContactUrl>,
    /// `YYYY-MM-DD`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = Date)]
    pub birthday: Option<String>,
}

impl Contact {
    pub(super) fn check(&self, c: &mut Checker<'_>) {
        c.inside("name", |c| self.name.check(c));
        c.each("phones", &self.phones, 0..=MAX_ENTRIES, |c, phone| {
            c.text("phone", &phone.phone, MAX_CHARS);
            let is_wa_id = |id: &str| (1..=15).contains(&id.len()) && digits(id);
            if phone.wa_id.as_deref().is_some_and(|id| !is_wa_id(id)) {
                c.refuse("wa_id", "must be 1 to 15 digits without a plus");
            }
            kind(c, phone.kind.as_deref());
        });
        c.each("emails", &self.emails, 0..=MAX_ENTRIES, |c, email| {
            if !email.email.contains('@') || email.email.contains(char::is_whitespace) {
                c.refuse("email", "must be a mail address");
            }
            kind(c, email.kind.as_deref());
        });
        c.each(
            "addresses",
            &self.addresses,
            0..=MAX_ENTRIES,
            |c, address| address.check(c),
        );
        c.each("urls", &self.urls, 0..=MAX_ENTRIES, |c, url| {
            c.web_address("url", &url.url);
            kind(c, url.kind.as_deref());
        });
        if let Some(org) = &self.org {
            c.inside("org", |c| {
                texts(
                    c,
                    &[
                        ("company", &org.company),
                        ("department", &org.department),
                        ("title", &org.title),
                    ],
                );
            });
        }
        if self.birthday.as_deref().is_some_and(|day| !is_date(day)) {
            c.refuse("birthday", "must be a day as YYYY-MM-DD");
        }
    }
}

fn is_date(day: &str) -> bool {
    // chrono also takes days and months without their zero.
    day.len() == 10 && day.parse::<NaiveDate>().is_ok()
}

fn digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

/// The kind of an entry is an open set: `HOME`, `WORK`, `CELL`, `MAIN`, `IPHONE`, …
fn kind(c: &mut Checker<'_>, kind: Option<&str>) {
    c.optional_text("type", kind, MAX_CHARS);
}

fn texts(c: &mut Checker<'_>, members: &[(&str, &Option<String>)]) {
    for (name, value) in members {
        c.optional_text(name, value.as_deref(), MAX_CHARS);
    }
}

/// The name of a contact.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactName {
    /// As it is shown.
    pub formatted_name: String,
    /// Given name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Family name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// Middle name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub middle_name: Option<String>,
    /// Before the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// After the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
}

impl ContactName {
    fn check(&self, c: &mut Checker<'_>) {
        c.text("formatted_name", &self.formatted_name, MAX_CHARS);
        let parts = [
            ("first_name", &self.first_name),
            ("last_name", &self.last_name),
            ("middle_name", &self.middle_name),
            ("prefix", &self.prefix),
            ("suffix", &self.suffix),
        ];
        texts(c, &parts);
        if parts.iter().all(|(_, value)| value.is_none()) {
            c.refuse_this("must have a part besides formatted_name, for example first_name");
        }
    }
}

/// A phone number of a contact.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactPhone {
    /// As it is shown.
    pub phone: String,
    /// `HOME`, `WORK`, `CELL`, `MAIN`, …
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The number's id in `WhatsApp`, digits; it adds a button that opens a chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wa_id: Option<String>,
}

/// A mail address of a contact.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactEmail {
    /// The address.
    pub email: String,
    /// `HOME`, `WORK`, …
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// A web address of a contact.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactUrl {
    /// The address.
    pub url: String,
    /// `HOME`, `WORK`, …
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// Where a contact works.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactOrg {
    /// The firm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    /// A part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    /// What the person does there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// A postal address of a contact.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactAddress {
    /// Street and house.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub street: Option<String>,
    /// City.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// State or province.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Postal code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zip: Option<String>,
    /// Country by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Country by its two letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country_code: Option<String>,
    /// `HOME`, `WORK`, …
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

impl ContactAddress {
    fn check(&self, c: &mut Checker<'_>) {
        texts(
            c,
            &[
                ("street", &self.street),
                ("city", &self.city),
                ("state", &self.state),
                ("zip", &self.zip),
                ("country", &self.country),
                ("type", &self.kind),
            ],
        );
        let is_code = |code: &str| code.len() == 2 && code.bytes().all(|b| b.is_ascii_alphabetic());
        if self
            .country_code
            .as_deref()
            .is_some_and(|code| !is_code(code))
        {
            c.refuse("country_code", "must be the two letters of a country");
        }
    }
}
