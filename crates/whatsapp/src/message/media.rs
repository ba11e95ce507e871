//! Images, videos, sounds, documents, stickers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::checker::Checker;

/// Longest caption, in characters (Cloud API reference, media messages).
const MAX_CAPTION_CHARS: usize = 1024;
/// No limit is documented; no file system has longer names.
const MAX_FILENAME_CHARS: usize = 255;

/// A struct for a medium: it is at exactly one place, has members of its own, and checks them.
macro_rules! medium {
    (
        $(#[$doc:meta])* $name:ident {
            $($(#[$member_doc:meta])* $member:ident: $type:ident $(, at most $max:ident)?;)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Id of an upload; either this or `link`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub id: Option<String>,
            /// Public web address, from which Meta fetches it; either this or `id`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub link: Option<String>,
            $(
                $(#[$member_doc])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $member: Option<$type>,
            )*
        }

        impl $name {
            pub(super) fn check(&self, c: &mut Checker<'_>) {
                c.medium(self.id.as_deref(), self.link.as_deref());
                $($(c.optional_text(stringify!($member), self.$member.as_deref(), $max);)?)*
            }
        }
    };
}

medium! {
    /// An image: JPEG or PNG, at most 5 MB.
    Image {
        /// Text below it, 1 to 1024 characters.
        #[schema(max_length = 1024)]
        caption: String, at most MAX_CAPTION_CHARS;
    }
}

medium! {
    /// A video: MP4 or 3GPP with H.264 and AAC, at most 16 MB.
    Video {
        /// Text below it, 1 to 1024 characters.
        #[schema(max_length = 1024)]
        caption: String, at most MAX_CAPTION_CHARS;
    }
}

medium! {
    /// A sound: AAC, AMR, MP3, MP4 or Ogg with Opus, at most 16 MB.
    Audio {
        /// Whether it is shown as a voice message; such a one must be Ogg with Opus, mono.
        voice: bool;
    }
}

medium! {
    /// A file: PDF, text or of an office suite, at most 100 MB.
    Document {
        /// Text below it, 1 to 1024 characters.
        #[schema(max_length = 1024)]
        caption: String, at most MAX_CAPTION_CHARS;
        /// Name that is shown, 1 to 255 characters; its extension picks the icon.
        #[schema(max_length = 255)]
        filename: String, at most MAX_FILENAME_CHARS;
    }
}

medium! {
    /// A sticker: WebP of 512 × 512 pixels, at most 100 KB, or 500 KB when it moves.
    Sticker {}
}

medium! {
    /// An image or a video in the header of another message.
    HeaderMedium {}
}

medium! {
    /// A document in the header of another message.
    HeaderDocument {
        /// Name that is shown, 1 to 255 characters; its extension picks the icon.
        #[schema(max_length = 255)]
        filename: String, at most MAX_FILENAME_CHARS;
    }
}
