//! This service's part of erasing contacts.

use chrono::Utc;
use portal_db::{Db, DbError};
use portal_types::TenantId;
use serde_json::json;
use uuid::Uuid;

use crate::store::{erasures as store, sweep::SWEEPER};

/// Erasures of one look.
const AT_ONCE: i64 = 16;

/// Does what waits and can be done; answers how much that was.
pub(crate) async fn erase_contacts(db: &Db) -> Result<usize, DbError> {
    let due = db
        .read("contacts.due_erasures", SWEEPER, |tx| {
            store::due_any_tenant(tx, AT_ONCE)
        })
        .await?;
    let mut done = 0;
    for (tenant, id) in due {
        if let Ok(tenant) = TenantId::parse(&tenant) {
            done += usize::from(erase_one(db, &tenant, id).await?);
        }
    }
    Ok(done)
}

/// One contact in one transaction: who is interrupted begins anew.
async fn erase_one(db: &Db, tenant: &TenantId, id: Uuid) -> Result<bool, DbError> {
    let of = tenant.clone();
    db.write("contacts.erase_messages", tenant, move |tx| {
        let Some(due) = store::lock_due(tx, &of, id)? else {
            return Ok(false);
        };
        if store::is_under_way(tx, &due)? {
            return Ok(false);
        }
        let counts = store::erase(tx, &due)?;
        store::note_done(tx, &of, id, &json!(counts), Utc::now())?;
        Ok(true)
    })
    .await
}
