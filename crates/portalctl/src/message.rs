//! `portalctl message`: where a message is and how it came there. Ids and moments only: no texts, no
//! names and no numbers of people.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use diesel::prelude::*;
use portal_db::{CrossTenantPath, Scope, Tx};
use portal_db_schema::schema::{
    message_attempts, message_status_events, messages, outbox_events, sending_holds,
};
use portal_types::{MessageId, TenantId};
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Answer,
    work::{Refusal, Work, answer, tenant_id, told},
};

/// How long the outbox keeps what was published.
const PUBLISHED_DAYS: i64 = 7;

#[derive(Debug, Subcommand)]
pub(crate) enum MessageCommand {
    /// Shows the way of a message: request, events, requests to Meta, reports.
    Trace(Trace),
    /// Lists the newest messages of a tenant.
    List(List),
}

#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// The message's id.
    message: MessageId,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// The tenant's id.
    #[arg(long, value_name = "TENANT_ID", value_parser = tenant_id)]
    tenant: TenantId,
    /// Only those in this state, such as failed.
    #[arg(long)]
    status: Option<String>,
    /// So many at the most.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
}

pub(crate) fn run(command: &MessageCommand, url: &SecretString) -> anyhow::Result<Answer> {
    let work = Work::open(url)?;
    match command {
        MessageCommand::Trace(trace) => show(&work, trace.message),
        MessageCommand::List(list) => list_newest(&work, list),
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = messages)]
struct MessageRow {
    message_id: Uuid,
    tenant_id: String,
    phone_number_id: String,
    type_: String,
    status: String,
    wamid: Option<String>,
    attempts: i32,
    next_attempt_at: Option<DateTime<Utc>>,
    error: Option<Value>,
    sent_by_kind: String,
    sent_by: String,
    request_id: Option<String>,
    traceparent: Option<String>,
    possible_duplicate: bool,
    accepted_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = message_attempts)]
struct AttemptRow {
    number: i32,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    outcome: Option<String>,
    error_class: Option<String>,
    error_code: Option<i64>,
    http_status: Option<i32>,
    wamid: Option<String>,
    provider_trace_id: Option<String>,
    traceparent: Option<String>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = message_status_events)]
struct ReportRow {
    status: String,
    source: String,
    changed_status: bool,
    occurred_at: DateTime<Utc>,
    recorded_at: DateTime<Utc>,
    error: Option<Value>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = outbox_events)]
struct PublishedRow {
    event_id: Uuid,
    routing_key: String,
    created_at: DateTime<Utc>,
    published_at: Option<DateTime<Utc>>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = sending_holds)]
struct HoldRow {
    reason: String,
    since: DateTime<Utc>,
    next_probe_at: DateTime<Utc>,
}

/// Something that happened, or is to happen, at a moment.
struct Step {
    at: DateTime<Utc>,
    what: String,
    json: Value,
}

fn show(work: &Work, id: MessageId) -> anyhow::Result<Answer> {
    let unknown = move || told(format!("there is no message {id}"));
    let path = Scope::CrossTenant(CrossTenantPath::WebhookRouter);
    let tenant: String = work.read(path, move |tx| {
        let found = messages::table
            .find(id.as_uuid())
            .select(messages::tenant_id)
            .first(tx.conn())
            .optional()?;
        found.ok_or_else(unknown)
    })?;
    let tenant = tenant_id(&tenant)?;
    let (message, mut steps, hold) = work.read(&tenant, move |tx| read_all(tx, id.as_uuid()))?;
    steps.sort_by_key(|step| step.at);
    let trace = trace_of(message.traceparent.as_deref());
    let partial = message.accepted_at < Utc::now() - chrono::Duration::days(PUBLISHED_DAYS);
    let mut text = format!(
        "{}  {}  {} by {} {}\nnumber {}, request {}, trace {}",
        message.message_id,
        message.status,
        message.type_,
        message.sent_by_kind,
        message.sent_by,
        message.phone_number_id,
        message.request_id.as_deref().unwrap_or("-"),
        trace.unwrap_or("-"),
    );
    writeln!(text, "\ntenant {}", message.tenant_id)?;
    if partial {
        writeln!(
            text,
            "events of more than {PUBLISHED_DAYS} days ago are no longer kept"
        )?;
    }
    if message.possible_duplicate {
        writeln!(text, "it was sent again although it may have arrived")?;
    }
    for step in &steps {
        write!(text, "\n{}  {}", moment(step.at), step.what)?;
    }
    if let Some(hold) = &hold {
        write!(
            text,
            "\n\nits number is held: {} since {}",
            hold.reason,
            moment(hold.since)
        )?;
    }
    if let Some(next) = message.next_attempt_at {
        write!(text, "\nnext attempt due {}", moment(next))?;
    }
    let json = json!({
        "message_id": message.message_id, "tenant_id": message.tenant_id, "status": message.status,
        "type": message.type_, "phone_number_id": message.phone_number_id, "wamid": message.wamid,
        "sent_by": {"kind": message.sent_by_kind, "id": message.sent_by},
        "request_id": message.request_id, "trace_id": trace, "attempts": message.attempts,
        "possible_duplicate": message.possible_duplicate, "accepted_at": message.accepted_at,
        "expires_at": message.expires_at, "next_attempt_at": message.next_attempt_at,
        "error": error_json(message.error.as_ref()), "published_is_partial": partial,
        "hold": hold.map(|hold| json!({
            "reason": hold.reason, "since": hold.since, "next_probe_at": hold.next_probe_at,
        })),
        "steps": steps.into_iter().map(|step| step.json).collect::<Vec<_>>(),
    });
    Ok(answer(text, json))
}

fn read_all(
    tx: &mut Tx<'_>,
    id: Uuid,
) -> Result<(MessageRow, Vec<Step>, Option<HoldRow>), Refusal> {
    let message: MessageRow = messages::table
        .find(id)
        .select(MessageRow::as_select())
        .first(tx.conn())?;
    let attempts: Vec<AttemptRow> = message_attempts::table
        .filter(message_attempts::message_id.eq(id))
        .order(message_attempts::number)
        .select(AttemptRow::as_select())
        .load(tx.conn())?;
    let reports: Vec<ReportRow> = message_status_events::table
        .filter(message_status_events::message_id.eq(id))
        .order(message_status_events::recorded_at)
        .select(ReportRow::as_select())
        .load(tx.conn())?;
    let published: Vec<PublishedRow> = outbox_events::table
        .filter(outbox_events::tenant_id.eq(&message.tenant_id))
        .filter(outbox_events::subject.eq(id.to_string()))
        .order(outbox_events::seq)
        .select(PublishedRow::as_select())
        .load(tx.conn())?;
    let hold = sending_holds::table
        .filter(sending_holds::phone_number_id.eq(&message.phone_number_id))
        .select(HoldRow::as_select())
        .first(tx.conn())
        .optional()?;
    let mut steps = vec![Step {
        at: message.accepted_at,
        what: "accepted".to_owned(),
        json: json!({"kind": "request", "at": message.accepted_at}),
    }];
    steps.extend(attempts.iter().map(attempt_step));
    steps.extend(reports.iter().map(report_step));
    steps.extend(published.iter().map(published_step));
    Ok((message, steps, hold))
}

fn attempt_step(attempt: &AttemptRow) -> Step {
    let took = attempt
        .finished_at
        .map(|end| (end - attempt.started_at).num_milliseconds());
    let number = attempt.number;
    let end = match (&attempt.outcome, took) {
        (Some(outcome), Some(took)) => format!("attempt {number}: {outcome} after {took} ms"),
        _ => format!("attempt {number}: under way"),
    };
    let facts = [
        ("HTTP", attempt.http_status.map(|status| status.to_string())),
        ("class", attempt.error_class.clone()),
        ("code", attempt.error_code.map(|code| code.to_string())),
        ("fbtrace", attempt.provider_trace_id.clone()),
        ("wamid", attempt.wamid.clone()),
    ];
    let known = facts
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name} {}", value?)));
    let parts: Vec<_> = std::iter::once(end).chain(known).collect();
    Step {
        at: attempt.started_at,
        what: parts.join(", "),
        json: json!({
            "kind": "attempt", "at": attempt.started_at, "number": attempt.number,
            "finished_at": attempt.finished_at, "duration_ms": took, "outcome": attempt.outcome,
            "error_class": attempt.error_class, "error_code": attempt.error_code,
            "http_status": attempt.http_status, "wamid": attempt.wamid,
            "fbtrace_id": attempt.provider_trace_id,
            "trace_id": trace_of(attempt.traceparent.as_deref()),
        }),
    }
}

fn report_step(report: &ReportRow) -> Step {
    let error = error_json(report.error.as_ref());
    let mut parts = vec![format!(
        "{} says {} (at {})",
        report.source,
        report.status,
        moment(report.occurred_at)
    )];
    if !report.changed_status {
        parts.push("which changed nothing".to_owned());
    }
    if let Some(code) = error.get("code").filter(|code| !code.is_null()) {
        parts.push(format!("code {code}"));
    }
    Step {
        at: report.recorded_at,
        what: parts.join(", "),
        json: json!({
            "kind": "report", "at": report.recorded_at, "status": report.status,
            "source": report.source, "occurred_at": report.occurred_at,
            "changed_status": report.changed_status, "error": error,
        }),
    }
}

fn published_step(row: &PublishedRow) -> Step {
    let confirmed = row.published_at.map_or_else(
        || "not confirmed by the broker yet".to_owned(),
        |at| format!("confirmed by the broker at {}", moment(at)),
    );
    Step {
        at: row.created_at,
        what: format!("outbox {} {}, {confirmed}", row.routing_key, row.event_id),
        json: json!({
            "kind": "published", "at": row.created_at, "event_id": row.event_id,
            "type": row.routing_key, "published_at": row.published_at,
        }),
    }
}

/// What may be shown of an error: its details quote what Meta was sent.
pub(crate) fn error_json(error: Option<&Value>) -> Value {
    error.map_or(
        Value::Null,
        |error| json!({"class": error.get("class"), "code": error.get("code")}),
    )
}

fn trace_of(traceparent: Option<&str>) -> Option<&str> {
    traceparent?.split('-').nth(1)
}

fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn list_newest(work: &Work, list: &List) -> anyhow::Result<Answer> {
    let (tenant, status, limit) = (list.tenant.to_string(), list.status.clone(), list.limit);
    let found: Vec<MessageRow> = work.read(&list.tenant, move |tx| {
        let mut query = messages::table
            .filter(messages::tenant_id.eq(tenant))
            .order(messages::message_id.desc())
            .limit(limit)
            .select(MessageRow::as_select())
            .into_boxed();
        if let Some(status) = status {
            query = query.filter(messages::status.eq(status));
        }
        Ok(query.load(tx.conn())?)
    })?;
    let mut text = format!("{} messages", found.len());
    let mut rows = Vec::new();
    for message in &found {
        let error = error_json(message.error.as_ref());
        let class = error.get("class").and_then(Value::as_str).unwrap_or("");
        write!(
            text,
            "\n{}  {}  {}  {}  {} attempts  {class}",
            message.message_id,
            moment(message.accepted_at),
            message.status,
            message.type_,
            message.attempts,
        )?;
        rows.push(json!({
            "message_id": message.message_id, "accepted_at": message.accepted_at,
            "status": message.status, "type": message.type_, "attempts": message.attempts,
            "error": error,
        }));
    }
    Ok(answer(text, json!({ "messages": rows })))
}
