//! What becomes of each row.

use std::collections::{HashMap, HashSet};

use portal_types::{TenantId, is_genesys_id};

use crate::file::FileRow;

/// A word for what becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum VerdictKind {
    /// The tenant gets the organization.
    Set,
    /// It has it already.
    Unchanged,
    /// It contradicts another row, or another tenant has the organization.
    Conflict,
    /// There is no such tenant any more.
    UnknownTenant,
    /// It cannot be read.
    Invalid,
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason {
    /// What kind of thing.
    pub kind: VerdictKind,
    /// A word for programs.
    pub code: &'static str,
    /// A sentence.
    pub message: &'static str,
}

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The tenant gets the organization.
    Set(Mapping),
    /// It has it already.
    Unchanged,
    /// Nothing of the file is applied because of it.
    Bad(Reason),
}

impl Verdict {
    /// Its word.
    pub fn kind(&self) -> VerdictKind {
        match self {
            Self::Set(_) => VerdictKind::Set,
            Self::Unchanged => VerdictKind::Unchanged,
            Self::Bad(reason) => reason.kind,
        }
    }

    /// What is wrong, if something is.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Set(_) | Self::Unchanged => None,
            Self::Bad(reason) => Some(*reason),
        }
    }
}

/// A tenant, its present organization and the one that it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The organization that it has.
    pub previous: Option<String>,
    /// The organization that it gets.
    pub org: String,
}

/// What is known of the tenants that a file names, and of those that have the organizations it names.
#[derive(Debug, Default)]
pub struct Present {
    /// Whether it is deleted, and its organization, by tenant.
    tenants: HashMap<String, (bool, Option<String>)>,
    /// Tenant by organization.
    owners: HashMap<String, String>,
}

impl Present {
    pub(crate) fn add(&mut self, tenant: String, is_deleted: bool, org: Option<String>) {
        if let Some(org) = &org {
            self.owners.insert(org.clone(), tenant.clone());
        }
        self.tenants.insert(tenant, (is_deleted, org));
    }
}

/// Whether a tenant with this status is gone.
pub(crate) fn deleted(status: &str) -> bool {
    status == "deleted"
}

/// Decides each row. Tenants of the file may swap organizations: who has one is asked only of
/// tenants that the file does not name.
pub fn decide(rows: &[FileRow], present: &Present) -> Vec<Verdict> {
    let named: HashSet<&str> = rows.iter().map(|row| row.tenant_id.as_str()).collect();
    let (mut tenants, mut orgs) = (HashSet::new(), HashSet::new());
    rows.iter()
        .map(|row| {
            let is_new_tenant = tenants.insert(row.tenant_id.as_str());
            let is_new_org = orgs.insert(row.genesys_org_id.as_str());
            decide_row(row, (is_new_tenant, is_new_org), &named, present)
                .unwrap_or_else(Verdict::Bad)
        })
        .collect()
}

fn decide_row(
    row: &FileRow,
    (is_new_tenant, is_new_org): (bool, bool),
    named: &HashSet<&str>,
    present: &Present,
) -> Result<Verdict, Reason> {
    let bad = |kind, code, message| Reason {
        kind,
        code,
        message,
    };
    if !row.is_whole {
        return Err(bad(
            VerdictKind::Invalid,
            "ROW_INVALID",
            "The row must have two columns.",
        ));
    }
    let tenant_id = TenantId::parse(&row.tenant_id).map_err(|_form| {
        bad(
            VerdictKind::Invalid,
            "TENANT_ID_INVALID",
            "This is not the id of a tenant.",
        )
    })?;
    let org = row.genesys_org_id.as_str();
    if !is_genesys_id(org) {
        return Err(bad(
            VerdictKind::Invalid,
            "GENESYS_ORG_ID_INVALID",
            "This is not the id of a Genesys organization, such as a UUID.",
        ));
    }
    if !is_new_tenant {
        return Err(bad(
            VerdictKind::Conflict,
            "TENANT_DUPLICATE",
            "The tenant stands in the file before.",
        ));
    }
    if !is_new_org {
        return Err(bad(
            VerdictKind::Conflict,
            "GENESYS_ORG_DUPLICATE",
            "The organization stands in the file before.",
        ));
    }
    let Some((is_deleted, previous)) = present.tenants.get(&row.tenant_id) else {
        return Err(bad(
            VerdictKind::UnknownTenant,
            "TENANT_NOT_FOUND",
            "There is no such tenant.",
        ));
    };
    if *is_deleted {
        return Err(bad(
            VerdictKind::UnknownTenant,
            "TENANT_DELETED",
            "The tenant is deleted.",
        ));
    }
    if previous.as_deref() == Some(org) {
        return Ok(Verdict::Unchanged);
    }
    let owner = present.owners.get(org);
    if owner.is_some_and(|owner| !named.contains(owner.as_str())) {
        return Err(bad(
            VerdictKind::Conflict,
            "GENESYS_ORG_TAKEN",
            "The organization belongs to a tenant that is not in the file.",
        ));
    }
    Ok(Verdict::Set(Mapping {
        tenant_id,
        previous: previous.clone(),
        org: org.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read;

    fn rows(text: &str) -> Vec<FileRow> {
        read(format!("tenant_id,genesys_org_id\n{text}").as_bytes(), 100).unwrap()
    }

    #[test]
    fn every_row_is_decided() {
        let mut present = Present::default();
        for (tenant, status, org) in [
            ("a", "active", Some("o-1")),
            ("b", "suspended", Some("o-2")),
            ("c", "active", None),
            ("d", "active", Some("o-4")),
            ("gone", "deleted", None),
            ("outside", "active", Some("o-9")),
        ] {
            present.add(tenant.to_owned(), deleted(status), org.map(str::to_owned));
        }
        let file = "a,o-2\nb,o-1\nd,o-4\nc,o-9\nc,o-7\ngone,o-8\nnone,o-5\nx y,o-6\ne,o 6\na,b,c\nf\nh,o-1";
        let shown: Vec<_> = decide(&rows(file), &present)
            .into_iter()
            .map(|result| match result {
                Verdict::Set(mapping) => format!("{} {}", mapping.tenant_id, mapping.org),
                Verdict::Unchanged => "unchanged".to_owned(),
                Verdict::Bad(reason) => format!("{} {}", <&str>::from(reason.kind), reason.code),
            })
            .collect();
        assert_eq!(
            shown,
            [
                "a o-2",
                "b o-1",
                "unchanged",
                "conflict GENESYS_ORG_TAKEN",
                "conflict TENANT_DUPLICATE",
                "unknown_tenant TENANT_DELETED",
                "unknown_tenant TENANT_NOT_FOUND",
                "invalid TENANT_ID_INVALID",
                "invalid GENESYS_ORG_ID_INVALID",
                "invalid ROW_INVALID",
                "invalid ROW_INVALID",
                "conflict GENESYS_ORG_DUPLICATE"
            ]
        );
    }
}
