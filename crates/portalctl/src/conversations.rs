//! `portalctl conversations`: what agent-portal-service keeps of conversations, held against the
//! messages that it follows from.

use std::{fmt::Write as _, io::IsTerminal as _};

use chrono::Utc;
use clap::{Args, Subcommand};
use diesel::prelude::*;
use portal_conversations::{Difference, Pass, count, rebuild};
use portal_db::{CrossTenantPath, Scope};
use portal_db_schema::schema::tenants;
use portal_types::TenantId;
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Answer,
    tenant::{Lock, lock},
    work::{Changing, Work, note, tenant_id},
};

/// Rows of one transaction.
const ROWS: i64 = 500;
/// Differences that are named; the others are counted.
const NAMED: usize = 50;

#[derive(Debug, Subcommand)]
pub(crate) enum ConversationsCommand {
    /// Makes conversations anew from the messages and tells what was different: nothing, if all is
    /// well. What people did stays: who holds a conversation, what was read and closed.
    Rebuild(Rebuild),
}

#[derive(Debug, Args)]
pub(crate) struct Rebuild {
    /// The tenant's id; all tenants if left out.
    #[arg(long, value_name = "TENANT_ID", value_parser = tenant_id)]
    tenant: Option<TenantId>,
    #[command(flatten)]
    changing: Changing,
}

pub(crate) fn run(command: &ConversationsCommand, url: &SecretString) -> anyhow::Result<Answer> {
    let work = Work::open(url)?;
    match command {
        ConversationsCommand::Rebuild(rebuild) => run_rebuild(&work, rebuild),
    }
}

fn run_rebuild(work: &Work, command: &Rebuild) -> anyhow::Result<Answer> {
    let tenants = match &command.tenant {
        Some(tenant) => {
            let id = tenant.clone();
            work.read(tenant, move |tx| lock(tx, &id, Lock::No))?;
            vec![tenant.clone()]
        }
        None => all_tenants(work)?,
    };
    let mut found = Vec::new();
    for tenant in tenants {
        let report = rebuild_one(work, &tenant, &command.changing)?;
        if report.differences > 0 {
            tell_audit(work, &tenant, &command.changing, &report)?;
        }
        found.push((tenant, report));
    }
    answer_of(&found, &command.changing)
}

fn all_tenants(work: &Work) -> anyhow::Result<Vec<TenantId>> {
    let path = Scope::CrossTenant(CrossTenantPath::TenantDirectory);
    let ids: Vec<String> = work.read(path, |tx| {
        Ok(tenants::table
            .order(tenants::tenant_id)
            .select(tenants::tenant_id)
            .load(tx.conn())?)
    })?;
    ids.iter().map(|id| tenant_id(id)).collect()
}

/// What was found of one tenant.
#[derive(Default)]
struct Report {
    messages: usize,
    conversations: usize,
    differences: usize,
    named: Vec<Difference>,
}

/// Each part in a transaction of its own, so that the service goes on meanwhile.
fn rebuild_one(work: &Work, tenant: &TenantId, changing: &Changing) -> anyhow::Result<Report> {
    let mut report = Report::default();
    for pass in [Pass::Inbound, Pass::Outbound, Pass::Conversations] {
        let of = tenant.clone();
        let total = work.read(tenant, move |tx| Ok(count(tx, &of, pass)?))?;
        let mut after: Option<Uuid> = None;
        let mut seen = 0;
        loop {
            let of = tenant.clone();
            let step = work.change(tenant, changing, move |tx| {
                Ok(rebuild(tx, &of, pass, after, ROWS, Utc::now())?)
            })?;
            seen += step.seen;
            report.differences += step.differences.len();
            let room = NAMED.saturating_sub(report.named.len());
            report.named.extend(step.differences.into_iter().take(room));
            progress(tenant, pass, seen, total);
            match step.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        match pass {
            Pass::Conversations => report.conversations += seen,
            Pass::Inbound | Pass::Outbound => report.messages += seen,
        }
    }
    Ok(report)
}

/// How far it is, for whoever watches.
fn progress(tenant: &TenantId, pass: Pass, seen: usize, total: i64) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let what = match pass {
        Pass::Inbound => "received messages",
        Pass::Outbound => "sent messages",
        Pass::Conversations => "conversations",
    };
    eprint!("\r\x1b[K{tenant}: {seen} of {total} {what}");
    if i64::try_from(seen).is_ok_and(|seen| seen >= total) {
        eprintln!();
    }
}

fn tell_audit(
    work: &Work,
    tenant: &TenantId,
    changing: &Changing,
    report: &Report,
) -> anyhow::Result<()> {
    let (actor, id) = (changing.actor(), tenant.clone());
    let details = json!({
        "messages": report.messages, "conversations": report.conversations,
        "differences": report.differences,
    });
    work.change(tenant, changing, move |tx| {
        Ok(note(tx, &actor, "conversations.rebuild", &id, details)?)
    })
}

fn difference_json(difference: &Difference) -> Value {
    match difference {
        Difference::Missing(id) => json!({"message_id": id, "kind": "missing"}),
        Difference::Status {
            message,
            kept,
            follows,
        } => json!({
            "message_id": message, "kind": "status", "kept": kept, "follows": follows,
        }),
        Difference::Conversation(id, columns) => json!({
            "conversation_id": id, "kind": "conversation", "columns": columns,
        }),
    }
}

fn difference_line(difference: &Difference) -> String {
    match difference {
        Difference::Missing(id) => format!("message {id} was missing"),
        Difference::Status {
            message,
            kept,
            follows,
        } if kept == follows => {
            format!("message {message} is {kept}, but not all reports of it were known")
        }
        Difference::Status {
            message,
            kept,
            follows,
        } => format!("message {message} is {follows} and was kept as {kept}"),
        Difference::Conversation(id, columns) => {
            format!("conversation {id} was wrong in {}", columns.join(", "))
        }
    }
}

fn answer_of(found: &[(TenantId, Report)], changing: &Changing) -> anyhow::Result<Answer> {
    let differences: usize = found.iter().map(|(_, report)| report.differences).sum();
    let messages: usize = found.iter().map(|(_, report)| report.messages).sum();
    let conversations: usize = found.iter().map(|(_, report)| report.conversations).sum();
    let verb = match (differences, changing.dry_run) {
        (0, _) => "no differences",
        (_, true) => "differences, which were left as they are",
        (_, false) => "differences, which were put right",
    };
    let mut text = format!(
        "{} tenants, {messages} messages, {conversations} conversations: ",
        found.len()
    );
    let sum = if differences == 0 {
        verb.to_owned()
    } else {
        format!("{differences} {verb}")
    };
    text.push_str(&sum);
    for (tenant, report) in found {
        for difference in &report.named {
            write!(text, "\n{tenant}: {}", difference_line(difference))?;
        }
        if report.differences > report.named.len() {
            let more = report.differences - report.named.len();
            write!(text, "\n{tenant}: and {more} more")?;
        }
    }
    let tenants: Vec<Value> = found
        .iter()
        .map(|(tenant, report)| {
            json!({
                "tenant_id": tenant, "messages": report.messages,
                "conversations": report.conversations, "differences": report.differences,
                "named": report.named.iter().map(difference_json).collect::<Vec<_>>(),
            })
        })
        .collect();
    Ok(Answer {
        text,
        json: json!({
            "dry_run": changing.dry_run, "messages": messages, "conversations": conversations,
            "differences": differences, "tenants": tenants,
        }),
        as_wanted: differences == 0 || !changing.dry_run,
    })
}
