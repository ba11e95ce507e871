//! Keeping a file that arrives, piece by piece: never more of it in memory than one piece.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest;
use portal_db::{Db, DbError};
use portal_types::TenantId;
use uuid::Uuid;

use crate::{
    domain::media::{LARGEST, MediaKind, Recognized, TypeRefusal, recognize},
    store::media::{self, MediaRow, Whole},
};

/// One row of `media_chunks`.
pub(crate) const CHUNK: usize = 256 * 1024;

/// Why a file is not kept. Nothing of it remains then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    #[error("the file is empty")]
    Empty,
    #[error("the file is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error(transparent)]
    Type(#[from] TypeRefusal),
    #[error("the tenant's files would be larger than {quota} bytes together")]
    QuotaExceeded { quota: u64 },
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Where files are kept, and how many.
#[derive(Clone)]
pub(crate) struct Keeper {
    pub(crate) db: Db,
    /// Bytes of all files of a tenant together.
    pub(crate) quota: u64,
    /// How long the file of one request may take to arrive.
    pub(crate) arrival: Duration,
}

/// What its sender says about a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claim {
    pub(crate) mime_type: Option<String>,
    pub(crate) file_name: Option<String>,
    /// Whether a type that is not the content's is an error, and not just ignored.
    pub(crate) is_binding: bool,
}

impl Claim {
    fn judge(&self, found: Recognized) -> Result<(&'static str, MediaKind), TypeRefusal> {
        let said = self.mime_type.as_deref();
        if self.is_binding {
            found.declared_as(said)
        } else {
            found.served_as(said)
        }
    }
}

/// A file that is arriving.
pub(crate) struct Arriving {
    db: Db,
    tenant: TenantId,
    media_id: Uuid,
    room: u64,
    buffer: Vec<u8>,
    hash: digest::Context,
    size: u64,
    chunks: i32,
    recognized: Option<Recognized>,
}

impl Keeper {
    /// Begins a file of at most `size_hint` bytes; without a hint room for the largest is kept.
    pub(crate) async fn begin(
        &self,
        tenant: &TenantId,
        size_hint: Option<u64>,
    ) -> Result<Arriving, KeepError> {
        let room = size_hint.unwrap_or(LARGEST).clamp(1, LARGEST);
        let media_id = Uuid::now_v7();
        let (room_rows, quota) = (signed(room), signed(self.quota));
        let fits = self
            .db
            .write("media.begin", tenant, move |tx| {
                media::begin(tx, media_id, room_rows, quota)
            })
            .await?;
        if !fits {
            return Err(KeepError::QuotaExceeded { quota: self.quota });
        }
        Ok(Arriving {
            db: self.db.clone(),
            tenant: tenant.clone(),
            media_id,
            room,
            buffer: Vec::new(),
            hash: digest::Context::new(&digest::SHA256),
            size: 0,
            chunks: 0,
            recognized: None,
        })
    }
}

impl Arriving {
    /// Takes the next bytes.
    pub(crate) async fn push(&mut self, mut bytes: &[u8], claim: &Claim) -> Result<(), KeepError> {
        self.size += bytes.len() as u64;
        let limit = self.recognized.map_or(LARGEST, |found| found.limit);
        self.check_size(limit)?;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == CHUNK {
                self.flush(claim).await?;
            }
        }
        Ok(())
    }

    fn check_size(&self, limit: u64) -> Result<(), KeepError> {
        if self.size > limit {
            return Err(KeepError::TooLarge { limit });
        }
        if self.size > self.room {
            return Err(KeepError::TooLarge { limit: self.room });
        }
        Ok(())
    }

    async fn flush(&mut self, claim: &Claim) -> Result<(), KeepError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if self.recognized.is_none() {
            let found = recognize(&self.buffer)?;
            claim.judge(found)?;
            self.recognized = Some(found);
            self.check_size(found.limit)?;
        }
        self.hash.update(&self.buffer);
        let bytes = std::mem::take(&mut self.buffer);
        let (media_id, ordinal) = (self.media_id, self.chunks);
        self.db
            .write("media.append", &self.tenant, move |tx| {
                media::append(tx, media_id, ordinal, &bytes)
            })
            .await?;
        self.chunks += 1;
        Ok(())
    }

    /// The file has arrived: from now on it can be used, under its own id or that of the same file
    /// which was here before.
    pub(crate) async fn finish(mut self, claim: &Claim) -> Result<MediaRow, KeepError> {
        let kept = self.settle(claim).await;
        if kept.is_err() {
            self.discard().await;
        }
        kept
    }

    async fn settle(&mut self, claim: &Claim) -> Result<MediaRow, KeepError> {
        self.flush(claim).await?;
        let found = self.recognized.ok_or(KeepError::Empty)?;
        let (mime_type, kind) = claim.judge(found)?;
        let whole = Arc::new(Whole {
            kind,
            mime_type,
            file_name: claim.file_name.clone(),
            size_bytes: signed(self.size),
            sha256: self.hash.clone().finish().as_ref().to_vec(),
            chunks: self.chunks.into(),
        });
        let media_id = self.media_id;
        let row = self
            .db
            .write("media.finish", &self.tenant, move |tx| {
                media::finish(tx, media_id, &whole)
            })
            .await?;
        Ok(row)
    }

    /// Gives the file up. What cannot be deleted now is swept later.
    pub(crate) async fn discard(self) {
        let media_id = self.media_id;
        let deleted = self
            .db
            .write("media.discard", &self.tenant, move |tx| {
                media::delete(tx, media_id)
            })
            .await;
        if let Err(error) = deleted {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a file that was given up is swept later"
            );
        }
    }
}

fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
