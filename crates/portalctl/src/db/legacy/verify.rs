//! `portalctl db verify`: the legacy tables, held against what became of them.

use diesel::PgConnection;
use portal_migration::{Check, totals, verify};
use portal_vault::Vault;

use super::{ledger, under_way};
use crate::{Answer, progress::Progress};

pub(in crate::db) fn run(conn: &mut PgConnection, vault: &Vault) -> anyhow::Result<Answer> {
    let checks = checks(conn, vault)?;
    let totals = totals(conn)?;
    let wrong = checks.iter().filter(|check| check.wrong > 0).count();
    let lines: Vec<_> = checks.iter().map(line).collect();
    let end = match wrong {
        0 => "Everything is as it should be.".to_owned(),
        some => {
            format!("{some} rules do not hold: run `portalctl db migrate` again, then this.")
        }
    };
    Ok(Answer {
        text: format!(
            "{}\n\n{}\n\n{end}",
            ledger::table(&totals),
            lines.join("\n")
        ),
        json: serde_json::json!({ "checks": checks, "totals": totals }),
        as_wanted: wrong == 0,
    })
}

/// The codes of the rules that do not hold.
pub(super) fn wrong(conn: &mut PgConnection, vault: &Vault) -> anyhow::Result<Vec<String>> {
    let checks = checks(conn, vault)?.into_iter();
    Ok(checks
        .filter(|check| check.wrong > 0)
        .map(|check| check.code)
        .collect())
}

pub(super) fn checks(conn: &mut PgConnection, vault: &Vault) -> anyhow::Result<Vec<Check>> {
    let found = under_way(conn)?;
    let progress = Progress::new();
    let tell = |tenant: usize, of: usize| {
        progress.tell("verify tenants", tenant as u64, of as u64);
    };
    let checks = verify(conn, &found.legacy(), vault, &tell)?;
    progress.end();
    Ok(checks)
}

fn line(check: &Check) -> String {
    match check.wrong {
        0 => format!("ok     {}: {}", check.code, check.text),
        some => format!("WRONG  {}: {} ({some} rows)", check.code, check.text),
    }
}
