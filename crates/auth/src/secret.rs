//! Random secrets and their digests.

use aws_lc_rs::{
    digest,
    error::Unspecified,
    rand::{SecureRandom as _, SystemRandom},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;
use zeroize::Zeroizing;

/// Bytes of a secret that nobody can guess: 256 bits.
pub const SECRET_BYTES: usize = 32;

/// A secret that nobody can guess.
pub fn random_secret() -> Result<Zeroizing<[u8; SECRET_BYTES]>, Unspecified> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    SystemRandom::new().fill(bytes.as_mut_slice())?;
    Ok(bytes)
}

/// `prefix` and 256 random bits as base64url: too many to guess, so a plain digest stores it.
pub fn random_token(prefix: &str) -> Result<SecretString, Unspecified> {
    let secret = random_secret()?;
    Ok(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(secret.as_slice())).into())
}

/// The SHA-256 digest, as stored for tokens and keys.
pub fn sha256(content: impl AsRef<[u8]>) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, content.as_ref());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

/// [`sha256`] as hexadecimal text.
pub fn sha256_hex(text: &str) -> String {
    hex::encode(sha256(text))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn tokens_are_long_and_differ() {
        let tokens: HashSet<String> = (0..100)
            .map(|_| random_token("rt_").unwrap().expose_secret().to_owned())
            .collect();
        assert_eq!(tokens.len(), 100);
        assert!(
            tokens
                .iter()
                .all(|token| token.starts_with("rt_") && token.len() == 3 + 43)
        );
    }

    #[test]
    fn the_digest_is_sha256() {
        assert_eq!(
            sha256_hex("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
