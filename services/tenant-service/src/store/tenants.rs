//! Table `tenants`.

use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*};
use portal_db::{DbError, Tx, containing};
use portal_db_schema::schema::{tenant_whatsapp_config, tenants};
use portal_service_kit::http::Page;
use portal_types::TenantId;

use super::word;
use crate::domain::role_map::MappedRole;
use crate::domain::tenant::{
    GenesysOrgId, GenesysRegion, NewTenant, Tenant, TenantFilter, TenantName, TenantStatus,
};

/// The constraint of a tenant's id.
pub(crate) const PRIMARY_KEY: &str = "tenants_pkey";
/// The constraint that an organization belongs to one tenant.
pub(crate) const ONE_ORG: &str = "idx_tenants_genesys_org";

#[derive(Queryable, Selectable)]
#[diesel(table_name = tenants)]
struct TenantRow {
    tenant_id: String,
    name: String,
    status: String,
    genesys_org_id: Option<String>,
    genesys_region: Option<String>,
    rate_limit: Option<i32>,
    allow_trustees: bool,
    unmapped_role: String,
    user_sync_minutes: Option<i32>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
}

impl TenantRow {
    fn into_tenant(self, whatsapp_configured: bool) -> Result<Tenant, DbError> {
        Ok(Tenant {
            tenant_id: TenantId::parse(&self.tenant_id)
                .map_err(|error| DbError::Corrupt(error.to_string()))?,
            name: self.name,
            status: word("tenants.status", &self.status)?,
            genesys_org_id: self.genesys_org_id,
            genesys_region: self.genesys_region,
            whatsapp_configured,
            rate_limit: count("tenants.rate_limit", self.rate_limit)?,
            allow_trustees: self.allow_trustees,
            unmapped_role: word("tenants.unmapped_role", &self.unmapped_role)?,
            user_sync_minutes: count("tenants.user_sync_minutes", self.user_sync_minutes)?,
            created_at: self.created_at,
            updated_at: self.updated_at,
            deleted_at: self.deleted_at,
        })
    }
}

fn count(column: &str, value: Option<i32>) -> Result<Option<u32>, DbError> {
    let negative = |_| DbError::Corrupt(format!("{column} is negative"));
    value
        .map(|value| value.try_into().map_err(negative))
        .transpose()
}

/// Adds a tenant.
pub(crate) fn insert(tx: &mut Tx<'_>, tenant: &NewTenant) -> Result<(), DbError> {
    diesel::insert_into(tenants::table)
        .values((
            tenants::tenant_id.eq(tenant.tenant_id.as_str()),
            tenants::name.eq(tenant.name.as_str()),
            tenants::genesys_org_id.eq(tenant.genesys_org_id.as_ref().map(GenesysOrgId::as_str)),
            tenants::genesys_region.eq(tenant.genesys_region.as_ref().map(GenesysRegion::as_str)),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// A tenant by id.
pub(crate) fn find(tx: &mut Tx<'_>, id: &TenantId) -> Result<Option<Tenant>, DbError> {
    let row = tenants::table
        .find(id.as_str())
        .select(TenantRow::as_select())
        .first(tx.conn())
        .optional()?;
    row.map(|row| {
        let configured = is_configured(tx, id.as_str())?;
        row.into_tenant(configured)
    })
    .transpose()
}

/// A tenant by id, kept from others until the transaction ends: that gives the order of its events.
pub(crate) fn lock(tx: &mut Tx<'_>, id: &TenantId) -> Result<Option<Tenant>, DbError> {
    let row = tenants::table
        .find(id.as_str())
        .select(TenantRow::as_select())
        .for_update()
        .first(tx.conn())
        .optional()?;
    row.map(|row| {
        let configured = is_configured(tx, id.as_str())?;
        row.into_tenant(configured)
    })
    .transpose()
}

fn is_configured(tx: &mut Tx<'_>, id: &str) -> Result<bool, DbError> {
    // The directory's role may read few columns, so even EXISTS has to name one of them.
    let configs = tenant_whatsapp_config::table
        .filter(tenant_whatsapp_config::tenant_id.eq(id))
        .select(tenant_whatsapp_config::tenant_id);
    Ok(diesel::select(diesel::dsl::exists(configs)).get_result(tx.conn())?)
}

/// Changes a tenant's name.
pub(crate) fn update_name(
    tx: &mut Tx<'_>,
    id: &TenantId,
    name: &TenantName,
) -> Result<(), DbError> {
    touch(tx, id)?;
    diesel::update(tenants::table.find(id.as_str()))
        .set(tenants::name.eq(name.as_str()))
        .execute(tx.conn())?;
    Ok(())
}

/// Changes a tenant's status.
pub(crate) fn update_status(
    tx: &mut Tx<'_>,
    id: &TenantId,
    status: TenantStatus,
) -> Result<(), DbError> {
    touch(tx, id)?;
    let tenant = tenants::table.find(id.as_str());
    if status == TenantStatus::Deleted {
        diesel::update(tenant)
            .set((
                tenants::status.eq(status.as_str()),
                tenants::deleted_at.eq(now),
            ))
            .execute(tx.conn())?;
    } else {
        diesel::update(tenant)
            .set(tenants::status.eq(status.as_str()))
            .execute(tx.conn())?;
    }
    Ok(())
}

/// Changes a tenant's Genesys region.
pub(crate) fn update_region(
    tx: &mut Tx<'_>,
    id: &TenantId,
    region: Option<&GenesysRegion>,
) -> Result<(), DbError> {
    touch(tx, id)?;
    diesel::update(tenants::table.find(id.as_str()))
        .set(tenants::genesys_region.eq(region.map(GenesysRegion::as_str)))
        .execute(tx.conn())?;
    Ok(())
}

/// Changes how many requests a minute a tenant may make.
pub(crate) fn update_rate_limit(
    tx: &mut Tx<'_>,
    id: &TenantId,
    limit: Option<u32>,
) -> Result<(), DbError> {
    touch(tx, id)?;
    diesel::update(tenants::table.find(id.as_str()))
        .set(tenants::rate_limit.eq(limit.map(u32::cast_signed)))
        .execute(tx.conn())?;
    Ok(())
}

/// Changes whether people of other organizations may work in a tenant's.
pub(crate) fn update_allow_trustees(
    tx: &mut Tx<'_>,
    id: &TenantId,
    allow: bool,
) -> Result<(), DbError> {
    touch(tx, id)?;
    diesel::update(tenants::table.find(id.as_str()))
        .set(tenants::allow_trustees.eq(allow))
        .execute(tx.conn())?;
    Ok(())
}

/// Changes how often a tenant's people are synced.
pub(crate) fn update_sync_minutes(
    tx: &mut Tx<'_>,
    id: &TenantId,
    minutes: Option<u32>,
) -> Result<(), DbError> {
    touch(tx, id)?;
    diesel::update(tenants::table.find(id.as_str()))
        .set(tenants::user_sync_minutes.eq(minutes.map(u32::cast_signed)))
        .execute(tx.conn())?;
    Ok(())
}

/// Changes the role of people none of whose Genesys roles is in a tenant's map.
pub(crate) fn update_unmapped_role(
    tx: &mut Tx<'_>,
    id: &TenantId,
    role: MappedRole,
) -> Result<(), DbError> {
    touch(tx, id)?;
    diesel::update(tenants::table.find(id.as_str()))
        .set(tenants::unmapped_role.eq(role.as_str()))
        .execute(tx.conn())?;
    Ok(())
}

/// Changes a tenant's Genesys organization.
pub(crate) fn update_org(
    tx: &mut Tx<'_>,
    id: &TenantId,
    org: Option<&GenesysOrgId>,
) -> Result<(), DbError> {
    diesel::update(tenants::table.find(id.as_str()))
        .set((
            tenants::genesys_org_id.eq(org.map(GenesysOrgId::as_str)),
            tenants::version.eq(tenants::version + 1),
            tenants::updated_at.eq(now),
        ))
        .execute(tx.conn())?;
    Ok(())
}

fn touch(tx: &mut Tx<'_>, id: &TenantId) -> Result<(), DbError> {
    diesel::update(tenants::table.find(id.as_str()))
        .set((
            tenants::version.eq(tenants::version + 1),
            tenants::updated_at.eq(now),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// The tenant of a Genesys organization; across tenants, because that is the question.
pub(crate) fn find_by_org_any_tenant(
    tx: &mut Tx<'_>,
    org: &str,
) -> Result<Option<Tenant>, DbError> {
    let row = tenants::table
        .filter(tenants::genesys_org_id.eq(org))
        .select(TenantRow::as_select())
        .first(tx.conn())
        .optional()?;
    row.map(|row| {
        let configured = is_configured(tx, &row.tenant_id)?;
        row.into_tenant(configured)
    })
    .transpose()
}

/// A page of tenants and how many there are; across tenants, for platform administrators.
pub(crate) fn list_any_tenant(
    tx: &mut Tx<'_>,
    filter: &TenantFilter,
    page: Page,
) -> Result<(Vec<Tenant>, i64), DbError> {
    let matching = || {
        let mut query = tenants::table.into_boxed();
        query = match filter.status {
            Some(status) => query.filter(tenants::status.eq(status.as_str().to_owned())),
            None => query.filter(tenants::status.ne(TenantStatus::Deleted.as_str().to_owned())),
        };
        if let Some(org) = &filter.genesys_org_id {
            query = query.filter(tenants::genesys_org_id.eq(org.clone()));
        }
        if let Some(text) = &filter.text {
            let pattern = containing(text);
            query = query.filter(
                tenants::name
                    .ilike(pattern.clone())
                    .or(tenants::tenant_id.ilike(pattern)),
            );
        }
        query
    };
    let total = matching().count().get_result(tx.conn())?;
    let rows: Vec<TenantRow> = matching()
        .order(tenants::tenant_id)
        .limit(page.limit.into())
        .offset(page.offset.into())
        .select(TenantRow::as_select())
        .load(tx.conn())?;
    let ids: Vec<&str> = rows.iter().map(|row| row.tenant_id.as_str()).collect();
    let configured: std::collections::HashSet<String> = tenant_whatsapp_config::table
        .filter(tenant_whatsapp_config::tenant_id.eq_any(ids))
        .select(tenant_whatsapp_config::tenant_id)
        .load(tx.conn())?
        .into_iter()
        .collect();
    let tenants = rows
        .into_iter()
        .map(|row| {
            let is_configured = configured.contains(&row.tenant_id);
            row.into_tenant(is_configured)
        })
        .collect::<Result<_, _>>()?;
    Ok((tenants, total))
}
