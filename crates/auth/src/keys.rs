//! Signing keys and what is published of them.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{DecodingKey, EncodingKey};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::secret::sha256;

/// The bytes are no Ed25519 key pair, or none could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a usable Ed25519 key")]
pub struct InvalidKey;

/// One Ed25519 key pair. Its id is its RFC 7638 thumbprint.
#[derive(Clone)]
pub struct SigningKey {
    kid: String,
    pkcs8: Arc<Zeroizing<Vec<u8>>>,
    public: [u8; 32],
}

impl SigningKey {
    /// A new key pair.
    pub fn generate() -> Result<Self, InvalidKey> {
        let pair = Ed25519KeyPair::generate().or(Err(InvalidKey))?;
        let document = pair.to_pkcs8().or(Err(InvalidKey))?;
        Self::from_pkcs8(document.as_ref())
    }

    /// A key pair from its PKCS#8 DER form, as it is kept (sealed) in a table.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, InvalidKey> {
        let pair = Ed25519KeyPair::from_pkcs8(der).or(Err(InvalidKey))?;
        let public: [u8; 32] = pair.public_key().as_ref().try_into().or(Err(InvalidKey))?;
        let x = URL_SAFE_NO_PAD.encode(public);
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        Ok(Self {
            kid: URL_SAFE_NO_PAD.encode(sha256(&canonical)),
            pkcs8: Arc::new(Zeroizing::new(der.to_vec())),
            public,
        })
    }

    /// The key's id.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The PKCS#8 DER form. Seal it before it goes anywhere.
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public key.
    pub fn public_key(&self) -> &[u8; 32] {
        &self.public
    }

    /// The whole key as a text, to be sealed and stored.
    pub fn to_stored(&self) -> SecretString {
        STANDARD.encode(self.pkcs8()).into()
    }

    /// The key that [`SigningKey::to_stored`] gave.
    pub fn from_stored(stored: &SecretString) -> Result<Self, InvalidKey> {
        let der = STANDARD
            .decode(stored.expose_secret())
            .or(Err(InvalidKey))?;
        Self::from_pkcs8(&Zeroizing::new(der))
    }

    /// What is published.
    pub fn jwk(&self) -> Jwk {
        Jwk {
            kty: "OKP".to_owned(),
            crv: Some("Ed25519".to_owned()),
            x: Some(URL_SAFE_NO_PAD.encode(self.public)),
            kid: Some(self.kid.clone()),
            r#use: Some("sig".to_owned()),
            alg: Some("EdDSA".to_owned()),
        }
    }

    pub(crate) fn encoding_key(&self) -> EncodingKey {
        EncodingKey::from_ed_der(&self.pkcs8)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// A published key (RFC 7517, 8037); members that we do not use are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// Key type; ours is `OKP`.
    pub kty: String,
    /// Curve; ours is `Ed25519`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    /// The public key, base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// The key's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// Use; ours is `sig`.
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub r#use: Option<String>,
    /// Algorithm; ours is `EdDSA`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
}

impl Jwk {
    /// The key's id and the key, if it is one that our tokens may be signed with.
    pub(crate) fn usable(&self) -> Option<(String, DecodingKey)> {
        let fits = self.kty == "OKP"
            && self.crv.as_deref() == Some("Ed25519")
            && self.alg.as_deref().is_none_or(|alg| alg == "EdDSA")
            && self.r#use.as_deref().is_none_or(|r#use| r#use == "sig");
        if !fits {
            return None;
        }
        let key = DecodingKey::from_ed_components(self.x.as_deref()?).ok()?;
        Some((self.kid.clone()?, key))
    }
}

/// The document at `/.well-known/jwks.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Jwks {
    /// The keys.
    pub keys: Vec<Jwk>,
}

/// The keys of an issuer: the one that signs, and all that are published; clones share them.
#[derive(Debug, Clone)]
pub struct SigningKeys(Arc<RwLock<Option<Ring>>>);

#[derive(Debug)]
struct Ring {
    active: SigningKey,
    published: Jwks,
}

impl SigningKeys {
    /// `active` signs; `others` are published too: the next key, well before it signs, and the
    /// last one, until its last token has expired.
    pub fn new(active: SigningKey, others: &[SigningKey]) -> Self {
        Self(Arc::new(RwLock::new(Some(Ring::new(active, others)))))
    }

    /// No keys yet: an issuer whose database is still away. Nothing is issued or verified until
    /// [`SigningKeys::replace`].
    pub fn pending() -> Self {
        Self(Arc::new(RwLock::new(None)))
    }

    /// Whether there are keys.
    pub fn are_loaded(&self) -> bool {
        self.read().is_some()
    }

    /// Puts other keys in place, at once for all clones.
    pub fn replace(&self, active: SigningKey, others: &[SigningKey]) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Ring::new(active, others));
    }

    /// The document to publish.
    pub fn jwks(&self) -> Jwks {
        self.read()
            .as_ref()
            .map(|ring| ring.published.clone())
            .unwrap_or_default()
    }

    pub(crate) fn active(&self) -> Option<SigningKey> {
        self.read().as_ref().map(|ring| ring.active.clone())
    }

    pub(crate) fn find(&self, kid: &str) -> Option<DecodingKey> {
        let published = self.jwks();
        let found = published
            .keys
            .iter()
            .find(|key| key.kid.as_deref() == Some(kid))?;
        found.usable().map(|(_, key)| key)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Option<Ring>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn new(active: SigningKey, others: &[SigningKey]) -> Self {
        let keys = std::iter::once(&active)
            .chain(others.iter().filter(|other| other.kid != active.kid))
            .map(SigningKey::jwk)
            .collect();
        Self {
            active,
            published: Jwks { keys },
        }
    }
}

/// Usable keys by id.
pub(crate) fn by_id(jwks: &Jwks) -> HashMap<String, DecodingKey> {
    jwks.keys.iter().filter_map(Jwk::usable).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_key_survives_its_stored_form() {
        let key = SigningKey::generate().unwrap();
        let again = SigningKey::from_pkcs8(key.pkcs8()).unwrap();
        assert_eq!(key.jwk(), again.jwk());
        assert_eq!(
            SigningKey::from_stored(&key.to_stored()).unwrap().jwk(),
            key.jwk()
        );
        assert!(SigningKey::from_stored(&"junk".into()).is_err());
        assert_eq!(SigningKey::from_pkcs8(b"junk").unwrap_err(), InvalidKey);
    }

    #[test]
    fn the_id_is_the_thumbprint_of_rfc_8037() {
        // RFC 8037, appendix A: this seed makes the public key and the thumbprint given there.
        let seed = URL_SAFE_NO_PAD
            .decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
            .unwrap();
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let key = SigningKey::from_pkcs8(pair.to_pkcs8().unwrap().as_ref()).unwrap();
        assert_eq!(
            key.jwk().x.as_deref(),
            Some("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
        );
        assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn nothing_secret_is_published_or_shown() {
        let key = SigningKey::generate().unwrap();
        let published = serde_json::to_value(SigningKeys::new(key.clone(), &[]).jwks()).unwrap();
        let members = published["keys"][0].as_object().unwrap().keys();
        let members: BTreeSet<&str> = members.map(String::as_str).collect();
        assert_eq!(
            members,
            BTreeSet::from(["kty", "crv", "x", "kid", "use", "alg"])
        );
        assert_eq!(
            format!("{key:?}"),
            format!("SigningKey {{ kid: {:?}, .. }}", key.kid())
        );
    }

    #[test]
    fn keys_of_other_kinds_are_passed_over() {
        let good = SigningKey::generate().unwrap().jwk();
        let mut encryption = good.clone();
        encryption.r#use = Some("enc".to_owned());
        let mut nameless = good.clone();
        nameless.kid = None;
        let rsa: Jwk =
            serde_json::from_str(r#"{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"r"}"#).unwrap();
        let keys = by_id(&Jwks {
            keys: vec![encryption, nameless, rsa, good.clone()],
        });
        assert_eq!(keys.into_keys().collect::<Vec<_>>(), [good.kid.unwrap()]);
    }
}
