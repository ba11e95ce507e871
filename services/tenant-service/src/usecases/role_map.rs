//! Which portal role the Genesys roles of a tenant's people give.

use portal_db::{DbError, Scope, Tx, audit, audit::Outcome};
use portal_types::TenantId;
use serde_json::json;
use tracing::instrument;

use super::{
    Deps, OpContext, TenantError,
    tenants::{lock_living, updated},
};
use crate::{
    domain::{
        role_map::{MappedRole, Mapping, TenantRoleMap},
        tenant::Tenant,
    },
    events::produced::Producer,
    store,
};

/// A tenant's map.
pub(crate) async fn get_role_map(deps: &Deps, id: TenantId) -> Result<TenantRoleMap, TenantError> {
    let scope = Scope::from(&id);
    deps.db
        .read("get_role_map", scope, move |tx| {
            let tenant = store::tenants::find(tx, &id)?.ok_or(TenantError::NotFound)?;
            Ok(of(tx, &tenant)?)
        })
        .await
}

/// The map of a tenant that is at hand.
pub(super) fn of(tx: &mut Tx<'_>, tenant: &Tenant) -> Result<TenantRoleMap, DbError> {
    Ok(TenantRoleMap {
        unmapped_role: tenant.unmapped_role,
        mappings: store::role_mappings::list(tx, &tenant.tenant_id)?,
    })
}

/// Puts a map in place of the tenant's present one; without a role for the unmapped that one stays.
#[instrument(name = "usecase.write_role_map", skip_all, fields(tenant.id = %id))]
pub(crate) async fn write_role_map(
    ctx: OpContext,
    deps: &Deps,
    id: TenantId,
    unmapped_role: Option<MappedRole>,
    mappings: Vec<Mapping>,
) -> Result<TenantRoleMap, TenantError> {
    let producer = Producer::new(deps, &ctx);
    let scope = Scope::from(&id);
    let map = deps
        .db
        .write("write_role_map", scope, move |tx| {
            let tenant = lock_living(tx, &id)?;
            let before = of(tx, &tenant)?;
            if let Some(role) = unmapped_role.filter(|role| *role != tenant.unmapped_role) {
                store::tenants::update_unmapped_role(tx, &id, role)?;
            }
            store::role_mappings::replace(tx, &id, &mappings)?;
            let after = TenantRoleMap {
                unmapped_role: unmapped_role.unwrap_or(tenant.unmapped_role),
                mappings: store::role_mappings::list(tx, &id)?,
            };
            if after != before {
                let changed = vec!["role_map".to_owned()];
                producer.append(tx, &id, &updated(&tenant, changed))?;
                let details = json!({"before": told(&before), "after": told(&after)});
                let entry = ctx.audit("tenant.role_map.write", &id, Outcome::Succeeded, details);
                audit::append(tx, &entry)?;
            }
            Ok::<_, TenantError>(after)
        })
        .await?;
    deps.waker.wake();
    Ok(map)
}

/// Names of roles name nobody: whoever looks into a wrong role later needs them.
fn told(map: &TenantRoleMap) -> serde_json::Value {
    let pairs = map.mappings.iter();
    let pairs: Vec<_> = pairs
        .map(|mapping| json!([mapping.genesys_role, mapping.portal_role.as_str()]))
        .collect();
    json!({"unmapped_role": map.unmapped_role.as_str(), "mappings": pairs})
}
