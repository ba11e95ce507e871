//! The key-encryption keys of the configuration.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use zeroize::{Zeroize as _, Zeroizing};

use crate::VaultError;

/// Bytes of a key-encryption key and of a data key: AES-256.
pub(crate) const KEY_BYTES: usize = 32;
/// Longest key id; it travels in every record behind one length byte.
const LONGEST_ID: usize = 64;
const HOW: &str = "write id:key[,id:key], each key the base64 of 32 random bytes, \
                   as `openssl rand -base64 32` prints it";

/// Padding is optional because people lose the `=` when they copy keys.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One key-encryption key with the id that records name it by.
pub(crate) struct Kek {
    pub(crate) id: String,
    pub(crate) bytes: SecretBox<[u8; KEY_BYTES]>,
}

/// Reads `id:base64[,id:base64]`. Messages name the place of an entry and its id, never its key.
pub(crate) fn parse(keys: &SecretString) -> Result<Vec<Kek>, VaultError> {
    let text = keys.expose_secret();
    if text.trim().is_empty() {
        return Err(bad(format!("no key is set; {HOW}")));
    }
    let mut parsed: Vec<Kek> = Vec::new();
    for (index, entry) in text.split(',').enumerate() {
        let number = index + 1;
        let Some((id, key)) = entry.trim().split_once(':') else {
            return Err(bad(format!(
                "entry {number} has no `:` between id and key; {HOW}"
            )));
        };
        let id = id.trim();
        if !is_valid_id(id) {
            return Err(bad(format!(
                "the id of entry {number} must be 1 to {LONGEST_ID} letters, digits, `.`, `_` or `-`"
            )));
        }
        if parsed.iter().any(|known| known.id == id) {
            return Err(bad(format!(
                "the id `{id}` is given twice; ids must differ"
            )));
        }
        let Some(bytes) = decode(key.trim()) else {
            return Err(bad(format!(
                "the key of `{id}` is not the base64 of 32 bytes; {HOW}"
            )));
        };
        parsed.push(Kek {
            id: id.to_owned(),
            bytes,
        });
    }
    Ok(parsed)
}

pub(crate) fn is_valid_id(id: &str) -> bool {
    (1..=LONGEST_ID).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn decode(key: &str) -> Option<SecretBox<[u8; KEY_BYTES]>> {
    let decoded = Zeroizing::new(BASE64.decode(key).ok()?);
    let mut bytes: [u8; KEY_BYTES] = decoded.as_slice().try_into().ok()?;
    let boxed = SecretBox::init_with_mut(|slot: &mut [u8; KEY_BYTES]| slot.copy_from_slice(&bytes));
    bytes.zeroize();
    Some(boxed)
}

fn bad(problem: String) -> VaultError {
    VaultError::Config {
        key: "vault.keys",
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn keys_are_read_with_and_without_padding_and_spaces() {
        let keys = parse(&format!(" a:{GOOD}= , b-2.x:{GOOD}").into()).unwrap();
        assert_eq!(
            keys.iter().map(|k| k.id.as_str()).collect::<Vec<_>>(),
            ["a", "b-2.x"]
        );
        assert_eq!(keys[0].bytes.expose_secret(), &[0; 32]);
    }

    #[test]
    fn each_mistake_is_named_and_no_key_is_shown() {
        let table = [
            ("", "no key is set"),
            ("secretsecret", "entry 1 has no `:`"),
            (":secretsecret", "the id of entry 1"),
            ("a b:secretsecret", "the id of entry 1"),
            ("a:secretsecret", "the key of `a`"),
            ("a:!!secret!!", "the key of `a`"),
            ("a:", "the key of `a`"),
            (&format!("a:{GOOD},"), "entry 2 has no `:`"),
            (&format!("a:{GOOD},a:{GOOD}"), "`a` is given twice"),
            (&format!("{}:{GOOD}", "x".repeat(65)), "the id of entry 1"),
        ];
        for (input, expected) in table {
            let Err(error) = parse(&input.into()) else {
                panic!("{input} was accepted")
            };
            let text = error.to_string();
            assert!(text.starts_with("vault.keys: "), "{text}");
            assert!(text.contains(expected), "{text}");
            assert!(
                !text.contains("secretsecret") && !text.contains("!!"),
                "{text}"
            );
        }
    }
}
