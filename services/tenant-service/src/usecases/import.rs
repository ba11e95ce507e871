//! Giving many tenants their Genesys organizations at once: all of a file or nothing.

use portal_db::{Scope, Tx, audit, audit::Outcome};
use portal_events::catalogue::TenantGenesysOrgMapped;
use serde_json::json;
use tracing::instrument;

use super::{Deps, OpContext, TenantError, tenants::DIRECTORY};
use crate::{
    domain::{
        import::{FileRow, Mapping, Present, RowResult, decide},
        tenant::TenantStatus,
    },
    events::produced::Producer,
    store,
};

/// What became of a file.
pub(crate) struct Import {
    pub(crate) results: Vec<RowResult>,
    pub(crate) applied: bool,
}

/// Applies a file if every row is good and this is no rehearsal.
#[instrument(name = "usecase.import_genesys_orgs", skip_all, fields(rows = rows.len()))]
pub(crate) async fn import_genesys_orgs(
    ctx: OpContext,
    deps: &Deps,
    rows: &[FileRow],
    dry_run: bool,
) -> Result<Import, TenantError> {
    let present = read_present(deps, rows).await?;
    let results = decide(rows, &present);
    let is_good = !results
        .iter()
        .any(|result| matches!(result, RowResult::Error(_)));
    let applied = is_good && !dry_run;
    if applied {
        apply(ctx, deps, &results).await?;
    }
    Ok(Import { results, applied })
}

async fn read_present(deps: &Deps, rows: &[FileRow]) -> Result<Present, TenantError> {
    let tenants: Vec<_> = rows.iter().map(|row| row.tenant_id.clone()).collect();
    let orgs: Vec<_> = rows.iter().map(|row| row.genesys_org_id.clone()).collect();
    deps.db
        .read("read_tenants_of_import", DIRECTORY, move |tx| {
            Ok(store::tenants::find_named_any_tenant(tx, &tenants, &orgs)?)
        })
        .await
}

/// One transaction for all tenants. First every organization is taken away that another tenant of
/// the file may get, then all are given: so tenants can swap theirs.
async fn apply(ctx: OpContext, deps: &Deps, results: &[RowResult]) -> Result<(), TenantError> {
    let mappings = results.iter().filter_map(|result| match result {
        RowResult::Mapped(mapping) => Some(mapping.clone()),
        RowResult::Unchanged | RowResult::Error(_) => None,
    });
    let mut mappings: Vec<_> = mappings.collect();
    // Two files at a time take the locks in the same order, and none waits for the other for ever.
    mappings.sort_by(|a, b| a.tenant_id.as_str().cmp(b.tenant_id.as_str()));
    let producer = Producer::new(deps, &ctx);
    deps.db
        .write("import_genesys_orgs", Scope::Service, move |tx| {
            for mapping in &mappings {
                tx.for_tenant(&mapping.tenant_id, |tx| free(tx, mapping))?;
            }
            for mapping in &mappings {
                let tenant = &mapping.tenant_id;
                tx.for_tenant(tenant, |tx| give(tx, &ctx, &producer, mapping))?;
            }
            Ok::<_, TenantError>(())
        })
        .await?;
    deps.waker.wake();
    Ok(())
}

fn free(tx: &mut Tx<'_>, mapping: &Mapping) -> Result<(), TenantError> {
    let present = store::tenants::lock_org(tx, &mapping.tenant_id)?;
    let is_as_seen = present
        .is_some_and(|(status, org)| status != TenantStatus::Deleted && org == mapping.previous);
    if !is_as_seen {
        return Err(TenantError::ImportOvertaken);
    }
    if mapping.previous.is_some() {
        store::tenants::update_org(tx, &mapping.tenant_id, None)?;
    }
    Ok(())
}

fn give(
    tx: &mut Tx<'_>,
    ctx: &OpContext,
    producer: &Producer,
    mapping: &Mapping,
) -> Result<(), TenantError> {
    let id = &mapping.tenant_id;
    store::tenants::update_org(tx, id, Some(&mapping.org))?;
    let event = TenantGenesysOrgMapped {
        tenant_id: id.clone(),
        genesys_org_id: Some(mapping.org.as_str().to_owned()),
        previous: mapping.previous.clone(),
    };
    producer.append(tx, id, &event)?;
    let details = json!({
        "genesys_org_id": mapping.org.as_str(),
        "previous": mapping.previous,
        "by": "import",
    });
    let entry = ctx.audit("tenant.map_genesys_org", id, Outcome::Succeeded, details);
    audit::append(tx, &entry)?;
    Ok(())
}
