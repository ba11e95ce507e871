//! Proof that a request comes from Meta.
//!
//! `X-Hub-Signature-256: sha256=<hexadecimal HMAC-SHA-256 of the raw body>`; the key is the app
//! secret of the app that receives the webhook. There is no time stamp in it: a replay verifies.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use secrecy::{ExposeSecret as _, SecretString};

/// Name of the header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-hub-signature-256";

/// Why a body is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The request has no signature.
    #[error("the signature is missing")]
    Missing,
    /// The signature is not `sha256=` and 64 hexadecimal digits.
    #[error("the signature is malformed")]
    Malformed,
    /// The signature was not made with one of our secrets over this body.
    #[error("the signature does not match")]
    Mismatch,
}

/// Checks `header` over the `raw` body with all of `secrets` (two during a rotation).
///
/// Every secret is tried whatever the ones before it said, so the time tells nothing.
pub fn verify(
    secrets: &[SecretString],
    header: Option<&str>,
    raw: &[u8],
) -> Result<(), SignatureError> {
    let header = header.ok_or(SignatureError::Missing)?;
    let digits = header
        .strip_prefix("sha256=")
        .ok_or(SignatureError::Malformed)?;
    let mut tag = [0_u8; 32];
    hex::decode_to_slice(digits, &mut tag).or(Err(SignatureError::Malformed))?;
    let mut matches = false;
    for secret in secrets {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        matches |= hmac::verify(&key, raw, &tag).is_ok();
    }
    if matches {
        Ok(())
    } else {
        Err(SignatureError::Mismatch)
    }
}

/// Whether `given` (`hub.verify_token` of Meta's GET) is the token we chose, in constant time.
pub fn verify_token_matches(expected: &SecretString, given: &str) -> bool {
    // Digests have one length, so not even the length of ours can be measured.
    let ours = digest(&SHA256, expected.expose_secret().as_bytes());
    let theirs = digest(&SHA256, given.as_bytes());
    verify_slices_are_equal(ours.as_ref(), theirs.as_ref()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// printf '{"a":1}' | openssl dgst -sha256 -hmac app-secret
    const BODY: &[u8] = br#"{"a":1}"#;
    const SIGNATURE: &str = "a2ac6607a24977f9757e6d78319ae1660ad42ffeee0ee3f0dff30a92bcf85448";

    fn secrets(values: &[&str]) -> Vec<SecretString> {
        values
            .iter()
            .map(|value| SecretString::from(*value))
            .collect()
    }

    #[test]
    fn a_signature_of_any_of_our_secrets_is_believed() {
        let header = format!("sha256={SIGNATURE}");
        for known in [
            &["app-secret"][..],
            &["new", "app-secret"],
            &["app-secret", "new"],
        ] {
            assert_eq!(
                verify(&secrets(known), Some(&header), BODY),
                Ok(()),
                "{known:?}"
            );
        }
        assert_eq!(
            verify(
                &secrets(&["app-secret"]),
                Some(&header.to_uppercase().replace("SHA256", "sha256")),
                BODY
            ),
            Ok(())
        );
    }

    #[test]
    fn nothing_else_is_believed() {
        let good = format!("sha256={SIGNATURE}");
        let ours = secrets(&["app-secret"]);
        for (known, header, body, expected) in [
            (&ours, None, BODY, SignatureError::Missing),
            (&ours, Some(""), BODY, SignatureError::Malformed),
            (&ours, Some("sha256="), BODY, SignatureError::Malformed),
            (&ours, Some(SIGNATURE), BODY, SignatureError::Malformed),
            (&ours, Some("sha1=0000"), BODY, SignatureError::Malformed),
            (
                &ours,
                good.get(..good.len() - 2),
                BODY,
                SignatureError::Malformed,
            ),
            (
                &ours,
                Some(&*format!("{good}00")),
                BODY,
                SignatureError::Malformed,
            ),
            (
                &ours,
                Some(&*good),
                &b"{\"a\": 1}"[..],
                SignatureError::Mismatch,
            ),
            (
                &secrets(&["other"]),
                Some(&*good),
                BODY,
                SignatureError::Mismatch,
            ),
            (&secrets(&[]), Some(&*good), BODY, SignatureError::Mismatch),
        ] {
            assert_eq!(verify(known, header, body), Err(expected), "{header:?}");
        }
    }

    #[test]
    fn the_verify_token_must_be_the_same() {
        let ours = SecretString::from("choose-me");
        assert!(verify_token_matches(&ours, "choose-me"));
        for other in ["", "choose-m", "choose-me ", "Choose-me"] {
            assert!(!verify_token_matches(&ours, other), "{other}");
        }
    }
}
