//! The keys that sign access tokens: in the database, sealed, made by whoever starts first.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use portal_auth::{SigningKey, SigningKeys};
use portal_db::{Db, DbError, Scope};
use portal_types::Clock;
use portal_vault::{Binding, Vault, VaultError};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::store::signing_keys::{self, StoredKey};

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SigningKeysError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("a stored signing key cannot be sealed or opened")]
    Vault(#[from] VaultError),
    #[error("a signing key is not usable")]
    Unusable,
}

/// Loads the keys and makes the first one.
#[derive(Clone)]
pub(crate) struct KeyKeeper {
    pub(crate) db: Db,
    pub(crate) vault: Arc<Vault>,
    pub(crate) keys: SigningKeys,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long a key is still published after it stopped signing: until its last token expired.
    pub(crate) publish_retired: chrono::Duration,
}

impl KeyKeeper {
    /// Puts the stored keys in place, and makes one if there is none.
    pub(crate) async fn load(&self) -> Result<(), SigningKeysError> {
        let mut stored = self.stored().await?;
        if stored.first().is_none_or(|key| key.status != "active") {
            self.create().await?;
            stored = self.stored().await?;
        }
        let mut keys = stored
            .iter()
            .map(|key| self.open(key))
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(SigningKeysError::Unusable);
        }
        let active = keys.remove(0);
        self.keys.replace(active, &keys);
        Ok(())
    }

    async fn stored(&self) -> Result<Vec<StoredKey>, DbError> {
        let retired_after = self.clock.now() - self.publish_retired;
        self.db
            .read("signing_keys.list", Scope::Service, move |tx| {
                signing_keys::list_usable_keys(tx, retired_after)
            })
            .await
    }

    async fn create(&self) -> Result<(), SigningKeysError> {
        let key = SigningKey::generate().or(Err(SigningKeysError::Unusable))?;
        let text = SecretString::from(STANDARD.encode(key.pkcs8()));
        let sealed = self.vault.seal(&binding(key.kid()), &text)?;
        let public = public_bytes(&key).ok_or(SigningKeysError::Unusable)?;
        let kid = key.kid().to_owned();
        let is_first = self
            .db
            .write("signing_keys.create", Scope::Service, move |tx| {
                signing_keys::insert_active_key(tx, &kid, &public, &sealed)
            })
            .await?;
        if is_first {
            tracing::info!("made the first signing key");
        }
        Ok(())
    }

    fn open(&self, stored: &StoredKey) -> Result<SigningKey, SigningKeysError> {
        let text = self
            .vault
            .open(&binding(&stored.kid), &stored.private_key)?;
        let der = STANDARD
            .decode(text.expose_secret())
            .map(Zeroizing::new)
            .or(Err(SigningKeysError::Unusable))?;
        SigningKey::from_pkcs8(&der).or(Err(SigningKeysError::Unusable))
    }
}

/// A signing key belongs to no tenant.
fn binding(kid: &str) -> Binding<'_> {
    Binding {
        table: "signing_keys",
        column: "private_key",
        tenant_id: "-",
        row_id: kid,
    }
}

fn public_bytes(key: &SigningKey) -> Option<Vec<u8>> {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    URL_SAFE_NO_PAD.decode(key.jwk().x?).ok()
}
