//! Media: files brought to Meta and fetched from it.
//!
//! An id is bound to the number that uploaded or received the file, so the number is always named:
//! Meta then refuses ids of others.

use std::time::Duration;

use reqwest::multipart::{Form, Part};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tracing::field::Empty;
use url::Url;

use crate::answer::{id, number, text};
use crate::{GraphClient, SendError};

/// Meta keeps an uploaded file for 30 days (Cloud API, "Media").
pub const UPLOAD_LIFETIME: Duration = Duration::from_hours(30 * 24);
/// Meta keeps a file that came in for seven days.
pub const INBOUND_LIFETIME: Duration = Duration::from_hours(7 * 24);

/// A file to be uploaded.
pub struct MediaUpload {
    /// Its MIME type.
    pub mime_type: String,
    /// A name for the part of the form.
    pub file_name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its content, read while it is sent.
    pub content: reqwest::Body,
}

/// What Meta tells of a file.
#[derive(Clone, PartialEq, Eq)]
pub struct MediaInfo {
    /// Where the content is for five minutes; asked for with the token.
    pub url: Url,
    /// Its MIME type.
    pub mime_type: Option<String>,
    /// The SHA-256 of the content, if it can be read.
    pub sha256: Option<[u8; 32]>,
    /// Its size in bytes.
    pub file_size: Option<u64>,
}

impl GraphClient {
    /// Uploads a file for `phone_number_id` with exactly one HTTP request and answers Meta's id.
    ///
    /// `timeout` is for the whole request.
    #[tracing::instrument(
        name = "graph.upload_media", skip_all,
        fields(
            otel.kind = "client", http.response.status_code = Empty, error.class = Empty,
            error.code = Empty, graph.trace_id = Empty,
        )
    )]
    pub async fn upload_media(
        &self,
        token: &SecretString,
        phone_number_id: &str,
        file: MediaUpload,
        timeout: Duration,
    ) -> Result<String, SendError> {
        let url = self.url(&[phone_number_id, "media"])?;
        let part = Part::stream_with_length(file.content, file.size)
            .file_name(file.file_name)
            .mime_str(&file.mime_type)
            .map_err(|_invalid| SendError::not_sent("The file's type cannot be written"))?;
        let form = Form::new()
            .text("messaging_product", "whatsapp")
            .text("type", file.mime_type)
            .part("file", part);
        let request = self.http().post(url).multipart(form).timeout(timeout);
        let answer = self.call(request, token).await?;
        let media_id = answer.body.as_ref().and_then(|body| id(body.get("id")));
        media_id.ok_or_else(|| SendError::unknown("The answer could not be read"))
    }

    /// Asks where the content of a file is.
    #[tracing::instrument(
        name = "graph.media_info", skip_all,
        fields(
            otel.kind = "client", http.response.status_code = Empty, error.class = Empty,
            error.code = Empty, graph.trace_id = Empty,
        )
    )]
    pub async fn media_info(
        &self,
        token: &SecretString,
        phone_number_id: &str,
        media_id: &str,
    ) -> Result<MediaInfo, SendError> {
        let mut url = self.url(&[media_id])?;
        url.query_pairs_mut()
            .append_pair("phone_number_id", phone_number_id);
        let answer = self.call(self.http().get(url), token).await?;
        let info = answer.body.as_ref().and_then(media_info);
        info.ok_or_else(|| SendError::unknown("The answer could not be read"))
    }

    /// Asks for the content at `info.url`, with the token only if its host is one of `hosts`.
    ///
    /// The answer is given as it is, also when it is a failure; it is not read here. `timeout` is
    /// for the whole of it.
    pub async fn media_content(
        &self,
        token: &SecretString,
        info: &MediaInfo,
        hosts: &[String],
        timeout: Duration,
    ) -> Result<reqwest::Response, SendError> {
        if !self.may_carry_token(&info.url, hosts) {
            return Err(SendError::not_sent(
                "The file is at a host that tokens must not go to (meta.media_hosts)",
            ));
        }
        let request = self
            .http()
            .get(info.url.clone())
            .bearer_auth(token.expose_secret())
            .timeout(timeout);
        let answer = request.send().await;
        answer.map_err(|error| {
            let title = "The file could not be fetched";
            if error.is_connect() {
                SendError::not_sent(title)
            } else {
                SendError::unknown(title)
            }
        })
    }

    /// The Graph API's own origin may, and the listed hosts by HTTPS on its own port.
    fn may_carry_token(&self, url: &Url, hosts: &[String]) -> bool {
        let is_clean = url.username().is_empty() && url.password().is_none();
        let is_listed = url.scheme() == "https"
            && url.port().is_none()
            && url
                .host_str()
                .is_some_and(|host| hosts.iter().any(|listed| listed == host));
        is_clean && (is_listed || url.origin() == self.origin())
    }
}

fn media_info(body: &Value) -> Option<MediaInfo> {
    Some(MediaInfo {
        // Longer than other texts may be.
        url: body.get("url")?.as_str()?.parse().ok()?,
        mime_type: text(body.get("mime_type")),
        sha256: text(body.get("sha256")).and_then(|digest| read_sha256(&digest)),
        file_size: number(body.get("file_size")).and_then(|size| size.try_into().ok()),
    })
}

/// Hexadecimal digits or base64: webhooks write it one way, answers the other.
pub fn read_sha256(digest: &str) -> Option<[u8; 32]> {
    use base64::Engine as _;
    let bytes = hex::decode(digest).ok().or_else(|| {
        base64::engine::general_purpose::STANDARD
            .decode(digest)
            .ok()
    })?;
    bytes.try_into().ok()
}

/// Whether an answer to [`GraphClient::media_info`] says that the file is not there (any more).
pub fn is_gone(error: &SendError) -> bool {
    error.http_status == Some(404) || (error.code == Some(100) && error.subcode == Some(33))
}
