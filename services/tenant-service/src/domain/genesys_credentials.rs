//! A tenant's own OAuth clients of Genesys Cloud. Each has exactly one grant there, so a tenant may
//! need two: one that signs its people in, one that reads them.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::tenant::BadText;

/// What a client was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::AsRefStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Grant {
    /// Reads the tenant's people.
    ClientCredentials,
    /// Signs the tenant's people in.
    AuthorizationCode,
}

impl Grant {
    pub(crate) fn as_str(&self) -> &str {
        self.as_ref()
    }

    /// Reads a grant that a caller gave.
    pub(crate) fn given(value: &str) -> Result<Self, BadText> {
        value
            .parse()
            .map_err(|_unknown| BadText("must be client_credentials or authorization_code"))
    }

    /// The word in the table.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::ClientCredentials => "genesys",
            Self::AuthorizationCode => "genesys_sign_in",
        }
    }

    /// The grant of a word in the table.
    pub(crate) fn of_kind(kind: &str) -> Option<Self> {
        [Self::ClientCredentials, Self::AuthorizationCode]
            .into_iter()
            .find(|grant| grant.kind() == kind)
    }
}

/// A client to be written.
#[derive(Debug, Clone)]
pub(crate) struct NewCredentials {
    pub(crate) grant: Grant,
    pub(crate) region: String,
    pub(crate) client_id: String,
    /// None for a public (PKCE) client.
    pub(crate) client_secret: Option<SecretString>,
}

/// A client as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) credential_id: Uuid,
    pub(crate) grant: Grant,
    pub(crate) region: String,
    pub(crate) client_id: String,
    /// The last characters of the secret, if there is one.
    pub(crate) secret_last4: Option<String>,
    /// Rises with each writing.
    pub(crate) version: i64,
    /// When Genesys took them last.
    pub(crate) verified_at: Option<DateTime<Utc>>,
    /// What Genesys said when it was asked last, if that was no.
    pub(crate) last_error: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// Checks the form of a client's id; a UUID today.
pub(crate) fn client_id(value: &str) -> Result<String, BadText> {
    let fits = (1..=255).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_graphic());
    // A colon would end the id in the header that id and secret travel in.
    if fits && !value.contains(':') {
        Ok(value.to_owned())
    } else {
        Err(BadText("must be the id of an OAuth client, such as a UUID"))
    }
}

/// Checks the form of a client's secret.
pub(crate) fn check_secret(secret: &SecretString) -> Result<(), BadText> {
    let text = secret.expose_secret();
    if (8..=1_024).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(BadText("must be a secret of 8 to 1024 characters"))
    }
}

/// What Genesys made of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) grant: Grant,
    pub(crate) ok: bool,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// The organization that the client belongs to, when Genesys told.
    pub(crate) genesys_org_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_secrets_keep_to_their_form() {
        assert!(client_id("2b7e1516-28ae-d2a6-abf7-158809cf4f3c").is_ok());
        for bad in ["", "a b", "a:b", "ä", &"x".repeat(256)] {
            assert!(client_id(bad).is_err(), "{bad:?}");
        }
        assert!(check_secret(&"s3c/r+t=:%".into()).is_ok());
        for bad in ["", "short", "with a space", &"x".repeat(1_025)] {
            assert!(check_secret(&bad.into()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn each_grant_has_its_row() {
        for (word, kind) in [
            ("client_credentials", "genesys"),
            ("authorization_code", "genesys_sign_in"),
        ] {
            let grant = Grant::given(word).unwrap();
            assert_eq!((grant.as_str(), grant.kind()), (word, kind));
            assert_eq!(Grant::of_kind(kind), Some(grant));
        }
        assert!(Grant::given("password").is_err());
        assert_eq!(Grant::of_kind("whatsapp"), None);
    }
}
