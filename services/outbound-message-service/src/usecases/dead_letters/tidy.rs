//! Keeping the dead letters tidy, across tenants.

use chrono::Utc;
use portal_db::{Db, DbError};

use crate::store::{dead_letters, sweep::SWEEPER};

/// What was decided on a delivery can be looked up for so long.
const SETTLED_DAYS: i64 = 30;

/// Forgets deliveries that were settled long ago; answers how many are open.
pub(crate) async fn tidy_letters(db: &Db) -> Result<i64, DbError> {
    let before = Utc::now() - chrono::Duration::days(SETTLED_DAYS);
    db.write("dead_letters.tidy", SWEEPER, move |tx| {
        dead_letters::delete_settled_any_tenant(tx, before)?;
        dead_letters::count_open_any_tenant(tx)
    })
    .await
}
