//! What was restored, held against what was backed up.

use std::collections::{BTreeMap, BTreeSet};

use diesel::PgConnection;
use portal_legacy::{DataHash, read_only};

use super::{
    facts,
    manifest::{Manifest, Schema},
};
use crate::db::programs::{major, server_version};

/// What is another than the manifest says; nothing when all of it is the same.
///
/// How definitions are written changes between major versions of PostgreSQL: there, rows alone are
/// compared, which is said on standard error.
pub(crate) fn differences(
    conn: &mut PgConnection,
    manifest: &Manifest,
) -> anyhow::Result<Vec<String>> {
    let server = server_version(conn)?;
    let is_same_major = major(&server)? == major(&manifest.server_version)?;
    if !is_same_major {
        eprintln!(
            "The backup is of PostgreSQL {}, and this is {server}: definitions are written otherwise, \
             and only rows are compared.",
            manifest.server_version
        );
    }
    read_only(conn, |conn| {
        let names = facts::schemas(conn)?;
        let mut found = Vec::new();
        for wanted in &manifest.schemas {
            if !names.contains(&wanted.name) {
                found.push(format!("schema {} is missing", wanted.name));
                continue;
            }
            let has = facts::schema(conn, &wanted.name)?;
            if is_same_major {
                compare_catalogs(wanted, &has, &mut found);
            }
            compare_rows(&wanted.name, &wanted.data, &has.data, &mut found);
        }
        for name in names {
            if !manifest.schemas.iter().any(|schema| schema.name == name) {
                found.push(format!("schema {name} is not in the backup"));
            }
        }
        Ok(found)
    })
}

fn compare_catalogs(wanted: &Schema, has: &Schema, found: &mut Vec<String>) {
    if wanted.fingerprint == has.fingerprint {
        return;
    }
    found.push(format!(
        "schema {}: the fingerprint is {}, and was {}",
        wanted.name, has.fingerprint, wanted.fingerprint
    ));
    let before: BTreeSet<&String> = wanted.catalog.iter().collect();
    let after: BTreeSet<&String> = has.catalog.iter().collect();
    found.extend(before.difference(&after).map(|line| format!("- {line}")));
    found.extend(after.difference(&before).map(|line| format!("+ {line}")));
}

fn compare_rows(schema: &str, wanted: &DataHash, has: &DataHash, found: &mut Vec<String>) {
    if wanted == has {
        return;
    }
    let by_name = |data: &DataHash| -> BTreeMap<String, (i64, String)> {
        let tables = data.tables.iter();
        tables
            .map(|it| (it.table.clone(), (it.rows, it.hash.clone())))
            .collect()
    };
    let (before, mut after) = (by_name(wanted), by_name(has));
    for (table, (rows, hash)) in before {
        match after.remove(&table) {
            None => found.push(format!(
                "table {schema}.{table} is missing; it had {rows} rows"
            )),
            Some((now, _)) if now != rows => {
                found.push(format!(
                    "table {schema}.{table} has {now} rows, and had {rows}"
                ));
            }
            Some((_, now)) if now != hash => {
                found.push(format!(
                    "table {schema}.{table} has as many rows, {rows}, and other ones"
                ));
            }
            Some(_) => {}
        }
    }
    for table in after.keys() {
        found.push(format!("table {schema}.{table} is not in the backup"));
    }
    found.push(format!(
        "schema {schema}: the hash of all data is {}, and was {}",
        has.overall, wanted.overall
    ));
}
