//! `portalctl db migrate --mapping FILE`: takes a legacy installation to the organization-level model.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Args;
use diesel::{Connection as _, PgConnection, RunQueryDsl as _};
use portal_auth::sha256_hex;
use portal_db_schema::ORGANIZATION_SCHEMA;
use portal_legacy::{Decisions, ownership, read_only};
use portal_migration::{
    Lock, MigrationError, Pace, begin_capture, copy, expand, follow, keep_agents, prepare,
    require_decided, require_privileges, totals,
};
use portal_operations::Operation;
use portal_vault::Vault;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{
    Mapped, ledger, mapped,
    plan::{Planned, planned},
};
use crate::{
    Answer,
    db::check_agents::List,
    db::migrate::{ROLES, apply, require_roles},
    patience::Patience,
    progress::Progress,
};

/// The files that a migration of a legacy installation goes by.
#[derive(Debug, Clone)]
pub(crate) struct Inputs {
    /// Which legacy table and column means what.
    pub(crate) mapping: PathBuf,
    /// The others.
    pub(crate) files: Files,
}

/// What a person says of a legacy installation beside its mapping.
#[derive(Debug, Clone, Args)]
pub(crate) struct Files {
    /// Which WhatsApp account an organization keeps, as `db decisions --write` asked and you answered.
    #[arg(long, value_name = "FILE", requires = "mapping")]
    pub(super) decisions: Option<PathBuf>,
    /// Which agent is which Genesys user: `old_agent_id,genesys_user_id,tenant_id,name,email`. The others become
    /// placeholders, which their first sign-in makes theirs; a later run may bring more.
    #[arg(long, value_name = "FILE.csv", requires = "mapping")]
    agents: Option<PathBuf>,
    /// Write the rejected rows of the agents to this file, to be put right and given again.
    #[arg(long, value_name = "FILE.csv", requires = "agents")]
    rejects: Option<PathBuf>,
    /// Take the good rows of the agents when others are rejected; without it all are good, or nothing is done.
    #[arg(long, requires = "agents")]
    partial: bool,
}

impl Files {
    /// Leaves what the agents file says, and what earlier ones said, in this session's table `agent_mapping`.
    pub(in crate::db) fn stage_agents(
        &self,
        conn: &mut PgConnection,
        mapped: &Mapped,
    ) -> anyhow::Result<()> {
        let Some(file) = &self.agents else {
            return Ok(());
        };
        let list = List {
            file,
            rejects: self.rejects.as_deref(),
            partial: self.partial,
        };
        let answer = list.stage(conn, &mapped.mapping, &mapped.catalog)?;
        eprintln!("agents: {}", answer.text);
        if has_agents(conn)? {
            diesel::sql_query(format!(
                "INSERT INTO pg_temp.agent_mapping SELECT agent_key, genesys_user_id, coalesce(tenant_id, ''), \
                     coalesce(name, ''), coalesce(email, '') FROM {ORGANIZATION_SCHEMA}.__legacy_agents \
                 ON CONFLICT (agent_key) DO NOTHING"
            ))
            .execute(conn)?;
        }
        Ok(())
    }

    /// Where it is said whose agent is of which tenant.
    pub(in crate::db) fn said_agents(
        &self,
        conn: &mut PgConnection,
    ) -> anyhow::Result<Option<String>> {
        if self.agents.is_some() {
            return Ok(Some("pg_temp.agent_mapping".to_owned()));
        }
        let earlier = || format!("{ORGANIZATION_SCHEMA}.__legacy_agents");
        Ok(has_agents(conn)?.then(earlier))
    }

    /// The text of the decision file, and what it says.
    pub(in crate::db) fn decided(&self) -> anyhow::Result<(String, Decisions)> {
        let Some(file) = &self.decisions else {
            return Ok((String::new(), Decisions::none()));
        };
        let text =
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let decisions = Decisions::read(&text).with_context(|| file.display().to_string())?;
        Ok((text, decisions))
    }
}

impl Inputs {
    /// What the files say, for the hash of a plan.
    pub(super) fn digests(&self) -> anyhow::Result<Value> {
        let decisions = self.files.decisions.as_deref().map(digest).transpose()?;
        let agents = self.files.agents.as_deref().map(digest).transpose()?;
        Ok(json!({ "mapping": digest(&self.mapping)?, "decisions": decisions, "agents": agents }))
    }
}

fn digest(file: &Path) -> anyhow::Result<String> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(sha256_hex(&String::from_utf8_lossy(&bytes)))
}

/// How a legacy installation is migrated.
#[derive(Debug, Args)]
pub(crate) struct Legacy {
    /// Only when `db plan` gives this hash for the same files.
    #[arg(long, value_name = "HASH", requires = "mapping")]
    plan: Option<String>,
    /// Rows of one transaction.
    #[arg(long, requires = "mapping", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// Milliseconds to rest after each batch.
    #[arg(long, requires = "mapping", default_value_t = 0)]
    pause_ms: u64,
    /// Seconds to go on with what legacy writers change, after the copy.
    #[arg(long, requires = "mapping", default_value_t = 0)]
    follow_seconds: u64,
}

/// How it is done, beside the files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    pub(crate) wait: Duration,
    pub(crate) dry_run: bool,
    pub(crate) patience: Patience,
}

impl Legacy {
    pub(in crate::db) fn run(
        &self,
        inputs: &Inputs,
        conn: &mut PgConnection,
        url: &SecretString,
        vault: &Vault,
        how: How,
    ) -> anyhow::Result<Answer> {
        require_roles(conn)?;
        let operation = Operation::here(
            "db migrate",
            json!({
                "mapping": inputs.mapping, "decisions": inputs.files.decisions, "agents": inputs.files.agents,
                "partial": inputs.files.partial, "batch": self.batch, "pause_ms": self.pause_ms,
                "follow_seconds": self.follow_seconds, "dry_run": how.dry_run,
                "patience": how.patience.json(),
            }),
        );
        let tell = |holder: &str| eprintln!("waiting for another operation: {holder}");
        portal_operations::run(conn, &operation, how.wait, tell, |conn| {
            let answer = self.migrate(inputs, conn, url, vault, how)?;
            let details = answer.json.clone();
            anyhow::Ok((answer, details))
        })
    }

    pub(super) fn migrate(
        &self,
        inputs: &Inputs,
        conn: &mut PgConnection,
        url: &SecretString,
        vault: &Vault,
        how: How,
    ) -> anyhow::Result<Answer> {
        let mapped = mapped(conn, &inputs.mapping)?;
        require_privileges(conn, &mapped.catalog, &mapped.mapping)?;
        inputs.files.stage_agents(conn, &mapped)?;
        let said = inputs.files.said_agents(conn)?;
        let (decisions_text, decisions) = inputs.files.decided()?;
        require_decided(&read_only(conn, |conn| {
            ownership(
                conn,
                &mapped.catalog,
                &mapped.mapping,
                &decisions,
                said.as_deref(),
            )
        })?)?;
        let planned = planned(conn, &mapped, inputs)?;
        if let Some(hash) = &self.plan
            && *hash != planned.hash
        {
            bail!(MigrationError::State(format!(
                "the plan has the hash {} now, and {hash} was asked for: plan again and read it; nothing was changed",
                planned.hash
            )));
        }
        if how.dry_run {
            return Ok(dry(&planned));
        }
        make_room(conn, url, &mapped, &decisions_text, &planned, how)?;
        if inputs.files.agents.is_some() {
            keep_agents(conn)?;
        }
        let legacy = portal_migration::Legacy {
            catalog: &mapped.catalog,
            mapping: &mapped.mapping,
            decisions: &decisions,
        };
        let progress = Progress::new();
        let done = self.copy(conn, url, &legacy, vault, how, &progress);
        progress.end();
        let (changes, locks) = done.context(
            "the copy stopped; what it had committed stays: mend the cause and run the same command again, \
             and it goes on from there",
        )?;
        let totals = totals(conn)?;
        Ok(Answer {
            text: format!(
                "{}\nMigrated; {changes} changes of legacy writers were followed. Run it again at any time to \
                 follow more, and `portalctl db verify` to hold both sides against each other.",
                ledger::table(&totals)
            ),
            json: json!({ "totals": totals, "changes": changes, "locks": locks, "plan": planned.hash }),
            as_wanted: true,
        })
    }

    /// Gives the number of changes that were followed, and the locks that were taken for it.
    fn copy(
        &self,
        conn: &mut PgConnection,
        url: &SecretString,
        legacy: &portal_migration::Legacy<'_>,
        vault: &Vault,
        how: How,
        progress: &Progress,
    ) -> anyhow::Result<(i64, Vec<Lock>)> {
        let tell = |stage: &str, rows: i64| {
            progress.tell(stage, u64::try_from(rows).unwrap_or_default(), 0);
        };
        let another = || PgConnection::establish(url.expose_secret());
        let pace = Pace {
            limits: how.patience.limits(),
            another: &another,
            tell_wait: &|wait| eprintln!("{wait}"),
            batch: self.batch,
            pause: Duration::from_millis(self.pause_ms),
            tell: &tell,
        };
        let locks = begin_capture(conn, legacy, ORGANIZATION_SCHEMA, &pace)?;
        let mut changes = copy(conn, legacy, vault, &pace)?;
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(self.follow_seconds) {
            std::thread::sleep(Duration::from_millis(500));
            changes += follow(conn, legacy, vault, &pace)?;
        }
        Ok((changes, locks))
    }
}

/// Whether an earlier run has kept what an agents file said.
fn has_agents(conn: &mut PgConnection) -> anyhow::Result<bool> {
    let sql = format!(
        "SELECT max(c.relname)::text AS value FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = '{ORGANIZATION_SCHEMA}' AND c.relname = '__legacy_agents'"
    );
    Ok(crate::db::text(conn, &sql)?.is_some())
}

/// The schema with the organization-level tables and the tool's own.
fn make_room(
    conn: &mut PgConnection,
    url: &SecretString,
    mapped: &Mapped,
    decisions: &str,
    planned: &Planned,
    how: How,
) -> anyhow::Result<()> {
    expand(conn, ORGANIZATION_SCHEMA, &ROLES)?;
    apply(how.patience, conn, url)?;
    prepare(conn, &mapped.text, decisions, &planned.fingerprint)?;
    diesel::sql_query("RESET ROLE").execute(conn)?;
    Ok(())
}

fn dry(planned: &Planned) -> Answer {
    let rows: i64 = planned
        .steps
        .iter()
        .filter(|step| step.step.starts_with("read "))
        .map(|step| step.rows)
        .sum();
    let seconds: i64 = planned.steps.iter().map(|step| step.seconds).sum();
    Answer {
        text: format!(
            "Would migrate {rows} rows in {} steps, in about {seconds} s; nothing was changed. \
             `portalctl db plan` shows the steps.\nHash of the plan: {}",
            planned.steps.len(),
            planned.hash
        ),
        json: json!({ "rows": rows, "seconds": seconds, "plan": planned.hash }),
        as_wanted: true,
    }
}
