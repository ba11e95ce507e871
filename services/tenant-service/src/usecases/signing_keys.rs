//! The keys that sign administrators' tokens: the service's own, made when there are none.

use portal_auth::{InvalidKey, SigningKey, SigningKeys};
use portal_db::{DbError, Scope, Tx};
use portal_vault::{Binding, Vault, VaultError};

use super::Deps;
use crate::store::{
    self,
    signing_keys::{KEY_PLACE, StoredKey},
};

/// Stands for the tenant of what belongs to the platform.
const PLATFORM: &str = "platform";

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    #[error("the database failed")]
    Db(#[from] DbError),
    #[error("a signing key cannot be opened or sealed")]
    Vault(#[from] VaultError),
    #[error("a stored signing key cannot be used")]
    Key(#[from] InvalidKey),
    #[error("no signing key is active")]
    NoneActive,
}

/// Loads the keys, and makes the first one.
pub(crate) async fn load_signing_keys(deps: &Deps, keys: &SigningKeys) -> Result<(), KeysError> {
    let vault = std::sync::Arc::clone(&deps.vault);
    let stored = deps
        .db
        .read(
            "list_signing_keys",
            Scope::Service,
            store::signing_keys::list,
        )
        .await?;
    let stored = if stored.iter().any(is_active) {
        stored
    } else {
        let vault = std::sync::Arc::clone(&vault);
        deps.db
            .write("make_signing_key", Scope::Service, move |tx| {
                make_first(tx, &vault)
            })
            .await?
    };
    let active = stored
        .iter()
        .find(|key| is_active(key))
        .ok_or(KeysError::NoneActive)?;
    let active = open(&vault, active)?;
    let others = stored
        .iter()
        .filter(|key| !is_active(key))
        .map(|key| open(&vault, key))
        .collect::<Result<Vec<_>, _>>()?;
    keys.replace(active, &others);
    Ok(())
}

fn make_first(tx: &mut Tx<'_>, vault: &Vault) -> Result<Vec<StoredKey>, KeysError> {
    store::signing_keys::lock(tx)?;
    // Another replica may have been first.
    let stored = store::signing_keys::list(tx)?;
    if stored.iter().any(is_active) {
        return Ok(stored);
    }
    let key = SigningKey::generate()?;
    let sealed = vault.seal(&binding(key.kid()), &key.to_stored())?;
    store::signing_keys::insert_active(tx, key.kid(), key.public_key(), &sealed)?;
    tracing::info!(kid = key.kid(), "made a signing key");
    Ok(store::signing_keys::list(tx)?)
}

fn is_active(key: &StoredKey) -> bool {
    key.status == "active"
}

fn open(vault: &Vault, key: &StoredKey) -> Result<SigningKey, KeysError> {
    Ok(SigningKey::from_stored(
        &vault.open(&binding(&key.kid), &key.private_key)?,
    )?)
}

fn binding(kid: &str) -> Binding<'_> {
    Binding {
        table: KEY_PLACE.0,
        column: KEY_PLACE.1,
        tenant_id: PLATFORM,
        row_id: kid,
    }
}
