//! What an API key of a tenant may do.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// One thing that a tenant's API key may do.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
pub enum ApiScope {
    /// Sends messages.
    #[serde(rename = "messages:send")]
    MessagesSend,
    /// Reads messages and their status.
    #[serde(rename = "messages:read")]
    MessagesRead,
    /// Reads templates.
    #[serde(rename = "templates:read")]
    TemplatesRead,
}

impl ApiScope {
    /// All scopes.
    pub const ALL: [Self; 3] = [Self::MessagesSend, Self::MessagesRead, Self::TemplatesRead];

    /// The scope as tables and the API write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MessagesSend => "messages:send",
            Self::MessagesRead => "messages:read",
            Self::TemplatesRead => "templates:read",
        }
    }
}

impl fmt::Display for ApiScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be messages:send, messages:read or templates:read")]
pub struct InvalidApiScope;

impl FromStr for ApiScope {
    type Err = InvalidApiScope;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter();
        all.find(|scope| scope.as_str() == value)
            .ok_or(InvalidApiScope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_the_same_in_tables_and_in_json() {
        for scope in ApiScope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
            assert_eq!(serde_json::json!(scope), scope.as_str());
        }
        assert_eq!("messages:*".parse::<ApiScope>(), Err(InvalidApiScope));
    }
}
