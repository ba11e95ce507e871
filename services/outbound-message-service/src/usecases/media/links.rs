//! Fetching the files that links in messages lead to.

use std::time::Duration;

use portal_db::{Db, DbError};
use portal_service_kit::http_client::guarded::{FetchError, GuardedClient};
use portal_types::TenantId;
use portal_whatsapp::ErrorClass;
use reqwest::header;
use uuid::Uuid;

use super::{
    bring::{Trouble, failed, not_sent},
    keep::{Arriving, Claim, KeepError, Keeper},
};
use crate::{domain::media::file_name, store::media};

/// What was fetched from an address is used for so long, as Meta itself does (Cloud API, "Media").
const REUSED: Duration = Duration::from_mins(10);
const TITLE: &str = "The file could not be fetched from its link";

/// Fetches what links lead to.
#[derive(Clone)]
pub(crate) struct Links(pub(crate) GuardedClient);

impl Links {
    /// Whether a link may be fetched, as far as that can be told by itself.
    pub(crate) fn check(&self, link: &str) -> Result<(), FetchError> {
        self.0.check(link).map(drop)
    }
}

/// Fetches the file behind a link, unless that was done just now, and keeps it.
pub(super) async fn fetch(
    db: &Db,
    keeper: &Keeper,
    links: &Links,
    tenant: &TenantId,
    hash: &[u8],
    link: &str,
) -> Result<Uuid, Trouble> {
    let key = hash.to_vec();
    let reused = i32::try_from(REUSED.as_secs()).unwrap_or(i32::MAX);
    let known = db
        .read("media.find_link", tenant, move |tx| {
            media::find_link(tx, &key, reused)
        })
        .await?;
    if let Some(known) = known {
        return Ok(known);
    }
    let answer = links.0.get(link).await.map_err(|error| refused(&error))?;
    let status = answer.status();
    if !status.is_success() {
        let details = format!("Its host answers {}", status.as_u16());
        let class = if status.is_server_error() || status.as_u16() == 429 {
            ErrorClass::Retryable
        } else {
            ErrorClass::Permanent
        };
        return Err(Trouble::Failed(not_sent(class, TITLE, Some(&details))));
    }
    let claim = Claim {
        mime_type: answer
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok().map(str::to_owned)),
        file_name: answer
            .url()
            .path_segments()
            .and_then(|mut path| path.next_back().map(str::to_owned))
            .and_then(|name| file_name(&name)),
        is_binding: false,
    };
    let mut arriving = keeper
        .begin(tenant, answer.content_length())
        .await
        .map_err(not_kept)?;
    let kept = match receive(&mut arriving, answer, &claim).await {
        Ok(()) => arriving.finish(&claim).await.map_err(not_kept)?,
        Err(trouble) => {
            arriving.discard().await;
            return Err(trouble);
        }
    };
    let (key, media_id) = (hash.to_vec(), kept.media_id);
    db.write("media.note_link", tenant, move |tx| {
        media::note_link(tx, &key, media_id)
    })
    .await?;
    Ok(media_id)
}

async fn receive(
    arriving: &mut Arriving,
    mut answer: reqwest::Response,
    claim: &Claim,
) -> Result<(), Trouble> {
    loop {
        let bytes = answer.chunk().await.map_err(|error| {
            let error = if error.is_timeout() {
                FetchError::TimedOut
            } else {
                FetchError::Broken
            };
            refused(&error)
        })?;
        let Some(bytes) = bytes else {
            return Ok(());
        };
        arriving.push(&bytes, claim).await.map_err(not_kept)?;
    }
}

fn refused(error: &FetchError) -> Trouble {
    let class = if error.is_transient() {
        ErrorClass::Retryable
    } else {
        ErrorClass::Permanent
    };
    let details = format!("The link {error}");
    Trouble::Failed(not_sent(class, TITLE, Some(&details)))
}

fn not_kept(error: KeepError) -> Trouble {
    match error {
        KeepError::Db(error) => DbError::into(error),
        other => {
            let details = other.to_string();
            failed(TITLE, Some(&details))
        }
    }
}
