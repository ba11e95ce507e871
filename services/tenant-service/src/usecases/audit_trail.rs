//! Looking into the audit log, across tenants.

use portal_db::{CrossTenantPath, DbError, Scope};

use super::Deps;
use crate::{
    domain::audit::{AuditFilter, Place},
    store::audit::{self, AuditRow},
};

const DIRECTORY: Scope = Scope::CrossTenant(CrossTenantPath::TenantDirectory);

/// A page of entries, the newest first, and where it ended if there are more.
pub(crate) async fn list_entries(
    deps: &Deps,
    filter: AuditFilter,
    after: Option<Place>,
    limit: u32,
) -> Result<(Vec<AuditRow>, Option<Place>), DbError> {
    let mut entries = deps
        .db
        .read("list_audit", DIRECTORY, move |tx| {
            audit::list_any_tenant(tx, &filter, after, limit + 1)
        })
        .await?;
    let size = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = entries.len() > size;
    entries.truncate(size);
    let place = entries.last().filter(|_| has_more).map(|last| Place {
        occurred_at: last.occurred_at,
        id: last.audit_id,
    });
    Ok((entries, place))
}
