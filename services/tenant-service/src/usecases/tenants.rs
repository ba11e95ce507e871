//! Tenants: made, found, changed, suspended, deleted.

use portal_db::{CrossTenantPath, DbError, Scope, Tx, audit, audit::Outcome};
use portal_events::catalogue::{
    TenantCreated, TenantDeleted, TenantGenesysOrgMapped, TenantResumed, TenantSuspended,
    TenantUpdated,
};
use portal_service_kit::http::Page;
use portal_types::TenantId;
use serde_json::json;
use tracing::instrument;

use super::{Deps, OpContext, TenantError};
use crate::{
    domain::tenant::{
        Change, GenesysOrgId, GenesysRegion, NewTenant, SettingsChanges, Tenant, TenantChanges,
        TenantFilter, TenantStatus,
    },
    events::produced::Producer,
    store,
};

pub(super) const DIRECTORY: Scope = Scope::CrossTenant(CrossTenantPath::TenantDirectory);

/// Makes a tenant.
#[instrument(name = "usecase.create_tenant", skip_all, fields(tenant.id = %new.tenant_id))]
pub(crate) async fn create_tenant(
    ctx: OpContext,
    deps: &Deps,
    new: NewTenant,
) -> Result<Tenant, TenantError> {
    let producer = Producer::new(deps, &ctx);
    let scope = Scope::from(&new.tenant_id);
    let tenant = deps
        .db
        .write("create_tenant", scope, move |tx| {
            store::tenants::insert(tx, &new)?;
            let tenant = get(tx, &new.tenant_id)?;
            let created = TenantCreated {
                tenant_id: tenant.tenant_id.clone(),
                name: tenant.name.clone(),
                status: tenant.status.as_str().to_owned(),
                changed: Vec::new(),
            };
            producer.append(tx, &tenant.tenant_id, &created)?;
            if tenant.genesys_org_id.is_some() {
                producer.append(tx, &tenant.tenant_id, &mapped(&tenant, None))?;
            }
            let details = json!({"genesys_org_id": tenant.genesys_org_id});
            let entry = ctx.audit(
                "tenant.create",
                &tenant.tenant_id,
                Outcome::Succeeded,
                details,
            );
            audit::append(tx, &entry)?;
            Ok::<_, TenantError>(tenant)
        })
        .await?;
    deps.waker.wake();
    Ok(tenant)
}

/// A tenant by id, also a deleted one.
pub(crate) async fn get_tenant(deps: &Deps, id: TenantId) -> Result<Tenant, TenantError> {
    let scope = Scope::from(&id);
    deps.db
        .read("get_tenant", scope, move |tx| get(tx, &id))
        .await
}

/// The tenant of a Genesys organization. A deleted one is not found: nobody signs in to it.
pub(crate) async fn find_tenant_by_org(deps: &Deps, org: String) -> Result<Tenant, TenantError> {
    let found = deps
        .db
        .read("find_tenant_by_org", DIRECTORY, move |tx| {
            store::tenants::find_by_org_any_tenant(tx, &org)
        })
        .await?;
    found
        .filter(|tenant| tenant.status != TenantStatus::Deleted)
        .ok_or(TenantError::NotFoundForOrg)
}

/// A page of tenants and how many there are.
pub(crate) async fn list_tenants(
    deps: &Deps,
    filter: TenantFilter,
    page: Page,
) -> Result<(Vec<Tenant>, i64), TenantError> {
    deps.db
        .read("list_tenants", DIRECTORY, move |tx| {
            Ok(store::tenants::list_any_tenant(tx, &filter, page)?)
        })
        .await
}

/// Changes a tenant's master data or status.
#[instrument(name = "usecase.update_tenant", skip_all, fields(tenant.id = %id))]
pub(crate) async fn update_tenant(
    ctx: OpContext,
    deps: &Deps,
    id: TenantId,
    changes: TenantChanges,
) -> Result<Tenant, TenantError> {
    let producer = Producer::new(deps, &ctx);
    let scope = Scope::from(&id);
    let (tenant, status_changed) = deps
        .db
        .write("update_tenant", scope, move |tx| {
            let before = lock_living(tx, &id)?;
            let mut fields = Vec::new();
            if let Some(name) = changes.name.filter(|name| name.as_str() != before.name) {
                store::tenants::update_name(tx, &id, &name)?;
                fields.push("name".to_owned());
            }
            fields.extend(change_settings(tx, &before, changes.settings)?);
            let status = changes.status.filter(|status| *status != before.status);
            if let Some(status) = status {
                store::tenants::update_status(tx, &id, status)?;
            }
            let after = get(tx, &id)?;
            if !fields.is_empty() {
                producer.append(tx, &id, &updated(&after, fields.clone()))?;
            }
            if status.is_some() {
                tell_status(tx, &producer, &after)?;
                fields.push("status".to_owned());
            }
            if !fields.is_empty() {
                let details = json!({"changed": fields, "status": after.status.as_str()});
                let entry = ctx.audit("tenant.update", &id, Outcome::Succeeded, details);
                audit::append(tx, &entry)?;
            }
            Ok::<_, TenantError>((after, status.is_some()))
        })
        .await?;
    deps.waker.wake();
    if status_changed {
        tell_sessions(deps, &tenant).await;
    }
    Ok(tenant)
}

/// Deletes a tenant softly: from now on nobody signs in to it or sends for it.
#[instrument(name = "usecase.delete_tenant", skip_all, fields(tenant.id = %id))]
pub(crate) async fn delete_tenant(
    ctx: OpContext,
    deps: &Deps,
    id: TenantId,
) -> Result<(), TenantError> {
    let producer = Producer::new(deps, &ctx);
    let scope = Scope::from(&id);
    let tenant = deps
        .db
        .write("delete_tenant", scope, move |tx| {
            let before = store::tenants::lock(tx, &id)?.ok_or(TenantError::NotFound)?;
            if before.status == TenantStatus::Deleted {
                return Ok(before);
            }
            store::tenants::update_status(tx, &id, TenantStatus::Deleted)?;
            let after = get(tx, &id)?;
            tell_status(tx, &producer, &after)?;
            let entry = ctx.audit("tenant.delete", &id, Outcome::Succeeded, json!({}));
            audit::append(tx, &entry)?;
            Ok::<_, TenantError>(after)
        })
        .await?;
    deps.waker.wake();
    tell_sessions(deps, &tenant).await;
    Ok(())
}

/// Gives a tenant its Genesys organization, or takes it away. A deleted tenant can only lose its
/// organization, so that another one can have it.
#[instrument(name = "usecase.map_genesys_org", skip_all, fields(tenant.id = %id))]
pub(crate) async fn map_genesys_org(
    ctx: OpContext,
    deps: &Deps,
    id: TenantId,
    org: Option<GenesysOrgId>,
    region: Option<GenesysRegion>,
) -> Result<Tenant, TenantError> {
    let producer = Producer::new(deps, &ctx);
    let scope = Scope::from(&id);
    let tenant = deps
        .db
        .write("map_genesys_org", scope, move |tx| {
            let before = store::tenants::lock(tx, &id)?.ok_or(TenantError::NotFound)?;
            if before.status == TenantStatus::Deleted && org.is_some() {
                return Err(TenantError::Deleted);
            }
            let is_other_region = region
                .as_ref()
                .is_some_and(|region| Some(region.as_str()) != before.genesys_region.as_deref());
            if is_other_region {
                store::tenants::update_region(tx, &id, region.as_ref())?;
            }
            let is_other_org =
                org.as_ref().map(GenesysOrgId::as_str) != before.genesys_org_id.as_deref();
            if is_other_org {
                store::tenants::update_org(tx, &id, org.as_ref())?;
            }
            let after = get(tx, &id)?;
            if is_other_org || is_other_region {
                producer.append(tx, &id, &mapped(&after, before.genesys_org_id.clone()))?;
                let details = json!({
                    "genesys_org_id": after.genesys_org_id,
                    "previous": before.genesys_org_id,
                    "genesys_region": after.genesys_region,
                });
                let entry = ctx.audit("tenant.map_genesys_org", &id, Outcome::Succeeded, details);
                audit::append(tx, &entry)?;
            }
            Ok::<_, TenantError>(after)
        })
        .await?;
    deps.waker.wake();
    Ok(tenant)
}

fn get(tx: &mut Tx<'_>, id: &TenantId) -> Result<Tenant, TenantError> {
    store::tenants::find(tx, id)?.ok_or(TenantError::NotFound)
}

/// Locks a tenant that is not deleted.
pub(super) fn lock_living(tx: &mut Tx<'_>, id: &TenantId) -> Result<Tenant, TenantError> {
    let tenant = store::tenants::lock(tx, id)?.ok_or(TenantError::NotFound)?;
    if tenant.status == TenantStatus::Deleted {
        Err(TenantError::Deleted)
    } else {
        Ok(tenant)
    }
}

/// Changes what differs, and names it.
fn change_settings(
    tx: &mut Tx<'_>,
    before: &Tenant,
    changes: SettingsChanges,
) -> Result<Vec<String>, DbError> {
    let id = &before.tenant_id;
    let mut fields = Vec::new();
    let present = before.genesys_region.as_deref();
    let region = changes
        .genesys_region
        .unless(present, GenesysRegion::as_str);
    if let Change::Set(region) = region {
        store::tenants::update_region(tx, id, region.as_ref())?;
        fields.push("genesys_region".to_owned());
    }
    let limit = changes.rate_limit;
    if let Change::Set(limit) = limit.unless(before.rate_limit.as_ref(), |limit| limit) {
        store::tenants::update_rate_limit(tx, id, limit)?;
        fields.push("rate_limit".to_owned());
    }
    let allow = changes.allow_trustees;
    if let Some(allow) = allow.filter(|allow| *allow != before.allow_trustees) {
        store::tenants::update_allow_trustees(tx, id, allow)?;
        fields.push("allow_trustees".to_owned());
    }
    let (minutes, present) = (changes.user_sync_minutes, before.user_sync_minutes.as_ref());
    if let Change::Set(minutes) = minutes.unless(present, |minutes| minutes) {
        store::tenants::update_sync_minutes(tx, id, minutes)?;
        fields.push("user_sync_minutes".to_owned());
    }
    Ok(fields)
}

/// The event that something about a tenant changed.
pub(super) fn updated(tenant: &Tenant, changed: Vec<String>) -> TenantUpdated {
    TenantUpdated {
        tenant_id: tenant.tenant_id.clone(),
        name: tenant.name.clone(),
        status: tenant.status.as_str().to_owned(),
        changed,
    }
}

fn mapped(tenant: &Tenant, previous: Option<String>) -> TenantGenesysOrgMapped {
    TenantGenesysOrgMapped {
        tenant_id: tenant.tenant_id.clone(),
        genesys_org_id: tenant.genesys_org_id.clone(),
        previous,
    }
}

fn tell_status(tx: &mut Tx<'_>, producer: &Producer, tenant: &Tenant) -> Result<(), TenantError> {
    let id = &tenant.tenant_id;
    let (name, status) = (tenant.name.clone(), tenant.status.as_str().to_owned());
    let (tenant_id, changed) = (id.clone(), vec!["status".to_owned()]);
    match tenant.status {
        TenantStatus::Active => {
            producer.append(
                tx,
                id,
                &TenantResumed {
                    tenant_id,
                    name,
                    status,
                    changed,
                },
            )?;
        }
        TenantStatus::Suspended => {
            producer.append(
                tx,
                id,
                &TenantSuspended {
                    tenant_id,
                    name,
                    status,
                    changed,
                },
            )?;
        }
        TenantStatus::Deleted => {
            producer.append(
                tx,
                id,
                &TenantDeleted {
                    tenant_id,
                    name,
                    status,
                    changed,
                },
            )?;
        }
    }
    Ok(())
}

/// Ends or allows the sessions of a tenant's people at once, everywhere. The event does the same a
/// moment later, so that a Redis that is away only costs that moment.
async fn tell_sessions(deps: &Deps, tenant: &Tenant) {
    let told = match tenant.status {
        TenantStatus::Active => deps.revocations.restore_tenant(&tenant.tenant_id).await,
        TenantStatus::Suspended | TenantStatus::Deleted => {
            deps.revocations.revoke_tenant(&tenant.tenant_id).await
        }
    };
    if let Err(error) = told {
        tracing::warn!(tenant.id = %tenant.tenant_id, %error, "sessions learn of it by event only");
    }
}
