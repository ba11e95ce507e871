//! What the audit log says of people who were turned away, and what an operator can do about it.

use portal_db::{DbError, Scope, audit};
use portal_genesys::{Identity, Region};
use portal_types::TenantId;
use serde_json::json;

use super::{Refusal, SignIn};
use crate::{ROLE, usecases::Cause};

/// What was found out before somebody was turned away.
#[derive(Default)]
pub(super) struct Known {
    /// The tenant of the organization.
    pub(super) tenant: Option<TenantId>,
    /// Another tenant that knows the person.
    pub(super) elsewhere: Option<TenantId>,
}

impl SignIn {
    pub(super) async fn audit_refusal(
        &self,
        refusal: Refusal,
        region: &Region,
        identity: &Identity,
        known: Known,
        cause: &Cause,
    ) {
        let mut details = json!({
            "reason": refusal.outcome(),
            "genesys_org_id": identity.organization.id,
            "genesys_user_id": identity.user_id,
            "genesys_region": region.name(),
        });
        if let (Some(hint), Some(object)) = (
            hint(refusal, identity, region, &known),
            details.as_object_mut(),
        ) {
            object.insert("hint".to_owned(), hint.into());
        }
        let entry = audit::AuditEntry {
            service: ROLE,
            actor: audit::Actor::Anonymous,
            action: "session.start",
            target: None,
            outcome: audit::Outcome::Refused,
            details,
            request_id: cause.request_id.clone(),
        };
        let scope = known.tenant.map_or(Scope::Service, Scope::Tenant);
        let written: Result<(), DbError> = self
            .db
            .write("sign_in.audit_refusal", scope, move |tx| {
                audit::append(tx, &entry)
            })
            .await;
        if let Err(error) = written {
            tracing::error!(%error, "a refused sign-in is missing in the audit log");
        }
    }
}

/// The command with which an operator can mend it. The ids are Genesys' and ours: no quoting.
fn hint(refusal: Refusal, identity: &Identity, region: &Region, known: &Known) -> Option<String> {
    let org = &identity.organization.id;
    let user = &identity.user_id;
    let region = region.name();
    match (refusal, &known.tenant) {
        (Refusal::UnknownTenant, _) => Some(format!(
            "portalctl tenant map-org --tenant TENANT_ID --genesys-org-id {org} --region {region}"
        )),
        (Refusal::KnownElsewhere, Some(tenant)) => known.elsewhere.as_ref().map(|elsewhere| {
            format!("portalctl user move --genesys-user-id {user} --from {elsewhere} --to {tenant}")
        }),
        (Refusal::TenantSuspended, Some(tenant)) => {
            Some(format!("portalctl tenant resume --tenant {tenant}"))
        }
        (Refusal::WrongRegion, Some(tenant)) => Some(format!(
            "portalctl tenant set-region --tenant {tenant} --region {region}"
        )),
        (Refusal::UserDeactivated, Some(tenant)) => Some(format!(
            "portalctl user activate --tenant {tenant} --genesys-user-id {user}"
        )),
        (Refusal::PlaceholderDeactivated(user), Some(tenant)) => Some(format!(
            "portalctl user activate --tenant {tenant} --user-id {user}"
        )),
        _ => None,
    }
}
