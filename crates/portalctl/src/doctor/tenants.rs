//! What keeps people of tenants from signing in and sending.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use portal_db::{CrossTenantPath, Scope};
use portal_db_schema::schema::{
    genesys_users as users, tenant_whatsapp_config as whatsapp, tenants,
};
use portal_types::TenantId;

use super::Finding;
use crate::work::{Work, tenant_id};

/// People of one tenant at the most; who has more mends the tenant.
const MOST_PEOPLE: i64 = 1000;
/// A token that ends so soon is told of.
const TOKEN_DAYS: i64 = 7;

/// A tenant that people may sign in to.
struct Tenant {
    id: TenantId,
    org: Option<String>,
}

/// A person who is linked to Genesys.
struct Linked {
    genesys_user_id: String,
    org: String,
}

/// What was seen of a tenant.
struct Seen {
    /// Where its account's token stands and when it ends, if it has an account.
    token: Option<(String, Option<DateTime<Utc>>)>,
    /// People whom Genesys has in another organization.
    strangers: Vec<Linked>,
    /// People whom nobody has signed in as.
    placeholders: i64,
}

/// Looks through all active tenants; answers how many there are.
pub(super) fn examine(work: &Work, findings: &mut Vec<Finding>) -> anyhow::Result<usize> {
    let all = tenants_of(work)?;
    for tenant in &all {
        let seen = look(work, tenant)?;
        findings.extend(without_organization(tenant, &seen.strangers));
        findings.extend(account(tenant, seen.token, Utc::now()));
        if tenant.org.is_some() {
            findings.extend(seen.strangers.iter().map(|one| stranger(tenant, one, &all)));
        }
        if seen.placeholders > 0 {
            let text = format!(
                "{} people of a migrated installation have not signed in with Genesys yet",
                seen.placeholders
            );
            let fix = format!(
                "they sign in with the e-mail address that they had, or name them in the list of agents and run \
                 `portalctl db migrate` with it; who they are: portalctl user list --tenant {}",
                tenant.id
            );
            let finding = Finding::new("placeholders_unclaimed", text, fix);
            findings.push(finding.of(&tenant.id).for_information());
        }
    }
    Ok(all.len())
}

const NEW_TOKEN: &str = "give its account a new token on the admin dashboard";

/// Whether it can send.
fn account(
    tenant: &Tenant,
    token: Option<(String, Option<DateTime<Utc>>)>,
    now: DateTime<Utc>,
) -> Option<Finding> {
    let soon = now + chrono::Duration::days(TOKEN_DAYS);
    let finding = match token {
        None => Finding::new(
            "tenant_without_whatsapp",
            "WhatsApp is not configured: nobody of it can send",
            "configure its account on the admin dashboard, or let an administrator of it sign up",
        ),
        Some((status, _)) if status == "invalid" => Finding::new(
            "token_invalid",
            "Meta does not take the token of its WhatsApp account: nobody of it can send",
            NEW_TOKEN,
        ),
        Some((_, Some(ends))) if ends <= soon => Finding::new(
            "token_expires",
            format!(
                "the token of its WhatsApp account ends at {}",
                ends.format("%F %R UTC")
            ),
            NEW_TOKEN,
        ),
        Some(_) => return None,
    };
    Some(finding.of(&tenant.id))
}

fn tenants_of(work: &Work) -> anyhow::Result<Vec<Tenant>> {
    let path = Scope::CrossTenant(CrossTenantPath::TenantDirectory);
    let rows: Vec<(String, Option<String>)> = work.read(path, |tx| {
        Ok(tenants::table
            .filter(tenants::status.eq("active"))
            .order(tenants::tenant_id)
            .select((tenants::tenant_id, tenants::genesys_org_id))
            .load(tx.conn())?)
    })?;
    rows.into_iter()
        .map(|(id, org)| {
            Ok(Tenant {
                id: tenant_id(&id)?,
                org,
            })
        })
        .collect()
}

fn look(work: &Work, tenant: &Tenant) -> anyhow::Result<Seen> {
    let id = tenant.id.to_string();
    let org = tenant.org.clone().unwrap_or_default();
    work.read(&tenant.id, move |tx| {
        let token = whatsapp::table
            .filter(whatsapp::tenant_id.eq(&id))
            .select((whatsapp::token_status, whatsapp::token_expires_at))
            .first(tx.conn())
            .optional()?;
        let active = users::tenant_id.eq(&id).and(users::is_active);
        let placeholders = users::table
            .filter(active.and(users::is_placeholder))
            .count()
            .get_result(tx.conn())?;
        let strangers: Vec<(String, String)> = users::table
            .filter(active.and(users::is_placeholder.eq(false)))
            .filter(
                users::genesys_org_id
                    .ne(&org)
                    .and(users::genesys_org_id.ne("")),
            )
            .order(users::genesys_user_id)
            .limit(MOST_PEOPLE)
            .select((users::genesys_user_id, users::genesys_org_id))
            .load(tx.conn())?;
        let linked = strangers.into_iter().map(|(genesys_user_id, org)| Linked {
            genesys_user_id,
            org,
        });
        Ok(Seen {
            token,
            strangers: linked.collect(),
            placeholders,
        })
    })
}

/// The organization of its people is the likely one when they are all of the same.
fn without_organization(tenant: &Tenant, people: &[Linked]) -> Option<Finding> {
    if tenant.org.is_some() {
        return None;
    }
    let likely = people
        .first()
        .filter(|first| people.iter().all(|one| one.org == first.org))
        .map_or("…", |first| &first.org);
    let fix = format!(
        "portalctl tenant set-org --tenant {} --genesys-org-id {likely} --region …",
        tenant.id
    );
    let text = "it has no Genesys organization: nobody can sign in to it";
    Some(Finding::new("tenant_without_organization", text, fix).of(&tenant.id))
}

fn stranger(tenant: &Tenant, person: &Linked, all: &[Tenant]) -> Finding {
    let owner = all.iter().find(|one| one.org.as_ref() == Some(&person.org));
    let fix = owner.map_or_else(
        || {
            format!(
                "no active tenant has the organization {}: give it one with `portalctl tenant set-org`, then \
                 move the person with `portalctl user move`",
                person.org
            )
        },
        |owner| {
            format!(
                "portalctl user move --genesys-user-id {} --from {} --to {} --dry-run",
                person.genesys_user_id, tenant.id, owner.id
            )
        },
    );
    let text = format!(
        "the user {} is linked to it and belongs to the Genesys organization {}",
        person.genesys_user_id, person.org
    );
    Finding::new("user_of_another_organization", text, fix).of(&tenant.id)
}
