//! Files that came in with messages: Meta keeps them, and we pass them on.

use std::{sync::Arc, time::Duration};

use actix_web::web::Bytes;
use aws_lc_rs::digest;
use chrono::Utc;
use futures_util::{Stream, StreamExt as _, stream};
use portal_db::{Db, DbError};
use portal_tenant_client::{TenantClient, TenantClientError};
use portal_types::TenantId;
use portal_vault::{Vault, VaultError, places};
use portal_whatsapp::{
    GraphClient, SendError,
    media::{INBOUND_LIFETIME, MediaInfo, is_gone},
};
use reqwest::{Response, StatusCode};
use secrecy::SecretString;

use super::read::Download;
use crate::{domain::media::type_of, store::media};

/// The largest file that Meta lets in.
const LARGEST_INBOUND: u64 = 100 * 1024 * 1024;
/// Of the beginning, to tell the type by.
const HEAD: usize = 4096;

/// Why a file that came in cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InboundError {
    #[error("no message of the tenant brought this file")]
    NotFound,
    #[error("Meta does not keep the file any more")]
    Gone,
    #[error("the tenant has no WhatsApp configuration")]
    NotConfigured,
    #[error("Meta did not give the file")]
    Graph(#[from] SendError),
    #[error("Meta's file host answered {0}")]
    Host(StatusCode),
    #[error("the tenant's configuration cannot be read")]
    Directory(#[from] TenantClientError),
    #[error("the tenant's token cannot be opened")]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Fetches files that came in.
#[derive(Clone)]
pub(crate) struct InboundMedia {
    pub(crate) db: Db,
    pub(crate) tenants: TenantClient,
    pub(crate) vault: Arc<Vault>,
    pub(crate) graph: GraphClient,
    /// Where tokens may go for contents.
    pub(crate) hosts: Arc<[String]>,
    /// For a whole file.
    pub(crate) timeout: Duration,
}

impl InboundMedia {
    /// The file of Meta's id that came in to the tenant.
    pub(crate) async fn open(
        &self,
        tenant: &TenantId,
        meta_media_id: &str,
    ) -> Result<Download, InboundError> {
        let id = meta_media_id.to_owned();
        let seen = self
            .db
            .read("media.find_inbound", tenant, move |tx| {
                media::find_inbound(tx, &id)
            })
            .await?;
        let (phone_number_id, seen_at) = seen.ok_or(InboundError::NotFound)?;
        if seen_at + INBOUND_LIFETIME < Utc::now() {
            return Err(InboundError::Gone);
        }
        let token = self.token(tenant).await?;
        let (mut info, mut answer) = self.ask(&token, &phone_number_id, meta_media_id).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            // Addresses last five minutes; a new one may do.
            (info, answer) = self.ask(&token, &phone_number_id, meta_media_id).await?;
        }
        match answer.status() {
            StatusCode::OK => download(&info, answer).await,
            StatusCode::NOT_FOUND => Err(InboundError::Gone),
            other => Err(InboundError::Host(other)),
        }
    }

    async fn token(&self, tenant: &TenantId) -> Result<SecretString, InboundError> {
        let profile = self.tenants.sending_profile(tenant).await?;
        let whatsapp = profile
            .and_then(|profile| profile.whatsapp.clone())
            .ok_or(InboundError::NotConfigured)?;
        let binding = places::WHATSAPP_TOKEN.of(tenant.as_str(), &whatsapp.credential_row_id);
        Ok(self.vault.open(&binding, &whatsapp.sealed_access_token)?)
    }

    async fn ask(
        &self,
        token: &SecretString,
        phone_number_id: &str,
        meta_media_id: &str,
    ) -> Result<(MediaInfo, Response), InboundError> {
        let info = self
            .graph
            .media_info(token, phone_number_id, meta_media_id)
            .await
            .map_err(|error| {
                if is_gone(&error) {
                    InboundError::Gone
                } else {
                    error.into()
                }
            })?;
        let answer = self
            .graph
            .media_content(token, &info, &self.hosts, self.timeout)
            .await?;
        Ok((info, answer))
    }
}

/// Tells the type by the beginning, and passes the rest on.
async fn download(info: &MediaInfo, answer: Response) -> Result<Download, InboundError> {
    let size = info.file_size.or(answer.content_length());
    let size = size.filter(|size| *size <= LARGEST_INBOUND);
    let size = size.ok_or(InboundError::Host(StatusCode::PAYLOAD_TOO_LARGE))?;
    let mut rest = answer
        .bytes_stream()
        .map(|bytes| bytes.map_err(std::io::Error::other))
        .boxed();
    let mut head = Vec::new();
    while head.len() < HEAD {
        match rest.next().await {
            Some(Ok(bytes)) => head.extend_from_slice(&bytes),
            Some(Err(_broken)) => return Err(InboundError::Host(StatusCode::BAD_GATEWAY)),
            None => break,
        }
    }
    let mime_type = type_of(&head);
    let begun = stream::iter([Ok(Bytes::from(head))]);
    let checked = Checked {
        hash: digest::Context::new(&digest::SHA256),
        sha256: info.sha256,
        missing: size,
    };
    Ok(Download {
        mime_type: mime_type.to_owned(),
        file_name: None,
        size,
        content: Box::pin(verified(begun.chain(rest), checked)),
    })
}

/// What is still to come, and what it all must be.
struct Checked {
    hash: digest::Context,
    sha256: Option<[u8; 32]>,
    missing: u64,
}

/// Passes pieces on, and breaks off before the last one when the whole is not what Meta announced:
/// the caller then sees that it is not complete.
fn verified(
    content: impl Stream<Item = Result<Bytes, std::io::Error>> + Send + Unpin + 'static,
    checked: Checked,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send {
    stream::try_unfold(
        (content, checked),
        |(mut content, mut checked)| async move {
            let Some(bytes) = content.next().await.transpose()? else {
                return if checked.missing == 0 {
                    Ok(None)
                } else {
                    Err(std::io::Error::other("the file ended early"))
                };
            };
            let length = bytes.len() as u64;
            checked.missing = checked
                .missing
                .checked_sub(length)
                .ok_or_else(|| std::io::Error::other("the file is longer than announced"))?;
            checked.hash.update(&bytes);
            if checked.missing == 0
                && let Some(expected) = checked.sha256
                && checked.hash.clone().finish().as_ref() != expected
            {
                return Err(std::io::Error::other("the file is not the announced one"));
            }
            Ok(Some((bytes, (content, checked))))
        },
    )
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::*;

    async fn passed(pieces: &[&'static str], whole: &str, size: u64) -> (String, bool) {
        let content = stream::iter(
            pieces
                .iter()
                .map(|piece| Ok(Bytes::from_static(piece.as_bytes())))
                .collect::<Vec<_>>(),
        );
        let digest = digest::digest(&digest::SHA256, whole.as_bytes());
        let checked = Checked {
            hash: digest::Context::new(&digest::SHA256),
            sha256: digest.as_ref().try_into().ok(),
            missing: size,
        };
        let mut got = String::new();
        let mut stream = Box::pin(verified(content, checked));
        loop {
            match stream.try_next().await {
                Ok(Some(bytes)) => got.push_str(std::str::from_utf8(&bytes).unwrap()),
                Ok(None) => return (got, true),
                Err(_broken) => return (got, false),
            }
        }
    }

    #[tokio::test]
    async fn only_what_was_announced_arrives_whole() {
        assert_eq!(
            passed(&["ab", "c"], "abc", 3).await,
            ("abc".to_owned(), true)
        );
        assert_eq!(
            passed(&["ab", "x"], "abc", 3).await,
            ("ab".to_owned(), false)
        );
        assert_eq!(passed(&["ab"], "abc", 3).await, ("ab".to_owned(), false));
        assert_eq!(
            passed(&["ab", "cd"], "abc", 3).await,
            ("ab".to_owned(), false)
        );
    }
}
