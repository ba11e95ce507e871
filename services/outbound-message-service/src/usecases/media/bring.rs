//! Bringing a message's files to Meta before it is sent: each once for each number.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest;
use chrono::Utc;
use futures_util::FutureExt as _;
use portal_db::{Db, DbError};
use portal_service_kit::FieldErrors;
use portal_types::TenantId;
use portal_whatsapp::{
    ErrorClass, GraphClient, Outcome, SendError,
    media::{MediaUpload, UPLOAD_LIFETIME},
};
use secrecy::SecretString;
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    flights::Flights,
    keep::Keeper,
    links::{self, Links},
    read,
};
use crate::{
    domain::media::{MediaKind, Source, check_kind, slots},
    store::media::{self, MediaRow},
};

/// Before Meta forgets a file.
const MARGIN: Duration = Duration::from_hours(24);
/// An id that Meta gave within this time is known there: what it refuses then is the message.
const SURELY_KNOWN: Duration = Duration::from_mins(10);
/// When a message whose files are still under way is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a failed file is not tried again for other messages.
const REMEMBERED: Duration = Duration::from_secs(20);
/// How often it is noted that a file is in use.
const NOTED: Duration = Duration::from_hours(24);
/// While another process uploads, or Meta does not take anything just now.
const UPLOAD_PAUSE: Duration = Duration::from_secs(3);

/// The number that a message is sent from.
#[derive(Clone)]
pub(crate) struct SendingNumber {
    pub(crate) tenant: TenantId,
    pub(crate) phone_number_id: String,
    pub(crate) token: SecretString,
}

/// Whether a message can be sent as far as its files go.
pub(crate) enum Readiness {
    /// With this content, in which these files stand under Meta's ids.
    Ready(Value, Vec<BroughtFile>),
    /// Not yet: look again after this time. Nothing was sent, and it is no attempt.
    Later(Duration),
    /// As if Meta had answered this to the message.
    Failed(SendError),
}

/// A file of ours, by Meta's id of it.
pub(crate) struct BroughtFile {
    pub(crate) media_id: Uuid,
    pub(crate) meta_media_id: String,
}

/// Why a file is not at Meta.
#[derive(Clone)]
pub(super) enum Trouble {
    Later(Duration),
    Failed(SendError),
}

impl From<DbError> for Trouble {
    fn from(error: DbError) -> Self {
        tracing::warn!(error = &error as &dyn std::error::Error, "a file waits");
        Self::Later(UPLOAD_PAUSE)
    }
}

/// Brings files to Meta. Cheap to clone.
#[derive(Clone)]
pub(crate) struct MediaDesk {
    parts: Arc<MediaDeskParts>,
    uploads: Flights<(TenantId, Uuid, String), String, Trouble>,
    fetches: Flights<(TenantId, Vec<u8>), Uuid, Trouble>,
}

/// What bringing files needs.
pub(crate) struct MediaDeskParts {
    pub(crate) db: Db,
    pub(crate) graph: GraphClient,
    pub(crate) keeper: Keeper,
    /// Fetches what links lead to; without it Meta does.
    pub(crate) links: Option<Links>,
    /// For the whole request that uploads a file.
    pub(crate) upload_timeout: Duration,
    /// How long a message waits for all its files before it is looked at again later.
    pub(crate) patience: Duration,
}

impl MediaDesk {
    pub(crate) fn new(parts: MediaDeskParts) -> Self {
        Self {
            parts: Arc::new(parts),
            uploads: Flights::new(REMEMBERED),
            fetches: Flights::new(REMEMBERED),
        }
    }

    /// Checks a message's files before it is accepted: that they are here, the tenant's, and of the
    /// kind that stands there; and that links may be fetched at all.
    pub(crate) async fn check(
        &self,
        tenant: &TenantId,
        mut content: Value,
    ) -> Result<FieldErrors, DbError> {
        let mut errors = FieldErrors::new();
        for slot in slots(&mut content) {
            match slot.source() {
                Some(Source::Own(id)) => match self.find(tenant, id).await? {
                    Some(row) => check_kind(&slot.path, slot.kind, row.kind()?, &mut errors),
                    None => errors.add(
                        format!("{}.id", slot.path),
                        "names no file of your organization: upload it first",
                    ),
                },
                Some(Source::Link(link)) => {
                    if let Some(links) = &self.parts.links {
                        errors.check(&format!("{}.link", slot.path), links.check(&link));
                    }
                }
                None => {}
            }
        }
        Ok(errors)
    }

    /// The content that Meta is to get: files of ours and those behind links under Meta's ids.
    pub(crate) async fn prepare(&self, number: &SendingNumber, mut content: Value) -> Readiness {
        let until = Instant::now() + self.parts.patience;
        let mut files = Vec::new();
        for mut slot in slots(&mut content) {
            let own = match slot.source() {
                None => continue,
                Some(Source::Own(id)) => Ok(id),
                Some(Source::Link(link)) => match &self.parts.links {
                    Some(links) => self.fetched(&number.tenant, links, link, until).await,
                    None => continue,
                },
            };
            let brought = match own {
                Ok(id) => self.brought(number, id, slot.kind, until).await,
                Err(trouble) => Err(trouble),
            };
            match brought {
                Ok((id, row)) => {
                    files.push(BroughtFile {
                        media_id: row.media_id,
                        meta_media_id: id.clone(),
                    });
                    slot.fill(id, row.file_name.as_deref());
                }
                Err(Trouble::Later(wait)) => return Readiness::Later(wait),
                Err(Trouble::Failed(error)) => return Readiness::Failed(error),
            }
        }
        Readiness::Ready(content, files)
    }

    /// Forgets Meta's ids of files after Meta refused a message with them, unless they are so new that
    /// Meta must know them. Answers whether the message may be tried again: with ids that are new.
    pub(crate) async fn renew(&self, number: &SendingNumber, files: Vec<BroughtFile>) -> bool {
        let known_since = UPLOAD_LIFETIME.saturating_sub(MARGIN + SURELY_KNOWN);
        let phone_number_id = number.phone_number_id.clone();
        let renewed = self
            .parts
            .db
            .write("media.renew", &number.tenant, move |tx| {
                let ids: Vec<_> = files
                    .iter()
                    .map(|file| (file.media_id, file.meta_media_id.as_str()))
                    .collect();
                media::forget_meta_ids(tx, &phone_number_id, &ids, seconds(known_since))
            })
            .await;
        renewed.unwrap_or_else(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "files are not brought to Meta anew"
            );
            false
        })
    }

    async fn find(&self, tenant: &TenantId, media_id: Uuid) -> Result<Option<MediaRow>, DbError> {
        self.parts
            .db
            .read("media.find", tenant, move |tx| media::find(tx, media_id))
            .await
    }

    async fn fetched(
        &self,
        tenant: &TenantId,
        links: &Links,
        link: String,
        until: Instant,
    ) -> Result<Uuid, Trouble> {
        let hash = digest::digest(&digest::SHA256, link.as_bytes());
        let key = (tenant.clone(), hash.as_ref().to_vec());
        let (parts, links) = (Arc::clone(&self.parts), links.clone());
        let (tenant, hash) = key.clone();
        let work = move || {
            async move { links::fetch(&parts.db, &parts.keeper, &links, &tenant, &hash, &link).await }
                .boxed()
        };
        let fetched = self.fetches.join(key, until, work).await;
        fetched.unwrap_or(Err(Trouble::Later(LOOK_AGAIN)))
    }

    /// What is used is not forgotten; it is noted once a day.
    async fn keep_in_use(&self, tenant: &TenantId, row: &MediaRow) -> Result<(), DbError> {
        if row.last_used_at > Utc::now() - NOTED {
            return Ok(());
        }
        let media_id = row.media_id;
        self.parts
            .db
            .write("media.touch", tenant, move |tx| media::touch(tx, media_id))
            .await
    }

    /// Meta's id of a file for a number, and the file.
    async fn brought(
        &self,
        number: &SendingNumber,
        media_id: Uuid,
        kind: MediaKind,
        until: Instant,
    ) -> Result<(String, MediaRow), Trouble> {
        let phone_number_id = number.phone_number_id.clone();
        let (row, known) = self
            .parts
            .db
            .read("media.meta_id", &number.tenant, move |tx| {
                let row = media::find(tx, media_id)?;
                let known = media::meta_id(tx, media_id, &phone_number_id)?;
                Ok::<_, DbError>((row, known))
            })
            .await?;
        let row = row.ok_or_else(|| {
            failed(
                "A file of the message is not kept any more",
                Some("Upload it again"),
            )
        })?;
        if !row.kind()?.fits(kind) {
            let details = format!("It must be of the kind {kind}");
            return Err(failed(
                "A file of the message is of another kind",
                Some(&details),
            ));
        }
        if let Some(id) = known {
            self.keep_in_use(&number.tenant, &row).await?;
            return Ok((id, row));
        }
        let key = (
            number.tenant.clone(),
            media_id,
            number.phone_number_id.clone(),
        );
        let (parts, number, file) = (Arc::clone(&self.parts), number.clone(), row.clone());
        let work = move || async move { upload(&parts, &number, &file).await }.boxed();
        let id = self.uploads.join(key, until, work).await;
        let id = id.unwrap_or(Err(Trouble::Later(LOOK_AGAIN)))?;
        Ok((id, row))
    }
}

/// Uploads a file for a number unless another process does.
async fn upload(
    parts: &MediaDeskParts,
    number: &SendingNumber,
    file: &MediaRow,
) -> Result<String, Trouble> {
    let (media_id, phone_number_id) = (file.media_id, number.phone_number_id.clone());
    // A little longer than the request may take.
    let lease = seconds(parts.upload_timeout) + 10;
    let (is_ours, known) = parts
        .db
        .write("media.claim_upload", &number.tenant, move |tx| {
            media::touch(tx, media_id)?;
            let is_ours = media::claim_upload(tx, media_id, &phone_number_id, lease)?;
            let known = media::meta_id(tx, media_id, &phone_number_id)?;
            Ok::<_, DbError>((is_ours, known))
        })
        .await?;
    if let Some(known) = known {
        return Ok(known);
    }
    if !is_ours {
        return Err(Trouble::Later(UPLOAD_PAUSE));
    }
    let content = read::content(&parts.db, &number.tenant, media_id);
    let upload = MediaUpload {
        mime_type: file.mime_type().to_owned(),
        file_name: "file".to_owned(),
        size: file.size(),
        content: reqwest::Body::wrap_stream(content),
    };
    let result = parts
        .graph
        .upload_media(
            &number.token,
            &number.phone_number_id,
            upload,
            parts.upload_timeout,
        )
        .await;
    let phone_number_id = number.phone_number_id.clone();
    let id = result.as_ref().ok().cloned();
    parts
        .db
        .write("media.end_upload", &number.tenant, move |tx| {
            let lasts = seconds(UPLOAD_LIFETIME.saturating_sub(MARGIN));
            let outcome = id.as_deref().map(|id| (id, lasts));
            media::end_upload(tx, media_id, &phone_number_id, outcome)
        })
        .await?;
    result.map_err(|error| {
        tracing::info!(error = %error, "a file was not taken");
        after_failed_upload(error)
    })
}

/// An upload may be repeated whatever became of it: a file that nobody sends is nothing.
fn after_failed_upload(error: SendError) -> Trouble {
    match error.class {
        ErrorClass::Unknown | ErrorClass::NotSent | ErrorClass::Retryable | ErrorClass::Weak5xx => {
            Trouble::Later(error.retry_after.unwrap_or(UPLOAD_PAUSE))
        }
        _ => Trouble::Failed(error),
    }
}

pub(super) fn failed(title: &str, details: Option<&str>) -> Trouble {
    Trouble::Failed(not_sent(ErrorClass::Permanent, title, details))
}

/// What is told of a message that cannot be sent for its files.
pub(super) fn not_sent(class: ErrorClass, title: &str, details: Option<&str>) -> SendError {
    SendError {
        outcome: Outcome::NotAccepted,
        class,
        code: None,
        subcode: None,
        title: title.to_owned(),
        details: details.map(str::to_owned),
        fbtrace_id: None,
        http_status: None,
        retry_after: None,
    }
}

fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}
