//! `portalctl tenant`: tenants, and which Genesys organization is theirs.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use diesel::prelude::*;
use portal_db::{CrossTenantPath, Scope, Tx};
use portal_db_schema::schema::tenants;
use portal_events::catalogue::{
    TenantGenesysOrgMapped, TenantResumed, TenantSuspended, TenantUpdated,
};
use portal_types::TenantId;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::{
    Answer,
    work::{
        Changing, Refusal, TENANTS, Work, answer, genesys_id, note, region, tell, tenant_id, told,
    },
};

#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Lists the tenants.
    List,
    /// Shows a tenant.
    Show(Which),
    /// Gives a tenant its Genesys organization: from then on its people sign in to this tenant.
    #[command(visible_alias = "set-org")]
    MapOrg(MapOrg),
    /// Says in which Genesys region a tenant's organization lies.
    SetRegion(SetRegion),
    /// Ends all sessions of a tenant's people; nobody of it signs in or sends until it is resumed.
    Suspend(SetStatus),
    /// Lets a suspended tenant's people sign in and send again.
    Resume(SetStatus),
}

/// Which tenant.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The tenant's id.
    #[arg(long, value_name = "TENANT_ID", value_parser = tenant_id)]
    tenant: TenantId,
}

#[derive(Debug, Args)]
pub(crate) struct MapOrg {
    #[command(flatten)]
    which: Which,
    /// The id of the Genesys organization.
    #[arg(long, value_parser = genesys_id)]
    genesys_org_id: String,
    /// The region that it lies in, such as mypurecloud.de; left as it is without this.
    #[arg(long, value_parser = region)]
    region: Option<String>,
    #[command(flatten)]
    changing: Changing,
}

#[derive(Debug, Args)]
pub(crate) struct SetRegion {
    #[command(flatten)]
    which: Which,
    /// The region, such as mypurecloud.de.
    #[arg(long, value_parser = region)]
    region: String,
    #[command(flatten)]
    changing: Changing,
}

#[derive(Debug, Args)]
pub(crate) struct SetStatus {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    changing: Changing,
}

pub(crate) fn run(command: &TenantCommand, url: &SecretString) -> anyhow::Result<Answer> {
    let work = Work::open(url)?;
    match command {
        TenantCommand::List => list(&work),
        TenantCommand::Show(which) => show(&work, &which.tenant),
        TenantCommand::MapOrg(map) => map_org(&work, map),
        TenantCommand::SetRegion(set) => set_region(&work, set),
        TenantCommand::Suspend(set) => set_status(&work, set, "active", "suspended"),
        TenantCommand::Resume(set) => set_status(&work, set, "suspended", "active"),
    }
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = tenants)]
pub(crate) struct TenantRow {
    tenant_id: String,
    name: String,
    pub(crate) status: String,
    pub(crate) genesys_org_id: Option<String>,
    genesys_region: Option<String>,
    created_at: DateTime<Utc>,
}

impl TenantRow {
    fn line(&self) -> String {
        format!(
            "{}  {}  {}  {}  {}",
            self.tenant_id,
            self.status,
            self.genesys_org_id.as_deref().unwrap_or("no organization"),
            self.genesys_region.as_deref().unwrap_or("no region"),
            self.name
        )
    }

    fn json(&self) -> Value {
        json!({
            "tenant_id": self.tenant_id, "name": self.name, "status": self.status,
            "genesys_org_id": self.genesys_org_id, "genesys_region": self.genesys_region,
            "created_at": self.created_at,
        })
    }
}

fn list(work: &Work) -> anyhow::Result<Answer> {
    let path = Scope::CrossTenant(CrossTenantPath::TenantDirectory);
    let found: Vec<TenantRow> = work.read(path, |tx| {
        Ok(tenants::table
            .order(tenants::tenant_id)
            .select(TenantRow::as_select())
            .load(tx.conn())?)
    })?;
    let mut text = format!("{} tenants", found.len());
    for tenant in &found {
        write!(text, "\n{}", tenant.line())?;
    }
    let tenants: Vec<_> = found.iter().map(TenantRow::json).collect();
    Ok(answer(text, json!({ "tenants": tenants })))
}

fn show(work: &Work, tenant: &TenantId) -> anyhow::Result<Answer> {
    let id = tenant.clone();
    let tenant = work.read(tenant, move |tx| lock(tx, &id, Lock::No))?;
    Ok(answer(tenant.line(), tenant.json()))
}

/// Whether nobody else may change the row meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    Yes,
    No,
}

/// The transaction's tenant.
pub(crate) fn lock(tx: &mut Tx<'_>, id: &TenantId, lock: Lock) -> Result<TenantRow, Refusal> {
    let query = tenants::table
        .find(id.as_str())
        .select(TenantRow::as_select());
    let found = if lock == Lock::Yes {
        query.for_update().first(tx.conn()).optional()?
    } else {
        query.first(tx.conn()).optional()?
    };
    found.ok_or_else(|| {
        told(format!(
            "there is no tenant {id}; see `portalctl tenant list`"
        ))
    })
}

/// The transaction's tenant, unless it is deleted.
pub(crate) fn lock_living(tx: &mut Tx<'_>, id: &TenantId) -> Result<TenantRow, Refusal> {
    let tenant = lock(tx, id, Lock::Yes)?;
    if tenant.status == "deleted" {
        return Err(told(format!("the tenant {id} is deleted")));
    }
    Ok(tenant)
}

fn touch(tx: &mut Tx<'_>, id: &TenantId, now: DateTime<Utc>) -> Result<(), Refusal> {
    diesel::update(tenants::table.find(id.as_str()))
        .set((
            tenants::version.eq(tenants::version + 1),
            tenants::updated_at.eq(now),
        ))
        .execute(tx.conn())?;
    Ok(())
}

fn nothing_to_do(tenant: &TenantRow) -> Answer {
    answer(
        format!("{}: it is so already.", tenant.tenant_id),
        json!({"changed": false, "tenant": tenant.json()}),
    )
}

fn changed(changing: &Changing, tenant: &TenantRow, what: &str) -> Answer {
    answer(
        format!("{}{} {what}.", changing.prefix(), tenant.tenant_id),
        json!({"changed": true, "dry_run": changing.dry_run, "tenant": tenant.json()}),
    )
}

fn map_org(work: &Work, map: &MapOrg) -> anyhow::Result<Answer> {
    let id = map.which.tenant.clone();
    let (org, region, actor) = (
        map.genesys_org_id.clone(),
        map.region.clone(),
        map.changing.actor(),
    );
    let (before, after) = work.change(&map.which.tenant, &map.changing, move |tx| {
        let before = lock_living(tx, &id)?;
        let region = region.or_else(|| before.genesys_region.clone());
        if before.genesys_org_id.as_ref() == Some(&org) && before.genesys_region == region {
            return Ok((before.clone(), before));
        }
        let now = Utc::now();
        touch(tx, &id, now)?;
        diesel::update(tenants::table.find(id.as_str()))
            .set((
                tenants::genesys_org_id.eq(&org),
                tenants::genesys_region.eq(&region),
            ))
            .execute(tx.conn())
            .map_err(|error| match portal_db::DbError::from(error) {
                taken @ portal_db::DbError::Unique { .. }
                    if taken.is_unique("idx_tenants_genesys_org") =>
                {
                    told(format!(
                        "another tenant has the Genesys organization {org}; see `portalctl tenant list`"
                    ))
                }
                other => other.into(),
            })?;
        let after = lock(tx, &id, Lock::No)?;
        let event = TenantGenesysOrgMapped {
            tenant_id: id.clone(),
            genesys_org_id: after.genesys_org_id.clone(),
            previous: before.genesys_org_id.clone(),
        };
        tell(tx, TENANTS, &id, now, &event)?;
        let details = json!({
            "genesys_org_id": after.genesys_org_id, "previous": before.genesys_org_id,
            "genesys_region": after.genesys_region,
        });
        note(tx, &actor, "tenant.map_genesys_org", &id, details)?;
        Ok((before, after))
    })?;
    if before.json() == after.json() {
        return Ok(nothing_to_do(&after));
    }
    let what = format!("has the Genesys organization {}", map.genesys_org_id);
    Ok(changed(&map.changing, &after, &what))
}

fn set_region(work: &Work, set: &SetRegion) -> anyhow::Result<Answer> {
    let (id, region, actor) = (
        set.which.tenant.clone(),
        set.region.clone(),
        set.changing.actor(),
    );
    let (before, after) = work.change(&set.which.tenant, &set.changing, move |tx| {
        let before = lock_living(tx, &id)?;
        if before.genesys_region.as_ref() == Some(&region) {
            return Ok((before.clone(), before));
        }
        let now = Utc::now();
        touch(tx, &id, now)?;
        diesel::update(tenants::table.find(id.as_str()))
            .set(tenants::genesys_region.eq(&region))
            .execute(tx.conn())?;
        let after = lock(tx, &id, Lock::No)?;
        let fields = vec!["genesys_region".to_owned()];
        let event = TenantUpdated {
            tenant_id: id.clone(),
            name: after.name.clone(),
            status: after.status.clone(),
            changed: fields.clone(),
        };
        tell(tx, TENANTS, &id, now, &event)?;
        let details = json!({"changed": fields, "status": after.status});
        note(tx, &actor, "tenant.update", &id, details)?;
        Ok((before, after))
    })?;
    if before.json() == after.json() {
        return Ok(nothing_to_do(&after));
    }
    let what = format!("lies in the region {}", set.region);
    Ok(changed(&set.changing, &after, &what))
}

fn set_status(
    work: &Work,
    set: &SetStatus,
    from: &'static str,
    to: &'static str,
) -> anyhow::Result<Answer> {
    let (id, actor) = (set.which.tenant.clone(), set.changing.actor());
    let (was, after) = work.change(&set.which.tenant, &set.changing, move |tx| {
        let before = lock_living(tx, &id)?;
        if before.status != from {
            return Ok((before.status.clone(), before));
        }
        let now = Utc::now();
        touch(tx, &id, now)?;
        diesel::update(tenants::table.find(id.as_str()))
            .set(tenants::status.eq(to))
            .execute(tx.conn())?;
        let after = lock(tx, &id, Lock::No)?;
        tell_status(tx, &id, now, &after)?;
        let details = json!({"changed": ["status"], "status": after.status});
        note(tx, &actor, "tenant.update", &id, details)?;
        Ok((before.status, after))
    })?;
    if was == after.status {
        return Ok(nothing_to_do(&after));
    }
    Ok(changed(&set.changing, &after, &format!("is {to}")))
}

fn tell_status(
    tx: &mut Tx<'_>,
    id: &TenantId,
    now: DateTime<Utc>,
    tenant: &TenantRow,
) -> Result<(), Refusal> {
    let (tenant_id, name) = (id.clone(), tenant.name.clone());
    let (status, changed) = (tenant.status.clone(), vec!["status".to_owned()]);
    if tenant.status == "active" {
        let event = TenantResumed {
            tenant_id,
            name,
            status,
            changed,
        };
        tell(tx, TENANTS, id, now, &event)?;
    } else {
        let event = TenantSuspended {
            tenant_id,
            name,
            status,
            changed,
        };
        tell(tx, TENANTS, id, now, &event)?;
    }
    Ok(())
}
