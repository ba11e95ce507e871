//! `portalctl db rollback`: the database as it was before the migration.

use std::time::Duration;

use clap::Args;
use diesel::PgConnection;
use portal_db_schema::ORGANIZATION_SCHEMA;
use portal_legacy::{fingerprint, read_only};
use portal_migration::{MigrationError, made_since, rollback};
use portal_operations::Operation;
use secrecy::SecretString;
use serde_json::json;

use super::under_way;
use crate::{Answer, patience::Patience};

#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// Tell what would be lost; change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Also when people have signed in, written or received messages in the organization-level model since:
    /// that is lost.
    #[arg(long)]
    discard: bool,
    #[command(flatten)]
    patience: Patience,
}

impl Rollback {
    pub(in crate::db) fn run(
        &self,
        conn: &mut PgConnection,
        url: &SecretString,
    ) -> anyhow::Result<Answer> {
        if self.dry_run {
            let lost = made_since(conn)?;
            return Ok(Answer {
                text: format!(
                    "The schema {ORGANIZATION_SCHEMA} and the triggers would go; the legacy tables stay. {}",
                    describe(&lost)
                ),
                json: json!({ "would_lose": lost }),
                as_wanted: true,
            });
        }
        let operation = Operation::here("db rollback", json!({ "discard": self.discard }));
        let tell = |holder: &str| eprintln!("waiting for another operation: {holder}");
        portal_operations::run(conn, &operation, Duration::ZERO, tell, |conn| {
            let answer = take_back(conn, url, self.patience, self.discard)?;
            let details = answer.json.clone();
            anyhow::Ok((answer, details))
        })
    }
}

/// With `discard` also when people made something there since.
pub(super) fn take_back(
    conn: &mut PgConnection,
    url: &SecretString,
    patience: Patience,
    discard: bool,
) -> anyhow::Result<Answer> {
    // A migration that was killed before it noted what it goes by is rolled back, too.
    let before = match portal_migration::state(conn)? {
        Some(_) => Some(under_way(conn)?),
        None => None,
    };
    if before.is_some() {
        let lost = made_since(conn)?;
        if !lost.is_empty() && !discard {
            return Err(MigrationError::State(format!(
                "{} Nothing was changed; with --discard it is lost.",
                describe(&lost)
            ))
            .into());
        }
    }
    patience.run(conn, url, |conn| rollback(conn, ORGANIZATION_SCHEMA))?;
    let Some(before) = before else {
        return Ok(Answer {
            text: "Rolled back; nothing had been copied yet.".to_owned(),
            json: json!({ "rolled_back": true }),
            as_wanted: true,
        });
    };
    let after = read_only(conn, |conn| fingerprint(conn, &before.mapping.schema))?;
    let is_identical = after == before.state.fingerprint;
    let text = if is_identical {
        format!("Rolled back: the catalog is as it was before (fingerprint {after}).")
    } else {
        format!(
            "Rolled back; the catalog of the legacy schema was changed by others meanwhile: its fingerprint \
             was {} and is {after}.",
            before.state.fingerprint
        )
    };
    Ok(Answer {
        text,
        json: json!({
            "rolled_back": true, "fingerprint_before": before.state.fingerprint,
            "fingerprint": after, "identical": is_identical,
        }),
        as_wanted: is_identical,
    })
}

fn describe(lost: &[(String, i64)]) -> String {
    if lost.is_empty() {
        return "Nothing has been made in the organization-level model since.".to_owned();
    }
    let rows: Vec<_> = lost
        .iter()
        .map(|(table, rows)| format!("{rows} {table}"))
        .collect();
    format!(
        "The organization-level model has been worked with since: {}.",
        rows.join(", ")
    )
}
