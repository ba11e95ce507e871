//! Sealing, opening, re-wrapping and deriving.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf;
use secrecy::{ExposeSecret as _, ExposeSecretMut as _, SecretBox, SecretString};
use zeroize::Zeroizing;

use crate::binding::Binding;
use crate::error::VaultError;
use crate::keys::{self, KEY_BYTES, Kek};
use crate::record::{NONCE_BYTES, Record, TAG_BYTES};

/// 32 bytes that are zeroed when dropped and have no useful `Debug`.
pub type DerivedKey = SecretBox<[u8; 32]>;

/// Separates the keys made by [`Vault::derive`] from every other use of the same key bytes.
const DERIVE_SALT: &[u8] = b"portal-vault/derive/v1";

/// Seals and opens secrets with the configured keys. Make one per process and share it.
pub struct Vault {
    keys: Vec<Kek>,
    /// Index into `keys`; checked when the vault is made.
    active: usize,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").finish_non_exhaustive()
    }
}

impl Vault {
    /// Makes a vault from `vault.keys` (`id:base64[,id:base64]`, 32 bytes each) and
    /// `vault.active_key`, the id of the key that new values are sealed with.
    ///
    /// The error is always [`VaultError::Config`]; it names the key to correct and how.
    pub fn from_keys(keys: &SecretString, active: &str) -> Result<Self, VaultError> {
        let keys = keys::parse(keys)?;
        let bad = |problem| VaultError::Config {
            key: "vault.active_key",
            problem,
        };
        let ids = keys
            .iter()
            .map(|key| key.id.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        let active = active.trim();
        if active.is_empty() {
            return Err(bad(format!(
                "no key is named; set it to one of the ids in vault.keys ({ids})"
            )));
        }
        // The value is not repeated: somebody may have put a key where an id belongs.
        let active = keys
            .iter()
            .position(|key| key.id == active)
            .ok_or_else(|| {
                bad(format!(
                    "names no key of vault.keys; set it to one of its ids ({ids})"
                ))
            })?;
        Ok(Self { keys, active })
    }

    /// Id of the key that new values are sealed with.
    pub fn active_key_id(&self) -> &str {
        self.keys.get(self.active).map_or("", |key| key.id.as_str())
    }

    /// Ids of all keys, in the order of the configuration.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.id.as_str())
    }

    /// Seals `secret` for `binding` under a data key of its own, wrapped by the active key.
    pub fn seal(
        &self,
        binding: &Binding<'_>,
        secret: &SecretString,
    ) -> Result<Vec<u8>, VaultError> {
        let mut data_key = DerivedKey::default();
        aws_lc_rs::rand::fill(data_key.expose_secret_mut()).or(Err(VaultError::Crypto))?;
        let value = encrypt(
            data_key.expose_secret(),
            &binding.value_aad()?,
            secret.expose_secret().as_bytes(),
        )?;
        let key = self.key(self.active_key_id())?;
        let wrapped = wrap(key, binding, &data_key)?;
        Record {
            key_id: &key.id,
            wrapped: &wrapped,
            value: &value,
        }
        .to_bytes()
    }

    /// Opens what [`Vault::seal`] made for the same binding, with whichever configured key it
    /// names.
    pub fn open(&self, binding: &Binding<'_>, sealed: &[u8]) -> Result<SecretString, VaultError> {
        let record = Record::parse(sealed)?;
        let data_key = unwrap(self.key(record.key_id)?, binding, record.wrapped)?;
        let plain = decrypt(
            data_key.expose_secret(),
            &binding.value_aad()?,
            record.value,
        )?;
        let text = str::from_utf8(&plain).or(Err(VaultError::NotText))?;
        Ok(SecretString::from(text))
    }

    /// The same value with its data key wrapped by the active key; `None` when it already is.
    ///
    /// The value itself is neither opened nor sealed again.
    pub fn rewrap(
        &self,
        binding: &Binding<'_>,
        sealed: &[u8],
    ) -> Result<Option<Vec<u8>>, VaultError> {
        let record = Record::parse(sealed)?;
        if record.key_id == self.active_key_id() {
            return Ok(None);
        }
        let data_key = unwrap(self.key(record.key_id)?, binding, record.wrapped)?;
        let key = self.key(self.active_key_id())?;
        let wrapped = wrap(key, binding, &data_key)?;
        Record {
            key_id: &key.id,
            wrapped: &wrapped,
            value: record.value,
        }
        .to_bytes()
        .map(Some)
    }

    /// How every record begins that is wrapped with the active key: a database can tell by it which
    /// ones are not.
    pub fn active_prefix(&self) -> Result<Vec<u8>, VaultError> {
        Record::prefix(self.active_key_id())
    }

    /// Id of the key that a record is wrapped with, whether or not that key is configured.
    pub fn key_id(sealed: &[u8]) -> Result<&str, VaultError> {
        Record::parse(sealed).map(|record| record.key_id)
    }

    /// A key for another purpose (an HMAC key, for instance), made by HKDF-SHA-256 from the key
    /// `key_id` and `label`.
    ///
    /// It takes a named key and not the active one, so that rotating the active key does not
    /// change it. Different labels give unrelated keys.
    pub fn derive(&self, key_id: &str, label: &str) -> Result<DerivedKey, VaultError> {
        let key = self.key(key_id)?;
        let mut derived = DerivedKey::default();
        hkdf::Salt::new(hkdf::HKDF_SHA256, DERIVE_SALT)
            .extract(key.bytes.expose_secret())
            .expand(&[label.as_bytes()], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(derived.expose_secret_mut()))
            .or(Err(VaultError::Crypto))?;
        Ok(derived)
    }

    fn key(&self, id: &str) -> Result<&Kek, VaultError> {
        let found = self.keys.iter().find(|key| key.id == id);
        found.ok_or_else(|| VaultError::UnknownKey { id: id.to_owned() })
    }
}

fn wrap(key: &Kek, binding: &Binding<'_>, data_key: &DerivedKey) -> Result<Vec<u8>, VaultError> {
    encrypt(
        key.bytes.expose_secret(),
        &binding.wrap_aad(&key.id)?,
        data_key.expose_secret(),
    )
}

fn unwrap(key: &Kek, binding: &Binding<'_>, wrapped: &[u8]) -> Result<DerivedKey, VaultError> {
    let plain = decrypt(
        key.bytes.expose_secret(),
        &binding.wrap_aad(&key.id)?,
        wrapped,
    )?;
    let bytes: &[u8; KEY_BYTES] = plain
        .as_slice()
        .try_into()
        .or(Err(VaultError::NotAuthentic))?;
    Ok(DerivedKey::init_with_mut(|slot: &mut [u8; KEY_BYTES]| {
        slot.copy_from_slice(bytes);
    }))
}

/// Nonce, ciphertext and tag of `plain`. The library picks the nonce.
fn encrypt(key: &[u8; KEY_BYTES], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).or(Err(VaultError::Crypto))?;
    // Room for the tag from the start: growing would leave a copy of the plaintext behind.
    let mut in_out = Vec::with_capacity(plain.len() + TAG_BYTES);
    in_out.extend_from_slice(plain);
    let nonce = key
        .seal_in_place_append_tag(Aad::from(aad), &mut in_out)
        .or(Err(VaultError::Crypto))?;
    let mut out = Vec::with_capacity(NONCE_BYTES + in_out.len());
    out.extend_from_slice(nonce.as_ref());
    out.extend_from_slice(&in_out);
    Ok(out)
}

fn decrypt(
    key: &[u8; KEY_BYTES],
    aad: &[u8],
    nonce_and_ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, key).or(Err(VaultError::Crypto))?;
    let (nonce, ciphertext) = nonce_and_ciphertext
        .split_at_checked(NONCE_BYTES)
        .ok_or(VaultError::Malformed)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).or(Err(VaultError::Malformed))?;
    let mut in_out = Zeroizing::new(ciphertext.to_vec());
    let length = key
        .open_in_place(nonce, Aad::from(aad), &mut in_out)
        .or(Err(VaultError::NotAuthentic))?
        .len();
    in_out.truncate(length);
    Ok(in_out)
}
