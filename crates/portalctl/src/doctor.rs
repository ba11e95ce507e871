//! `portalctl doctor`: what keeps people from signing in and sending, and what is wrong with the database;
//! each with the command that mends it.

mod database;
mod tenants;

use clap::Args;
use portal_types::TenantId;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::json;

use crate::{Answer, connection, db, work::Work};

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// A transaction that is open for so many minutes is told of.
    #[arg(long, value_name = "MINUTES", default_value_t = 5)]
    transaction_minutes: u32,
}

/// Something that is not as it should be.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// What it is, the same for ever.
    code: &'static str,
    /// Whose it is; none: the whole database's.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<String>,
    text: String,
    /// What mends it.
    fix: String,
    /// Whether somebody has to do it; some things only have to be known.
    needs_hand: bool,
}

impl Finding {
    fn new(code: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            code,
            tenant_id: None,
            text: text.into(),
            fix: fix.into(),
            needs_hand: true,
        }
    }

    fn of(self, tenant: &TenantId) -> Self {
        Self {
            tenant_id: Some(tenant.to_string()),
            ..self
        }
    }

    fn for_information(self) -> Self {
        Self {
            needs_hand: false,
            ..self
        }
    }
}

/// Looks through the database and all active tenants; changes nothing.
pub(crate) fn run(arguments: &Doctor, url: &SecretString) -> anyhow::Result<Answer> {
    let mut conn = connection::open(url)?;
    let standing = db::standing(&mut conn)?;
    let mut findings = database::examine(&mut conn, &standing, arguments.transaction_minutes)?;
    drop(conn);
    // Of another schema the tables may be others.
    let is_ours = standing.missing.is_empty() && standing.unknown.is_empty();
    let tenants = if is_ours {
        let work = Work::open(url)?;
        Some(tenants::examine(&work, &mut findings)?)
    } else {
        None
    };
    let mut lines: Vec<String> = findings
        .iter()
        .map(|one| {
            let whose = one.tenant_id.as_deref().unwrap_or("database");
            format!("{whose}: {}\n  {}", one.text, one.fix)
        })
        .collect();
    let looked_at = tenants.map_or_else(
        || "Tenants are looked through when the schema is current".to_owned(),
        |count| format!("{count} active tenants"),
    );
    let to_do = findings.iter().filter(|one| one.needs_hand).count();
    lines.push(match to_do {
        0 => format!("{looked_at}; nothing is to be mended."),
        some => format!("{looked_at}; {some} things are to be mended."),
    });
    Ok(Answer {
        text: lines.join("\n"),
        as_wanted: to_do == 0,
        json: json!({ "tenants": tenants, "findings": findings }),
    })
}
