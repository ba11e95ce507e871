//! The promises of the vault: a value opens in its own place, with a configured key, unchanged.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use portal_vault::{Binding, Vault, VaultError};
use proptest::prelude::*;
use secrecy::{ExposeSecret as _, SecretString};

/// base64 of 32 times 0x00, 0x11 and 0x22.
const KEY_A: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const KEY_B: &str = "ERERERERERERERERERERERERERERERERERERERERERE=";
const KEY_C: &str = "IiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiI=";

const HERE: Binding<'static> = Binding {
    table: "tenant_whatsapp_config",
    column: "access_token",
    tenant_id: "acme_corp",
    row_id: "0193",
};

fn vault(keys: &[(&str, &str)], active: &str) -> Vault {
    let joined = keys
        .iter()
        .map(|(id, key)| format!("{id}:{key}"))
        .collect::<Vec<_>>()
        .join(",");
    Vault::from_keys(&joined.into(), active).unwrap()
}

fn open(vault: &Vault, binding: &Binding<'_>, sealed: &[u8]) -> Result<String, VaultError> {
    vault
        .open(binding, sealed)
        .map(|secret| secret.expose_secret().to_owned())
}

#[test]
fn a_value_opens_in_its_own_place_only() {
    let vault = vault(&[("a", KEY_A)], "a");
    let sealed = vault.seal(&HERE, &"EAAG-token".into()).unwrap();
    assert_eq!(open(&vault, &HERE, &sealed).as_deref(), Ok("EAAG-token"));
    for elsewhere in [
        Binding {
            table: "tenant_credentials",
            ..HERE
        },
        Binding {
            column: "app_secret",
            ..HERE
        },
        Binding {
            tenant_id: "other_corp",
            ..HERE
        },
        Binding {
            row_id: "0194",
            ..HERE
        },
    ] {
        assert_eq!(
            open(&vault, &elsewhere, &sealed),
            Err(VaultError::NotAuthentic)
        );
        assert_eq!(
            self::vault(&[("a", KEY_A), ("b", KEY_B)], "b").rewrap(&elsewhere, &sealed),
            Err(VaultError::NotAuthentic)
        );
    }
}

#[test]
fn any_changed_byte_is_noticed() {
    let vault = vault(&[("a", KEY_A)], "a");
    let sealed = vault.seal(&HERE, &"EAAG-token".into()).unwrap();
    for index in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[index] ^= 1;
        assert!(vault.open(&HERE, &changed).is_err(), "byte {index}");
    }
    for length in 0..sealed.len() {
        assert!(
            vault.open(&HERE, &sealed[..length]).is_err(),
            "cut to {length}"
        );
    }
}

#[test]
fn parts_of_two_records_of_one_place_do_not_mix() {
    let vault = vault(&[("a", KEY_A)], "a");
    let one = vault.seal(&HERE, &"first".into()).unwrap();
    let two = vault.seal(&HERE, &"again".into()).unwrap();
    let border = 2 + 1 + 60; // version, id length, id `a`, wrapped data key
    let mixed = [&one[..border], &two[border..]].concat();
    assert_eq!(open(&vault, &HERE, &mixed), Err(VaultError::NotAuthentic));
}

#[test]
fn an_unknown_key_is_named() {
    let sealed = vault(&[("old", KEY_A)], "old")
        .seal(&HERE, &"EAAG".into())
        .unwrap();
    let later = vault(&[("new", KEY_B)], "new");
    let expected = VaultError::UnknownKey {
        id: "old".to_owned(),
    };
    assert_eq!(open(&later, &HERE, &sealed), Err(expected.clone()));
    assert_eq!(later.rewrap(&HERE, &sealed), Err(expected.clone()));
    assert_eq!(later.derive("old", "x").map(|_| ()), Err(expected));
}

#[test]
fn a_key_id_with_other_bytes_does_not_open() {
    let sealed = vault(&[("a", KEY_A)], "a")
        .seal(&HERE, &"EAAG".into())
        .unwrap();
    assert_eq!(
        open(&vault(&[("a", KEY_B)], "a"), &HERE, &sealed),
        Err(VaultError::NotAuthentic)
    );
}

#[test]
fn rotation_goes_old_key_both_keys_new_key() {
    let before = vault(&[("a", KEY_A)], "a");
    let during = vault(&[("a", KEY_A), ("b", KEY_B)], "b");
    let after = vault(&[("b", KEY_B)], "b");

    let sealed = before.seal(&HERE, &"EAAG-token".into()).unwrap();
    assert_eq!(Vault::key_id(&sealed), Ok("a"));
    assert_eq!(before.rewrap(&HERE, &sealed), Ok(None));
    assert_eq!(open(&during, &HERE, &sealed).as_deref(), Ok("EAAG-token"));

    let rewrapped = during.rewrap(&HERE, &sealed).unwrap().unwrap();
    assert_eq!(Vault::key_id(&rewrapped), Ok("b"));
    assert_eq!(during.rewrap(&HERE, &rewrapped), Ok(None));
    assert_eq!(open(&after, &HERE, &rewrapped).as_deref(), Ok("EAAG-token"));
    assert_eq!(
        Vault::key_id(&during.seal(&HERE, &"x".into()).unwrap()),
        Ok("b")
    );
}

#[test]
fn derived_keys_follow_the_named_key_and_the_label_and_not_the_active_key() {
    let derive =
        |vault: &Vault, id: &str, label: &str| *vault.derive(id, label).unwrap().expose_secret();
    let before = vault(&[("a", KEY_A)], "a");
    let after = vault(&[("a", KEY_A), ("b", KEY_B)], "b");
    let key = derive(&before, "a", "callback-data");
    assert_eq!(key, derive(&after, "a", "callback-data"));
    assert_ne!(key, derive(&after, "b", "callback-data"));
    assert_ne!(key, derive(&after, "a", "idempotency"));
    assert_ne!(key, [0; 32]);
}

#[test]
fn configuration_mistakes_name_the_key_and_show_no_secret() {
    let keys: SecretString = format!("a:{KEY_A},b:{KEY_B}").into();
    for (active, expected) in [
        ("", "no key is named"),
        (KEY_C, "names no key of vault.keys"),
    ] {
        let text = Vault::from_keys(&keys, active).unwrap_err().to_string();
        assert!(text.starts_with("vault.active_key: "), "{text}");
        assert!(text.contains(expected) && text.contains("(a, b)"), "{text}");
        assert!(
            [KEY_A, KEY_B, KEY_C].iter().all(|key| !text.contains(key)),
            "{text}"
        );
    }
    let text = Vault::from_keys(&"a".into(), "a").unwrap_err().to_string();
    assert!(text.starts_with("vault.keys: "), "{text}");
}

#[test]
fn debug_shows_nothing() {
    let vault = vault(&[("visible-id", KEY_A)], "visible-id");
    assert_eq!(format!("{vault:?}"), "Vault { .. }");
    let derived = format!("{:?}", vault.derive("visible-id", "x").unwrap());
    assert!(derived.contains("REDACTED"), "{derived}");
}

proptest! {
    #[test]
    fn every_text_in_every_place_comes_back(
        secret in ".{0,300}",
        table in ".{1,20}",
        column in ".{1,20}",
        tenant_id in ".{1,40}",
        row_id in ".{1,40}",
    ) {
        let vault = vault(&[("a", KEY_A)], "a");
        let place = Binding { table: &table, column: &column, tenant_id: &tenant_id, row_id: &row_id };
        let sealed = vault.seal(&place, &secret.clone().into()).unwrap();
        prop_assert_eq!(open(&vault, &place, &sealed), Ok(secret.clone()));
        prop_assert_ne!(&vault.seal(&place, &secret.into()).unwrap(), &sealed);
    }

    #[test]
    fn arbitrary_bytes_never_open_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(vault(&[("a", KEY_A)], "a").open(&HERE, &bytes).is_err());
    }
}
