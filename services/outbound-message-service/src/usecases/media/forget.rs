//! Forgetting files: on request, and those that nobody used for long.

use std::time::Duration;

use chrono::Utc;
use portal_db::{Db, DbError};

use crate::store::{media, sweep::SWEEPER};

const BATCH: i64 = 200;

/// Deletes files that nobody used for `keep`, and what remains of those that took longer than
/// `arrival` to arrive; answers how many.
pub(crate) async fn forget_unused(
    db: &Db,
    keep: Duration,
    arrival: Duration,
) -> Result<usize, DbError> {
    let unused_since = Utc::now() - keep;
    // Twice: its request may just be ending.
    let begun_before = Utc::now() - arrival * 2;
    let unused = db
        .read("media.list_unused", SWEEPER, move |tx| {
            media::list_unused_any_tenant(tx, unused_since, begun_before, BATCH)
        })
        .await?;
    let mut forgotten = 0;
    for (tenant, media_id) in unused {
        let deleted = db
            .write("media.forget", &tenant, move |tx| {
                media::delete_unused(tx, media_id, unused_since, begun_before)
            })
            .await?;
        forgotten += usize::from(deleted);
    }
    Ok(forgotten)
}
