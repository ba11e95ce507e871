//! `POST /{phone-number-id}/messages`.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::errors::GraphError;
use super::magic::{self, Answer, Behaviour, Plan, Refusal};
use super::media::{self, Use};
use super::rows::{self, ErrorRow};
use super::templates;
use super::validate::{self, Asked, Outgoing, Recipient};
use super::webhooks;
use super::world::{GraphWorld, Phone, Waba};
use crate::crypto::random_hex_upper;
use crate::http::{Call, Notes, Reply};
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

pub(crate) async fn send(
    state: &Arc<State>,
    call: &Call,
    notes: &mut Notes,
    waba: Waba,
    phone: Phone,
) -> Result<Reply, GraphError> {
    let settings = state.settings();
    let body = body_of(call);
    let asked = validate::read(&body, &phone, &settings.graph.extra_types)?;
    let Asked::Send(outgoing) = asked else {
        return Ok(Reply::json(200, &json!({"success": true})));
    };
    if !phone.registered {
        return Err(rows::NOT_REGISTERED.into());
    }
    let checked = compare(&state.graph(), &waba, &phone, &outgoing, &body)?;
    let chosen = magic::choose(outgoing.recipient.key());
    notes.magic = chosen.as_ref().map(|chosen| chosen.digits.clone());
    let (answer, plan) = match chosen.as_ref().map(|chosen| chosen.behaviour) {
        None => (Answer::Normal, Plan::Normal),
        Some(Behaviour::Accept(answer, plan)) => (answer, plan),
        Some(Behaviour::Refuse(refusal)) => return refuse(refusal, &phone),
        Some(Behaviour::RefuseThenAccept(refusal)) => {
            let digits = notes.magic.clone().unwrap_or_default();
            let key = (
                phone.id.clone(),
                outgoing.recipient.key().to_owned(),
                digits,
            );
            let times = chosen.map_or(0, |chosen| chosen.times);
            if state.refuses_again(&key, times) {
                return refuse(refusal, &phone);
            }
            (Answer::Normal, Plan::Normal)
        }
    };
    // The app hears of nothing that happens in an account that it is not subscribed to.
    let plan = if waba.subscribed { plan } else { Plan::Nothing };
    let plan = match checked.late {
        Some(row) if plan != Plan::Nothing => Plan::Fail(row),
        _ => plan,
    };
    let settings = &settings.graph;
    if answer == Answer::Slow {
        tokio::time::sleep(settings.slow_answer).await;
    }
    let accepted = accept(outgoing, checked.category, &waba, phone);
    notes.wamid = Some(accepted.wamid.clone());
    // At once: the answer may come much later, or never.
    state
        .journal
        .update(call.seq, |entry| notes.write_to(entry));
    let reply = match answer {
        Answer::HangUp => Reply::hang_up(),
        Answer::NotJson => Reply::html(
            200,
            "<!DOCTYPE html><html><body>OK</body></html>".to_owned(),
        ),
        Answer::WithoutId => {
            let mut body = success(&accepted);
            if let Some(members) = body.as_object_mut() {
                members.insert("messages".to_owned(), json!([]));
            }
            Reply::json(200, &body)
        }
        Answer::Normal | Answer::Slow | Answer::Silent | Answer::AfterSent => {
            Reply::json(200, &success(&accepted))
        }
    };
    let first_webhook = webhooks::schedule(state, accepted, plan);
    if answer == Answer::Silent {
        tokio::time::sleep(settings.hang).await;
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
    waba: &Waba,
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
            .filter(|have| have.waba_id == waba.id);
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

fn accept(outgoing: Outgoing, category: Option<String>, waba: &Waba, phone: Phone) -> Accepted {
    Accepted {
        wamid: wamid(outgoing.recipient.key()),
        at: Utc::now(),
        waba_id: waba.id.clone(),
        phone,
        recipient: outgoing.recipient,
        kind: outgoing.kind,
        category: category.unwrap_or_else(|| "service".to_owned()),
        callback_data: outgoing.callback_data,
    }
}

/// The layout seen in real ids: length-prefixed recipient, a few constants, 18 hex digits.
fn wamid(recipient: &str) -> String {
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
