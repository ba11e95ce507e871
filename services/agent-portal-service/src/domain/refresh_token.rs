//! The refresh token: opaque for its holder, and for us the way to its session's row.
//!
//! `rt_` + base64url(tenant) `.` session `.` base64url(secret, tag). It names its tenant, so that the
//! row is found within that tenant's walls and not across them. The tag proves that we made the
//! token: a guessed one must not end the session that it names, as a used one does.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use portal_auth::{REFRESH_TAG_BYTES as TAG_BYTES, RefreshSecret, SECRET_BYTES};
use portal_types::{SessionId, TenantId};
use secrecy::SecretString;
use zeroize::Zeroizing;

const PREFIX: &str = "rt_";
/// The longest tenant id as base64, and the rest: anything longer is not ours.
const MAX_LENGTH: usize = 512;

/// A refresh token, taken apart.
#[derive(Clone)]
pub(crate) struct RefreshToken {
    /// The tenant of the session.
    pub(crate) tenant_id: TenantId,
    /// The session.
    pub(crate) session_id: SessionId,
    /// What only the holder knows.
    pub(crate) secret: RefreshSecret,
    /// That it is one of ours.
    pub(crate) tag: [u8; TAG_BYTES],
}

/// The text is not a refresh token of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a refresh token")]
pub(crate) struct InvalidRefreshToken;

impl RefreshToken {
    /// Reads the text that a holder presents. The tag is not checked here.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidRefreshToken> {
        if text.len() > MAX_LENGTH {
            return Err(InvalidRefreshToken);
        }
        let rest = text.strip_prefix(PREFIX).ok_or(InvalidRefreshToken)?;
        let mut parts = rest.split('.');
        let (Some(tenant), Some(session), Some(tail), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidRefreshToken);
        };
        let tenant = URL_SAFE_NO_PAD
            .decode(tenant)
            .or(Err(InvalidRefreshToken))?;
        let tenant = String::from_utf8(tenant).or(Err(InvalidRefreshToken))?;
        let tenant_id = TenantId::parse(&tenant).or(Err(InvalidRefreshToken))?;
        let session_id = session.parse().or(Err(InvalidRefreshToken))?;
        let tail = Zeroizing::new(URL_SAFE_NO_PAD.decode(tail).or(Err(InvalidRefreshToken))?);
        let (secret, tag) = tail
            .split_at_checked(SECRET_BYTES)
            .ok_or(InvalidRefreshToken)?;
        Ok(Self {
            tenant_id,
            session_id,
            secret: Zeroizing::new(secret.try_into().or(Err(InvalidRefreshToken))?),
            tag: tag.try_into().or(Err(InvalidRefreshToken))?,
        })
    }

    /// The text for the holder.
    pub(crate) fn reveal(&self) -> SecretString {
        let mut tail = Zeroizing::new([0_u8; SECRET_BYTES + TAG_BYTES]);
        let (secret, tag) = tail.split_at_mut(SECRET_BYTES);
        secret.copy_from_slice(self.secret.as_slice());
        tag.copy_from_slice(&self.tag);
        format!(
            "{PREFIX}{}.{}.{}",
            URL_SAFE_NO_PAD.encode(self.tenant_id.as_str()),
            self.session_id,
            URL_SAFE_NO_PAD.encode(tail.as_slice()),
        )
        .into()
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshToken")
            .field("session_id", &self.session_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn token(tenant: &str) -> RefreshToken {
        RefreshToken {
            tenant_id: TenantId::parse(tenant).unwrap(),
            session_id: SessionId::generate(),
            secret: Zeroizing::new([7; SECRET_BYTES]),
            tag: [9; TAG_BYTES],
        }
    }

    #[test]
    fn a_token_survives_its_text_whatever_the_tenant_is_called() {
        for tenant in ["acme_corp", "a.b-c", &"x".repeat(255)] {
            let token = token(tenant);
            let text = token.reveal();
            let again = RefreshToken::parse(text.expose_secret()).unwrap();
            assert_eq!(again.tenant_id, token.tenant_id);
            assert_eq!(again.session_id, token.session_id);
            assert_eq!((again.secret, again.tag), (token.secret, token.tag));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let good = token("acme").reveal().expose_secret().to_owned();
        let without_tenant = good.replacen("YWNtZQ", "", 1);
        let with_slash = good.replacen("YWNtZQ", "YS9i", 1);
        for bad in [
            "",
            "rt_",
            "rt_..",
            good.strip_prefix("rt_").unwrap(),
            &format!("{good}x"),
            &format!("{good}.x"),
            good.rsplit_once('.').unwrap().0,
            &without_tenant,
            &with_slash,
            &good.repeat(20),
        ] {
            assert_eq!(
                RefreshToken::parse(bad).unwrap_err(),
                InvalidRefreshToken,
                "{bad}"
            );
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        assert!(!format!("{:?}", token("acme")).contains('7'.to_string().repeat(3).as_str()));
    }
}
