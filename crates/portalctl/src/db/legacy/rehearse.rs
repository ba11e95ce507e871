//! `portalctl db rehearse`: all of it, on a copy of a backup.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::bail;
use clap::Args;
use diesel::PgConnection;
use portal_db_schema::ORGANIZATION_SCHEMA;
use portal_legacy::{LegacyError, data_hash, fingerprint, read_only};
use portal_migration::retire;
use portal_operations::Operation;
use portal_vault::Vault;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{
    migrate::{Files, How, Inputs, Legacy},
    rollback::take_back,
    under_way, verify,
};
use crate::{
    Answer,
    db::{
        backup::verified,
        programs::{Programs, server_version},
        restore,
    },
    patience::Patience,
    scratch::Scratch,
};

#[derive(Debug, Args)]
pub(crate) struct Rehearse {
    /// The directory of a backup that `db backup verify` has proved: it is restored into a database of its own.
    #[arg(long, value_name = "DIR")]
    backup: PathBuf,
    /// Which legacy table and column means what, as `db inspect --write-mapping` wrote it and you read it.
    #[arg(long, value_name = "FILE")]
    mapping: PathBuf,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    legacy: Legacy,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    programs: Programs,
}

/// What was done, and how long it took.
struct Timed {
    steps: Vec<(String, Duration)>,
}

impl Timed {
    fn step<T>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        eprintln!("rehearsing: {name}");
        let began = Instant::now();
        let done = work()?;
        self.steps.push((name.to_owned(), began.elapsed()));
        Ok(done)
    }
}

impl Rehearse {
    pub(in crate::db) fn run(
        &self,
        conn: &mut PgConnection,
        url: &SecretString,
        vault: &Vault,
    ) -> anyhow::Result<Answer> {
        let operation = Operation::here(
            "db rehearse",
            json!({ "backup": self.backup, "mapping": self.mapping }),
        );
        let tell = |holder: &str| eprintln!("waiting for another operation: {holder}");
        portal_operations::run(conn, &operation, Duration::ZERO, tell, |conn| {
            let answer = self.rehearse(conn, url, vault)?;
            let details = answer.json.clone();
            anyhow::Ok((answer, details))
        })
    }

    fn rehearse(
        &self,
        conn: &mut PgConnection,
        url: &SecretString,
        vault: &Vault,
    ) -> anyhow::Result<Answer> {
        let mut timed = Timed { steps: Vec::new() };
        let backup = timed.step("read the backup", || verified(&self.backup))?;
        let program = self.programs.find("pg_restore", &server_version(conn)?)?;
        let settings = restore::settings(&backup.manifest.database);
        let scratch = Scratch::create(url, "rehearse", &settings)?;
        let dump = backup.manifest.hold_dump(&self.backup)?;
        timed.step("restore", || restore::fill(&program, scratch.url(), &dump))?;
        let name = &backup.manifest.schema;
        let mut copy = scratch.open()?;
        let before = seen(&mut copy, name)?;
        let migrated = timed.step("migrate", || self.migrate(&mut copy, &scratch, vault))?;
        let wrong = timed.step("verify", || verify::wrong(&mut copy, vault))?;
        timed.step("rollback", || {
            take_back(&mut copy, scratch.url(), self.patience, true)
        })?;
        if seen(&mut copy, name)? != before {
            bail!(
                "the rollback did not leave the copy as it was; nothing was done to the database itself"
            );
        }
        timed.step("migrate again", || self.migrate(&mut copy, &scratch, vault))?;
        timed.step("retire", || {
            let found = under_way(&mut copy)?;
            retire(&mut copy, &found.legacy(), ORGANIZATION_SCHEMA)?;
            Ok(())
        })?;
        Ok(answer(&timed, &migrated, &wrong))
    }

    fn migrate(
        &self,
        copy: &mut PgConnection,
        scratch: &Scratch,
        vault: &Vault,
    ) -> anyhow::Result<Value> {
        let inputs = Inputs {
            mapping: self.mapping.clone(),
            files: self.files.clone(),
        };
        let how = How {
            wait: Duration::ZERO,
            dry_run: false,
            patience: self.patience,
        };
        let answer = self
            .legacy
            .migrate(&inputs, copy, scratch.url(), vault, how)?;
        Ok(answer.json)
    }
}

/// The catalog and every row.
fn seen(conn: &mut PgConnection, schema: &str) -> anyhow::Result<(String, String)> {
    Ok(read_only(conn, |conn| {
        Ok::<_, LegacyError>((
            fingerprint(conn, schema)?,
            data_hash(conn, schema, |_, _, _| {})?.overall,
        ))
    })?)
}

fn answer(timed: &Timed, migrated: &Value, wrong: &[String]) -> Answer {
    let seconds = |time: &Duration| (time.as_secs_f64() * 1000.0).round() / 1000.0;
    let locks = migrated["locks"].as_array().cloned().unwrap_or_default();
    let mut lines: Vec<_> = timed
        .steps
        .iter()
        .map(|(name, time)| format!("{name:16} {:>9.3} s", seconds(time)))
        .collect();
    lines.push("Writers of a legacy table waited at most:".to_owned());
    lines.extend(locks.iter().map(|lock| {
        let table = lock["table"].as_str().unwrap_or_default();
        format!("{table}: {} ms", lock["ms"])
    }));
    lines.push(if wrong.is_empty() {
        "Everything was as it should be, and the rollback left the copy as it was.".to_owned()
    } else {
        format!("What does not hold: {}.", wrong.join(", "))
    });
    let steps: Vec<_> = timed
        .steps
        .iter()
        .map(|(name, time)| json!({ "step": name, "seconds": seconds(time) }))
        .collect();
    Answer {
        text: lines.join("\n"),
        json: json!({
            "steps": steps, "locks": locks, "wrong": wrong, "totals": migrated["totals"],
        }),
        as_wanted: wrong.is_empty(),
    }
}
