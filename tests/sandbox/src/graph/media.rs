//! Media: uploaded to a number, read by id, downloaded from a URL that soon runs out.

use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;

use super::errors::GraphError;
use super::rows;
use super::world::{GraphToken, GraphWorld};
use crate::crypto::random_token;
use crate::http::{Call, Notes, Reply};
use crate::state::State;

const MB: usize = 1024 * 1024;

/// MIME types that can be uploaded: kind, type, most bytes.
const TYPES: [(&str, &str, usize); 18] = [
    ("audio", "audio/aac", 16 * MB),
    ("audio", "audio/amr", 16 * MB),
    ("audio", "audio/mpeg", 16 * MB),
    ("audio", "audio/mp4", 16 * MB),
    ("audio", "audio/ogg", 16 * MB),
    ("document", "text/plain", 100 * MB),
    ("document", "application/pdf", 100 * MB),
    ("document", "application/msword", 100 * MB),
    ("document", "application/vnd.ms-excel", 100 * MB),
    ("document", "application/vnd.ms-powerpoint", 100 * MB),
    (
        "document",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        100 * MB,
    ),
    (
        "document",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        100 * MB,
    ),
    (
        "document",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        100 * MB,
    ),
    ("image", "image/jpeg", 5 * MB),
    ("image", "image/png", 5 * MB),
    ("sticker", "image/webp", 500 * 1024),
    ("video", "video/mp4", 16 * MB),
    ("video", "video/3gpp", 16 * MB),
];

/// A file that a number holds.
#[derive(Debug, Clone)]
pub(crate) struct Media {
    pub(crate) id: String,
    pub(crate) phone_number_id: String,
    pub(crate) waba_id: String,
    pub(crate) mime: String,
    /// Lower-case hex.
    pub(crate) sha256: String,
    pub(crate) bytes: Bytes,
    made: Instant,
    lifetime: Duration,
}

impl Media {
    pub(crate) fn new(
        world: &GraphWorld,
        phone_number_id: &str,
        mime: &str,
        bytes: Bytes,
        lifetime: Duration,
    ) -> Self {
        Self {
            id: format!("9{:015}", rand::random::<u64>() % 1_000_000_000_000_000),
            phone_number_id: phone_number_id.to_owned(),
            waba_id: super::waba_of(world, phone_number_id).unwrap_or_default(),
            mime: mime.to_owned(),
            sha256: hex::encode(digest::digest(&digest::SHA256, &bytes)),
            bytes,
            made: Instant::now(),
            lifetime,
        }
    }

    fn is_alive(&self) -> bool {
        self.made.elapsed() < self.lifetime
    }

    /// As incoming messages carry it.
    pub(crate) fn sha256_base64(&self) -> String {
        STANDARD.encode(hex::decode(&self.sha256).unwrap_or_default())
    }

    /// What Meta's processing would find: the bytes are of another kind than their name says.
    pub(crate) fn is_broken(&self) -> bool {
        let begins = |head: &[u8]| self.bytes.starts_with(head);
        match bare(&self.mime) {
            "image/jpeg" => !begins(&[0xFF, 0xD8, 0xFF]),
            "image/png" => !begins(b"\x89PNG\r\n\x1a\n"),
            "image/webp" => !(begins(b"RIFF") && self.bytes.get(8..12) == Some(b"WEBP")),
            "application/pdf" => !begins(b"%PDF"),
            "audio/ogg" => !begins(b"OggS"),
            _ => false,
        }
    }

    /// It can be shown by a message of this kind.
    pub(crate) fn suits(&self, kind: &str) -> bool {
        match kind {
            // A document may be anything that can be uploaded.
            "image" | "video" | "audio" | "sticker" => TYPES
                .iter()
                .any(|(have, mime, _)| *have == kind && *mime == bare(&self.mime)),
            _ => true,
        }
    }
}

/// A MIME type without parameters.
fn bare(mime: &str) -> &str {
    mime.split(';').next().unwrap_or_default().trim()
}

/// A URL for a download.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    hash: String,
    media_id: String,
    ends: Instant,
}

/// The form of an upload.
#[derive(Default)]
struct Upload {
    product: Option<String>,
    kind: Option<String>,
    file: Option<(String, Option<String>, Bytes)>,
}

async fn read(call: &Call) -> Result<Upload, GraphError> {
    let bad = |sentence: &str| GraphError::parameter(sentence);
    let boundary = call
        .header("content-type")
        .and_then(|kind| multer::parse_boundary(kind).ok())
        .ok_or_else(|| bad("The parameter file is required."))?;
    let body = call.body.clone();
    let stream = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    let mut form = multer::Multipart::new(stream, boundary);
    let mut upload = Upload::default();
    loop {
        let field = form.next_field().await;
        let Some(field) = field.map_err(|error| bad(&format!("Bad multipart body: {error}")))?
        else {
            return Ok(upload);
        };
        let name = field.name().unwrap_or_default().to_owned();
        let filename = field.file_name().unwrap_or_default().to_owned();
        let mime = field.content_type().map(ToString::to_string);
        let bytes = field.bytes().await;
        let bytes = bytes.map_err(|error| bad(&format!("Bad multipart body: {error}")))?;
        let text = || Some(String::from_utf8_lossy(&bytes).into_owned());
        match name.as_str() {
            "messaging_product" => upload.product = text(),
            "type" => upload.kind = text(),
            "file" => upload.file = Some((filename, mime, bytes)),
            _ => {}
        }
    }
}

/// `POST /{phone-number-id}/media`.
pub(crate) async fn upload(
    state: &State,
    call: &Call,
    notes: &mut Notes,
    phone_number_id: &str,
) -> Result<Reply, GraphError> {
    let upload = read(call).await?;
    let required =
        |name: &str| GraphError::parameter(&format!("The parameter {name} is required."));
    if upload.product.as_deref() != Some("whatsapp") {
        return Err(required("messaging_product"));
    }
    let (filename, part_type, bytes) = upload.file.ok_or_else(|| required("file"))?;
    let mime = part_type
        .filter(|mime| mime != "application/octet-stream")
        .or(upload.kind)
        .ok_or_else(|| required("type"))?;
    notes.phone_number_id = Some(phone_number_id.to_owned());
    let lifetime = state.settings().graph.media_lifetime;
    let mut world = state.graph();
    let media = Media::new(&world, phone_number_id, &mime, bytes, lifetime);
    notes.request = Some(json!({
        "messaging_product": "whatsapp",
        "type": mime,
        "file": {"filename": filename, "size": media.bytes.len(), "sha256": media.sha256},
    }));
    check(&media)?;
    let id = media.id.clone();
    world.media.insert(id.clone(), media);
    Ok(Reply::json(200, &json!({"id": id})))
}

fn check(media: &Media) -> Result<(), GraphError> {
    let mime = bare(&media.mime);
    let row = TYPES.iter().find(|(_, have, _)| *have == mime);
    let Some((_, _, most)) = row else {
        let list: Vec<&str> = TYPES.iter().map(|(_, mime, _)| *mime).collect();
        return Err(GraphError::parameter(&format!(
            "Param file must be a file with one of the following types: {}. Received file of type \
             '{mime}'.",
            list.join(", ")
        )));
    };
    if media.bytes.is_empty() {
        return Err(GraphError::parameter("Param file must not be empty."));
    }
    if media.bytes.len() > *most {
        return Err(GraphError::from(rows::MEDIA_FAILED).with_details(&format!(
            "Media file size too big. Max file size we currently support: {most} bytes."
        )));
    }
    Ok(())
}

/// The media of a call, if the token and the number in the query may see it; none when the id is
/// not that of a media file at all.
fn find<'w>(
    world: &'w GraphWorld,
    token: &GraphToken,
    id: &str,
    call: &Call,
) -> Option<Result<&'w Media, GraphError>> {
    let media = world.media.get(id)?;
    let number = call.query("phone_number_id");
    let seen = media.is_alive()
        && token.waba_ids.contains(&media.waba_id)
        && number.is_none_or(|number| number == media.phone_number_id);
    Some(if seen {
        Ok(media)
    } else {
        Err(GraphError::no_object(&call.method, id))
    })
}

/// `GET /{media-id}`: a URL for the download.
pub(crate) fn node(
    world: &mut GraphWorld,
    token: &GraphToken,
    id: &str,
    call: &Call,
    url_lifetime: Duration,
) -> Option<Result<Reply, GraphError>> {
    let media = match find(world, token, id, call)? {
        Ok(media) => media.clone(),
        Err(error) => return Some(Err(error)),
    };
    let url = url_for(world, &media, call, url_lifetime);
    Some(Ok(Reply::json(
        200,
        &json!({
            "messaging_product": "whatsapp",
            "url": url,
            "mime_type": media.mime,
            "sha256": media.sha256,
            "file_size": media.bytes.len().to_string(),
            "id": media.id,
        }),
    )))
}

/// Makes a download URL on the host that was called.
pub(crate) fn url_for(
    world: &mut GraphWorld,
    media: &Media,
    call: &Call,
    lifetime: Duration,
) -> String {
    let hash = random_token().replace(['-', '_'], "0");
    world.tickets.retain(|ticket| ticket.ends > Instant::now());
    world.tickets.push(Ticket {
        hash: hash.clone(),
        media_id: media.id.clone(),
        ends: Instant::now() + lifetime,
    });
    let host = call.header("host").unwrap_or("localhost");
    let end = chrono::Utc::now().timestamp() + i64::try_from(lifetime.as_secs()).unwrap_or(300);
    format!(
        "http://{host}/whatsapp_business/attachments/?mid={}&ext={end}&hash={hash}",
        media.id
    )
}

/// `DELETE /{media-id}`.
pub(crate) fn delete(
    world: &mut GraphWorld,
    token: &GraphToken,
    id: &str,
    call: &Call,
) -> Result<Reply, GraphError> {
    match find(world, token, id, call) {
        None => return Err(GraphError::no_object("DELETE", id)),
        Some(found) => found?,
    };
    world.media.remove(id);
    Ok(Reply::json(200, &json!({"success": true})))
}

/// The download itself; a URL that ran out, or never was one, answers 404.
pub(crate) fn download(world: &GraphWorld, token: &GraphToken, call: &Call) -> Reply {
    let media = call
        .query("hash")
        .and_then(|hash| world.tickets.iter().find(|ticket| ticket.hash == hash))
        .filter(|ticket| ticket.ends > Instant::now())
        .and_then(|ticket| world.media.get(&ticket.media_id))
        .filter(|media| media.is_alive() && token.waba_ids.contains(&media.waba_id));
    let Some(media) = media else {
        return Reply::empty(404);
    };
    let mut reply = Reply::empty(200).with("content-type", &media.mime);
    reply.body = media.bytes.clone();
    reply
}

/// How a media id fares in a send of this kind.
pub(crate) enum Use {
    Fine,
    /// Accepted; fails when it is processed.
    Fails,
}

/// A media id in a send: it must be this number's own.
pub(crate) fn used(
    world: &GraphWorld,
    phone_number_id: &str,
    kind: &str,
    id: &str,
) -> Result<Use, GraphError> {
    let media = world
        .media
        .get(id)
        .filter(|media| media.is_alive() && media.phone_number_id == phone_number_id)
        .ok_or_else(|| {
            GraphError::parameter(&format!(
                "Param {kind}['id'] is not a valid whatsapp business account media attachment ID"
            ))
        })?;
    Ok(if media.is_broken() || !media.suits(kind) {
        Use::Fails
    } else {
        Use::Fine
    })
}
