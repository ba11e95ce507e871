//! How a tenant's people sign in and which portal roles they get, for the service that does it.

use portal_db::Scope;
use portal_types::TenantId;

use super::{Deps, TenantError, role_map};
use crate::{
    domain::{genesys_credentials::Credentials, role_map::TenantRoleMap, tenant::Tenant},
    store,
};

/// What signing in needs of a tenant; secrets are sealed, and only who has the vault's keys can
/// open them.
pub(crate) struct GenesysProfile {
    pub(crate) tenant: Tenant,
    pub(crate) role_map: TenantRoleMap,
    pub(crate) clients: Vec<(Credentials, Option<Vec<u8>>)>,
}

/// The Genesys profile of a tenant, also of a suspended or deleted one: the status says so.
pub(crate) async fn get_genesys_profile(
    deps: &Deps,
    id: TenantId,
) -> Result<GenesysProfile, TenantError> {
    let scope = Scope::from(&id);
    deps.db
        .read("get_genesys_profile", scope, move |tx| {
            let tenant = store::tenants::find(tx, &id)?.ok_or(TenantError::NotFound)?;
            Ok(GenesysProfile {
                role_map: role_map::of(tx, &tenant)?,
                clients: store::genesys_credentials::list(tx, &id)?,
                tenant,
            })
        })
        .await
}
