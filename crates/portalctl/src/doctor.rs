//! `portalctl doctor`: what keeps people from signing in and sending, and the command that mends it.

use diesel::prelude::*;
use portal_db::{CrossTenantPath, Scope};
use portal_db_schema::schema::{genesys_users as users, tenant_whatsapp_config, tenants};
use portal_types::TenantId;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::json;

use crate::{
    Answer,
    work::{Work, tenant_id},
};

/// People of one tenant at the most; who has more mends the tenant.
const MOST_PEOPLE: i64 = 1000;

/// Something that is not as it should be.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// What it is, the same for ever.
    code: &'static str,
    tenant_id: String,
    text: String,
    /// What mends it.
    fix: String,
}

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

/// Looks through all active tenants; changes nothing.
pub(crate) fn run(url: &SecretString) -> anyhow::Result<Answer> {
    let work = Work::open(url)?;
    let all = tenants_of(&work)?;
    let mut findings = Vec::new();
    for tenant in &all {
        let (has_whatsapp, strangers) = look(&work, tenant)?;
        findings.extend(without_organization(tenant, &strangers));
        if !has_whatsapp {
            findings.push(Finding {
                code: "tenant_without_whatsapp",
                tenant_id: tenant.id.to_string(),
                text: "WhatsApp is not configured: nobody of it can send".to_owned(),
                fix: "configure its account on the admin dashboard, or let an administrator of it sign up"
                    .to_owned(),
            });
        }
        if tenant.org.is_some() {
            findings.extend(strangers.iter().map(|one| stranger(tenant, one, &all)));
        }
    }
    let mut lines: Vec<String> = findings
        .iter()
        .map(|one| format!("{}: {}\n  {}", one.tenant_id, one.text, one.fix))
        .collect();
    lines.push(match findings.len() {
        0 => format!("{} active tenants; nothing is to be mended.", all.len()),
        some => format!(
            "{} active tenants; {some} things are to be mended.",
            all.len()
        ),
    });
    Ok(Answer {
        text: lines.join("\n"),
        as_wanted: findings.is_empty(),
        json: json!({ "tenants": all.len(), "findings": findings }),
    })
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

/// Whether it has WhatsApp, and its people whom Genesys has in another organization.
fn look(work: &Work, tenant: &Tenant) -> anyhow::Result<(bool, Vec<Linked>)> {
    let id = tenant.id.to_string();
    let org = tenant.org.clone().unwrap_or_default();
    work.read(&tenant.id, move |tx| {
        let has_whatsapp = diesel::select(diesel::dsl::exists(
            tenant_whatsapp_config::table.filter(tenant_whatsapp_config::tenant_id.eq(&id)),
        ))
        .get_result(tx.conn())?;
        let strangers: Vec<(String, String)> = users::table
            .filter(users::tenant_id.eq(&id))
            .filter(users::is_active.and(users::is_placeholder.eq(false)))
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
        Ok((has_whatsapp, linked.collect()))
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
    Some(Finding {
        code: "tenant_without_organization",
        tenant_id: tenant.id.to_string(),
        text: "it has no Genesys organization: nobody can sign in to it".to_owned(),
        fix: format!(
            "portalctl tenant set-org --tenant {} --genesys-org-id {likely} --region …",
            tenant.id
        ),
    })
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
    Finding {
        code: "user_of_another_organization",
        tenant_id: tenant.id.to_string(),
        text: format!(
            "the user {} is linked to it and belongs to the Genesys organization {}",
            person.genesys_user_id, person.org
        ),
        fix,
    }
}
