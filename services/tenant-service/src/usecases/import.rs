//! Giving many tenants their Genesys organizations at once: all of a file or nothing.

use portal_db::{Scope, Tx, audit, audit::Outcome};
use portal_events::catalogue::TenantGenesysOrgMapped;
use portal_tenant_orgs::{FileRow, Mapping, Overtaken, Present, Verdict, decide};
use serde_json::json;
use tracing::instrument;

use super::{Deps, OpContext, TenantError, tenants::DIRECTORY};
use crate::events::produced::Producer;

impl From<Overtaken> for TenantError {
    fn from(_meanwhile: Overtaken) -> Self {
        Self::ImportOvertaken
    }
}

/// What became of a file.
pub(crate) struct Import {
    pub(crate) verdicts: Vec<Verdict>,
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
    let verdicts = decide(rows, &present);
    let is_good = verdicts.iter().all(|verdict| verdict.reason().is_none());
    let applied = is_good && !dry_run;
    if applied {
        apply(ctx, deps, rows, &verdicts).await?;
    }
    Ok(Import { verdicts, applied })
}

async fn read_present(deps: &Deps, rows: &[FileRow]) -> Result<Present, TenantError> {
    let rows = rows.to_vec();
    deps.db
        .read("read_tenants_of_import", DIRECTORY, move |tx| {
            Ok(Present::of(tx, &rows)?)
        })
        .await
}

async fn apply(
    ctx: OpContext,
    deps: &Deps,
    rows: &[FileRow],
    verdicts: &[Verdict],
) -> Result<(), TenantError> {
    let (rows, verdicts) = (rows.to_vec(), verdicts.to_vec());
    let producer = Producer::new(deps, &ctx);
    deps.db
        .write("import_genesys_orgs", Scope::Service, move |tx| {
            portal_tenant_orgs::apply(tx, &rows, &verdicts, |tx, mapping| {
                tell(tx, &ctx, &producer, mapping)
            })
        })
        .await?;
    deps.waker.wake();
    Ok(())
}

fn tell(
    tx: &mut Tx<'_>,
    ctx: &OpContext,
    producer: &Producer,
    mapping: &Mapping,
) -> Result<(), TenantError> {
    let id = &mapping.tenant_id;
    let event = TenantGenesysOrgMapped {
        tenant_id: id.clone(),
        genesys_org_id: Some(mapping.org.clone()),
        previous: mapping.previous.clone(),
    };
    producer.append(tx, id, &event)?;
    let details = json!({
        "genesys_org_id": mapping.org,
        "previous": mapping.previous,
        "by": "import",
    });
    let entry = ctx.audit("tenant.map_genesys_org", id, Outcome::Succeeded, details);
    audit::append(tx, &entry)?;
    Ok(())
}
