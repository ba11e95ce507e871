//! `portalctl db retire`: drops the legacy tables, for good.

use std::{path::PathBuf, time::Duration};

use anyhow::bail;
use clap::Args;
use diesel::PgConnection;
use portal_db_schema::ORGANIZATION_SCHEMA;
use portal_legacy::{LegacyError, TableHash, data_hash, fingerprint, identifier, read_only};
use portal_migration::{MigrationError, rejected, retire, tables};
use portal_operations::Operation;
use portal_vault::Vault;
use secrecy::SecretString;
use serde_json::json;

use super::{UnderWay, under_way, verify};
use crate::{Answer, db::backup::verified, patience::Patience};

#[derive(Debug, Args)]
pub(crate) struct Retire {
    /// The directory of a backup that `db backup verify` has proved.
    #[arg(long, value_name = "DIR")]
    backup: PathBuf,
    /// The name of the database, typed out: there is no way back but the backup.
    #[arg(long, value_name = "DATABASE", required_unless_present = "dry_run")]
    confirm: Option<String>,
    /// Also when so many rows were rejected, as `db ledger` lists them: nobody will see them again.
    #[arg(long, value_name = "ROWS", default_value_t = 0)]
    accept_rejected: i64,
    /// Tell what would be dropped; change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    patience: Patience,
}

impl Retire {
    pub(in crate::db) fn run(
        &self,
        conn: &mut PgConnection,
        url: &SecretString,
        vault: &Vault,
    ) -> anyhow::Result<Answer> {
        if self.dry_run {
            let tables = self.ready(conn, vault)?;
            return Ok(Answer {
                text: format!("Would drop {}.", tables.join(", ")),
                json: json!({ "would_drop": tables }),
                as_wanted: true,
            });
        }
        let operation = Operation::here(
            "db retire",
            json!({ "backup": self.backup, "accept_rejected": self.accept_rejected }),
        );
        let tell = |holder: &str| eprintln!("waiting for another operation: {holder}");
        portal_operations::run(conn, &operation, Duration::ZERO, tell, |conn| {
            self.confirmed(conn)?;
            let dropped = self.ready(conn, vault)?;
            let found = under_way(conn)?;
            self.patience.run(conn, url, |conn| {
                retire(conn, &found.legacy(), ORGANIZATION_SCHEMA)
            })?;
            let json = json!({ "dropped": dropped });
            let text = format!(
                "Dropped {}. Run deploy/postgres/roles.sql again: it closes the database to everybody else.",
                dropped.join(", ")
            );
            let answer = Answer {
                text,
                json: json.clone(),
                as_wanted: true,
            };
            anyhow::Ok((answer, json))
        })
    }

    fn confirmed(&self, conn: &mut PgConnection) -> anyhow::Result<()> {
        let name = super::super::text(conn, "SELECT current_database()::text AS value")?;
        if self.confirm != name {
            bail!(MigrationError::State(format!(
                "--confirm has to be the database's name, {}; nothing was changed",
                name.unwrap_or_default()
            )));
        }
        Ok(())
    }

    /// The tables that may go now.
    fn ready(&self, conn: &mut PgConnection, vault: &Vault) -> anyhow::Result<Vec<String>> {
        let found = under_way(conn)?;
        if !found.state.is_copied {
            bail!(MigrationError::State(
                "the copy is not whole: run `portalctl db migrate` again".to_owned()
            ));
        }
        self.holds_all(conn, &found)?;
        let rejected = rejected(conn)?;
        if rejected > self.accept_rejected {
            bail!(MigrationError::State(format!(
                "{rejected} rows were rejected (`portalctl db ledger --csv FILE`): mend them and migrate again, \
                 or give --accept-rejected {rejected}"
            )));
        }
        let wrong = verify::wrong(conn, vault)?;
        if !wrong.is_empty() {
            bail!(MigrationError::State(format!(
                "`portalctl db verify` finds what does not hold: {}",
                wrong.join(", ")
            )));
        }
        Ok(tables(&found.catalog, &found.mapping))
    }

    /// Whether the backup has what is to be dropped, to the last row.
    fn holds_all(&self, conn: &mut PgConnection, found: &UnderWay) -> anyhow::Result<()> {
        let backup = verified(&self.backup)?;
        let name = &found.mapping.schema;
        let (now, data) = read_only(conn, |conn| {
            Ok::<_, LegacyError>((
                fingerprint(conn, name)?,
                data_hash(conn, name, |_, _, _| {})?,
            ))
        })?;
        let kept = backup
            .manifest
            .schemas
            .iter()
            .find(|schema| schema.name == *name);
        let Some(kept) = kept.filter(|schema| schema.fingerprint == now) else {
            bail!(MigrationError::State(format!(
                "the backup (proved at {}) is not of the catalog that the schema {name} has now: back up and verify again",
                backup.verified_at
            )));
        };
        let changed: Vec<_> = tables(&found.catalog, &found.mapping)
            .into_iter()
            .filter(|table| {
                let is_it = |hash: &&TableHash| {
                    *table == format!("{}.{}", identifier(name), identifier(&hash.table))
                };
                let (then, today) = (
                    kept.data.tables.iter().find(is_it),
                    data.tables.iter().find(is_it),
                );
                then.map(|hash| &hash.hash) != today.map(|hash| &hash.hash)
            })
            .collect();
        if !changed.is_empty() {
            bail!(MigrationError::State(format!(
                "the backup is older than what is in {}: back up and verify again",
                changed.join(", ")
            )));
        }
        Ok(())
    }
}
