//! What kind of database it is.

use serde::Serialize;

use crate::{
    Catalog,
    subjects::{AGENT_TABLES, ORGANIZATION_TABLES},
};

/// What kind of database it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Shape {
    /// It has no tables.
    Empty,
    /// The agent-level model, never migrated.
    Legacy {
        /// The type of the tenants' key; none when no table `tenants` has a key of one column.
        tenant_key: Option<String>,
        /// Whether `tenants` says which Genesys organization is whose.
        organizations_known: bool,
    },
    /// Tables of both models.
    PartlyMigrated {
        /// Tables of the agent-level model.
        old: Vec<String>,
        /// Tables of the organization-level model.
        new: Vec<String>,
    },
    /// Tables of the organization-level model that no release of this system made, and none of
    /// the agent-level ones: the script of the old guide, which drops before it copies.
    DroppedByScript,
    /// This system's schema; `db status` tells of which release.
    Ours,
    /// Tables of something else.
    Foreign,
}

impl Shape {
    /// Tells what the catalog's tables are.
    pub fn of(catalog: &Catalog) -> Self {
        let present = |names: &[&str]| -> Vec<String> {
            names
                .iter()
                .filter(|name| catalog.tables.contains_key(**name))
                .map(|name| (*name).to_owned())
                .collect()
        };
        let old = present(&AGENT_TABLES);
        let new = present(&ORGANIZATION_TABLES);
        let ours = catalog.tables.contains_key("__diesel_schema_migrations");
        match (old.is_empty(), new.is_empty()) {
            (false, false) => Self::PartlyMigrated { old, new },
            (true, false) if ours => Self::Ours,
            (true, false) => Self::DroppedByScript,
            (false, true) if catalog.tables.contains_key("agents") => {
                let tenants = catalog.tables.get("tenants");
                Self::Legacy {
                    tenant_key: tenants.and_then(|table| {
                        let [key] = table.primary_key.as_slice() else {
                            return None;
                        };
                        table.column(key).map(|column| column.type_name.clone())
                    }),
                    organizations_known: tenants
                        .is_some_and(|table| table.column("genesys_org_id").is_some()),
                }
            }
            // Tools' own tables hold nothing of an installation.
            (true, true) if catalog.tables.keys().all(|name| name.starts_with("__")) => Self::Empty,
            _ => Self::Foreign,
        }
    }

    /// What it is and what to do about it, in a sentence.
    pub fn explain(&self) -> String {
        match self {
            Self::Empty => "The database is empty: `portalctl db migrate` makes the schema.".to_owned(),
            Self::Legacy {
                tenant_key,
                organizations_known,
            } => format!(
                "A legacy installation, never migrated; key of tenants: {}; Genesys organizations: {}.",
                tenant_key.as_deref().unwrap_or("none"),
                if *organizations_known { "a column for them" } else { "no column for them" },
            ),
            Self::PartlyMigrated { old, new } => format!(
                "Partly migrated: it has tables of the agent-level model ({}) and of the organization-level one ({}).",
                old.join(", "),
                new.join(", ")
            ),
            Self::DroppedByScript => "The organization-level tables were made by a script and the agents' tables are gone: \
                 restore the backup that was made before it into another database, and inspect that."
                .to_owned(),
            Self::Ours => "The organization-level schema of this system; `portalctl db status` tells of which release."
                .to_owned(),
            Self::Foreign => "None of these tables is known: is it the right database, and the right schema (--schema)?"
                .to_owned(),
        }
    }
}
