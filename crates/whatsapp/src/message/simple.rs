//! Text, places, reactions.

use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::ToSchema;

use super::checker::Checker;

/// Longest body of a text message, in characters (Cloud API reference, text messages).
pub const MAX_TEXT_CHARS: usize = 4096;
/// No limit is documented; what is longer is no name of a place.
const MAX_PLACE_CHARS: usize = 1000;
/// The longest emoji, a family with skin tones, has fewer.
const MAX_EMOJI_CHARS: usize = 16;

/// A text message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// 1 to [`MAX_TEXT_CHARS`] characters; Meta refuses others with code 100.
    #[schema(min_length = 1, max_length = 4096)]
    pub body: String,
    /// Whether the first `http(s)://` address in the body is shown with a preview.
    #[serde(default)]
    pub preview_url: bool,
}

impl Text {
    pub(super) fn check(&self, c: &mut Checker<'_>) {
        c.text("body", &self.body, MAX_TEXT_CHARS);
    }
}

/// A place on the map.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// Degrees north, -90 to 90; a number, or a text with one.
    #[serde(deserialize_with = "degrees")]
    #[schema(minimum = -90, maximum = 90)]
    pub latitude: f64,
    /// Degrees east, -180 to 180; a number, or a text with one.
    #[serde(deserialize_with = "degrees")]
    #[schema(minimum = -180, maximum = 180)]
    pub longitude: f64,
    /// Without name and address only a pin is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Postal address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl Location {
    pub(super) fn check(&self, c: &mut Checker<'_>) {
        for (name, value, most) in [
            ("latitude", self.latitude, 90.0),
            ("longitude", self.longitude, 180.0),
        ] {
            if !(-most..=most).contains(&value) {
                c.refuse(name, format!("must be from -{most} to {most} degrees"));
            }
        }
        c.optional_text("name", self.name.as_deref(), MAX_PLACE_CHARS);
        c.optional_text("address", self.address.as_deref(), MAX_PLACE_CHARS);
    }
}

/// Meta's own material has numbers and texts; a number is sent.
fn degrees<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Number(f64),
        Text(String),
    }
    let wrong = || de::Error::custom("must be a number of degrees");
    let degrees = match Given::deserialize(deserializer).map_err(|_other| wrong())? {
        Given::Number(degrees) => degrees,
        Given::Text(text) => text.parse().map_err(|_no_number| wrong())?,
    };
    // JSON has no other numbers.
    if degrees.is_finite() {
        Ok(degrees)
    } else {
        Err(wrong())
    }
}

/// A reaction to a message that the recipient sent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reaction {
    /// The `wamid` of the message, which must be received, at most 30 days old, and no reaction.
    pub message_id: String,
    /// One emoji; an empty text takes the reaction back.
    pub emoji: String,
}

impl Reaction {
    pub(super) fn check(&self, c: &mut Checker<'_>) {
        c.id("message_id", &self.message_id);
        let could_be_emoji = self.emoji.is_empty()
            || (self.emoji.chars().count() <= MAX_EMOJI_CHARS
                && !self.emoji.is_ascii()
                && !self
                    .emoji
                    .chars()
                    .any(|c| c.is_alphabetic() || c.is_whitespace()));
        if !could_be_emoji {
            c.refuse(
                "emoji",
                "must be one emoji, or empty to take the reaction back",
            );
        }
    }
}
