//! Codes of an authenticator app (RFC 6238): SHA-1, six digits, thirty seconds, which are what all
//! apps know. A code fits for its own step and one to either side; that each works once is for
//! whoever stores the last step.

use secrecy::{ExposeSecret as _, SecretString};
use totp_rs::{Builder, Secret, Totp};
use zeroize::Zeroizing;

/// What apps show beside the account.
const ISSUER: &str = "Agent Portal";
/// RFC 4226 recommends 160 bits.
const SECRET_BYTES: usize = 20;
const STEP_SECONDS: u64 = 30;
const STEPS_TO_EITHER_SIDE: u16 = 1;

/// A secret could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum TotpError {
    /// The machine gives no random numbers.
    #[error("no random numbers")]
    Random,
    /// What is stored is no secret of ours.
    #[error("a stored second factor cannot be read")]
    Unreadable,
    /// The account cannot stand in the app's address.
    #[error("the account cannot be named to an authenticator app")]
    Account,
}

/// What an authenticator app and we know.
pub struct TotpSecret(SecretString);

impl std::fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TotpSecret").finish_non_exhaustive()
    }
}

impl TotpSecret {
    /// A new one.
    pub fn generate() -> Result<Self, TotpError> {
        let mut bytes = Zeroizing::new([0_u8; SECRET_BYTES]);
        aws_lc_rs::rand::fill(bytes.as_mut_slice()).or(Err(TotpError::Random))?;
        Ok(Self(Secret::new_stack(*bytes).to_base32().into()))
    }

    /// One that was stored.
    pub fn from_stored(text: SecretString) -> Self {
        Self(text)
    }

    /// Base32: to store sealed, and to type into an app.
    pub fn text(&self) -> &SecretString {
        &self.0
    }

    /// The address that apps read from a QR code.
    pub fn uri(&self, account: &str) -> Result<SecretString, TotpError> {
        // A colon would end the issuer there.
        let account = account.replace(':', "_");
        let uri = self.totp(&account)?.to_url();
        uri.map(SecretString::from).or(Err(TotpError::Account))
    }

    /// The step that a code belongs to, if it fits at this time (Unix seconds).
    pub fn step_of(&self, code: &str, now: u64) -> Result<Option<u64>, TotpError> {
        Ok(self.totp("")?.check(code, now))
    }

    /// The code at this time; for tests and for apps.
    pub fn code_at(&self, now: u64) -> Result<String, TotpError> {
        Ok(self.totp("")?.generate(now).to_string())
    }

    fn totp(&self, account: &str) -> Result<Totp, TotpError> {
        let secret =
            Secret::try_from_base32(self.0.expose_secret()).or(Err(TotpError::Unreadable))?;
        Builder::new()
            .with_secret(secret)
            .with_digits(6)
            .with_skew(STEPS_TO_EITHER_SIDE)
            .with_step_duration(STEP_SECONDS)
            .with_account_name(account)
            .with_issuer(Some(ISSUER))
            .build()
            .or(Err(TotpError::Unreadable))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238's appendix B, `12345678901234567890`.
    fn of_the_rfc() -> TotpSecret {
        TotpSecret::from_stored("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".into())
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        // The last six of the eight digits that the appendix lists.
        for (time, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_234_567_890, "005924"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(of_the_rfc().code_at(time).unwrap(), code);
            assert_eq!(of_the_rfc().step_of(code, time).unwrap(), Some(time / 30));
        }
    }

    #[test]
    fn a_code_fits_one_step_to_either_side() {
        let secret = TotpSecret::generate().unwrap();
        let now = 1_800_000_015;
        let code = secret.code_at(now).unwrap();
        for (offset, fits) in [
            (0, true),
            (30, true),
            (-30, true),
            (60, false),
            (-60, false),
        ] {
            let time = now.checked_add_signed(offset).unwrap();
            let step = secret.step_of(&code, time).unwrap();
            assert_eq!(step, fits.then_some(now / 30), "{offset}");
        }
        for bad in ["", "12345", "1234567", "+12345", "abcdef", " 12345"] {
            assert_eq!(secret.step_of(bad, now).unwrap(), None);
        }
    }

    #[test]
    fn the_address_names_issuer_and_account() {
        let uri = of_the_rfc().uri("ada@example.org").unwrap();
        let uri = uri.expose_secret();
        assert!(
            uri.starts_with("otpauth://totp/Agent%20Portal:ada"),
            "{uri}"
        );
        assert!(
            uri.contains("secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
            "{uri}"
        );
        assert!(uri.contains("issuer=Agent%20Portal"), "{uri}");
        assert!(!format!("{:?}", of_the_rfc()).contains("GEZD"));
    }
}
