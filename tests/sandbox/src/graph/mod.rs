//! The Meta Graph API: sending, status webhooks, reads of numbers and accounts, and what Embedded
//! Signup needs.

pub(crate) mod dialog;
mod errors;
pub(crate) mod faults;
pub(crate) mod inbound;
pub(crate) mod magic;
pub(crate) mod media;
mod messages;
mod nodes;
pub(crate) mod pacing;
mod rows;
pub(crate) mod seed;
pub(crate) mod signup;
pub(crate) mod templates;
mod validate;
pub(crate) mod webhooks;
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
    let waba_id = notes.waba_id.clone().or_else(|| {
        let id = notes.phone_number_id.as_deref()?;
        waba_of(&state.graph(), id)
    });
    let regain = result.as_ref().err().and_then(|error| error.regain_minutes);
    let mut reply = with_headers(result.unwrap_or_else(GraphError::into_reply), version);
    if let Some(waba_id) = waba_id {
        let usage = json!({waba_id: [{
            "type": if notes.waba_id.is_some() {
                "whatsapp_business_management"
            } else {
                "whatsapp"
            },
            "call_count": if regain.is_some() { 100 } else { 1 },
            "total_cputime": 1,
            "total_time": 1,
            "estimated_time_to_regain_access": regain.unwrap_or(0),
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
    reply
        .with("x-fb-request-id", &fbtrace_id())
        .with("x-fb-debug", &fbtrace_id())
        .with("facebook-api-version", version)
        .with(
            "x-app-usage",
            r#"{"call_count":1,"total_cputime":1,"total_time":1}"#,
        )
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
    alive(world, token)?;
    // Optional here, as for an app without the switch; a wrong one is refused.
    if let Some(proof) = call.query("appsecret_proof")
        && proof != hmac_sha256_hex(app_secret, value.as_bytes())
    {
        return Err(GraphError::bad_proof());
    }
    Ok(token.clone())
}

/// Refuses a token that does not work any more.
fn alive(world: &GraphWorld, token: &GraphToken) -> Result<(), GraphError> {
    let end = world.expires_at(token);
    match token.state {
        TokenState::Revoked => Err(GraphError::token_revoked()),
        TokenState::Expired => Err(GraphError::token_expired()),
        TokenState::Active if end != 0 && end <= chrono::Utc::now().timestamp() => {
            Err(GraphError::token_expired())
        }
        TokenState::Active => Ok(()),
    }
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
    ordered(state, rest)?;
    let found = {
        let mut world = state.graph();
        match (call.method.as_str(), rest) {
            ("GET", ["debug_token"]) => {
                return nodes::debug_token(&world, &settings.webhook.app_secret, call);
            }
            ("GET" | "POST", ["oauth", "access_token"]) => {
                return signup::access_token(&mut world, &settings, call);
            }
            ("GET" | "POST", ["oauth", "revoke"]) => {
                return signup::revoke(&mut world, &settings, call);
            }
            _ => {}
        }
        let token = authenticate(&world, &settings.webhook.app_secret, call)?;
        check_scope(&token, rest)?;
        match (call.method.as_str(), rest) {
            ("POST", [id, edge @ ("messages" | "media")]) => {
                let found = world.phone(&token, id);
                let (waba, phone) = found.ok_or_else(|| GraphError::no_object("POST", id))?;
                let account = messages::Account {
                    id: waba.id.clone(),
                    subscribed: waba.subscribed,
                };
                (*edge, account, phone.clone())
            }
            ("GET", ["whatsapp_business", "attachments"]) => {
                return Ok(media::download(&world, &token, call));
            }
            _ => {
                budget(state, &world, &settings, &token, rest, notes)?;
                return objects(&mut world, &settings, &token, call, rest, notes);
            }
        }
    };
    match found {
        ("messages", account, phone) => messages::send(state, call, notes, account, phone).await,
        (_, _, phone) => media::upload(state, call, notes, &phone.id).await,
    }
}

/// Errors made to order for what is no message.
fn ordered(state: &State, rest: &[&str]) -> Result<(), GraphError> {
    let edge = match rest {
        [_, "messages"] | [] => return Ok(()),
        [id] if id.bytes().all(|byte| byte.is_ascii_digit()) => "node",
        [.., edge] => edge,
    };
    let number = rest.first().copied();
    match state.orders().take(edge, number, None) {
        Some(order) => Err(order.answer()),
        None => Ok(()),
    }
}

/// Calls an hour and account.
fn budget(
    state: &State,
    world: &GraphWorld,
    settings: &Settings,
    token: &GraphToken,
    rest: &[&str],
    notes: &mut Notes,
) -> Result<(), GraphError> {
    let pacing = &settings.graph.pacing;
    let (Some(most), Some(id)) = (pacing.management_per_hour, rest.first()) else {
        return Ok(());
    };
    let own = world.waba(token, id).map(|waba| waba.id.clone());
    let Some(waba_id) = own.or_else(|| waba_of(world, id)) else {
        return Ok(());
    };
    let may = state.limiter().may_call(&waba_id, most);
    notes.waba_id = Some(waba_id);
    if may {
        return Ok(());
    }
    let mut error = GraphError::from(rows::WABA_LIMIT);
    error.regain_minutes = Some(pacing.regain_minutes);
    Err(error)
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
            let waba = world.own_waba(token, id, "GET")?;
            nodes::phone_numbers(call, waba, &settings.graph.pacing)
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
        return nodes::phone(call, waba, phone, &settings.graph.pacing);
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
