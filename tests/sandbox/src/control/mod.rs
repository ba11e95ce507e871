//! The sandbox's own doors: health, the journal, and `/control` to steer it while it runs.

mod graph;
mod settings;
mod world;

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

pub use self::graph::TemplateChange;
pub(crate) use self::graph::change_template;
pub use self::world::UserChange;
pub(crate) use self::world::{put_client, put_org, put_user, revoke_user, update_user};
use crate::crypto::fingerprint;
use crate::graph::dialog;
use crate::graph::magic::MAGIC_NUMBERS;
use crate::http::{Call, Reply};
use crate::journal::{Entry, Filter, Kind};
use crate::links;
use crate::state::State;

/// A refusal of a control call: a status and a sentence.
pub(crate) struct Refused(u16, String);

impl Refused {
    fn bad(message: impl Into<String>) -> Self {
        Self(400, message.into())
    }
    fn unknown(what: &str) -> Self {
        Self(404, format!("There is no such {what}."))
    }
}

type Answer = Result<Value, Refused>;

pub(crate) async fn handle(state: &Arc<State>, call: &Call) -> Reply {
    let segments = call.segments();
    let answer = match (call.method.as_str(), segments.as_slice()) {
        ("GET", []) => return Reply::html(200, INDEX.to_owned()),
        ("GET", ["health"] | ["health", "ready" | "live"]) => Ok(json!({"status": "ok"})),
        ("GET", ["journal", "sends"]) => Ok(sends(state, call)),
        ("GET", ["journal"]) => match journal(state, call) {
            Ok(page) => return Reply::json(200, &page),
            Err(refused) => Err(refused),
        },
        ("DELETE", ["journal"]) => {
            state.journal.clear();
            Ok(json!({"cleared": true}))
        }
        ("GET", ["sdk.js"] | [_, "sdk.js"]) => return dialog::sdk(),
        ("GET" | "POST", ["dialog", "signup"]) => return dialog::page(state, call),
        ("GET" | "HEAD", ["links", id, ..]) => {
            let link = state.links().take(id);
            return links::serve(link, call).await;
        }
        ("PUT", ["control", "webhook"]) => settings::webhook(state, call).await,
        (_, ["control", rest @ ..]) => control(state, call, rest),
        _ => Err(Refused::unknown("page")),
    };
    match answer {
        Ok(body) => Reply::json(200, &body),
        Err(Refused(status, message)) => Reply::json(status, &json!({"error": message})),
    }
}

const INDEX: &str = "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<title>Sandbox</title></head><body><h1>Sandbox</h1><p>Stand-ins for Genesys Cloud and the Meta \
Graph API. For development and tests only.</p><ul><li><a href=\"/journal\">Journal of calls</a>\
</li><li><a href=\"/control\">Settings and seeds</a></li>\
<li><a href=\"/control/magic\">Magic numbers</a></li></ul></body></html>";

fn parse<T: DeserializeOwned>(call: &Call) -> Result<T, Refused> {
    serde_json::from_slice(&call.body)
        .map_err(|error| Refused::bad(format!("The body does not fit: {error}")))
}

#[derive(Serialize)]
struct Page {
    total: usize,
    #[serde(serialize_with = "as_list")]
    entries: Vec<Arc<Entry>>,
}

fn as_list<S: Serializer>(entries: &[Arc<Entry>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(entries.iter().map(AsRef::as_ref))
}

/// Sends in one answer when the caller names no limit.
const SENDS: usize = 100_000;

fn sends(state: &Arc<State>, call: &Call) -> Value {
    let number = |name: &str| call.query(name).and_then(|text| text.parse::<u64>().ok());
    let after = number("after").unwrap_or(0);
    let limit = number("limit").and_then(|limit| usize::try_from(limit).ok());
    let phone = call.query("phone_number_id");
    let accepted = call.query("accepted").map(|wanted| wanted == "true");
    let found = state.journal.sends_where(
        |record| {
            record.seq > after
                && phone.is_none_or(|phone| phone == &*record.phone_number_id)
                && accepted.is_none_or(|wanted| wanted == record.wamid.is_some())
        },
        limit.unwrap_or(SENDS),
    );
    json!({"total": found.len(), "sends": found})
}

fn journal(state: &Arc<State>, call: &Call) -> Result<Page, Refused> {
    let kind = match call.query("kind") {
        None => None,
        Some(name) => Some(
            Kind::parse(name)
                .ok_or_else(|| Refused::bad("kind must be graph, genesys or webhook."))?,
        ),
    };
    let number = |name: &str| match call.query(name).map(str::parse::<u64>) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => Err(Refused::bad(format!("{name} must be a number."))),
    };
    let limit = number("limit")?.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let filter = Filter {
        kind,
        path: call.query("path").map(str::to_owned),
        after: number("after")?,
        limit,
    };
    let entries = state.journal.entries(&filter);
    Ok(Page {
        total: entries.len(),
        entries,
    })
}

fn control(state: &Arc<State>, call: &Call, rest: &[&str]) -> Answer {
    match (call.method.as_str(), rest) {
        ("GET", []) => Ok(overview(state)),
        ("GET", ["magic"]) => Ok(magic()),
        ("GET", ["stats"]) => Ok(graph::stats(state, call)),
        ("PUT", ["faults"]) => graph::faults(state, call),
        ("DELETE", ["faults"]) => Ok(graph::no_faults(state)),
        ("PUT", ["pacing"]) => graph::pacing(state, call),
        ("PUT", ["journal"]) => graph::journal(state, call),
        ("POST", ["inbound"]) => graph::receive(state, call),
        ("POST", ["webhooks", "raw"]) => graph::raw_webhook(state, call),
        ("PATCH", ["templates", which]) => graph::template(state, which, call),
        ("PUT", ["graph", "tokens", which]) => graph::token_life(state, which, call),
        ("PUT", ["outage"]) => settings::outage(state, call),
        ("PUT", ["latency"]) => settings::latency(state, call),
        ("PUT", ["genesys"]) => settings::genesys(state, call),
        ("POST", ["genesys", "tokens", "revoke"]) => world::revoke_genesys(state, call),
        ("POST", ["genesys", "codes", "expire"]) => Ok(world::expire_codes(state)),
        ("POST", ["graph", "tokens", which, verb]) => world::graph_token(state, which, verb),
        ("POST", ["graph", "signup-codes"]) => world::signup_code(state, call),
        ("POST", ["graph", "signup-codes", "expire"]) => Ok(world::expire_signup_codes(state)),
        ("POST", ["orgs"]) => world::add_org(state, call),
        ("PATCH", ["orgs", id]) => world::change_org(state, id, call),
        ("POST", ["users"]) => world::add_user(state, call),
        ("PATCH", ["users", which]) => world::change_user(state, which, call),
        ("POST", ["oauth-clients"]) => world::add_client(state, call),
        ("GET", ["links"]) => Ok(state.links().shown()),
        ("POST", ["links"]) => add_link(state, call),
        ("PUT", ["graph"]) => settings::graph(state, call),
        ("POST", ["wabas"]) => world::add_waba(state, call),
        ("POST", ["reset"]) => {
            state.reset();
            Ok(json!({"reset": true}))
        }
        _ => Err(Refused::unknown("control")),
    }
}

fn add_link(state: &Arc<State>, call: &Call) -> Answer {
    let path = state.links().add(parse(call)?);
    let host = call.header("host").unwrap_or("localhost");
    Ok(json!({"url": format!("http://{host}{path}"), "path": path}))
}

fn overview(state: &Arc<State>) -> Value {
    let settings = state.settings();
    let genesys = state.genesys();
    let graph = state.graph();
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let clients: Vec<Value> = genesys
        .clients
        .iter()
        .map(|client| {
            json!({
                "id": client.id,
                "org_id": client.org_id,
                "kind": client.kind,
                "redirect_uris": client.redirect_uris,
                "state": client.state,
            })
        })
        .collect();
    let tokens: Vec<Value> = graph
        .tokens
        .iter()
        .map(|token| {
            json!({
                "name": token.name,
                "fingerprint": fingerprint(&token.value),
                "waba_ids": token.waba_ids,
                "state": token.state,
            })
        })
        .collect();
    json!({
        "webhook": {
            "url": settings.webhook.url,
            "app_secret": fingerprint(&settings.webhook.app_secret),
            "delays_ms": {
                "sent": millis(settings.webhook.delays.sent),
                "delivered": millis(settings.webhook.delays.delivered),
                "read": millis(settings.webhook.delays.read),
            },
            "payload": settings.webhook.payload,
            "under_way": state.background_tasks(),
        },
        "outage": {
            "genesys": settings.genesys.outage,
            "graph": settings.graph.outage,
            "graph_failing": settings.graph.failing,
        },
        "faults": settings.graph.faults,
        "pacing": settings.graph.pacing,
        "graph": {
            "extra_types": settings.graph.extra_types,
            "enforce_window": settings.graph.enforce_window,
        },
        "journal": {"detail": settings.journal_detail},
        "latency": {
            "genesys_ms": millis(settings.genesys.latency),
            "graph_ms": millis(settings.graph.latency),
            "slow_answer_ms": millis(settings.graph.slow_answer),
            "hang_ms": millis(settings.graph.hang),
            "signup_code_lifetime_ms": millis(settings.graph.code_lifetime),
        },
        "genesys": {
            "rate_limit_per_minute": settings.genesys.rate_limit_per_minute,
            "code_lifetime_ms": millis(settings.genesys.code_lifetime),
            "token_lifetime_s": settings.genesys.token_lifetime.map(|life| life.as_secs()),
        },
        "orgs": genesys.orgs,
        "users": genesys.users,
        "oauth_clients": clients,
        "wabas": graph.wabas,
        "graph_tokens": tokens,
    })
}

fn magic() -> Value {
    let numbers: Vec<Value> = MAGIC_NUMBERS
        .iter()
        .map(|number| json!({"last_six_digits": format!("999{}", number.digits), "effect": number.effect}))
        .collect();
    json!({"magic_numbers": numbers})
}
