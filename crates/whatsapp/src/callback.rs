//! The note that travels with a message and comes back in its status webhooks.
//!
//! `v1.<message id>.<attempt>.<16 hexadecimal digits of an HMAC-SHA-256>`: it finds the message
//! when the answer with its `wamid` was lost. It holds no personal data; the HMAC keeps others
//! who may send us webhooks from naming our messages.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use portal_types::MessageId;
use secrecy::{ExposeSecret as _, SecretBox};

const VERSION: &str = "v1";
/// Bytes of the HMAC that are kept: 64 bits, written as 16 hexadecimal digits.
const TAG_BYTES: usize = 8;

/// Key of the HMAC. It must outlive the messages it marks: webhooks come for up to 7 days.
#[derive(Clone)]
pub struct CallbackKey(hmac::Key);

impl CallbackKey {
    /// Makes a key of 32 secret bytes, as `portal_vault::Vault::derive` gives them.
    pub fn new(key: &SecretBox<[u8; 32]>) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret()))
    }
}

impl fmt::Debug for CallbackKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackKey").finish_non_exhaustive()
    }
}

/// Which attempt at which message a webhook is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallbackData {
    /// Our id of the message.
    pub message_id: MessageId,
    /// Number of the attempt.
    pub attempt: u32,
}

/// The note is not one of ours, or was made with another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the callback data is not ours")]
pub struct ForeignCallbackData;

impl CallbackData {
    /// The note for `biz_opaque_callback_data`: at most 70 ASCII characters.
    pub fn to_note(self, key: &CallbackKey) -> String {
        let signed = format!("{VERSION}.{}.{}", self.message_id, self.attempt);
        let tag = hmac::sign(&key.0, signed.as_bytes());
        let tag = tag.as_ref().get(..TAG_BYTES).unwrap_or_default();
        format!("{signed}.{}", hex::encode(tag))
    }

    /// Reads a note that [`CallbackData::to_note`] made with the same key.
    pub fn verify(key: &CallbackKey, note: &str) -> Result<Self, ForeignCallbackData> {
        let read = Self::read(note).ok_or(ForeignCallbackData)?;
        // Making it again compares version, spelling and HMAC at once, in constant time.
        verify_slices_are_equal(read.to_note(key).as_bytes(), note.as_bytes())
            .or(Err(ForeignCallbackData))?;
        Ok(read)
    }

    fn read(note: &str) -> Option<Self> {
        let mut parts = note.split('.').skip(1);
        let message_id = parts.next()?.parse().ok()?;
        let attempt = parts.next()?.parse().ok()?;
        Some(Self {
            message_id,
            attempt,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn key(byte: u8) -> CallbackKey {
        CallbackKey::new(&SecretBox::new(Box::new([byte; 32])))
    }

    fn data() -> CallbackData {
        let id = Uuid::parse_str("01931f6e-7c00-7000-8000-000000000001").unwrap();
        CallbackData {
            message_id: id.into(),
            attempt: 3,
        }
    }

    #[test]
    fn the_note_has_its_form() {
        let note = data().to_note(&key(1));
        let (signed, tag) = note.rsplit_once('.').unwrap();
        assert_eq!(signed, "v1.01931f6e-7c00-7000-8000-000000000001.3");
        assert!(
            tag.len() == 16 && tag.bytes().all(|b| b.is_ascii_hexdigit()),
            "{tag}"
        );
        assert_eq!(CallbackData::verify(&key(1), &note), Ok(data()));
        let longest = CallbackData {
            attempt: u32::MAX,
            ..data()
        }
        .to_note(&key(1));
        assert!(longest.len() <= 70, "{longest}");
    }

    #[test]
    fn other_notes_are_foreign() {
        let note = data().to_note(&key(1));
        for foreign in [
            String::new(),
            "hello".to_owned(),
            note.replace("v1", "v2"),
            note.replace(".3.", ".4."),
            note.replace(".3.", ".03."),
            note.replace(".3.", ".+3."),
            note.replace("000001", "000002"),
            note.to_uppercase(),
            format!("{note}0"),
            format!("{note}.x"),
            note.chars().take(note.len() - 1).collect(),
            data().to_note(&key(2)),
        ] {
            assert_eq!(
                CallbackData::verify(&key(1), &foreign),
                Err(ForeignCallbackData),
                "{foreign}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_foreign_and_harmless(text in ".{0,120}") {
            prop_assert!(CallbackData::verify(&key(1), &text).is_err());
        }

        #[test]
        fn any_data_comes_back(id: u128, attempt: u32) {
            let data = CallbackData { message_id: Uuid::from_u128(id).into(), attempt };
            prop_assert_eq!(CallbackData::verify(&key(1), &data.to_note(&key(1))), Ok(data));
        }
    }
}
