//! Refresh tokens of administrators: `rta_` + session `.` base64url(secret, tag).

use aws_lc_rs::error::Unspecified;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use portal_auth::{
    REFRESH_TAG_BYTES as TAG_BYTES, RefreshKeys, RefreshSecret, SECRET_BYTES, random_secret, sha256,
};
use portal_vault::{Vault, VaultError};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;
use zeroize::Zeroizing;

const PREFIX: &str = "rta_";
/// Never change it: all sessions would end.
const LABEL: &str = "tenant-service/admin-refresh-tokens/v1";
const NEXT: &[u8] = b"next";
const LONGEST: usize = 128;

/// A refresh token, taken apart.
pub(crate) struct RefreshToken {
    pub(crate) session_id: Uuid,
    secret: RefreshSecret,
}

impl RefreshToken {
    /// The first one of a session.
    pub(crate) fn first(session_id: Uuid) -> Result<Self, Unspecified> {
        let secret = random_secret()?;
        Ok(Self { session_id, secret })
    }

    /// What its successors and its tag are made of.
    fn parts(&self) -> [&[u8]; 2] {
        [self.session_id.as_bytes(), self.secret.as_slice()]
    }

    /// What is stored of it.
    pub(crate) fn hash(&self) -> Vec<u8> {
        sha256(self.secret.as_slice()).to_vec()
    }
}

/// Keys for refresh tokens.
#[derive(Clone)]
pub(crate) struct TokenKeys(RefreshKeys);

impl TokenKeys {
    /// Derives them.
    pub(crate) fn derive(vault: &Vault) -> Result<Self, VaultError> {
        RefreshKeys::derive(vault, LABEL).map(Self)
    }

    /// The tokens that may follow `previous`: with the active key first.
    pub(crate) fn successors(&self, previous: &RefreshToken) -> impl Iterator<Item = RefreshToken> {
        self.0.all().map(|key| RefreshToken {
            session_id: previous.session_id,
            secret: key.secret(NEXT, &previous.parts()),
        })
    }

    /// The text for the holder.
    pub(crate) fn reveal(&self, token: &RefreshToken) -> SecretString {
        let mut tail = Zeroizing::new([0_u8; SECRET_BYTES + TAG_BYTES]);
        let (secret, tag) = tail.split_at_mut(SECRET_BYTES);
        secret.copy_from_slice(token.secret.as_slice());
        tag.copy_from_slice(&self.0.active().tag(&token.parts()));
        let session = token.session_id.simple();
        let tail = Zeroizing::new(URL_SAFE_NO_PAD.encode(tail.as_slice()));
        format!("{PREFIX}{session}.{}", tail.as_str()).into()
    }

    /// Reads what a holder presents; nothing if we did not make it.
    pub(crate) fn read(&self, presented: &SecretString) -> Option<RefreshToken> {
        let text = presented.expose_secret();
        if text.len() > LONGEST {
            return None;
        }
        let (session, tail) = text.strip_prefix(PREFIX)?.split_once('.')?;
        let tail = Zeroizing::new(URL_SAFE_NO_PAD.decode(tail).ok()?);
        let (secret, tag) = tail.split_at_checked(SECRET_BYTES)?;
        let token = RefreshToken {
            session_id: Uuid::try_parse(session).ok()?,
            secret: Zeroizing::new(secret.try_into().ok()?),
        };
        self.0.made(tag, &token.parts()).then_some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "old:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const NEW: &str = "new:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

    fn keys(text: &str, active: &str) -> TokenKeys {
        TokenKeys::derive(&Vault::from_keys(&text.into(), active).unwrap()).unwrap()
    }

    #[test]
    fn a_successor_is_the_same_whenever_it_is_asked_for_and_by_whichever_vault_key() {
        let before = keys(OLD, "old");
        let after = keys(&format!("{OLD},{NEW}"), "new");
        let first = RefreshToken::first(Uuid::now_v7()).unwrap();
        let text = before.reveal(&first);
        let promised = before.successors(&first).next().unwrap();
        assert_eq!(
            promised.hash(),
            before.successors(&first).next().unwrap().hash()
        );
        assert_ne!(promised.hash(), first.hash());
        let read = after.read(&text).unwrap();
        assert!(
            after
                .successors(&read)
                .any(|token| token.hash() == promised.hash())
        );
        assert!(keys(NEW, "new").read(&text).is_none());
    }

    #[test]
    fn what_we_did_not_make_is_no_token() {
        let keys = keys(OLD, "old");
        let text = keys.reveal(&RefreshToken::first(Uuid::now_v7()).unwrap());
        let good = text.expose_secret();
        assert!(keys.read(&text).is_some());
        let other = Uuid::now_v7().simple().to_string();
        let moved = format!("rta_{other}.{}", good.split_once('.').unwrap().1);
        for bad in [
            "",
            "rta_",
            "rta_.",
            good.strip_prefix("rta_").unwrap(),
            good.split_once('.').unwrap().0,
            &moved,
            &good.repeat(3),
        ] {
            assert!(keys.read(&bad.into()).is_none(), "{bad}");
        }
    }
}
