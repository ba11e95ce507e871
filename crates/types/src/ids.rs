//! Identifiers. Generated ones are `UUIDv7`, so that they sort by the time they were made.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
            utoipa::ToSchema, schemars::JsonSchema,
        )]
        #[schemars(inline)]
        #[serde(transparent)]
        #[schema(value_type = Uuid)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id, ordered by time.
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id as a plain UUID, for the database and the wire.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(value: Uuid) -> Self {
                Self(value)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(value: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(value).map(Self)
            }
        }
    };
}

uuid_id!(
    /// A person of a tenant (`genesys_users.user_id`); not the id that Genesys gives.
    UserId
);
uuid_id!(
    /// A signed-in session (`genesys_user_sessions.session_id`, claim `sid`).
    SessionId
);
uuid_id!(
    /// A message that we accepted or received; not Meta's `wamid`.
    MessageId
);
uuid_id!(
    /// A conversation between a tenant's number and a contact.
    ConversationId
);
uuid_id!(
    /// A `CloudEvents` event id.
    EventId
);

/// Namespace of conversation ids, a random constant.
const CONVERSATIONS: Uuid = Uuid::from_u128(0x5f0c_2f43_7c1e_4c55_9a6c_0d2b_8f9e_6a11);

impl ConversationId {
    /// The conversation of a tenant's number with a contact: a number, with its plus or without, or a
    /// business-scoped user id.
    ///
    /// The id is derived from the three, so that every service finds the same one without asking.
    pub fn of(tenant: &TenantId, phone_number_id: &str, contact: &str) -> Self {
        let contact = contact.strip_prefix('+').unwrap_or(contact);
        // None of the parts can hold a line break.
        let name = format!("{tenant}\n{phone_number_id}\n{contact}");
        Self(Uuid::new_v5(&CONVERSATIONS, name.as_bytes()))
    }
}

/// A tenant's id: 1 to 255 characters of `a-z A-Z 0-9 _ . -`, beginning with a letter or digit.
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    utoipa::ToSchema,
    schemars::JsonSchema,
)]
#[serde(transparent)]
#[schemars(inline)]
#[schema(value_type = String, max_length = 255, pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]*$", examples("acme_corp"))]
pub struct TenantId(String);

/// Why a text is not a tenant id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be 1 to 255 characters: letters, digits, '_', '.', '-', beginning with a letter or digit"
)]
pub struct InvalidTenantId;

impl TenantId {
    /// Checks the form of a tenant id.
    pub fn parse(value: &str) -> Result<Self, InvalidTenantId> {
        let mut chars = value.chars();
        let starts_well = chars.next().is_some_and(|c| c.is_ascii_alphanumeric());
        let goes_on_well = chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        if starts_well && goes_on_well && value.len() <= 255 {
            Ok(Self(value.to_owned()))
        } else {
            Err(InvalidTenantId)
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TenantId {
    type Err = InvalidTenantId;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        Self::parse(value)
    }
}

impl<'de> Deserialize<'de> for TenantId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = String::deserialize(deserializer)?;
        Self::parse(&value).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_ids_keep_to_their_form() {
        for good in [
            "acme_corp",
            "a",
            "9lives",
            "globex-inc.eu",
            &"x".repeat(255),
        ] {
            assert_eq!(TenantId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "_x", "-x", "a b", "a/b", "ä", "a\n", &"x".repeat(256)] {
            assert_eq!(TenantId::parse(bad), Err(InvalidTenantId), "{bad:?}");
        }
    }

    #[test]
    fn generated_ids_sort_by_time() {
        let ids: Vec<_> = (0..50).map(|_| MessageId::generate()).collect();
        assert!(ids.is_sorted());
    }
}
