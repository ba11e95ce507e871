//! Passwords of platform administrators: Argon2id, never more than two at work at once.

use std::sync::{Arc, OnceLock};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{self, PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

/// OWASP's first choice (2025): 46 MiB, one pass, one lane.
const MEMORY_KIB: u32 = 47_104;
const PASSES: u32 = 1;
const LANES: u32 = 1;
/// Each takes 46 MiB and a core.
const AT_ONCE: usize = 2;

/// A password could not be hashed or compared.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The hasher failed, or a stored hash is none.
    #[error("a password could not be hashed or compared")]
    Hash(#[source] anyhow::Error),
}

/// OWASP ASVS 5.0, 6.2.9, asks for 15 where there is no second factor.
const MIN_CHARS: usize = 15;
const MAX_CHARS: usize = 256;
/// The commonest ones that are long enough, in small letters and without spaces.
const COMMON: &str = include_str!("common_passwords.txt");

/// Why a new password is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnfitPassword {
    /// Too short or too long.
    #[error("must have {MIN_CHARS} to {MAX_CHARS} characters, has {0}")]
    Length(usize),
    /// Among the first that somebody would try.
    #[error("is one of the commonest passwords; choose another")]
    Common,
}

/// Whether a new password may be taken.
pub fn check_new_password(password: &SecretString) -> Result<(), UnfitPassword> {
    let length = password.expose_secret().chars().count();
    if !(MIN_CHARS..=MAX_CHARS).contains(&length) {
        return Err(UnfitPassword::Length(length));
    }
    let plain: zeroize::Zeroizing<String> = password
        .expose_secret()
        .chars()
        .filter(|c| !c.is_whitespace())
        .flat_map(char::to_lowercase)
        .collect::<String>()
        .into();
    let first = plain.chars().next();
    let is_one_letter = plain.chars().all(|c| Some(c) == first);
    if is_one_letter || COMMON.lines().any(|common| common == *plain) {
        return Err(UnfitPassword::Common);
    }
    Ok(())
}

/// What a comparison found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the password is the one.
    pub matches: bool,
    /// Whether it should be hashed again, because the stored hash is weaker than new ones.
    pub needs_rehash: bool,
}

/// Hashes and compares passwords; clones share the limit.
#[derive(Debug, Clone)]
pub struct Passwords {
    permits: Arc<Semaphore>,
    // What an unknown account is compared with, so that it takes as long as a known one.
    dummy: Arc<OnceLock<String>>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

impl Passwords {
    /// With the standard limit.
    pub fn new() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            dummy: Arc::new(OnceLock::new()),
        }
    }

    /// The PHC string to store.
    pub async fn hash(&self, password: SecretString) -> Result<String, PasswordError> {
        self.run(move || hash(password.expose_secret())).await
    }

    /// Compares with the stored PHC string; with none the work is the same and nothing matches.
    pub async fn verify(
        &self,
        password: SecretString,
        stored: Option<String>,
    ) -> Result<Verdict, PasswordError> {
        let dummy = Arc::clone(&self.dummy);
        self.run(move || {
            let Some(stored) = stored else {
                let dummy = if let Some(dummy) = dummy.get() {
                    dummy
                } else {
                    let made = hash("an account that does not exist")?;
                    dummy.get_or_init(|| made)
                };
                compare(password.expose_secret(), dummy)?;
                return Ok(Verdict {
                    matches: false,
                    needs_rehash: false,
                });
            };
            compare(password.expose_secret(), &stored)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|closed| PasswordError::Hash(closed.into()))?;
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        })
        .await
        .map_err(|join| PasswordError::Hash(join.into()))?
    }
}

fn hasher() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| PasswordError::Hash(anyhow::anyhow!("{error}")))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &str) -> Result<String, PasswordError> {
    hasher()?
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| PasswordError::Hash(anyhow::anyhow!("{error}")))
}

fn compare(password: &str, stored: &str) -> Result<Verdict, PasswordError> {
    let parsed = PasswordHash::new(stored)
        .map_err(|error| PasswordError::Hash(anyhow::anyhow!("{error}")))?;
    let matches = match hasher()?.verify_password(password.as_bytes(), &parsed) {
        Ok(()) => true,
        Err(password_hash::Error::PasswordInvalid) => false,
        Err(error) => return Err(PasswordError::Hash(anyhow::anyhow!("{error}"))),
    };
    let wanted = format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$");
    Ok(Verdict {
        matches,
        needs_rehash: !stored.starts_with(&wanted),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn passwords_are_compared_and_old_hashes_noticed() {
        let passwords = Passwords::new();
        let stored = passwords
            .hash("correct horse battery".into())
            .await
            .unwrap();
        assert!(
            stored.starts_with("$argon2id$v=19$m=47104,t=1,p=1$"),
            "{stored}"
        );
        let verify = |password: &str, stored: Option<&str>| {
            let (passwords, stored) = (passwords.clone(), stored.map(str::to_owned));
            let password = password.to_owned();
            async move { passwords.verify(password.into(), stored).await }
        };
        let good = verify("correct horse battery", Some(&stored))
            .await
            .unwrap();
        assert_eq!(
            good,
            Verdict {
                matches: true,
                needs_rehash: false
            }
        );
        assert!(
            !verify("correct horse", Some(&stored))
                .await
                .unwrap()
                .matches
        );
        assert!(!verify("correct horse battery", None).await.unwrap().matches);
        assert!(verify("x", Some("plain text")).await.is_err());

        let weak = Argon2::new(
            Algorithm::Argon2id,
            Version::V0x13,
            Params::new(19_456, 2, 1, None).unwrap(),
        );
        let weak = weak.hash_password(b"pw").unwrap().to_string();
        let verdict = verify("pw", Some(&weak)).await.unwrap();
        assert_eq!(
            verdict,
            Verdict {
                matches: true,
                needs_rehash: true
            }
        );
    }

    #[test]
    fn new_passwords_are_long_and_not_common() {
        let check = |text: &str| check_new_password(&text.into());
        assert_eq!(check("staple battery 7 horse"), Ok(()));
        assert_eq!(check("fourteen chars"), Err(UnfitPassword::Length(14)));
        assert_eq!(check(&"long".repeat(65)), Err(UnfitPassword::Length(260)));
        for common in [
            "PasswordPassword",
            "qwertyuiop 123456",
            "aaaaaaaaaaaaaaaa",
            "Correct Horse Battery Staple",
        ] {
            assert_eq!(check(common), Err(UnfitPassword::Common), "{common}");
        }
    }
}
