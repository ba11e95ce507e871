//! `POST /{phone-number-id}/messages`.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::errors::GraphError;
use super::faults::{Dice, Faults};
use super::magic::{self, Answer, Behaviour, Plan, Refusal};
use super::media::{self, Use};
use super::pacing::Outcome;
use super::rows::{self, ErrorRow};
use super::templates;
use super::validate::{self, Asked, Outgoing, Recipient};
use super::webhooks;
use super::world::{GraphWorld, Phone};
use crate::config::GraphSettings;
use crate::crypto::random_hex_upper;
use crate::http::{Call, Notes, Reply};
use crate::journal::SendRecord;
use crate::state::State;

/// How long the answer of number 804 waits for the receiver at most.
const SENT_FIRST_LIMIT: Duration = Duration::from_secs(5);

/// A message that Meta has taken: what its webhooks need.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) wamid: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) waba_id: String,
    pub(crate) phone: Phone,
    pub(crate) recipient: Recipient,
    pub(crate) kind: String,
    /// What it is charged as.
    pub(crate) category: String,
    pub(crate) callback_data: Option<String>,
}

/// What a send needs to know of its account; the whole of one with many numbers is much to copy.
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) subscribed: bool,
}

/// JSON as documented; a form is accepted too, its values being JSON or plain text.
pub(super) fn body_of(call: &Call) -> Value {
    if !call.is_form() {
        return serde_json::from_slice(&call.body).unwrap_or(Value::Null);
    }
    call.form()
        .into_iter()
        .map(|(name, value)| {
            let value = if value.starts_with(['{', '[']) {
                serde_json::from_str(&value).unwrap_or(Value::String(value))
            } else {
                Value::String(value)
            };
            (name, value)
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Serves a send, counts it and enters it in the list of sends.
pub(crate) async fn send(
    state: &Arc<State>,
    call: &Call,
    notes: &mut Notes,
    account: Account,
    phone: Phone,
) -> Result<Reply, GraphError> {
    let body = body_of(call);
    let number = phone.id.clone();
    let result = decide(state, call, notes, &body, account, phone).await;
    // Accepted ones were entered at once; receipts are no messages.
    if notes.wamid.is_none() && body.get("status").is_none() {
        let (status, code) = match &result {
            Ok(reply) => (Some(reply.status).filter(|_| !reply.hang_up), None),
            Err(error) => (Some(error.http), Some(error.code)),
        };
        let outcome = if notes.limited {
            Outcome::Limited
        } else {
            Outcome::Refused
        };
        state.limiter().count(&number, outcome);
        let text = |name: &str| body[name].as_str().unwrap_or_default();
        let recipient = match text("to") {
            "" => text("recipient"),
            to => to,
        };
        let data = body["biz_opaque_callback_data"].as_str();
        let record = SendRecord::new(call.seq, &number, recipient, data);
        state.journal.add_send(SendRecord {
            status,
            code,
            ..record
        });
    }
    result
}

async fn decide(
    state: &Arc<State>,
    call: &Call,
    notes: &mut Notes,
    body: &Value,
    account: Account,
    phone: Phone,
) -> Result<Reply, GraphError> {
    let settings = state.settings();
    let faults = &settings.graph.faults;
    let asked = validate::read(body, &phone, &settings.graph.extra_types)?;
    let Asked::Send(outgoing) = asked else {
        return Ok(Reply::json(200, &json!({"success": true})));
    };
    if !phone.registered {
        return Err(rows::NOT_REGISTERED.into());
    }
    let key = outgoing.recipient.key().to_owned();
    let mut checked = compare(&state.graph(), &account, &phone, &outgoing, body)?;
    let dice = state.dice(faults, &phone.id, &key);
    if let Some(reply) = by_chance(faults, dice).await? {
        return Ok(reply);
    }
    if let Some(order) = state.orders().take("messages", Some(&phone.id), Some(&key)) {
        if !order.by_webhook {
            return Err(order.answer());
        }
        checked.late = Some(order.row());
    }
    let (mut answer, plan) = match by_magic(state, notes, &phone, &key)? {
        Ok(chosen) => chosen,
        Err(reply) => return Ok(reply),
    };
    let pacing = &settings.graph.pacing;
    if let Err(row) = state.limiter().take(pacing, &phone.id, &key) {
        notes.limited = true;
        return Err(row.into());
    }
    let late = checked
        .late
        .or_else(|| outside(state, &settings.graph, &phone, &outgoing));
    // The app hears of nothing that happens in an account that it is not subscribed to.
    let plan = match late {
        _ if !account.subscribed => Plan::Nothing,
        Some(row) if plan != Plan::Nothing => Plan::Fail(row),
        _ => plan,
    };
    if let (Some(dice), Answer::Normal) = (dice, answer) {
        if dice.hits("disconnect", faults.disconnect) {
            answer = Answer::HangUp;
        } else if dice.hits("early", faults.early) {
            answer = Answer::AfterSent;
        }
    }
    if answer == Answer::Slow {
        tokio::time::sleep(settings.graph.slow_answer).await;
    }
    let accepted = accept(outgoing, checked.category, account, phone);
    enter(state, call, notes, &accepted, answer);
    let reply = reply_of(answer, &accepted);
    let first_webhook = webhooks::schedule(state, accepted, plan, dice);
    if answer == Answer::Silent {
        tokio::time::sleep(settings.graph.hang).await;
    }
    if answer == Answer::AfterSent
        && tokio::time::timeout(SENT_FIRST_LIMIT, first_webhook)
            .await
            .is_err()
    {
        tracing::warn!("no receiver answered the sent webhook before the answer was due");
    }
    Ok(reply)
}

/// At once: the answer may come much later, or never.
fn enter(state: &State, call: &Call, notes: &mut Notes, accepted: &Accepted, answer: Answer) {
    notes.wamid = Some(accepted.wamid.clone());
    state.limiter().count(&accepted.phone.id, Outcome::Accepted);
    let record = SendRecord::new(
        call.seq,
        &accepted.phone.id,
        accepted.recipient.key(),
        accepted.callback_data.as_deref(),
    );
    state.journal.add_send(SendRecord {
        wamid: Some(accepted.wamid.as_str().into()),
        status: (answer != Answer::HangUp).then_some(200),
        ..record
    });
    if state.settings().journal_detail {
        state
            .journal
            .update(call.seq, |entry| notes.write_to(entry));
    }
}

fn reply_of(answer: Answer, accepted: &Accepted) -> Reply {
    match answer {
        Answer::HangUp => Reply::hang_up(),
        Answer::NotJson => Reply::html(
            200,
            "<!DOCTYPE html><html><body>OK</body></html>".to_owned(),
        ),
        Answer::WithoutId => {
            let mut body = success(accepted);
            if let Some(members) = body.as_object_mut() {
                members.insert("messages".to_owned(), json!([]));
            }
            Reply::json(200, &body)
        }
        Answer::Normal | Answer::Slow | Answer::Silent | Answer::AfterSent => {
            Reply::json(200, &success(accepted))
        }
    }
}

/// What chance makes of a send before it is accepted.
async fn by_chance(faults: &Faults, dice: Option<Dice>) -> Result<Option<Reply>, GraphError> {
    let Some(dice) = dice else {
        return Ok(None);
    };
    if let Some(spread) = faults.latency {
        tokio::time::sleep(dice.latency(spread)).await;
    }
    if dice.hits("refuse_disconnect", faults.refuse_disconnect) {
        return Ok(Some(Reply::hang_up()));
    }
    if dice.hits("empty_5xx", faults.empty_5xx) {
        return Ok(Some(Reply::empty(503)));
    }
    if dice.hits("error_5xx", faults.error_5xx) {
        return Err(rows::UNKNOWN_FAILURE.into());
    }
    Ok(None)
}

/// What the recipient's digits choose: how it is answered and what follows, or a refusal.
fn by_magic(
    state: &State,
    notes: &mut Notes,
    phone: &Phone,
    recipient: &str,
) -> Result<Result<(Answer, Plan), Reply>, GraphError> {
    let Some(chosen) = magic::choose(recipient) else {
        return Ok(Ok((Answer::Normal, Plan::Normal)));
    };
    notes.magic = Some(chosen.digits.clone());
    match chosen.behaviour {
        Behaviour::Accept(answer, plan) => Ok(Ok((answer, plan))),
        Behaviour::Refuse(refusal) => refuse(refusal, phone).map(Err),
        Behaviour::RefuseThenAccept(refusal) => {
            let key = (phone.id.clone(), recipient.to_owned(), chosen.digits);
            if state.refuses_again(&key, chosen.times) {
                return refuse(refusal, phone).map(Err);
            }
            Ok(Ok((Answer::Normal, Plan::Normal)))
        }
    }
}

/// What happens to messages outside the 24-hour window.
fn outside(
    state: &State,
    settings: &GraphSettings,
    phone: &Phone,
    outgoing: &Outgoing,
) -> Option<ErrorRow> {
    let person = outgoing.recipient.key();
    let most = settings
        .pacing
        .numbers
        .get(&phone.id)
        .and_then(|number| number.people_per_day);
    if (!settings.enforce_window && most.is_none())
        || state.graph().is_window_open(&phone.id, person)
    {
        return None;
    }
    if outgoing.kind != "template" {
        return settings.enforce_window.then_some(rows::WINDOW_CLOSED);
    }
    let may = most.is_none_or(|most| state.limiter().may_begin(&phone.id, person, most));
    (!may).then_some(rows::SPAM_LIMIT)
}

/// What the account's own objects say about a message.
#[derive(Default)]
struct Checked {
    /// Of the template.
    category: Option<String>,
    /// Accepted, and failed by this later.
    late: Option<ErrorRow>,
}

/// Compares a message with the account's templates and the number's media.
fn compare(
    world: &GraphWorld,
    account: &Account,
    phone: &Phone,
    outgoing: &Outgoing,
    body: &Value,
) -> Result<Checked, GraphError> {
    let mut checked = Checked::default();
    let mut media = Vec::new();
    if outgoing.kind == "template" {
        let known = world
            .templates
            .iter()
            .filter(|have| have.waba_id == account.id);
        let matched = templates::check::check(&body["template"], known)?;
        if matched.phone_only && matches!(outgoing.recipient, Recipient::User(_)) {
            return Err(rows::NO_USER_ID.into());
        }
        checked.category = Some(matched.category);
        media = matched.media;
    }
    for id in outgoing.media.iter().chain(&media) {
        match media::used(world, &phone.id, &outgoing.kind, id)? {
            Use::Fine => {}
            Use::Fails => checked.late = Some(rows::MEDIA_FAILED),
        }
    }
    Ok(checked)
}

fn refuse(refusal: Refusal, phone: &Phone) -> Result<Reply, GraphError> {
    match refusal {
        Refusal::Row(row) => Err(row.into()),
        Refusal::TokenExpired => Err(GraphError::token_expired()),
        Refusal::NoObject => Err(GraphError::no_object("POST", &phone.id)),
        Refusal::BadGateway => Ok(Reply::bad_gateway()),
        Refusal::EmptyUnavailable => Ok(Reply::empty(503)),
        Refusal::HangUp => Ok(Reply::hang_up()),
    }
}

fn accept(
    outgoing: Outgoing,
    category: Option<String>,
    account: Account,
    phone: Phone,
) -> Accepted {
    Accepted {
        wamid: wamid(outgoing.recipient.key()),
        at: Utc::now(),
        waba_id: account.id,
        phone,
        recipient: outgoing.recipient,
        kind: outgoing.kind,
        category: category.unwrap_or_else(|| "service".to_owned()),
        callback_data: outgoing.callback_data,
    }
}

/// The layout seen in real ids: length-prefixed recipient, a few constants, 18 hex digits.
pub(crate) fn wamid(recipient: &str) -> String {
    let mut bytes = vec![0x1C, 0x18, u8::try_from(recipient.len()).unwrap_or(u8::MAX)];
    bytes.extend_from_slice(recipient.as_bytes());
    bytes.extend_from_slice(&[0x15, 0x02, 0x00, 0x11, 0x18, 0x12]);
    bytes.extend_from_slice(random_hex_upper(18).as_bytes());
    bytes.push(0x00);
    format!("wamid.{}", STANDARD.encode(bytes))
}

fn success(accepted: &Accepted) -> Value {
    let contact = match &accepted.recipient {
        Recipient::Phone { input, wa_id } => json!({"input": input, "wa_id": wa_id}),
        Recipient::User(id) => json!({"input": id, "user_id": id}),
    };
    let mut message = json!({"id": accepted.wamid});
    if let ("template", Some(members)) = (accepted.kind.as_str(), message.as_object_mut()) {
        members.insert("message_status".to_owned(), json!("accepted"));
    }
    json!({"messaging_product": "whatsapp", "contacts": [contact], "messages": [message]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_begins_as_the_real_ones_do_and_no_two_are_equal() {
        let first = wamid("16467043595");
        assert!(
            first.starts_with("wamid.HBgLMTY0NjcwNDM1OTUVAgARGB"),
            "{first}"
        );
        assert_ne!(first, wamid("16467043595"));
    }
}
