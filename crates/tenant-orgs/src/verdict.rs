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
    Set {
        /// The one that it has.
        previous: Option<Box<str>>,
    },
    /// It has it already.
    Unchanged,
    /// Nothing of the file is applied because of it.
    Bad(Reason),
}

impl Verdict {
    /// Its word.
    pub fn kind(&self) -> VerdictKind {
        match self {
            Self::Set { .. } => VerdictKind::Set,
            Self::Unchanged => VerdictKind::Unchanged,
            Self::Bad(reason) => reason.kind,
        }
    }

    /// What is wrong, if something is.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Set { .. } | Self::Unchanged => None,
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

/// What is known of the tenants that a file names, and which of its organizations others have.
#[derive(Debug, Default)]
pub struct Present {
    /// Whether it is deleted, and its organization, by tenant of the file.
    tenants: HashMap<Box<str>, (bool, Option<Box<str>>)>,
    /// Organizations of tenants that the file does not name: its own tenants may swap theirs.
    taken: HashSet<String>,
}

impl Present {
    pub(crate) fn add(
        &mut self,
        tenant: String,
        is_named: bool,
        is_deleted: bool,
        org: Option<String>,
    ) {
        if is_named {
            let org = org.map(String::into_boxed_str);
            self.tenants.insert(tenant.into(), (is_deleted, org));
        } else {
            self.taken.extend(org);
        }
    }
}

/// Whether a tenant with this status is gone.
pub(crate) fn deleted(status: &str) -> bool {
    status == "deleted"
}

/// Decides each row.
pub fn decide(rows: &[FileRow], present: &Present) -> Vec<Verdict> {
    let (mut tenants, mut orgs) = (HashSet::new(), HashSet::new());
    rows.iter()
        .map(|row| {
            let is_new_tenant = tenants.insert(row.tenant_id.as_str());
            let is_new_org = orgs.insert(row.genesys_org_id.as_str());
            decide_row(row, (is_new_tenant, is_new_org), present).unwrap_or_else(Verdict::Bad)
        })
        .collect()
}

fn decide_row(
    row: &FileRow,
    (is_new_tenant, is_new_org): (bool, bool),
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
    TenantId::parse(&row.tenant_id).map_err(|_form| {
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
    let Some((is_deleted, previous)) = present.tenants.get(row.tenant_id.as_str()) else {
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
    if present.taken.contains(org) {
        return Err(bad(
            VerdictKind::Conflict,
            "GENESYS_ORG_TAKEN",
            "The organization belongs to a tenant that is not in the file.",
        ));
    }
    Ok(Verdict::Set {
        previous: previous.clone(),
    })
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
            let is_named = tenant != "outside";
            let org = org.map(str::to_owned);
            present.add(tenant.to_owned(), is_named, deleted(status), org);
        }
        let file = "a,o-2\nb,o-1\nd,o-4\nc,o-9\nc,o-7\ngone,o-8\nnone,o-5\nx y,o-6\ne,o 6\na,b,c\nf\nh,o-1";
        let rows = rows(file);
        let shown: Vec<_> = decide(&rows, &present)
            .into_iter()
            .zip(&rows)
            .map(|(result, row)| match result {
                Verdict::Set { .. } => format!("{} {}", row.tenant_id, row.genesys_org_id),
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
