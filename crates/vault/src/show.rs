//! The only two things that may be shown of a stored secret.

use aws_lc_rs::digest::{SHA256, digest};
use secrecy::{ExposeSecret as _, SecretString};

/// Secrets shorter than this show nothing: four of few characters would give too much away.
const SHORTEST_SHOWN: usize = 12;

/// The last four characters of `secret`, or `****` when it has fewer than 12.
pub fn mask(secret: &SecretString) -> String {
    let text = secret.expose_secret();
    let length = text.chars().count();
    if length < SHORTEST_SHOWN {
        return "****".to_owned();
    }
    text.chars().skip(length - 4).collect()
}

/// The first 16 hexadecimal digits of the SHA-256 of `secret`.
///
/// It tells two secrets apart and cannot be reversed, provided that the secret has many random
/// bits: use it for tokens, never for passwords or phone numbers.
pub fn fingerprint(secret: &SecretString) -> String {
    let hash = digest(&SHA256, secret.expose_secret().as_bytes());
    hex::encode(hash.as_ref().get(..8).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_is_the_last_four_characters_of_a_long_secret_only() {
        assert_eq!(mask(&"EAAG-long-token-wxyz".into()), "wxyz");
        assert_eq!(mask(&"långt-hemligt-ÅÄÖé".into()), "ÅÄÖé");
        assert_eq!(mask(&"short".into()), "****");
        assert_eq!(mask(&"12345678901".into()), "****");
    }

    #[test]
    fn the_fingerprint_is_the_beginning_of_the_sha256() {
        // echo -n abc | sha256sum
        assert_eq!(fingerprint(&"abc".into()), "ba7816bf8f01cfea");
    }
}
