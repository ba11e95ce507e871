//! From the agent-level model of a legacy installation to the organization-level one, beside the legacy
//! tables and while their writers go on.
//!
//! 1. [`expand`] makes a schema for the organization-level tables, [`prepare`] the tool's own in it.
//! 2. [`begin_capture`] lets triggers log the key of each legacy row that somebody writes.
//! 3. [`copy`] reads the legacy rows in batches into a ledger, each with a verdict, puts what is to be migrated
//!    into the tables of its tenant, and then reads anew what the log names. It may be killed at any time and
//!    be run again at any time.
//! 4. [`verify`] holds both sides against each other.
//! 5. [`rollback`] takes the schema and the triggers away; [`retire`] drops the legacy tables.
//!
//! What this crate does not do: it changes no row of the legacy tables.
#![warn(missing_docs)]

mod capture;
mod copy;
mod drain;
mod error;
mod ledger;
mod place;
mod plan;
mod query;
mod retire;
mod source;
mod stage;
mod tables;
mod verify;
mod whatsapp;

use diesel::{PgConnection, RunQueryDsl as _, sql_query};
use portal_legacy::{Catalog, Decisions, LegacyError, Mapping, Ownership, ownership};
use portal_vault::Vault;

pub use copy::Pace;
pub use error::MigrationError;
pub use ledger::{Entry, Total, page, totals};
pub use plan::{Step, plan};
pub use retire::{retire, tables};
pub use stage::{
    Lock, State, Status, begin_capture, expand, made_since, prepare, require_privileges, rollback,
    state, status,
};
pub use verify::{Check, rejected, verify};

use crate::{copy::Copy, source::Source};

/// Takes over what a checked agents file says, from the temporary table `agent_mapping` of this session;
/// agents of whom it says something new are read again.
///
/// # Errors
/// When the database says so.
pub fn keep_agents(conn: &mut PgConnection) -> Result<(), MigrationError> {
    sql_query(
        "WITH kept AS (INSERT INTO __legacy_agents (agent_key, genesys_user_id, tenant_id, name, email) \
             SELECT agent_key, genesys_user_id, nullif(tenant_id, ''), nullif(name, ''), nullif(email, '') \
             FROM pg_temp.agent_mapping \
             ON CONFLICT (agent_key) DO UPDATE SET genesys_user_id = excluded.genesys_user_id, \
                 tenant_id = excluded.tenant_id, name = excluded.name, email = excluded.email \
             WHERE (__legacy_agents.genesys_user_id, __legacy_agents.tenant_id, __legacy_agents.name, \
                    __legacy_agents.email) \
                 IS DISTINCT FROM (excluded.genesys_user_id, excluded.tenant_id, excluded.name, excluded.email) \
             RETURNING agent_key) \
         INSERT INTO __legacy_changes (subject, key) SELECT 'agents', agent_key FROM kept \
         WHERE EXISTS (SELECT FROM __legacy_ledger l WHERE l.subject = 'agents' AND l.key = agent_key)",
    )
    .execute(conn)?;
    Ok(())
}

/// Copies what is not copied yet, and then what changed meanwhile. Gives the number of changes.
///
/// # Errors
/// When a person has to decide whose a WhatsApp account is, or when the database says so; a batch that
/// failed left nothing behind.
pub fn copy(
    conn: &mut PgConnection,
    legacy: &Legacy<'_>,
    vault: &Vault,
    pace: &Pace<'_>,
) -> Result<i64, MigrationError> {
    let copy = Copy {
        source: Source::new(legacy.mapping, legacy.catalog),
        pace,
    };
    copy.people(conn)?;
    let ownership = legacy.owned(conn)?;
    copy.place_accounts(conn, vault, &ownership)?;
    copy.conversations(conn)?;
    let changes = follow(conn, legacy, vault, pace)?;
    sql_query("UPDATE __legacy_state SET copied_at = coalesce(copied_at, now())").execute(conn)?;
    Ok(changes)
}

/// Reads what changed since the copy; what writers change meanwhile may be left for the next time. Gives the
/// number of changes.
///
/// # Errors
/// As [`copy()`].
pub fn follow(
    conn: &mut PgConnection,
    legacy: &Legacy<'_>,
    vault: &Vault,
    pace: &Pace<'_>,
) -> Result<i64, MigrationError> {
    let copy = Copy {
        source: Source::new(legacy.mapping, legacy.catalog),
        pace,
    };
    let drained = copy.drain(conn)?;
    if drained.accounts {
        let ownership = legacy.owned(conn)?;
        copy.place_accounts(conn, vault, &ownership)?;
    }
    Ok(drained.changes)
}

/// A legacy database, with what the operator says of it.
#[derive(Debug, Clone, Copy)]
pub struct Legacy<'a> {
    /// Its tables.
    pub catalog: &'a Catalog,
    /// Which of them mean what; checked against the catalog.
    pub mapping: &'a Mapping,
    /// Whose which WhatsApp account becomes.
    pub decisions: &'a Decisions,
}

impl Legacy<'_> {
    /// Whose which WhatsApp account becomes, when nothing is left to decide.
    fn owned(&self, conn: &mut PgConnection) -> Result<Ownership, MigrationError> {
        let mapped = Some("__legacy_agents");
        let ownership = ownership(conn, self.catalog, self.mapping, self.decisions, mapped)?;
        require_decided(&ownership)?;
        Ok(ownership)
    }
}

/// Whether nothing is left for a person to decide.
///
/// # Errors
/// When something is; names the tenants.
pub fn require_decided(ownership: &Ownership) -> Result<(), MigrationError> {
    let undecided: Vec<_> = ownership
        .undecided
        .iter()
        .map(|tenant| {
            let accounts: Vec<_> = tenant
                .candidates
                .iter()
                .map(|candidate| candidate.waba_id.as_str())
                .collect();
            format!(
                "tenant {:?}: somebody has to decide which WhatsApp account it keeps, of {}: write a decision \
                 file with `portalctl db decisions`, fill it in, and give it with --decisions FILE",
                tenant.tenant_key,
                accounts.join(", ")
            )
        })
        .collect();
    if undecided.is_empty() {
        return Ok(());
    }
    Err(LegacyError::Mapping(undecided).into())
}
