//! `portalctl dead-letters`: failed messages and deliveries that no part of a service took.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use diesel::prelude::*;
use portal_db::{
    Tx, outbox,
    requeue::{Requeue, requeue_failed},
};
use portal_db_schema::schema::{dead_letters, messages};
use portal_events::{EventContext, Source, outbox_work};
use portal_types::TenantId;
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Answer,
    message::error_json,
    work::{Changing, Refusal, Work, answer, note, tenant_id, told},
};

/// outbound-message-service publishes what it is told here.
const MESSAGES: Source = Source {
    role: "outbound_message_service",
    uri: "/services/outbound-message-service",
};

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// Lists the open dead letters of a tenant, the newest first.
    List(List),
    /// Shows a dead letter, without its content.
    Show(Which),
    /// Sends failed messages again under their ids, or gives a delivery back to its queue.
    Replay(Replay),
    /// Puts a dead letter aside.
    Discard(Discard),
}

#[derive(Debug, Args)]
pub(crate) struct Tenant {
    /// The tenant's id.
    #[arg(long, value_name = "TENANT_ID", value_parser = tenant_id)]
    tenant: TenantId,
}

#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Only failed messages with this class of error, such as undetermined.
    #[arg(long)]
    class: Option<String>,
    /// Only failed messages with this error code of Meta.
    #[arg(long)]
    code: Option<i64>,
    /// Only what was accepted or kept from this moment on, such as 2026-01-31T12:00:00Z.
    #[arg(long)]
    since: Option<DateTime<Utc>>,
    /// So many at the most.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    tenant: Tenant,
    #[command(flatten)]
    filter: Filter,
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    #[command(flatten)]
    tenant: Tenant,
    /// The dead letter's id; for a failed message the message's.
    id: Uuid,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    tenant: Tenant,
    /// The dead letter's id; without it, all failed messages that the filter picks.
    #[arg(required_unless_present = "all")]
    id: Option<Uuid>,
    /// All failed messages that the filter picks, the oldest first.
    #[arg(long, conflicts_with = "id")]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// Also those of which nobody knows whether they arrived.
    #[arg(long)]
    accept_duplicate: bool,
    #[command(flatten)]
    changing: Changing,
}

#[derive(Debug, Args)]
pub(crate) struct Discard {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    changing: Changing,
}

pub(crate) fn run(command: &DeadLettersCommand, url: &SecretString) -> anyhow::Result<Answer> {
    let work = Work::open(url)?;
    match command {
        DeadLettersCommand::List(list) => list_open(&work, list),
        DeadLettersCommand::Show(which) => show(&work, which),
        DeadLettersCommand::Replay(replay) => run_replay(&work, replay),
        DeadLettersCommand::Discard(discard) => run_discard(&work, discard),
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = messages)]
struct FailedRow {
    message_id: Uuid,
    type_: String,
    error: Option<Value>,
    attempts: i32,
    accepted_at: DateTime<Utc>,
    discarded_at: Option<DateTime<Utc>>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = dead_letters)]
struct LetterRow {
    dead_letter_id: Uuid,
    queue: String,
    message_id: Option<Uuid>,
    body: Vec<u8>,
    error: String,
    traceparent: Option<String>,
    state: String,
    received_at: DateTime<Utc>,
}

impl FailedRow {
    fn json(&self) -> Value {
        let state = self.discarded_at.map_or("open", |_| "discarded");
        json!({
            "dead_letter_id": self.message_id, "source": "message", "state": state,
            "type": self.type_, "error": error_json(self.error.as_ref()),
            "attempts": self.attempts, "at": self.accepted_at,
        })
    }
}

impl LetterRow {
    fn json(&self) -> Value {
        json!({
            "dead_letter_id": self.dead_letter_id, "source": "queue", "state": self.state,
            "queue": self.queue, "message_id": self.message_id, "size": self.body.len(),
            "error": {"title": self.error}, "at": self.received_at,
        })
    }
}

/// A letter in one line.
fn line(letter: &Value) -> String {
    let text = |name: &str| letter.get(name).and_then(Value::as_str).unwrap_or("-");
    let error = letter.get("error").cloned().unwrap_or_default();
    let reason = match error.get("title").and_then(Value::as_str) {
        Some(title) => title.to_owned(),
        None => format!(
            "class {}, code {}",
            error.get("class").and_then(Value::as_str).unwrap_or("-"),
            error.get("code").cloned().unwrap_or_default()
        ),
    };
    let what = letter.get("queue").or_else(|| letter.get("type"));
    format!(
        "{}  {}  {}  {}  {}  {reason}",
        text("dead_letter_id"),
        text("at"),
        text("state"),
        text("source"),
        what.and_then(Value::as_str).unwrap_or("-"),
    )
}

fn failed(tenant: &TenantId, filter: &Filter) -> messages::BoxedQuery<'static, diesel::pg::Pg> {
    let mut query = messages::table
        .filter(messages::tenant_id.eq(tenant.to_string()))
        .filter(messages::status.eq("failed"))
        .filter(messages::discarded_at.is_null())
        .limit(filter.limit)
        .into_boxed();
    if let Some(class) = &filter.class {
        query = query.filter(messages::error.retrieve_as_text("class").eq(class.clone()));
    }
    if let Some(code) = filter.code {
        query = query.filter(
            messages::error
                .retrieve_as_text("code")
                .eq(code.to_string()),
        );
    }
    if let Some(since) = filter.since {
        query = query.filter(messages::accepted_at.ge(since));
    }
    query
}

fn list_open(work: &Work, list: &List) -> anyhow::Result<Answer> {
    let tenant = &list.tenant.tenant;
    let filter = &list.filter;
    let query = failed(tenant, filter).order(messages::message_id.desc());
    let wants_deliveries = filter.class.is_none() && filter.code.is_none();
    let (owner, since, limit) = (tenant.to_string(), filter.since, filter.limit);
    let mut letters = work.read(tenant, move |tx| {
        let rows: Vec<FailedRow> = query.select(FailedRow::as_select()).load(tx.conn())?;
        let mut letters: Vec<_> = rows.iter().map(FailedRow::json).collect();
        if wants_deliveries {
            let mut query = dead_letters::table
                .filter(dead_letters::tenant_id.eq(owner))
                .filter(dead_letters::state.eq("open"))
                .order(dead_letters::dead_letter_id.desc())
                .limit(limit)
                .select(LetterRow::as_select())
                .into_boxed();
            if let Some(since) = since {
                query = query.filter(dead_letters::received_at.ge(since));
            }
            let rows: Vec<LetterRow> = query.load(tx.conn())?;
            letters.extend(rows.iter().map(LetterRow::json));
        }
        Ok(letters)
    })?;
    letters.sort_by_key(|letter| {
        std::cmp::Reverse(letter.get("dead_letter_id").map(ToString::to_string))
    });
    letters.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let mut text = format!("{} open dead letters", letters.len());
    for letter in &letters {
        write!(text, "\n{}", line(letter))?;
    }
    Ok(answer(text, json!({ "dead_letters": letters })))
}

fn unknown(id: Uuid) -> Refusal {
    told(format!(
        "the tenant has no dead letter {id}; see `portalctl dead-letters list`"
    ))
}

fn find_letter(tx: &mut Tx<'_>, id: Uuid) -> Result<LetterRow, Refusal> {
    let found = dead_letters::table
        .find(id)
        .select(LetterRow::as_select())
        .first(tx.conn())
        .optional()?;
    found.ok_or_else(|| unknown(id))
}

fn show(work: &Work, which: &Which) -> anyhow::Result<Answer> {
    let id = which.id;
    let letter = work.read(&which.tenant.tenant, move |tx| {
        let message: Option<FailedRow> = messages::table
            .find(id)
            .filter(messages::status.eq("failed"))
            .select(FailedRow::as_select())
            .first(tx.conn())
            .optional()?;
        match message {
            Some(message) => Ok(message.json()),
            None => find_letter(tx, id).map(|letter| letter.json()),
        }
    })?;
    let hint = format!("\nits way: portalctl message trace {id}");
    let is_message = letter.get("source").and_then(Value::as_str) == Some("message");
    let text = line(&letter) + if is_message { &hint } else { "" };
    Ok(answer(text, letter))
}

/// What came of replaying one letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    Done,
    Needless,
    MayHaveArrived,
}

fn run_replay(work: &Work, replay: &Replay) -> anyhow::Result<Answer> {
    let tenant = &replay.tenant.tenant;
    let actor = replay.changing.actor();
    let accept = replay.accept_duplicate;
    let oldest = failed(tenant, &replay.filter).order(messages::message_id);
    let (one, owner) = (replay.id, tenant.clone());
    let came = work.change(tenant, &replay.changing, move |tx| {
        let ids = match one {
            Some(id) => vec![id],
            None => oldest.select(messages::message_id).load(tx.conn())?,
        };
        let mut came = Vec::new();
        for id in ids {
            let what = replay_one(tx, &owner, id, accept)?;
            if what == Came::Done {
                let details = json!({ "accept_duplicate": accept });
                note(tx, &actor, "dead_letter.replay", &id, details)?;
            }
            came.push(what);
        }
        Ok(came)
    })?;
    let count = |what| came.iter().filter(|came| **came == what).count();
    let (done, needless, left) = (
        count(Came::Done),
        count(Came::Needless),
        count(Came::MayHaveArrived),
    );
    let mut text = format!("{}{done} replayed.", replay.changing.prefix());
    if needless > 0 {
        write!(text, " {needless} had nothing to be done.")?;
    }
    if left > 0 {
        write!(
            text,
            " {left} may have arrived and were left; --accept-duplicate sends them nevertheless."
        )?;
    }
    let json = json!({
        "replayed": done, "needless": needless, "may_have_arrived": left,
        "dry_run": replay.changing.dry_run,
    });
    Ok(answer(text, json))
}

/// Workers find the message by looking, at the latest after half a minute.
fn replay_one(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    id: Uuid,
    accept_duplicate: bool,
) -> Result<Came, Refusal> {
    match requeue_failed(tx, id, accept_duplicate)? {
        Requeue::Back(_) => Ok(Came::Done),
        Requeue::NotFailed(_) => Ok(Came::Needless),
        Requeue::MayHaveArrived => Ok(Came::MayHaveArrived),
        Requeue::NotFound => {
            let letter = find_letter(tx, id)?;
            if letter.state != "open" {
                return Ok(Came::Needless);
            }
            let body = serde_json::from_slice(&letter.body).map_err(|_unreadable| {
                told("the delivery cannot be read and would be refused again; discard it")
            })?;
            let context = EventContext {
                traceparent: letter.traceparent,
                request_id: None,
            };
            let row = outbox_work(
                MESSAGES,
                tenant,
                &context,
                letter.queue,
                id.to_string(),
                body,
            );
            outbox::append(tx, &[row])?;
            settle(tx, id, "replayed")?;
            Ok(Came::Done)
        }
    }
}

fn settle(tx: &mut Tx<'_>, id: Uuid, state: &'static str) -> Result<bool, Refusal> {
    let open = dead_letters::table
        .find(id)
        .filter(dead_letters::state.eq("open"));
    let rows = diesel::update(open)
        .set((
            dead_letters::state.eq(state),
            dead_letters::settled_at.eq(diesel::dsl::now),
        ))
        .execute(tx.conn())?;
    Ok(rows == 1)
}

fn run_discard(work: &Work, discard: &Discard) -> anyhow::Result<Answer> {
    let (id, actor) = (discard.which.id, discard.changing.actor());
    let changed = work.change(&discard.which.tenant.tenant, &discard.changing, move |tx| {
        let failed = messages::table
            .find(id)
            .filter(messages::status.eq("failed"));
        let is_message: bool =
            diesel::select(diesel::dsl::exists(messages::table.find(id))).get_result(tx.conn())?;
        let changed = if is_message {
            let open = failed.filter(messages::discarded_at.is_null());
            diesel::update(open)
                .set(messages::discarded_at.eq(diesel::dsl::now))
                .execute(tx.conn())?
                == 1
        } else {
            find_letter(tx, id)?;
            settle(tx, id, "discarded")?
        };
        if changed {
            note(tx, &actor, "dead_letter.discard", &id, json!({}))?;
        }
        Ok(changed)
    })?;
    let what = if changed {
        "is put aside"
    } else {
        "was not open"
    };
    Ok(answer(
        format!("{}{id} {what}.", discard.changing.prefix()),
        json!({"changed": changed, "dry_run": discard.changing.dry_run}),
    ))
}
