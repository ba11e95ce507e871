//! Makes refresh tokens and knows its own again.

use aws_lc_rs::error::Unspecified;
use portal_auth::{RefreshKey, RefreshKeys, RefreshSecret, random_secret, sha256};
use portal_types::{SessionId, TenantId};
use portal_vault::{Vault, VaultError};
use uuid::Uuid;

use crate::domain::RefreshToken;

/// Never change it: all sessions would end.
const LABEL: &str = "agent-portal-service/refresh-tokens/v1";
const NEXT: &[u8] = b"next";
const FROM_CODE: &[u8] = b"code";

/// Keys for refresh tokens.
#[derive(Debug, Clone)]
pub(crate) struct TokenKeys(RefreshKeys);

impl TokenKeys {
    /// Derives the keys.
    pub(crate) fn derive(vault: &Vault) -> Result<Self, VaultError> {
        RefreshKeys::derive(vault, LABEL).map(Self)
    }

    /// The first token of a session.
    pub(crate) fn first(
        &self,
        tenant: &TenantId,
        session: SessionId,
    ) -> Result<RefreshToken, Unspecified> {
        Ok(token(self.0.active(), tenant, session, random_secret()?))
    }

    /// The first tokens of a session that is handed over by `code`: with the active key first.
    pub(crate) fn for_code(
        &self,
        tenant: &TenantId,
        session: SessionId,
        code: &str,
    ) -> impl Iterator<Item = RefreshToken> {
        self.0.all().map(move |key| {
            let id = session.as_uuid();
            let parts: [&[u8]; 2] = [id.as_bytes(), code.as_bytes()];
            token(key, tenant, session, key.secret(FROM_CODE, &parts))
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
        self.0.all().map(move |key| {
            let parts: [&[u8]; 3] = [id.as_bytes(), &number, previous.secret.as_slice()];
            token(key, &previous.tenant_id, session, key.secret(NEXT, &parts))
        })
    }

    /// Whether we made the token.
    pub(crate) fn is_ours(&self, token: &RefreshToken) -> bool {
        let id = token.session_id.as_uuid();
        let parts = tagged(&token.tenant_id, &id, &token.secret);
        self.0.made(&token.tag, &parts)
    }
}

/// What is stored of a token.
pub(crate) fn stored_hash(token: &RefreshToken) -> Vec<u8> {
    sha256(token.secret.as_slice()).to_vec()
}

fn token(
    key: &RefreshKey,
    tenant: &TenantId,
    session: SessionId,
    secret: RefreshSecret,
) -> RefreshToken {
    RefreshToken {
        tenant_id: tenant.clone(),
        session_id: session,
        tag: key.tag(&tagged(tenant, &session.as_uuid(), &secret)),
        secret,
    }
}

/// What a tag vouches for. The tenant comes last: it alone has no fixed length.
fn tagged<'a>(tenant: &'a TenantId, session: &'a Uuid, secret: &'a RefreshSecret) -> [&'a [u8]; 3] {
    let tenant = tenant.as_str().as_bytes();
    [session.as_bytes(), secret.as_slice(), tenant]
}

#[cfg(test)]
mod tests {
    use portal_auth::SECRET_BYTES;
    use zeroize::Zeroizing;

    use super::*;

    const OLD: &str = "old:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const NEW: &str = "new:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

    fn keys(text: &str, active: &str) -> TokenKeys {
        TokenKeys::derive(&Vault::from_keys(&text.into(), active).unwrap()).unwrap()
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
