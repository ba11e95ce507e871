//! Outages, latencies, Genesys limits and the webhook, changed while the sandbox runs.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::{Answer, Refused, parse};
use crate::config::{Outage, PayloadVersion, StatusDelays};
use crate::crypto::random_token;
use crate::http::Call;
use crate::state::State;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutageChange {
    genesys: Option<Outage>,
    graph: Option<Outage>,
    /// Last path segments of the Graph calls that answer 503.
    graph_failing: Option<Vec<String>>,
}

pub(super) fn outage(state: &Arc<State>, call: &Call) -> Answer {
    let change: OutageChange = parse(call)?;
    state.change_settings(|settings| {
        if let Some(outage) = change.genesys {
            settings.genesys.outage = outage;
        }
        if let Some(outage) = change.graph {
            settings.graph.outage = outage;
        }
        if let Some(failing) = change.graph_failing {
            settings.graph.failing = failing;
        }
    });
    let settings = state.settings();
    Ok(json!({
        "genesys": settings.genesys.outage,
        "graph": settings.graph.outage,
        "graph_failing": settings.graph.failing,
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_field_names,
    reason = "the unit belongs to the JSON name"
)]
struct LatencyChange {
    genesys_ms: Option<u64>,
    graph_ms: Option<u64>,
    slow_answer_ms: Option<u64>,
    hang_ms: Option<u64>,
    signup_code_lifetime_ms: Option<u64>,
}

pub(super) fn latency(state: &Arc<State>, call: &Call) -> Answer {
    let change: LatencyChange = parse(call)?;
    state.change_settings(|settings| {
        let pairs = [
            (change.genesys_ms, &mut settings.genesys.latency),
            (change.graph_ms, &mut settings.graph.latency),
            (change.slow_answer_ms, &mut settings.graph.slow_answer),
            (change.hang_ms, &mut settings.graph.hang),
            (
                change.signup_code_lifetime_ms,
                &mut settings.graph.code_lifetime,
            ),
        ];
        for (millis, target) in pairs {
            if let Some(millis) = millis {
                *target = Duration::from_millis(millis);
            }
        }
    });
    Ok(json!({"changed": true}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GraphChange {
    media_lifetime_ms: Option<u64>,
    inbound_media_lifetime_ms: Option<u64>,
    media_url_lifetime_ms: Option<u64>,
    extra_types: Option<Vec<String>>,
    enforce_window: Option<bool>,
}

pub(super) fn graph(state: &Arc<State>, call: &Call) -> Answer {
    let change: GraphChange = parse(call)?;
    state.change_settings(|settings| {
        let graph = &mut settings.graph;
        let pairs = [
            (change.media_lifetime_ms, &mut graph.media_lifetime),
            (
                change.inbound_media_lifetime_ms,
                &mut graph.inbound_media_lifetime,
            ),
            (change.media_url_lifetime_ms, &mut graph.media_url_lifetime),
        ];
        for (millis, target) in pairs {
            if let Some(millis) = millis {
                *target = Duration::from_millis(millis);
            }
        }
        if let Some(types) = change.extra_types {
            graph.extra_types = types;
        }
        if let Some(enforce) = change.enforce_window {
            graph.enforce_window = enforce;
        }
    });
    Ok(json!({"changed": true}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GenesysChange {
    rate_limit_per_minute: Option<u32>,
    code_lifetime_ms: Option<u64>,
    token_lifetime_s: Option<u64>,
}

pub(super) fn genesys(state: &Arc<State>, call: &Call) -> Answer {
    let change: GenesysChange = parse(call)?;
    state.change_settings(|settings| {
        if let Some(limit) = change.rate_limit_per_minute {
            settings.genesys.rate_limit_per_minute = limit;
        }
        if let Some(life) = change.code_lifetime_ms {
            settings.genesys.code_lifetime = Duration::from_millis(life);
        }
        if let Some(life) = change.token_lifetime_s {
            settings.genesys.token_lifetime = Some(Duration::from_secs(life));
        }
    });
    Ok(json!({"changed": true}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DelaysChange {
    sent: u64,
    delivered: u64,
    read: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebhookChange {
    /// An empty text ends the webhooks.
    url: Option<String>,
    app_secret: Option<String>,
    status_delay_ms: Option<u64>,
    delays_ms: Option<DelaysChange>,
    retry_ms: Option<Vec<u64>>,
    payload: Option<PayloadVersion>,
    /// Given: the receiver must pass Meta's verification first.
    verify_token: Option<String>,
}

pub(super) async fn webhook(state: &Arc<State>, call: &Call) -> Answer {
    let change: WebhookChange = parse(call)?;
    let url = match change.url.as_deref() {
        None => None,
        Some("") => Some(None),
        Some(text) => Some(Some(
            Url::parse(text).map_err(|error| Refused::bad(format!("url: {error}")))?,
        )),
    };
    if let Some(verify_token) = &change.verify_token {
        let target = url
            .clone()
            .flatten()
            .or_else(|| state.settings().webhook.url.clone());
        let target = target.ok_or_else(|| Refused::bad("There is no url to verify."))?;
        verify(state, target, verify_token).await?;
    }
    let millis = Duration::from_millis;
    state.change_settings(|settings| {
        let webhook = &mut settings.webhook;
        if let Some(url) = url {
            webhook.url = url;
        }
        if let Some(secret) = change.app_secret {
            webhook.app_secret = secret;
        }
        if let Some(step) = change.status_delay_ms {
            webhook.delays = StatusDelays::every(millis(step));
        }
        if let Some(delays) = change.delays_ms {
            webhook.delays = StatusDelays {
                sent: millis(delays.sent),
                delivered: millis(delays.delivered),
                read: millis(delays.read),
            };
        }
        if let Some(pauses) = change.retry_ms {
            webhook.retry = pauses.into_iter().map(millis).collect();
        }
        if let Some(payload) = change.payload {
            webhook.payload = payload;
        }
    });
    Ok(json!({"url": state.settings().webhook.url}))
}

/// The handshake that Meta makes when a callback is set: the bare challenge must come back.
async fn verify(state: &Arc<State>, mut url: Url, verify_token: &str) -> Result<(), Refused> {
    let challenge = random_token();
    url.query_pairs_mut()
        .append_pair("hub.mode", "subscribe")
        .append_pair("hub.challenge", &challenge)
        .append_pair("hub.verify_token", verify_token);
    let response = state
        .http
        .get(url)
        .timeout(Duration::from_secs(10))
        .send()
        .await
        .map_err(|error| {
            Refused::bad(format!(
                "The receiver did not answer: {}",
                error.without_url()
            ))
        })?;
    let status = response.status().as_u16();
    let body = response.text().await.unwrap_or_default();
    if status == 200 && body == challenge {
        Ok(())
    } else {
        Err(Refused::bad(format!(
            "The receiver answered {status} and {} the challenge.",
            if body == challenge {
                "returned"
            } else {
                "did not return"
            }
        )))
    }
}
