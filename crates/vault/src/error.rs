//! What can go wrong, told without a byte of any secret.

/// Failure of a vault operation. No variant carries key material, plaintext or ciphertext.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The configuration cannot be used; the process should not start.
    #[error("{key}: {problem}")]
    Config {
        /// The configuration key to correct, for example `vault.keys`.
        key: &'static str,
        /// What is wrong and how to put it right.
        problem: String,
    },
    /// A part of the binding is empty, so it could not tell two places apart.
    #[error("the {part} of a vault binding is empty")]
    EmptyBinding {
        /// Name of the empty part.
        part: &'static str,
    },
    /// The bytes are not a record that this version can read: cut off, or of an unknown version.
    #[error("the stored value is not a vault record of a known version")]
    Malformed,
    /// The record (or the caller of [`crate::Vault::derive`]) names a key that is not configured.
    #[error("the vault key `{id}` is not configured: add it to vault.keys")]
    UnknownKey {
        /// Id of the missing key.
        id: String,
    },
    /// The record was changed, belongs to another place, or its key id has other key bytes now.
    #[error("the stored value does not belong here, or was changed")]
    NotAuthentic,
    /// The record opened, but does not hold UTF-8 text.
    #[error("the stored value is not text")]
    NotText,
    /// The cryptographic library refused; only seen when it has no randomness.
    #[error("the cryptographic library failed")]
    Crypto,
}
