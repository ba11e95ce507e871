//! The keys that seal stored secrets, for the commands that seal or open some.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Args;
use portal_vault::Vault;
use secrecy::SecretString;

/// The same values as the services' `vault.keys` and `vault.active_key`.
#[derive(Debug, Args)]
pub(crate) struct VaultKeys {
    /// The keys: id:base64[,id:base64].
    // Not an argument: those can be seen by every process of the machine.
    #[arg(skip = from_environment())]
    keys: Option<SecretString>,
    /// Read the vault's keys from this file, such as a mounted secret; or set `VAULT_KEYS`.
    #[arg(
        id = "vault-keys-file",
        long = "vault-keys-file",
        env = "VAULT_KEYS_FILE",
        value_name = "FILE",
        global = true
    )]
    file: Option<PathBuf>,
    /// The id of the vault's key that new records are sealed with.
    #[arg(
        long = "vault-active-key",
        env = "VAULT_ACTIVE_KEY",
        value_name = "ID",
        global = true
    )]
    active_key: Option<String>,
}

fn from_environment() -> Option<SecretString> {
    let keys = std::env::var("VAULT_KEYS").ok()?;
    (!keys.trim().is_empty()).then(|| keys.into())
}

impl VaultKeys {
    /// The vault with these keys.
    pub(crate) fn vault(&self) -> anyhow::Result<Vault> {
        let keys = match (&self.file, &self.keys) {
            (Some(file), _) => SecretString::from(
                std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read {}", file.display()))?
                    .trim(),
            ),
            (None, Some(keys)) => keys.clone(),
            (None, None) => {
                return Err(anyhow!(
                    "no vault keys: give --vault-keys-file or set VAULT_KEYS or VAULT_KEYS_FILE"
                ));
            }
        };
        let active = self.active_key.as_deref().ok_or_else(|| {
            anyhow!("no active vault key: give --vault-active-key or set VAULT_ACTIVE_KEY")
        })?;
        Ok(Vault::from_keys(&keys, active)?)
    }
}
