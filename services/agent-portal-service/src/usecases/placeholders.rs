//! Rows that wait for their person: a migration from a legacy installation knew the e-mail alone.
//!
//! Genesys vouches for the e-mail of whoever signs in or is listed, and it belongs to one person of an
//! organization at a time. It counts once: a claimed row is found by Genesys' id alone.

use portal_db::{DbError, Tx, audit};
use portal_types::{TenantId, UserId};
use serde_json::json;

use crate::{
    ROLE,
    domain::{GenesysPerson, User},
    store::users,
};

/// What waits for a person whom we do not know by Genesys' id.
pub(super) enum Waiting {
    /// Nothing that is certain.
    None,
    /// This row, which is still a placeholder.
    One(User),
    /// Only what was switched off and does not come back by itself, such as this row.
    Closed(UserId),
}

/// Finds what waits for the person in the tenant, locked until the end of the transaction.
pub(super) fn find(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    told: &GenesysPerson,
) -> Result<Waiting, DbError> {
    let email = told.email.as_deref().map_or("", str::trim);
    if email.is_empty() {
        return Ok(Waiting::None);
    }
    let mut found = users::lock_placeholders(tx, tenant, email)?;
    let may_enter = |user: &User| user.is_active || user.may_come_back();
    // Before the count: nobody gets around a decision because it was taken twice.
    if let Some(closed) = found.first().filter(|_| !found.iter().any(may_enter)) {
        return Ok(Waiting::Closed(closed.user_id));
    }
    if found.len() > 1 {
        tracing::warn!(
            tenant.id = %tenant, placeholders = found.len(),
            "several placeholders have the e-mail of somebody who is new: none is claimed"
        );
        return Ok(Waiting::None);
    }
    Ok(found.pop().map_or(Waiting::None, Waiting::One))
}

/// Notes whose the row is from now on.
pub(super) fn note_claim(
    tx: &mut Tx<'_>,
    user: &User,
    actor: audit::Actor,
    request_id: Option<String>,
) -> Result<(), DbError> {
    audit::append(
        tx,
        &audit::AuditEntry {
            service: ROLE,
            actor,
            action: "user.claim",
            target: Some(user.user_id.to_string()),
            outcome: audit::Outcome::Succeeded,
            details: json!({"genesys_user_id": user.genesys_user_id, "role": user.role}),
            request_id,
        },
    )
}
