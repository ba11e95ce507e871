//! Writing what was decided.

use diesel::{dsl::now, prelude::*};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::tenants;
use portal_types::TenantId;

use crate::verdict::{Mapping, Present, Verdict, deleted};

impl Present {
    /// What is known of the tenants with these ids and of those with these organizations; across tenants,
    /// because a file names many.
    ///
    /// # Errors
    /// When the database fails.
    pub fn of(tx: &mut Tx<'_>, ids: &[String], orgs: &[String]) -> Result<Self, DbError> {
        let rows: Vec<(String, String, Option<String>)> = tenants::table
            .filter(
                tenants::tenant_id
                    .eq_any(ids)
                    .or(tenants::genesys_org_id.eq_any(orgs)),
            )
            .select((tenants::tenant_id, tenants::status, tenants::genesys_org_id))
            .load(tx.conn())?;
        let mut present = Self::default();
        for (tenant, status, org) in rows {
            present.add(tenant, deleted(&status), org);
        }
        Ok(present)
    }
}

/// A tenant was changed after the file was decided; nothing is to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("somebody changed a tenant of the file meanwhile")]
pub struct Overtaken;

/// Gives the tenants their organizations, in the one transaction that `tx` is.
///
/// First every organization is
/// taken away that another tenant of the file may get, then all are given: so tenants can swap theirs.
/// `tell` is called for each, within its tenant, for events and the audit log.
///
/// # Errors
/// [`Overtaken`], what `tell` says, or the database's; nothing is to be committed then.
pub fn apply<E>(
    tx: &mut Tx<'_>,
    verdicts: &[Verdict],
    mut tell: impl FnMut(&mut Tx<'_>, &Mapping) -> Result<(), E>,
) -> Result<(), E>
where
    E: From<DbError> + From<Overtaken>,
{
    let mut mappings: Vec<&Mapping> = verdicts
        .iter()
        .filter_map(|verdict| match verdict {
            Verdict::Set(mapping) => Some(mapping),
            Verdict::Unchanged | Verdict::Bad(_) => None,
        })
        .collect();
    // Two files at a time take the locks in the same order, and none waits for the other for ever.
    mappings.sort_by(|a, b| a.tenant_id.as_str().cmp(b.tenant_id.as_str()));
    for mapping in &mappings {
        tx.for_tenant(&mapping.tenant_id, |tx| free::<E>(tx, mapping))?;
    }
    for mapping in &mappings {
        tx.for_tenant(&mapping.tenant_id, |tx| {
            update(tx, &mapping.tenant_id, Some(&mapping.org))?;
            tell(tx, mapping)
        })?;
    }
    Ok(())
}

fn free<E: From<DbError> + From<Overtaken>>(tx: &mut Tx<'_>, mapping: &Mapping) -> Result<(), E> {
    let present: Option<(String, Option<String>)> = tenants::table
        .find(mapping.tenant_id.as_str())
        .select((tenants::status, tenants::genesys_org_id))
        .for_update()
        .first(tx.conn())
        .optional()
        .map_err(DbError::from)?;
    let is_as_seen =
        present.is_some_and(|(status, org)| !deleted(&status) && org == mapping.previous);
    if !is_as_seen {
        return Err(Overtaken.into());
    }
    if mapping.previous.is_some() {
        update(tx, &mapping.tenant_id, None)?;
    }
    Ok(())
}

fn update(tx: &mut Tx<'_>, id: &TenantId, org: Option<&str>) -> Result<(), DbError> {
    diesel::update(tenants::table.find(id.as_str()))
        .set((
            tenants::genesys_org_id.eq(org),
            tenants::version.eq(tenants::version + 1),
            tenants::updated_at.eq(now),
        ))
        .execute(tx.conn())?;
    Ok(())
}
