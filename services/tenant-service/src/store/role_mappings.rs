//! Table `tenant_role_mappings`.

use diesel::prelude::*;
use portal_db::{DbError, Tx};
use portal_db_schema::schema::tenant_role_mappings as mappings;
use portal_types::TenantId;
use uuid::Uuid;

use super::word;
use crate::domain::role_map::Mapping;

/// A tenant's mappings, by role.
pub(crate) fn list(tx: &mut Tx<'_>, tenant: &TenantId) -> Result<Vec<Mapping>, DbError> {
    let rows: Vec<(String, String)> = mappings::table
        .filter(mappings::tenant_id.eq(tenant.as_str()))
        .order(mappings::genesys_role)
        .select((mappings::genesys_role, mappings::portal_role))
        .load(tx.conn())?;
    rows.into_iter()
        .map(|(genesys_role, role)| {
            Ok(Mapping {
                genesys_role,
                portal_role: word("tenant_role_mappings.portal_role", &role)?,
            })
        })
        .collect()
}

/// Puts these mappings in place of all that the tenant has.
pub(crate) fn replace(tx: &mut Tx<'_>, tenant: &TenantId, new: &[Mapping]) -> Result<(), DbError> {
    diesel::delete(mappings::table.filter(mappings::tenant_id.eq(tenant.as_str())))
        .execute(tx.conn())?;
    let rows: Vec<_> = new
        .iter()
        .map(|mapping| {
            (
                mappings::mapping_id.eq(Uuid::now_v7()),
                mappings::tenant_id.eq(tenant.as_str()),
                mappings::genesys_role.eq(&mapping.genesys_role),
                mappings::portal_role.eq(mapping.portal_role.as_str()),
            )
        })
        .collect();
    diesel::insert_into(mappings::table)
        .values(rows)
        .execute(tx.conn())?;
    Ok(())
}
