//! Files that `WhatsApp` takes: kinds, types, limits.

mod content;
mod name;
mod slots;

pub(crate) use content::{Recognized, TypeRefusal, recognize, type_of};
pub(crate) use name::file_name;
pub(crate) use slots::{Source, check_kind, slots};

use strum::{Display, EnumString, IntoStaticStr};

const MEGABYTE: u64 = 1024 * 1024;
/// The largest file of any kind.
pub(crate) const LARGEST: u64 = 100 * MEGABYTE;

/// What a file is in a message.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, EnumString, Display, IntoStaticStr, serde::Serialize,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(crate) enum MediaKind {
    Audio,
    Document,
    Image,
    Sticker,
    Video,
}

impl MediaKind {
    /// Of a type that `WhatsApp` takes; `None` of any other.
    pub(crate) fn of_type(mime_type: &str) -> Option<Self> {
        Some(match mime_type {
            "image/jpeg" | "image/png" => Self::Image,
            "image/webp" => Self::Sticker,
            "video/mp4" | "video/3gpp" => Self::Video,
            "audio/aac" | "audio/amr" | "audio/mpeg" | "audio/mp4" | "audio/ogg" => Self::Audio,
            "text/plain"
            | "application/pdf"
            | "application/msword"
            | "application/vnd.ms-excel"
            | "application/vnd.ms-powerpoint"
            | "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
            | "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
            | "application/vnd.openxmlformats-officedocument.presentationml.presentation" => {
                Self::Document
            }
            _ => return None,
        })
    }

    /// The largest file of the kind in bytes (Cloud API, "Supported media types"). Of stickers the
    /// one that stands still; one that moves may be larger.
    pub(crate) const fn limit(self) -> u64 {
        match self {
            Self::Audio | Self::Video => 16 * MEGABYTE,
            Self::Image => 5 * MEGABYTE,
            Self::Document => LARGEST,
            Self::Sticker => 100 * 1024,
        }
    }

    /// Whether a file of this kind may stand where a message has one of `slot`: anything may be sent
    /// as a document.
    pub(crate) fn fits(self, slot: Self) -> bool {
        self == slot || slot == Self::Document
    }
}

/// A type without parameters, under its one name.
pub(crate) fn plain_type(given: &str) -> String {
    let bare = given.split(';').next().unwrap_or_default();
    let bare = bare.trim().to_ascii_lowercase();
    match bare.as_str() {
        "image/jpg" => "image/jpeg".to_owned(),
        "audio/mp3" => "audio/mpeg".to_owned(),
        "audio/opus" => "audio/ogg".to_owned(),
        "audio/m4a" | "audio/x-m4a" => "audio/mp4".to_owned(),
        _ => bare,
    }
}
