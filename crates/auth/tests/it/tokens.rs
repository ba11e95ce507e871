//! What the verifier takes and refuses.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use portal_auth::{
    AccessClaims, AdminClaims, Issuer, KeySource, SigningKey, SigningKeys, Verifier, VerifyError,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{AUD, ISS, access, issuer, keys, shifted, subject, text};

fn verifier(keys: &SigningKeys) -> Verifier<AccessClaims> {
    Verifier::new(ISS, AUD, KeySource::Own(keys.clone()))
}

async fn refusal(keys: &SigningKeys, token: &str) -> VerifyError {
    verifier(keys)
        .verify(token)
        .await
        .expect_err("the token was taken")
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Signs any header and claims with the key of the ring.
fn forge(key: &SigningKey, header: &Header, claims: &Value) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_ed_der(key.pkcs8())).unwrap()
}

fn good_header(key: &SigningKey) -> Header {
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some("at+jwt".to_owned());
    header.kid = Some(key.kid().to_owned());
    header
}

#[tokio::test]
async fn claims_are_those_of_the_contract() {
    let keys = keys();
    let subject = subject();
    let issued = issuer(&keys).issue_access(&subject).unwrap();
    let token = text(&issued);
    assert_eq!(issued.expires_in, 300);

    let header = part(&token, 0);
    assert_eq!(header["typ"], "at+jwt");
    assert_eq!(header["alg"], "EdDSA");
    assert_eq!(
        header["kid"],
        serde_json::to_value(keys.jwks()).unwrap()["keys"][0]["kid"]
    );

    let claims = part(&token, 1);
    let (iat, exp) = (
        claims["iat"].as_u64().unwrap(),
        claims["exp"].as_u64().unwrap(),
    );
    assert_eq!(exp - iat, 300);
    let expected = json!({
        "iss": ISS, "aud": AUD, "sub": subject.user_id, "userId": subject.user_id,
        "tenantId": "acme_corp", "role": "agent", "type": "access", "sid": subject.session_id,
        "iat": iat, "nbf": iat, "exp": exp, "jti": issued.jti,
    });
    assert_eq!(claims, expected);

    let verified = verifier(&keys).verify(&token).await.unwrap();
    assert_eq!(verified.user_id, subject.user_id);
    assert_eq!(verified.sid, subject.session_id);
}

#[tokio::test]
async fn a_token_that_was_tampered_with_is_refused() {
    let keys = keys();
    let verifier = verifier(&keys);
    let token = access(&issuer(&keys));
    verifier.verify(&token).await.unwrap();

    let mut claims = part(&token, 1);
    claims["role"] = "admin".into();
    let parts: Vec<&str> = token.split('.').collect();
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    let tampered = format!("{}.{claims}.{}", parts[0], parts[2]);
    assert_eq!(
        verifier.verify(&tampered).await.unwrap_err(),
        VerifyError::Invalid
    );

    let other = access(&issuer(&keys));
    let other_signature = other.rsplit('.').next().unwrap();
    let swapped = format!("{}.{}.{other_signature}", parts[0], parts[1]);
    assert_eq!(
        verifier.verify(&swapped).await.unwrap_err(),
        VerifyError::Invalid
    );
}

#[tokio::test]
async fn time_is_kept_with_five_seconds_of_leeway() {
    let keys = keys();
    assert_eq!(
        refusal(&keys, &access(&shifted(&keys, -400))).await,
        VerifyError::Expired
    );
    assert_eq!(
        refusal(&keys, &access(&shifted(&keys, 60))).await,
        VerifyError::Invalid
    );
    verifier(&keys)
        .verify(&access(&shifted(&keys, 2)))
        .await
        .unwrap();
    verifier(&keys)
        .verify(&access(&shifted(&keys, -302)))
        .await
        .unwrap();
}

#[tokio::test]
async fn tokens_of_others_and_for_others_are_refused() {
    let keys = keys();
    for (iss, aud) in [("somebody-else", AUD), (ISS, "tenant-service")] {
        let token = access(&Issuer::new(iss, aud, keys.clone()));
        assert_eq!(
            refusal(&keys, &token).await,
            VerifyError::Invalid,
            "{iss} {aud}"
        );
    }
    let foreign = access(&issuer(&super::keys()));
    assert_eq!(refusal(&keys, &foreign).await, VerifyError::UnknownKey);
}

#[tokio::test]
async fn an_admin_token_is_no_access_token_and_the_other_way_round() {
    let keys = keys();
    let issuer = issuer(&keys);
    let admin = text(&issuer.issue_admin(Uuid::now_v7(), Uuid::now_v7()).unwrap());
    assert_eq!(refusal(&keys, &admin).await, VerifyError::Invalid);
    let admins = Verifier::<AdminClaims>::new(ISS, AUD, KeySource::Own(keys.clone()));
    admins.verify(&admin).await.unwrap();
    assert_eq!(
        admins.verify(&access(&issuer)).await.unwrap_err(),
        VerifyError::Invalid
    );
}

#[tokio::test]
async fn every_claim_is_required_and_has_its_form() {
    let key = SigningKey::generate().unwrap();
    let keys = SigningKeys::new(key.clone(), &[]);
    let good = part(&access(&issuer(&keys)), 1);
    verifier(&keys)
        .verify(&forge(&key, &good_header(&key), &good))
        .await
        .unwrap();

    for claim in good.as_object().unwrap().keys() {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(claim);
        let token = forge(&key, &good_header(&key), &claims);
        assert_eq!(
            refusal(&keys, &token).await,
            VerifyError::Invalid,
            "without {claim}"
        );
    }
    for (claim, value) in [
        ("exp", json!("4102444800")),
        ("nbf", json!("0")),
        ("aud", json!(["x"])),
        ("type", json!("refresh")),
        ("role", json!("root")),
        ("tenantId", json!("../etc")),
        ("userId", json!(Uuid::now_v7())),
    ] {
        let mut claims = good.clone();
        claims[claim] = value;
        let token = forge(&key, &good_header(&key), &claims);
        assert_eq!(
            refusal(&keys, &token).await,
            VerifyError::Invalid,
            "{claim}"
        );
    }
}

#[tokio::test]
async fn headers_of_other_kinds_are_refused() {
    let key = SigningKey::generate().unwrap();
    let keys = SigningKeys::new(key.clone(), &[]);
    let claims = part(&access(&issuer(&keys)), 1);
    let mut plain = good_header(&key);
    plain.typ = Some("JWT".to_owned());
    let mut nameless = good_header(&key);
    nameless.kid = None;
    let mut critical = good_header(&key);
    critical.crit = Some(vec!["b64".to_owned()]);
    for header in [plain, nameless, critical] {
        assert_eq!(
            refusal(&keys, &forge(&key, &header, &claims)).await,
            VerifyError::Invalid
        );
    }
}

#[tokio::test]
async fn other_algorithms_are_refused() {
    let key = SigningKey::generate().unwrap();
    let keys = SigningKeys::new(key.clone(), &[]);
    let claims = part(&access(&issuer(&keys)), 1);

    // The classic: the public key, which everybody knows, as the secret of an HMAC.
    let public = key.jwk().x.unwrap();
    for secret in [
        public.clone().into_bytes(),
        URL_SAFE_NO_PAD.decode(&public).unwrap(),
    ] {
        let mut header = good_header(&key);
        header.alg = Algorithm::HS256;
        let token =
            jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&secret)).unwrap();
        assert_eq!(refusal(&keys, &token).await, VerifyError::Invalid);
    }

    for alg in ["none", "None", "NONE", ""] {
        let header = json!({"typ": "at+jwt", "alg": alg, "kid": key.kid()});
        let unsigned = format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        assert_eq!(
            refusal(&keys, &unsigned).await,
            VerifyError::Malformed,
            "{alg}"
        );
    }
}

#[tokio::test]
async fn texts_that_are_no_tokens_are_refused() {
    let keys = keys();
    for text in ["", "x", "a.b.c", "..", &"a".repeat(5_000), "e30.e30.e30"] {
        assert_eq!(
            refusal(&keys, text).await,
            VerifyError::Malformed,
            "{text:.20}"
        );
    }
}

#[tokio::test]
async fn old_keys_are_taken_while_they_are_published() {
    let (old, new) = (
        SigningKey::generate().unwrap(),
        SigningKey::generate().unwrap(),
    );
    let keys = SigningKeys::new(old.clone(), std::slice::from_ref(&new));
    let before = access(&issuer(&keys));
    keys.replace(new.clone(), std::slice::from_ref(&old));
    let after = access(&issuer(&keys));
    assert_ne!(part(&before, 0)["kid"], part(&after, 0)["kid"]);
    for token in [&before, &after] {
        verifier(&keys).verify(token).await.unwrap();
    }
    keys.replace(new, &[]);
    assert_eq!(refusal(&keys, &before).await, VerifyError::UnknownKey);
}

#[tokio::test]
async fn nothing_is_issued_or_judged_before_the_keys_are_loaded() {
    let elsewhere = access(&issuer(&keys()));
    let pending = SigningKeys::pending();
    assert!(issuer(&pending).issue_access(&subject()).is_err());
    assert_eq!(
        refusal(&pending, &elsewhere).await,
        VerifyError::KeysUnavailable
    );
    pending.replace(SigningKey::generate().unwrap(), &[]);
    verifier(&pending)
        .verify(&access(&issuer(&pending)))
        .await
        .unwrap();
}
