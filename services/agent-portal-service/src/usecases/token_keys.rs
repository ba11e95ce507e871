//! Makes refresh tokens and knows its own again.
//!
//! A successor is derived from its predecessor with a key of ours. So whoever repeats a refresh,
//! because the answer was lost, gets the very same successor, though only hashes are stored.

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest,
    hmac::{self, HMAC_SHA256},
    rand::{SecureRandom as _, SystemRandom},
};
use portal_types::{SessionId, TenantId};
use portal_vault::{Vault, VaultError};
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use crate::domain::{RefreshToken, SECRET_BYTES, TAG_BYTES};

/// Never change it: all sessions would end.
const LABEL: &str = "agent-portal-service/refresh-tokens/v1";
const TAG: &[u8] = b"tag";
const NEXT: &[u8] = b"next";
const FROM_CODE: &[u8] = b"code";

/// The machine gives no random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no random numbers")]
pub(crate) struct NoRandomness;

/// Keys for refresh tokens: one for each key of the vault, so that changing the vault's active
/// key ends no session.
#[derive(Clone)]
pub(crate) struct TokenKeys {
    active: hmac::Key,
    others: Vec<hmac::Key>,
}

impl TokenKeys {
    /// Derives the keys; `key_ids` are all keys of the vault.
    pub(crate) fn derive(vault: &Vault, key_ids: &[String]) -> Result<Self, VaultError> {
        let key = |id: &str| {
            let derived = vault.derive(id, LABEL)?;
            Ok::<_, VaultError>(hmac::Key::new(HMAC_SHA256, derived.expose_secret()))
        };
        let active = vault.active_key_id();
        let others = key_ids.iter().filter(|id| id.as_str() != active);
        Ok(Self {
            active: key(active)?,
            others: others.map(|id| key(id)).collect::<Result<_, _>>()?,
        })
    }

    /// The first token of a session.
    pub(crate) fn first(
        &self,
        tenant: &TenantId,
        session: SessionId,
    ) -> Result<RefreshToken, NoRandomness> {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        SystemRandom::new()
            .fill(secret.as_mut_slice())
            .or(Err(NoRandomness))?;
        Ok(token(&self.active, tenant, session, secret))
    }

    /// The first tokens of a session that is handed over by `code`: with the active key first.
    pub(crate) fn for_code(
        &self,
        tenant: &TenantId,
        session: SessionId,
        code: &str,
    ) -> impl Iterator<Item = RefreshToken> {
        self.all().map(move |key| {
            let secret = mac(
                key,
                FROM_CODE,
                &[session.as_uuid().as_bytes(), code.as_bytes()],
            );
            token(key, tenant, session, secret)
        })
    }

    /// The tokens that may follow `previous` as number `generation`: with the active key first.
    pub(crate) fn successors(
        &self,
        previous: &RefreshToken,
        generation: i32,
    ) -> impl Iterator<Item = RefreshToken> {
        let session = previous.session_id;
        let (id, number) = (session.as_uuid(), generation.to_be_bytes());
        self.all().map(move |key| {
            let parts: [&[u8]; 3] = [id.as_bytes(), &number, previous.secret.as_slice()];
            token(key, &previous.tenant_id, session, mac(key, NEXT, &parts))
        })
    }

    /// Whether we made the token.
    pub(crate) fn is_ours(&self, token: &RefreshToken) -> bool {
        self.all().any(|key| {
            let tag = tag(key, &token.tenant_id, token.session_id, &token.secret);
            verify_slices_are_equal(&tag, &token.tag).is_ok()
        })
    }

    fn all(&self) -> impl Iterator<Item = &hmac::Key> {
        std::iter::once(&self.active).chain(&self.others)
    }
}

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKeys").finish_non_exhaustive()
    }
}

/// What is stored of a token.
pub(crate) fn stored_hash(token: &RefreshToken) -> Vec<u8> {
    digest::digest(&digest::SHA256, token.secret.as_slice())
        .as_ref()
        .to_vec()
}

fn token(
    key: &hmac::Key,
    tenant: &TenantId,
    session: SessionId,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
) -> RefreshToken {
    RefreshToken {
        tenant_id: tenant.clone(),
        session_id: session,
        tag: tag(key, tenant, session, &secret),
        secret,
    }
}

fn tag(
    key: &hmac::Key,
    tenant: &TenantId,
    session: SessionId,
    secret: &[u8; SECRET_BYTES],
) -> [u8; TAG_BYTES] {
    // The tenant comes last: it alone has no fixed length.
    let id = session.as_uuid();
    let parts: [&[u8]; 3] = [id.as_bytes(), secret, tenant.as_str().as_bytes()];
    let full = mac(key, TAG, &parts);
    let mut tag = [0; TAG_BYTES];
    for (to, from) in tag.iter_mut().zip(full.iter()) {
        *to = *from;
    }
    tag
}

/// Only the last part may have a length of its own: nothing parts them.
fn mac(key: &hmac::Key, purpose: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; SECRET_BYTES]> {
    let mut context = hmac::Context::with_key(key);
    context.update(purpose);
    for part in parts {
        context.update(part);
    }
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    bytes.copy_from_slice(context.sign().as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "old:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const NEW: &str = "new:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

    fn keys(text: &str, active: &str) -> TokenKeys {
        let vault = Vault::from_keys(&text.into(), active).unwrap();
        let ids: Vec<String> = text
            .split(',')
            .filter_map(|entry| entry.split(':').next().map(str::to_owned))
            .collect();
        TokenKeys::derive(&vault, &ids).unwrap()
    }

    fn session() -> (TenantId, SessionId) {
        (TenantId::parse("acme").unwrap(), SessionId::generate())
    }

    #[test]
    fn a_successor_is_the_same_whenever_it_is_asked_for() {
        let keys = keys(OLD, "old");
        let (tenant, session) = session();
        let first = keys.first(&tenant, session).unwrap();
        let successor = |generation| keys.successors(&first, generation).next().unwrap();
        assert_eq!(successor(1).secret, successor(1).secret);
        assert_ne!(successor(1).secret, successor(2).secret);
        assert_ne!(successor(1).secret, first.secret);
        assert!(keys.is_ours(&first) && keys.is_ours(&successor(1)));
    }

    #[test]
    fn a_changed_token_is_not_ours() {
        let keys = keys(OLD, "old");
        let (tenant, session) = session();
        let good = keys.first(&tenant, session).unwrap();
        let mut guessed = good.clone();
        guessed.secret = Zeroizing::new([0; SECRET_BYTES]);
        let moved = RefreshToken {
            tenant_id: TenantId::parse("globex").unwrap(),
            ..good.clone()
        };
        let other_session = RefreshToken {
            session_id: SessionId::generate(),
            ..good.clone()
        };
        assert!(keys.is_ours(&good));
        for bad in [guessed, moved, other_session] {
            assert!(!keys.is_ours(&bad));
        }
    }

    #[test]
    fn a_new_vault_key_ends_no_session() {
        let (tenant, session) = session();
        let before = keys(OLD, "old");
        let after = keys(&format!("{OLD},{NEW}"), "new");
        let token = before.first(&tenant, session).unwrap();
        assert!(after.is_ours(&token));
        let promised = before.successors(&token, 1).next().unwrap();
        assert!(
            after
                .successors(&token, 1)
                .any(|found| found.secret == promised.secret)
        );
        let handed = before.for_code(&tenant, session, "code").next().unwrap();
        assert!(
            after
                .for_code(&tenant, session, "code")
                .any(|found| found.secret == handed.secret)
        );
        assert!(!keys(NEW, "new").is_ours(&token));
    }
}
