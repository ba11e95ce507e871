//! Envelope encryption of the secrets that the database holds.
//!
//! Every sealed value has its own random data key. The data key is wrapped by a key-encryption key
//! from the configuration, and both layers are bound to the place the value was sealed for: a
//! record copied to another table, column, tenant or row does not open ([`Binding`]).
//!
//! Rotation: add the new key to `vault.keys`, make it `vault.active_key`, call [`Vault::rewrap`] on
//! the stored records in all [`places`], and take the old key out when no record names it
//! ([`Vault::key_id`]). `portalctl vault rotate` does it.
//!
//! What this crate does not do: it stores nothing, logs nothing and has no way to print a key.

#![warn(missing_docs)]

mod binding;
mod error;
mod keys;
pub mod places;
mod record;
mod show;
mod vault;

pub use binding::Binding;
pub use error::VaultError;
pub use show::{fingerprint, mask};
pub use vault::{DerivedKey, Vault};
