//! The bytes of a sealed value.
//!
//! ```text
//! 1  version (1)
//! 1  length n of the key id
//! n  key id, ASCII
//! 60 data key, wrapped: nonce 12, ciphertext 32, tag 16
//! 12 nonce of the value
//! .. ciphertext of the value, with its tag of 16 at the end
//! ```

use crate::VaultError;
use crate::keys::{KEY_BYTES, is_valid_id};

pub(crate) const NONCE_BYTES: usize = 12;
pub(crate) const TAG_BYTES: usize = 16;
const VERSION: u8 = 1;
const WRAPPED_BYTES: usize = NONCE_BYTES + KEY_BYTES + TAG_BYTES;

/// A record taken apart; nothing in it has been authenticated yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) key_id: &'a str,
    /// Nonce and ciphertext with tag of the data key.
    pub(crate) wrapped: &'a [u8],
    /// Nonce and ciphertext with tag of the value.
    pub(crate) value: &'a [u8],
}

impl<'a> Record<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, VaultError> {
        Self::take_apart(bytes).ok_or(VaultError::Malformed)
    }

    fn take_apart(bytes: &'a [u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        let (&id_length, rest) = rest.split_first()?;
        let (id, rest) = rest.split_at_checked(usize::from(id_length))?;
        let (wrapped, value) = rest.split_at_checked(WRAPPED_BYTES)?;
        let key_id = str::from_utf8(id).ok()?;
        let whole =
            version == VERSION && is_valid_id(key_id) && value.len() >= NONCE_BYTES + TAG_BYTES;
        whole.then_some(Self {
            key_id,
            wrapped,
            value,
        })
    }

    pub(crate) fn to_bytes(self) -> Result<Vec<u8>, VaultError> {
        let mut bytes = Self::prefix(self.key_id)?;
        bytes.reserve_exact(self.wrapped.len() + self.value.len());
        bytes.extend_from_slice(self.wrapped);
        bytes.extend_from_slice(self.value);
        Ok(bytes)
    }

    /// What comes before the wrapped key: version, length of the key id, key id.
    pub(crate) fn prefix(key_id: &str) -> Result<Vec<u8>, VaultError> {
        let id_length = u8::try_from(key_id.len()).or(Err(VaultError::Malformed))?;
        let mut bytes = vec![VERSION, id_length];
        bytes.extend_from_slice(key_id.as_bytes());
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_the_way_to_bytes_and_back() {
        let record = Record {
            key_id: "k1",
            wrapped: &[7; WRAPPED_BYTES],
            value: &[9; 40],
        };
        let bytes = record.to_bytes().unwrap();
        assert_eq!(Record::parse(&bytes), Ok(record));
    }

    #[test]
    fn every_cut_and_other_versions_are_malformed() {
        let record = Record {
            key_id: "k1",
            wrapped: &[7; WRAPPED_BYTES],
            value: &[9; 28],
        };
        let mut bytes = record.to_bytes().unwrap();
        for length in 0..bytes.len() {
            assert_eq!(
                Record::parse(&bytes[..length]),
                Err(VaultError::Malformed),
                "{length}"
            );
        }
        bytes[0] = 2;
        assert_eq!(Record::parse(&bytes), Err(VaultError::Malformed));
    }
}
