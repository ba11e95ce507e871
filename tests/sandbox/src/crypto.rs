//! Hashes, signatures and random names.

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A hash short enough to read and long enough to tell two secrets apart.
pub(crate) fn fingerprint(secret: &str) -> String {
    let hash = hex::encode(digest::digest(&digest::SHA256, secret.as_bytes()));
    let head: String = hash.chars().take(16).collect();
    format!("sha256:{head}")
}

/// `BASE64URL(SHA256(verifier))` of RFC 7636.
pub(crate) fn pkce_challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

/// Lower-case hex, as Meta signs webhooks and proves app secrets.
pub(crate) fn hmac_sha256_hex(key: &str, message: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    hex::encode(hmac::sign(&key, message))
}

/// An opaque value for codes and tokens.
pub(crate) fn random_token() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 48]>())
}

/// Looks like Meta's: 23 characters that begin with `A`.
pub(crate) fn fbtrace_id() -> String {
    let tail: String = URL_SAFE_NO_PAD
        .encode(rand::random::<[u8; 18]>())
        .chars()
        .take(22)
        .collect();
    format!("A{tail}")
}

/// Digits that always are the same for the same text.
pub(crate) fn stable_digits(text: &str, count: usize) -> String {
    digest::digest(&digest::SHA256, text.as_bytes())
        .as_ref()
        .iter()
        .map(|byte| char::from(b'0' + byte % 10))
        .take(count)
        .collect()
}

/// Random upper-case hex.
pub(crate) fn random_hex_upper(chars: usize) -> String {
    let text: String = hex::encode_upper(rand::random::<[u8; 32]>())
        .chars()
        .take(chars)
        .collect();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_the_one_of_rfc_7636_appendix_b() {
        assert_eq!(
            pkce_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn the_signature_is_the_one_of_rfc_4231_case_2() {
        assert_eq!(
            hmac_sha256_hex("Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
