//! Whose a WhatsApp Business Account becomes: agents had accounts of their own, and now one belongs to
//! the organization.
//!
//! What an organization has of its own stays. One account among all its agents is lifted; of several a
//! person chooses one in [`Decisions`], and where two organizations claim the same account or number,
//! too. Nothing is guessed, and every row gets a verdict.

mod claims;
mod rules;

use diesel::PgConnection;
use serde::Serialize;

use crate::{Catalog, Decisions, LegacyError, Mapping};

/// Subject of the agents' accounts in a [`Mapping`].
pub const ACCOUNTS: &str = "accounts";
/// Subject of the organizations' accounts in a [`Mapping`].
pub const ORGANIZATION_ACCOUNTS: &str = "organization_accounts";

/// What becomes of all accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ownership {
    /// The accounts that organizations have afterwards, in the order of their tenants' keys.
    pub lifted: Vec<Lifted>,
    /// Each row of both tables.
    pub accounts: Vec<Judged>,
    /// Tenants that a person has to decide for.
    pub undecided: Vec<Undecided>,
}

/// The account that an organization has afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lifted {
    /// The tenant's key as text.
    pub tenant_key: String,
    /// The subject of the row whose access token it gets.
    pub subject: &'static str,
    /// The key of that row as text.
    pub key: String,
    /// The WhatsApp Business Account.
    pub waba_id: String,
    /// The business that has it, where that is kept.
    pub business_id: Option<String>,
    /// Its numbers, the default one first.
    pub numbers: Vec<Number>,
}

/// A number of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Number {
    /// Meta's id of it.
    pub phone_number_id: String,
    /// As it is shown, where that is kept.
    pub display_phone_number: Option<String>,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is the organization's account, by its token.
    Migrated,
    /// It is the same account as one that is migrated.
    Merged,
    /// It stays behind.
    Skipped,
    /// It is not usable.
    Rejected,
}

/// A row with its verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// Of which table.
    pub subject: &'static str,
    /// Its key as text.
    pub key: String,
    /// Its tenant, where there is one.
    pub tenant_key: Option<String>,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
}

/// A tenant that a person has to decide for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Undecided {
    /// The tenant's key as text.
    pub tenant_key: String,
    /// The tenant's name.
    pub tenant_name: String,
    /// What there is to choose from, the newest first.
    pub candidates: Vec<Candidate>,
}

/// An account that an organization may keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The WhatsApp Business Account.
    pub waba_id: String,
    /// Its numbers, that of the newest row first.
    pub numbers: Vec<Number>,
    /// Keys of the agents who have it; none when it is the organization's.
    pub agents: Vec<String>,
    /// When the newest of its rows was made, as the database keeps it.
    pub newest_created: Option<String>,
    /// When one of its agents logged in last, as the database keeps it.
    pub newest_login: Option<String>,
    /// Conversations that its agents were assigned to.
    pub conversations: i64,
    /// Other tenants that have the same account or one of its numbers.
    pub also_of: Vec<String>,
}

/// Decides whose which account becomes. Call it in [`crate::read_only`] or the transaction that writes it,
/// with a mapping that was checked.
///
/// `agent_mapping` is the table, as SQL writes it, whose column `tenant_id` says instead of the agent's
/// own column which tenant an agent (`agent_key`) belongs to, where it is not NULL. Tokens are looked at
/// for whether they are empty, and not read.
///
/// # Errors
/// [`LegacyError::Mapping`] with the places in the decision file that do not fit what there is.
pub fn ownership(
    conn: &mut PgConnection,
    catalog: &Catalog,
    mapping: &Mapping,
    decisions: &Decisions,
    agent_mapping: Option<&str>,
) -> Result<Ownership, LegacyError> {
    crate::survey::require_privileges(conn, catalog, mapping)?;
    let tenants = claims::tenants(conn, mapping)?;
    let claims = claims::read(conn, mapping, agent_mapping)?;
    let mut ownership = rules::decide(&tenants, &claims, decisions)?;
    claims::count_conversations(conn, mapping, &mut ownership.undecided)?;
    Ok(ownership)
}
