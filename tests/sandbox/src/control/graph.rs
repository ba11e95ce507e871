//! The Graph side steered while it runs: faults, pacing, templates, incoming messages, webhooks
//! made to order, and what happened so far.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Refused, parse};
use crate::graph::faults::{Faults, NextError};
use crate::graph::inbound::{self, Inbound};
use crate::graph::pacing::Pacing;
use crate::graph::seed;
use crate::graph::templates::Template;
use crate::graph::webhooks::{self, Delivery, deliver};
use crate::http::Call;
use crate::state::State;

/// The current settings with the given members in their place.
fn changed<T: serde::Serialize + serde::de::DeserializeOwned>(
    now: &T,
    given: Value,
) -> Result<T, Refused> {
    let mut all = serde_json::to_value(now).unwrap_or_default();
    if let (Some(all), Value::Object(given)) = (all.as_object_mut(), given) {
        all.extend(given);
    }
    serde_json::from_value(all)
        .map_err(|error| Refused::bad(format!("The body does not fit: {error}")))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Box<NextError>),
    Many(Vec<NextError>),
}

pub(super) fn faults(state: &Arc<State>, call: &Call) -> Answer {
    let mut given: Value = parse(call)?;
    let orders = given
        .as_object_mut()
        .and_then(|members| members.remove("next_error"));
    let orders = match orders {
        None => Vec::new(),
        Some(orders) => match serde_json::from_value(orders) {
            Ok(OneOrMany::One(order)) => vec![*order],
            Ok(OneOrMany::Many(orders)) => orders,
            Err(error) => return Err(Refused::bad(format!("next_error: {error}"))),
        },
    };
    let faults: Faults = changed(&state.settings().graph.faults, given)?;
    faults.check().map_err(Refused::bad)?;
    let shown = json!(faults);
    state.change_settings(|settings| settings.graph.faults = faults);
    for order in orders {
        state.orders().add(order);
    }
    Ok(shown)
}

/// Back to no faults at all.
pub(super) fn no_faults(state: &Arc<State>) -> Value {
    state.change_settings(|settings| settings.graph.faults = Faults::default());
    state.orders().clear();
    json!({"cleared": true})
}

pub(super) fn pacing(state: &Arc<State>, call: &Call) -> Answer {
    let pacing: Pacing = changed(&state.settings().graph.pacing, parse(call)?)?;
    let shown = json!(pacing);
    state.change_settings(|settings| settings.graph.pacing = pacing);
    Ok(shown)
}

pub(super) fn stats(state: &Arc<State>, call: &Call) -> Value {
    let seconds = call.query("last").and_then(|last| last.parse().ok());
    let numbers = state
        .limiter()
        .stats(call.query("phone_number_id"), seconds.unwrap_or(60));
    json!({
        "numbers": numbers,
        "webhooks": {
            "delivered": state.webhooks_delivered.load(Ordering::Relaxed),
            "tries_failed": state.webhook_tries_failed.load(Ordering::Relaxed),
            "under_way": state.background_tasks(),
        },
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JournalChange {
    detail: bool,
}

pub(super) fn journal(state: &Arc<State>, call: &Call) -> Answer {
    let change: JournalChange = parse(call)?;
    state.change_settings(|settings| settings.journal_detail = change.detail);
    Ok(json!({"detail": change.detail}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenLife {
    /// `null`: never.
    expires_in_s: Option<i64>,
}

pub(super) fn token_life(state: &Arc<State>, which: &str, call: &Call) -> Answer {
    let life: TokenLife = parse(call)?;
    let end = life
        .expires_in_s
        .map(|seconds| chrono::Utc::now().timestamp() + seconds);
    if state.graph().set_expiry(which, end) {
        Ok(json!({"expires_at": end.unwrap_or(0)}))
    } else {
        Err(Refused::unknown("token"))
    }
}

pub(super) fn receive(state: &Arc<State>, call: &Call) -> Answer {
    let order: Inbound = parse(call)?;
    let received = inbound::receive(state, order, Some(call)).map_err(Refused::bad)?;
    Ok(json!({"id": received.id, "media_id": received.media_id}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhook {
    waba_id: Option<String>,
    field: Option<String>,
    value: Option<Value>,
    /// The whole body, instead of field and value.
    body: Option<Value>,
    #[serde(default)]
    forged: bool,
    #[serde(default = "once")]
    copies: u32,
}

fn once() -> u32 {
    1
}

pub(super) fn raw_webhook(state: &Arc<State>, call: &Call) -> Answer {
    let raw: RawWebhook = parse(call)?;
    let waba_id = raw.waba_id.as_deref().unwrap_or(seed::ACME_WABA_ID);
    let (body, note) = match (raw.body, raw.field, raw.value) {
        (Some(body), None, None) => (body, "raw".to_owned()),
        (None, Some(field), Some(value)) => {
            let body = if field == "messages" {
                webhooks::envelope(waba_id, &field, &value)
            } else {
                webhooks::timed(waba_id, &field, &value)
            };
            (body, field)
        }
        _ => return Err(Refused::bad("Give field and value, or body.")),
    };
    let mut delivery = Delivery::new(&body, note);
    delivery.forged = raw.forged;
    for _ in 0..raw.copies {
        deliver(state, delivery.clone());
    }
    Ok(json!({"queued": raw.copies}))
}

/// What Meta changes at a template; each change has its webhook.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TemplateChange {
    /// Account of a template given by name; Acme's when absent.
    pub waba_id: Option<String>,
    /// Language of a template given by name; all when absent.
    pub language: Option<String>,
    /// `event` of `message_template_status_update`, such as `PAUSED`.
    pub status: Option<String>,
    /// Its reason.
    pub reason: Option<String>,
    /// Its `other_info`, such as `{"title": "FIRST_PAUSE"}`.
    pub other_info: Option<Value>,
    /// New score of `message_template_quality_update`.
    pub quality: Option<String>,
    /// New category of `template_category_update`.
    pub category: Option<String>,
    /// The category is announced only.
    pub impending: bool,
    /// New components of `message_template_components_update`.
    pub components: Option<Value>,
    /// Changes without webhooks, as if they were lost.
    pub silent: bool,
}

pub(super) fn template(state: &Arc<State>, which: &str, call: &Call) -> Answer {
    match change_template(state, which, &parse(call)?) {
        0 => Err(Refused::unknown("template")),
        count => Ok(json!({"changed": count})),
    }
}

/// Changes a template given by id or name; how many language versions it had.
pub(crate) fn change_template(state: &Arc<State>, which: &str, change: &TemplateChange) -> usize {
    let waba_id = change.waba_id.as_deref().unwrap_or(seed::ACME_WABA_ID);
    let mut hooks = Vec::new();
    let mut count = 0;
    for template in &mut state.graph().templates {
        let by_name = template.name == which
            && template.waba_id == waba_id
            && change
                .language
                .as_ref()
                .is_none_or(|language| *language == template.language);
        if by_name || template.id == which {
            count += 1;
            for (field, value) in apply(template, change) {
                hooks.push((template.waba_id.clone(), field, value));
            }
        }
    }
    if !change.silent {
        for (waba_id, field, value) in hooks {
            webhooks::emit(state, &waba_id, field, &value);
        }
    }
    count
}

fn apply(template: &mut Template, change: &TemplateChange) -> Vec<(&'static str, Value)> {
    let mut hooks = Vec::new();
    let base = |template: &Template| {
        json!({
            "message_template_id": template.id.parse::<u64>().unwrap_or_default(),
            "message_template_name": template.name,
            "message_template_language": template.language,
        })
    };
    if let Some(event) = &change.status {
        template.status = match event.as_str() {
            "REINSTATED" | "UNARCHIVED" => "APPROVED".to_owned(),
            // The flag announces a pause and stops nothing yet.
            "FLAGGED" => template.status.clone(),
            other => other.to_owned(),
        };
        template.rejected_reason = change.reason.clone().unwrap_or_else(|| "NONE".to_owned());
        let mut value = base(template);
        value["event"] = json!(event);
        value["reason"] = json!(template.rejected_reason);
        value["message_template_category"] = json!(template.category);
        if let Some(info) = &change.other_info {
            value["other_info"] = info.clone();
        }
        hooks.push(("message_template_status_update", value));
    }
    if let Some(score) = &change.quality {
        let mut value = base(template);
        value["previous_quality_score"] = json!(template.quality);
        value["new_quality_score"] = json!(score);
        template.quality.clone_from(score);
        hooks.push(("message_template_quality_update", value));
    }
    if let Some(category) = &change.category {
        let mut value = base(template);
        if change.impending {
            let at = chrono::Utc::now().timestamp() + 86_400;
            value["new_category"] = json!(template.category);
            value["correct_category"] = json!(category);
            value["category_update_timestamp"] = json!(at);
        } else {
            value["previous_category"] = json!(template.category);
            value["new_category"] = json!(category);
            template.previous_category = Some(template.category.clone());
            template.category.clone_from(category);
        }
        hooks.push(("template_category_update", value));
    }
    if let Some(components) = &change.components {
        template.components = components.clone();
        let mut value = base(template);
        for (kind, part, member) in [
            ("HEADER", "text", "message_template_title"),
            ("BODY", "text", "message_template_element"),
            ("FOOTER", "text", "message_template_footer"),
        ] {
            if let Some(component) = template.component(kind) {
                value[member] = component[part].clone();
            }
        }
        hooks.push(("message_template_components_update", value));
    }
    template.touch();
    hooks
}
