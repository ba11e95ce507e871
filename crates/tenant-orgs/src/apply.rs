//! Writing what was decided.

use std::collections::HashSet;

use diesel::{dsl::now, prelude::*};
use portal_db::{DbError, Tx};
use portal_db_schema::schema::tenants;
use portal_types::TenantId;

use crate::{
    file::FileRow,
    verdict::{Mapping, Present, Verdict, deleted},
};

/// Rows of one question to the database.
const AT_ONCE: usize = 1000;

impl Present {
    /// What is known of the tenants that these rows name and of those with these organizations; across
    /// tenants, because a file names many.
    ///
    /// # Errors
    /// When the database fails.
    pub fn of(tx: &mut Tx<'_>, rows: &[FileRow]) -> Result<Self, DbError> {
        let named: HashSet<&str> = rows.iter().map(|row| row.tenant_id.as_str()).collect();
        let mut present = Self::default();
        for rows in rows.chunks(AT_ONCE) {
            let ids: Vec<_> = rows.iter().map(|row| row.tenant_id.as_str()).collect();
            let orgs: Vec<_> = rows.iter().map(|row| row.genesys_org_id.as_str()).collect();
            let found: Vec<(String, String, Option<String>)> = tenants::table
                .filter(
                    tenants::tenant_id
                        .eq_any(ids)
                        .or(tenants::genesys_org_id.eq_any(orgs)),
                )
                .select((tenants::tenant_id, tenants::status, tenants::genesys_org_id))
                .load(tx.conn())?;
            for (tenant, status, org) in found {
                let is_named = named.contains(tenant.as_str());
                present.add(tenant, is_named, deleted(&status), org);
            }
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
    rows: &[FileRow],
    verdicts: &[Verdict],
    mut tell: impl FnMut(&mut Tx<'_>, &Mapping) -> Result<(), E>,
) -> Result<(), E>
where
    E: From<DbError> + From<Overtaken>,
{
    let mut set: Vec<(&FileRow, &Option<Box<str>>)> = rows
        .iter()
        .zip(verdicts)
        .filter_map(|(row, verdict)| match verdict {
            Verdict::Set { previous } => Some((row, previous)),
            Verdict::Unchanged | Verdict::Bad(_) => None,
        })
        .collect();
    // Two files at a time take the locks in the same order, and none waits for the other for ever.
    set.sort_by(|(a, _), (b, _)| a.tenant_id.cmp(&b.tenant_id));
    for (row, previous) in &set {
        let mapping = mapping_of(row, previous.as_deref())?;
        tx.for_tenant(&mapping.tenant_id, |tx| free::<E>(tx, &mapping))?;
    }
    for (row, previous) in set {
        let mapping = mapping_of(row, previous.as_deref())?;
        tx.for_tenant(&mapping.tenant_id, |tx| {
            update(tx, &mapping.tenant_id, Some(&mapping.org))?;
            tell(tx, &mapping)
        })?;
    }
    Ok(())
}

fn mapping_of(row: &FileRow, previous: Option<&str>) -> Result<Mapping, DbError> {
    let tenant_id = TenantId::parse(&row.tenant_id);
    Ok(Mapping {
        tenant_id: tenant_id.map_err(|_form| DbError::Corrupt("tenant_id".to_owned()))?,
        previous: previous.map(str::to_owned),
        org: row.genesys_org_id.clone(),
    })
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
