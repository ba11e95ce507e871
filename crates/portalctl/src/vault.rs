//! `portalctl vault`: which keys seal the stored secrets, and new ones in place of old.

mod batch;
mod status;

use std::time::Duration;

use clap::{Args, Subcommand};
use portal_vault::{
    Vault,
    places::{self, Place},
};
use secrecy::SecretString;
use serde_json::json;

use self::batch::{Batch, Kept};
use crate::{Answer, connection, operator, vault_keys::VaultKeys};

/// Over one column; somebody who goes on sealing with the old key is not waited for.
const MOST_PASSES: u32 = 20;

#[derive(Debug, Subcommand)]
pub(crate) enum VaultCommand {
    /// Counts the records of each column by the key that seals them.
    Status,
    /// Seals the data keys of all records with the active key. The services work on meanwhile; a run
    /// that was interrupted is repeated, and two at once do no harm. Exit code 3 when some are left.
    Rotate(Rotate),
}

#[derive(Debug, Args)]
pub(crate) struct Rotate {
    /// Records of one transaction.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// Milliseconds to rest after each batch.
    #[arg(long, default_value_t = 0)]
    pause_ms: u64,
    /// Change nothing; prove that every record opens with the given keys, and count.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(
    command: &VaultCommand,
    url: &SecretString,
    keys: &VaultKeys,
) -> anyhow::Result<Answer> {
    match command {
        VaultCommand::Status => status::run(&mut connection::open(url)?),
        VaultCommand::Rotate(rotate) => rotate.run(url, &keys.vault()?),
    }
}

/// What became of the records of a column.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    rewrapped: usize,
    /// Changed by somebody else meanwhile; looked at again.
    overtaken: usize,
    /// Not to be opened with these keys.
    unusable: usize,
}

impl Rotate {
    fn run(&self, url: &SecretString, vault: &Vault) -> anyhow::Result<Answer> {
        let mut conn = connection::open(url)?;
        let active = vault.active_key_id();
        if !self.dry_run {
            // Before and not after: a run that is killed has changed records, too.
            operator::audit(
                &mut conn,
                "vault.rotate",
                &active,
                &json!({ "key_id": active }),
            )?;
        }
        let (mut rewrapped, mut left) = (0, 0);
        let mut columns = Vec::new();
        for place in places::ALL {
            let count = self.column(&mut conn, url, vault, &place)?;
            let column_left = status::left(&mut conn, vault, &place)?;
            rewrapped += count.rewrapped;
            left += column_left;
            columns.push(json!({
                "table": place.table,
                "column": place.column,
                "rewrapped": count.rewrapped,
                "unusable": count.unusable,
                "left": column_left,
            }));
        }
        let done = if self.dry_run {
            "Could be sealed"
        } else {
            "Sealed"
        };
        let rest = match left {
            0 => "None is left: other keys may be taken out of vault.keys.".to_owned(),
            n => format!("{n} are left: see above, and run it again."),
        };
        let told = if self.dry_run {
            String::new()
        } else {
            format!(" {rest}")
        };
        Ok(Answer {
            text: format!("{done} with the key {active}: {rewrapped} record(s).{told}"),
            json: json!({
                "key_id": active,
                "dry_run": self.dry_run,
                "rewrapped": rewrapped,
                "left": left,
                "columns": columns,
            }),
            as_wanted: left == 0,
        })
    }

    /// Goes over one column until a whole pass finds nothing more to do: a service that still seals
    /// with the old key may have written behind the cursor.
    fn column(
        &self,
        conn: &mut diesel::PgConnection,
        url: &SecretString,
        vault: &Vault,
        place: &Place,
    ) -> anyhow::Result<Count> {
        let mut total = Count::default();
        for _ in 0..MOST_PASSES {
            let pass = self.pass(conn, url, vault, place, total.rewrapped)?;
            total.rewrapped += pass.rewrapped;
            total.unusable = pass.unusable;
            let is_settled = pass.rewrapped == 0 && pass.overtaken == 0;
            if is_settled || self.dry_run {
                break;
            }
        }
        Ok(total)
    }

    fn pass(
        &self,
        conn: &mut diesel::PgConnection,
        url: &SecretString,
        vault: &Vault,
        place: &Place,
        before: usize,
    ) -> anyhow::Result<Count> {
        let mut count = Count::default();
        let mut after = None;
        loop {
            let batch = Batch {
                place,
                vault,
                url,
                after: after.as_deref(),
                size: self.batch,
                dry_run: self.dry_run,
            };
            let rows = batch.run(conn)?;
            for row in &rows {
                match &row.kept {
                    Kept::Rewrapped => count.rewrapped += 1,
                    Kept::Overtaken => count.overtaken += 1,
                    Kept::Unusable(error) => {
                        count.unusable += 1;
                        eprintln!("{}.{} {}: {error}", place.table, place.column, row.row_id);
                    }
                }
            }
            let Some(last) = rows.last() else {
                return Ok(count);
            };
            eprintln!(
                "{}.{}: {} record(s)",
                place.table,
                place.column,
                before + count.rewrapped
            );
            after = Some(last.row_id.clone());
            std::thread::sleep(Duration::from_millis(self.pause_ms));
        }
    }
}
