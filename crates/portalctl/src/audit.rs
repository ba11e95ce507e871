//! `portalctl audit`: proves that nothing of the audit log was changed, taken out or put in.
//!
//! The hashes are computed here anew and not by the database's own function: whoever could change
//! entries could have changed that, too. A chain whose end was cut off together with its head looks
//! whole; what was written to an anchor before, and kept elsewhere, tells.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use diesel::{PgConnection, connection::SimpleConnection as _};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Answer,
    audit_entry::{Head, Line},
    connection,
};

/// Entries of one query.
const BATCH: i64 = 5_000;
const PROGRESS: Duration = Duration::from_secs(2);

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Walks every chain of the audit log; exit code 3 when one is not intact.
    Verify(Verify),
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Only the chain of this tenant.
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// Check that the heads of an earlier run are still in their chains.
    #[arg(long, value_name = "FILE")]
    anchor: Option<PathBuf>,
    /// Write the heads of the chains here when all are intact; keep it where the database's
    /// administrators cannot write.
    #[arg(long, value_name = "FILE")]
    write_anchor: Option<PathBuf>,
}

/// The heads of the chains at one moment.
#[derive(Serialize, Deserialize)]
struct Anchor {
    written_at: DateTime<Utc>,
    chains: Vec<AnchoredHead>,
}

/// The last entry of a chain; the chain without a name is the platform's.
#[derive(Serialize, Deserialize)]
struct AnchoredHead {
    chain: String,
    seq: i64,
    entry_hash: String,
}

/// The first thing that is wrong with a chain.
#[derive(Serialize)]
struct Broken {
    chain: String,
    seq: i64,
    audit_id: Option<uuid::Uuid>,
    problem: &'static str,
}

impl Broken {
    fn sentence(&self) -> String {
        let id = self
            .audit_id
            .map_or_else(String::new, |id| format!(" ({id})"));
        format!(
            "{}: entry {}{id} {}.",
            named(&self.chain),
            self.seq,
            self.problem
        )
    }
}

fn named(chain: &str) -> String {
    if chain.is_empty() {
        "The platform's chain".to_owned()
    } else {
        format!("The chain of tenant {chain}")
    }
}

pub(crate) fn run(command: &AuditCommand, url: &SecretString) -> anyhow::Result<Answer> {
    let AuditCommand::Verify(verify) = command;
    verify.run(url)
}

impl Verify {
    fn run(&self, url: &SecretString) -> anyhow::Result<Answer> {
        let anchor = self.anchor.as_deref().map(read_anchor).transpose()?;
        let mut conn = connection::open(url)?;
        // One snapshot: entries that are added meanwhile are neither gaps nor missing heads.
        conn.batch_execute(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL ROLE audit_reader",
        )?;
        let mut chains = Head::all(&mut conn)
            .context("cannot read the audit log: run `portalctl db migrate` first")?;
        let mut anchored: BTreeMap<String, AnchoredHead> = anchor
            .into_iter()
            .flat_map(|anchor| anchor.chains)
            .map(|head| (head.chain.clone(), head))
            .collect();
        // A chain that is gone altogether is known from the anchor alone.
        for chain in anchored.keys() {
            chains.entry(chain.clone()).or_insert(None);
        }
        if let Some(tenant) = &self.tenant {
            chains.retain(|chain, _| chain == tenant);
            ensure!(
                !chains.is_empty(),
                "there is no audit entry of tenant {tenant}"
            );
        }
        let mut walk = Walk::new();
        let (mut broken, mut heads) = (Vec::new(), Vec::new());
        for (chain, head) in chains {
            let anchored = anchored.remove(&chain);
            match walk.chain(&mut conn, &chain, head.as_ref(), anchored.as_ref())? {
                Ok(last) => heads.push(last),
                Err(found) => broken.push(found),
            }
        }
        conn.batch_execute("COMMIT")?;
        if broken.is_empty()
            && let Some(file) = &self.write_anchor
        {
            write_anchor(file, heads)?;
        }
        Ok(walk.answer(&broken))
    }
}

struct Walk {
    chains: usize,
    entries: i64,
    told: Instant,
}

impl Walk {
    fn new() -> Self {
        Self {
            chains: 0,
            entries: 0,
            told: Instant::now(),
        }
    }

    /// The last entry of a chain that is intact, or what is wrong with it first.
    fn chain(
        &mut self,
        conn: &mut PgConnection,
        chain: &str,
        head: Option<&Head>,
        anchored: Option<&AnchoredHead>,
    ) -> anyhow::Result<Result<AnchoredHead, Broken>> {
        self.chains += 1;
        let (mut seq, mut last) = (0, Vec::new());
        let broken = |seq, entry: Option<&Line>, problem| Broken {
            chain: chain.to_owned(),
            seq,
            audit_id: entry.map(|entry| entry.audit_id),
            problem,
        };
        loop {
            let batch = Line::after(conn, chain, seq, BATCH)?;
            for entry in &batch {
                if entry.seq != seq + 1 {
                    return Ok(Err(broken(seq + 1, None, "is missing")));
                }
                seq = entry.seq;
                if entry.prev_hash != last {
                    return Ok(Err(broken(
                        seq,
                        Some(entry),
                        "does not follow the one before",
                    )));
                }
                if entry.entry_hash != entry.hash() {
                    return Ok(Err(broken(seq, Some(entry), "was changed")));
                }
                last.clone_from(&entry.entry_hash);
                let is_other = anchored
                    .is_some_and(|head| head.seq == seq && head.entry_hash != hex::encode(&last));
                if is_other {
                    return Ok(Err(broken(
                        seq,
                        Some(entry),
                        "is not the one of the anchor",
                    )));
                }
                self.entries += 1;
            }
            self.tell(chain, seq);
            if batch.is_empty() {
                break;
            }
        }
        // Behind the last entry there is none: the chain's head and the anchor must agree.
        let is_short = head.is_some_and(|head| head.seq > seq)
            || anchored.is_some_and(|anchored| anchored.seq > seq);
        if is_short {
            return Ok(Err(broken(
                seq + 1,
                None,
                "and what followed it are missing",
            )));
        }
        if head.is_none_or(|head| head.seq != seq || head.head != last) {
            return Ok(Err(broken(seq, None, "is not the head that the chain has")));
        }
        Ok(Ok(AnchoredHead {
            chain: chain.to_owned(),
            seq,
            entry_hash: hex::encode(last),
        }))
    }

    fn tell(&mut self, chain: &str, seq: i64) {
        if self.told.elapsed() >= PROGRESS {
            self.told = Instant::now();
            eprintln!(
                "{} entries verified; now {} at {seq}",
                self.entries,
                named(chain)
            );
        }
    }

    fn answer(&self, broken: &[Broken]) -> Answer {
        let text = if broken.is_empty() {
            format!(
                "The audit log is intact: {} entries in {} chain(s).",
                self.entries, self.chains
            )
        } else {
            let lines: Vec<_> = broken.iter().map(Broken::sentence).collect();
            format!("The audit log is NOT intact.\n{}", lines.join("\n"))
        };
        Answer {
            text,
            json: json!({
                "intact": broken.is_empty(),
                "entries": self.entries,
                "chains": self.chains,
                "broken": broken,
            }),
            as_wanted: broken.is_empty(),
        }
    }
}

fn read_anchor(file: &Path) -> anyhow::Result<Anchor> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no anchor", file.display()))
}

fn write_anchor(file: &Path, chains: Vec<AnchoredHead>) -> anyhow::Result<()> {
    let anchor = Anchor {
        written_at: Utc::now(),
        chains,
    };
    let text = serde_json::to_string_pretty(&anchor)?;
    std::fs::write(file, format!("{text}\n"))
        .with_context(|| format!("cannot write {}", file.display()))
}
