//! What a file is, told by its content and never by its name.

use super::{LARGEST, MediaKind, plain_type};

const ANIMATED_STICKER: u64 = 500 * 1024;
const STICKER_SIDE: u32 = 512;

const OOXML: &[&str] = &[
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
];
/// The content alone does not tell these three apart.
const OLE: &[&str] = &[
    "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.ms-powerpoint",
];

/// Why a file is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TypeRefusal {
    #[error("WhatsApp does not take files of the type {found}")]
    Unsupported { found: &'static str },
    #[error("the file is declared as {declared}, but its content is {found}")]
    Mismatch {
        declared: String,
        found: &'static str,
    },
    #[error("{0}")]
    Form(&'static str),
}

/// A file that is taken, by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recognized {
    /// What it may be, the likeliest first: containers hold this or that.
    candidates: &'static [&'static str],
    /// The largest size in bytes.
    pub(crate) limit: u64,
}

impl Recognized {
    /// The type, when its sender says so or does not say.
    pub(crate) fn declared_as(
        self,
        declared: Option<&str>,
    ) -> Result<(&'static str, MediaKind), TypeRefusal> {
        let first = self.candidates.first().copied().unwrap_or_default();
        let mime_type = match declared.map(plain_type) {
            None => first,
            Some(declared) => self
                .candidates
                .iter()
                .copied()
                .find(|candidate| *candidate == declared)
                .ok_or(TypeRefusal::Mismatch {
                    declared,
                    found: first,
                })?,
        };
        match MediaKind::of_type(mime_type) {
            Some(kind) => Ok((mime_type, kind)),
            None => Err(TypeRefusal::Unsupported { found: mime_type }),
        }
    }

    /// The type, when others served it under the name `hint`, which may be wrong.
    pub(crate) fn served_as(
        self,
        hint: Option<&str>,
    ) -> Result<(&'static str, MediaKind), TypeRefusal> {
        self.declared_as(hint)
            .or_else(|_misnamed| self.declared_as(None))
    }
}

/// Looks at the first bytes of a file (64 KiB are plenty; all of it if it is shorter).
pub(crate) fn recognize(head: &[u8]) -> Result<Recognized, TypeRefusal> {
    let candidates = candidates(head)?;
    let first = candidates.first().copied().unwrap_or_default();
    let limit = match first {
        "image/webp" => sticker_limit(head)?,
        "image/png" => {
            check_png(head)?;
            MediaKind::Image.limit()
        }
        other => MediaKind::of_type(other).map_or(LARGEST, MediaKind::limit),
    };
    Ok(Recognized { candidates, limit })
}

fn candidates(head: &[u8]) -> Result<&'static [&'static str], TypeRefusal> {
    if let Some(brand) = head.get(4..12).and_then(|ftyp| ftyp.strip_prefix(b"ftyp")) {
        if brand.starts_with(b"3g") {
            return Ok(&["video/3gpp"]);
        }
        if brand.starts_with(b"M4A") || brand.starts_with(b"M4B") {
            return Ok(&["audio/mp4"]);
        }
    }
    let found = infer::get(head).map(|kind| kind.mime_type());
    Ok(match found {
        Some("image/jpeg") => &["image/jpeg"],
        Some("image/png") => &["image/png"],
        Some("image/webp") => &["image/webp"],
        Some("video/mp4" | "video/x-m4v") => &["video/mp4", "audio/mp4"],
        Some("audio/mpeg") => &["audio/mpeg"],
        Some("audio/amr") => &["audio/amr"],
        Some("audio/aac") => &["audio/aac"],
        Some("audio/opus") => {
            check_opus(head)?;
            &["audio/ogg"]
        }
        Some("audio/ogg") => {
            return Err(TypeRefusal::Form(
                "an Ogg file must hold Opus audio: convert it with the codec libopus",
            ));
        }
        Some("application/pdf") => &["application/pdf"],
        Some("application/msword" | "application/x-ole-storage") => OLE,
        Some(known) if OOXML.contains(&known) => OOXML
            .chunks(1)
            .find(|one| one.contains(&known))
            .unwrap_or(OOXML),
        // Office writes the entries of its archives in an order that does not always tell more.
        Some("application/zip") if holds(head, b"[Content_Types].xml") => OOXML,
        Some(known) if known.starts_with("text/") && is_text(head) => &["text/plain"],
        Some(known) => return Err(TypeRefusal::Unsupported { found: known }),
        None if is_text(head) => &["text/plain"],
        None => {
            return Err(TypeRefusal::Unsupported {
                found: "application/octet-stream",
            });
        }
    })
}

/// The type of any file, for whoever downloads it; never one that a browser would run.
pub(crate) fn type_of(head: &[u8]) -> &'static str {
    let found = candidates(head).map(|candidates| candidates.first().copied());
    match found {
        Ok(Some(known)) => known,
        Err(TypeRefusal::Unsupported { found })
            if ["image/", "audio/", "video/"]
                .iter()
                .any(|kind| found.starts_with(kind)) =>
        {
            found
        }
        _ => "application/octet-stream",
    }
}

fn holds(head: &[u8], text: &[u8]) -> bool {
    head.windows(text.len()).any(|window| window == text)
}

/// UTF-8, cut anywhere, without what only binary files hold.
fn is_text(head: &[u8]) -> bool {
    let is_utf8 = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    let is_binary =
        |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
    is_utf8 && !head.is_empty() && !head.iter().any(is_binary)
}

/// The first packet is `OpusHead`, version, channels (RFC 7845, section 5.1).
fn check_opus(head: &[u8]) -> Result<(), TypeRefusal> {
    if head.get(37) == Some(&1) {
        Ok(())
    } else {
        Err(TypeRefusal::Form(
            "an Ogg file must have one channel (mono)",
        ))
    }
}

/// `IHDR`: width, height, bit depth, colour type (2 is RGB, 6 RGBA).
fn check_png(head: &[u8]) -> Result<(), TypeRefusal> {
    match head.get(24..26) {
        Some([8, 2 | 6]) => Ok(()),
        _ => Err(TypeRefusal::Form(
            "a PNG image must be RGB or RGBA with 8 bits for each channel",
        )),
    }
}

/// Stickers are 512 by 512 pixels; one that moves may be larger than one that stands still.
fn sticker_limit(head: &[u8]) -> Result<u64, TypeRefusal> {
    let Some((width, height, is_animated)) = webp_size(head) else {
        return Err(TypeRefusal::Form("the WebP image is broken"));
    };
    if (width, height) != (STICKER_SIDE, STICKER_SIDE) {
        return Err(TypeRefusal::Form(
            "a sticker (WebP) must be 512 by 512 pixels; send other images as PNG or JPEG",
        ));
    }
    Ok(if is_animated {
        ANIMATED_STICKER
    } else {
        MediaKind::Sticker.limit()
    })
}

/// Width, height and whether it moves, from the first chunk (WebP container specification).
fn webp_size(head: &[u8]) -> Option<(u32, u32, bool)> {
    let number = |at: usize, bytes: usize| {
        let part = head.get(at..at + bytes)?;
        Some(
            part.iter()
                .rev()
                .fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte)),
        )
    };
    match head.get(12..16)? {
        b"VP8X" => {
            let flags = *head.get(20)?;
            Some((number(24, 3)? + 1, number(27, 3)? + 1, flags & 0x02 != 0))
        }
        b"VP8L" => {
            let bits = number(21, 4)?;
            Some(((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1, false))
        }
        b"VP8 " => Some((number(26, 2)? & 0x3fff, number(28, 2)? & 0x3fff, false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
