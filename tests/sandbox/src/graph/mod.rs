//! The Meta Graph API: sending, status webhooks, reads of numbers and accounts, and what Embedded
//! Signup needs.

pub(crate) mod dialog;
mod errors;
pub(crate) mod magic;
pub(crate) mod media;
mod messages;
mod nodes;
mod rows;
pub(crate) mod seed;
pub(crate) mod signup;
pub(crate) mod templates;
mod validate;
mod webhooks;
pub(crate) mod world;

use std::sync::Arc;

use serde_json::json;

use self::errors::GraphError;
use self::world::{GraphToken, GraphWorld, TokenState};
use crate::crypto::{fbtrace_id, hmac_sha256_hex};
use crate::http::{Call, Notes, Reply};
use crate::state::{Settings, State};

/// Versions that answer, oldest first; Graph serves an unversioned call with the oldest.
const VERSIONS: [&str; 6] = ["v21.0", "v22.0", "v23.0", "v24.0", "v25.0", "v26.0"];
/// Last major version that is gone.
const LAST_GONE: u32 = 20;

/// Serves one call of the Graph side.
pub(crate) async fn handle(state: &Arc<State>, call: &Call) -> Reply {
    let segments = call.segments();
    let (version, rest) = match segments.split_first() {
        Some((first, rest)) if looks_like_version(first) => (*first, rest),
        _ => (VERSIONS[0], segments.as_slice()),
    };
    let mut notes = Notes {
        token_name: presented(call)
            .and_then(|value| state.graph().token(value).map(|token| token.name.clone())),
        ..Notes::default()
    };
    let result = match check_version(version, rest) {
        Ok(()) => route(state, call, rest, &mut notes).await,
        Err(error) => Err(error),
    };
    let waba_id = notes
        .phone_number_id
        .as_deref()
        .and_then(|id| waba_of(&state.graph(), id));
    let mut reply = with_headers(result.unwrap_or_else(GraphError::into_reply), version);
    if let Some(waba_id) = waba_id {
        let usage = json!({waba_id: [{
            "type": "whatsapp",
            "call_count": 1,
            "total_cputime": 1,
            "total_time": 1,
            "estimated_time_to_regain_access": 0,
        }]});
        reply = reply.with("x-business-use-case-usage", &usage.to_string());
    }
    reply.notes = notes;
    reply
}

/// The answer of a side that is down.
pub(crate) fn unavailable() -> Reply {
    with_headers(
        GraphError::from(rows::SERVICE_DOWN).into_reply(),
        VERSIONS[0],
    )
}

fn with_headers(mut reply: Reply, version: &str) -> Reply {
    if !reply
        .headers
        .iter()
        .any(|(name, _)| name == "x-fb-trace-id")
    {
        reply = reply.with("x-fb-trace-id", &fbtrace_id());
    }
    let usage = json!({"call_count": 1, "total_cputime": 1, "total_time": 1});
    reply
        .with("x-fb-request-id", &fbtrace_id())
        .with("x-fb-debug", &fbtrace_id())
        .with("facebook-api-version", version)
        .with("x-app-usage", &usage.to_string())
        .with(
            "cache-control",
            "private, no-cache, no-store, must-revalidate",
        )
}

fn waba_of(world: &GraphWorld, phone_number_id: &str) -> Option<String> {
    let has = |waba: &&world::Waba| waba.phones.iter().any(|phone| phone.id == phone_number_id);
    world.wabas.iter().find(has).map(|waba| waba.id.clone())
}

fn looks_like_version(segment: &str) -> bool {
    segment
        .strip_prefix('v')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn check_version(version: &str, rest: &[&str]) -> Result<(), GraphError> {
    if VERSIONS.contains(&version) {
        return Ok(());
    }
    let major = version
        .trim_start_matches('v')
        .split_once('.')
        .filter(|(_, minor)| !minor.is_empty())
        .and_then(|(major, _)| major.parse::<u32>().ok());
    if major.is_some_and(|major| (1..=LAST_GONE).contains(&major)) {
        Err(rows::DEPRECATED_VERSION.into())
    } else {
        Err(GraphError::unknown_path(&rest.join("/")))
    }
}

/// The token of a call: header, or the parameter that Graph also takes.
fn presented(call: &Call) -> Option<&str> {
    call.bearer()
        .or_else(|| call.query("access_token").filter(|token| !token.is_empty()))
}

fn authenticate(
    world: &GraphWorld,
    app_secret: &str,
    call: &Call,
) -> Result<GraphToken, GraphError> {
    let in_form = || {
        let form = if call.is_form() {
            call.form()
        } else {
            Vec::new()
        };
        form.into_iter()
            .find(|(name, _)| name == "access_token")
            .map(|(_, value)| value)
    };
    let value = presented(call)
        .map(str::to_owned)
        .or_else(in_form)
        .ok_or_else(GraphError::token_required)?;
    let token = world.token(&value).ok_or_else(GraphError::token_unknown)?;
    match token.state {
        TokenState::Active => {}
        TokenState::Revoked => return Err(GraphError::token_revoked()),
        TokenState::Expired => return Err(GraphError::token_expired()),
    }
    // Optional here, as for an app without the switch; a wrong one is refused.
    if let Some(proof) = call.query("appsecret_proof")
        && proof != hmac_sha256_hex(app_secret, value.as_bytes())
    {
        return Err(GraphError::bad_proof());
    }
    Ok(token.clone())
}

/// Sending needs one permission, everything else the other.
fn check_scope(token: &GraphToken, rest: &[&str]) -> Result<(), GraphError> {
    let needed = match rest {
        [_, "messages" | "media"] | ["whatsapp_business", ..] => world::MESSAGING,
        // A media id; it needs either permission.
        [_] if token.scopes.iter().any(|scope| scope == world::MESSAGING) => world::MESSAGING,
        _ => world::MANAGEMENT,
    };
    if token.scopes.iter().any(|scope| scope == needed) {
        Ok(())
    } else {
        Err(rows::NO_PERMISSION.into())
    }
}

async fn route(
    state: &Arc<State>,
    call: &Call,
    rest: &[&str],
    notes: &mut Notes,
) -> Result<Reply, GraphError> {
    if let [id, "messages"] = rest {
        notes.phone_number_id = Some((*id).to_owned());
    }
    let settings = state.settings();
    if rest
        .last()
        .is_some_and(|edge| settings.graph.failing.iter().any(|failing| failing == edge))
    {
        return Err(rows::SERVICE_DOWN.into());
    }
    let found = {
        let mut world = state.graph();
        match (call.method.as_str(), rest) {
            ("GET", ["debug_token"]) => {
                return nodes::debug_token(&world, &settings.webhook.app_secret, call);
            }
            ("GET" | "POST", ["oauth", "access_token"]) => {
                return signup::access_token(&mut world, &settings, call);
            }
            _ => {}
        }
        let token = authenticate(&world, &settings.webhook.app_secret, call)?;
        check_scope(&token, rest)?;
        match (call.method.as_str(), rest) {
            ("POST", [id, edge @ ("messages" | "media")]) => {
                let found = world.phone(&token, id);
                let (waba, phone) = found.ok_or_else(|| GraphError::no_object("POST", id))?;
                (*edge, waba.clone(), phone.clone())
            }
            ("GET", ["whatsapp_business", "attachments"]) => {
                return Ok(media::download(&world, &token, call));
            }
            _ => return objects(&mut world, &settings, &token, call, rest, notes),
        }
    };
    match found {
        ("messages", waba, phone) => messages::send(state, call, notes, waba, phone).await,
        (_, _, phone) => media::upload(state, call, notes, &phone.id).await,
    }
}

/// Reads and changes of what an account has.
fn objects(
    world: &mut GraphWorld,
    settings: &Settings,
    token: &GraphToken,
    call: &Call,
    rest: &[&str],
    notes: &mut Notes,
) -> Result<Reply, GraphError> {
    let Some(id) = rest.first() else {
        return Err(GraphError::parameter("Unsupported get request."));
    };
    match (call.method.as_str(), rest) {
        ("GET", [id]) => node(world, settings, token, call, id, notes),
        ("POST", [id]) => templates::edges::edit(world, token, id, call)
            .unwrap_or_else(|| Err(GraphError::no_object("POST", id))),
        ("DELETE", [id]) => media::delete(world, token, id, call),
        ("GET", [id, "phone_numbers"]) => {
            let waba = world.waba(token, id);
            nodes::phone_numbers(call, waba.ok_or_else(|| GraphError::no_object("GET", id))?)
        }
        ("GET", [id, "message_templates"]) => templates::edges::list(world, token, id, call),
        ("POST", [id, "message_templates"]) => templates::edges::create(world, token, id, call),
        ("DELETE", [id, "message_templates"]) => templates::edges::delete(world, token, id, call),
        (method @ ("GET" | "POST" | "DELETE"), [id, "subscribed_apps"]) => {
            signup::subscribed_apps(world, token, method, id, call)
        }
        ("POST", [id, verb @ ("register" | "deregister")]) => {
            notes.phone_number_id = Some((*id).to_owned());
            signup::registration(world, token, id, verb, call)
        }
        (method, _) => Err(GraphError::no_object(method, id)),
    }
}

/// `GET /{id}`: a number, an account, a template or a media file.
fn node(
    world: &mut GraphWorld,
    settings: &Settings,
    token: &GraphToken,
    call: &Call,
    id: &str,
    notes: &mut Notes,
) -> Result<Reply, GraphError> {
    if let Some((waba, phone)) = world.phone(token, id) {
        notes.phone_number_id = Some(id.to_owned());
        return nodes::phone(call, waba, phone);
    }
    if let Some(waba) = world.waba(token, id) {
        return nodes::waba(call, waba);
    }
    if let Some(template) = templates::edges::node(world, token, id, call) {
        return template;
    }
    media::node(world, token, id, call, settings.graph.media_url_lifetime)
        .unwrap_or_else(|| Err(GraphError::no_object("GET", id)))
}
