//! Reading a file that is kept, piece by piece.

use std::pin::Pin;

use actix_web::web::Bytes;
use futures_util::{Stream, TryStreamExt as _, stream};
use portal_db::{Db, DbError};
use portal_types::TenantId;
use uuid::Uuid;

use crate::store::media;

/// The bytes of a file as they are read.
pub(crate) type Content = Pin<Box<dyn Stream<Item = Result<Bytes, std::io::Error>> + Send>>;

/// A file on its way to a caller.
pub(crate) struct Download {
    pub(crate) mime_type: String,
    pub(crate) file_name: Option<String>,
    pub(crate) size: u64,
    pub(crate) content: Content,
}

/// A file that the tenant uploaded.
pub(crate) async fn find(
    db: &Db,
    tenant: &TenantId,
    media_id: Uuid,
) -> Result<Option<Download>, DbError> {
    let row = db
        .read("media.find", tenant, move |tx| media::find(tx, media_id))
        .await?;
    Ok(row.map(|row| Download {
        mime_type: row.mime_type().to_owned(),
        file_name: row.file_name.clone(),
        size: row.size(),
        content: content(db, tenant, media_id),
    }))
}

/// The content of a file; one piece is read when the one before it is gone.
pub(crate) fn content(db: &Db, tenant: &TenantId, media_id: Uuid) -> Content {
    let (db, tenant) = (db.clone(), tenant.clone());
    let pieces = stream::try_unfold(0_i32, move |ordinal| {
        let (db, tenant) = (db.clone(), tenant.clone());
        async move {
            let piece = db
                .read("media.chunk", &tenant, move |tx| {
                    media::chunk(tx, media_id, ordinal)
                })
                .await?;
            Ok(piece.map(|bytes| (Bytes::from(bytes), ordinal + 1)))
        }
    });
    Box::pin(pieces.map_err(|error: DbError| std::io::Error::other(error)))
}

/// Forgets a file with its pieces; false when there is none.
pub(crate) async fn forget(db: &Db, tenant: &TenantId, media_id: Uuid) -> Result<bool, DbError> {
    db.write("media.delete", tenant, move |tx| {
        media::delete(tx, media_id)
    })
    .await
}
