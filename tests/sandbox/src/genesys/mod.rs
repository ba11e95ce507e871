//! Genesys Cloud: login host and platform host in one.

mod authorize;
mod errors;
mod organizations;
pub(crate) mod pages;
mod roles;
pub(crate) mod seed;
mod token;
mod tokens_me;
mod users;
pub(crate) mod world;

use std::sync::Arc;

use chrono::Utc;
use uuid::Uuid;

use self::errors::ApiError;
use self::world::{GenesysWorld, Token, Usage};
use crate::http::{Call, Reply};
use crate::state::State;

pub(crate) use self::authorize::COOKIE as LOGIN_COOKIE;

/// The bearer of a platform call.
pub(crate) struct Bearer {
    pub(crate) value: String,
    pub(crate) token: Token,
}

/// Serves one call of the Genesys side.
pub(crate) fn handle(state: &Arc<State>, call: &Call) -> Reply {
    let segments = call.segments();
    let reply = match segments.as_slice() {
        ["oauth", "authorize"] => authorize::begin(state, call),
        ["oauth", "authorize", "login"] => authorize::submit(state, call),
        ["oauth", "token"] => token::exchange(state, call),
        ["logout"] => authorize::logout(state, call),
        ["api", "v2", rest @ ..] => return platform(state, call, rest),
        _ => {
            let correlation_id = Uuid::new_v4().to_string();
            let reply = ApiError::not_found("resource").into_reply(&correlation_id);
            return finish(reply, &correlation_id);
        }
    };
    let correlation_id = Uuid::new_v4().to_string();
    finish(reply, &correlation_id)
}

/// The answer of a side that is down.
pub(crate) fn unavailable() -> Reply {
    let correlation_id = Uuid::new_v4().to_string();
    finish(
        ApiError::unavailable().into_reply(&correlation_id),
        &correlation_id,
    )
}

fn finish(reply: Reply, correlation_id: &str) -> Reply {
    reply
        .with("inin-correlation-id", correlation_id)
        .with("cache-control", "no-cache, no-store, must-revalidate")
        .with("pragma", "no-cache")
        .with("expires", "0")
        .with(
            "strict-transport-security",
            "max-age=600; includeSubDomains",
        )
}

fn platform(state: &Arc<State>, call: &Call, rest: &[&str]) -> Reply {
    let correlation_id = Uuid::new_v4().to_string();
    let allowed = state.settings().genesys.rate_limit_per_minute;
    let mut world = state.genesys();
    let token_name = call.bearer().and_then(|value| world.token_name(value));
    let (usage, result) = match authenticate(&mut world, call) {
        Err(error) => (None, Err(error)),
        Ok((bearer, usage)) if usage.count > allowed => {
            let key = match bearer.token.user_id {
                Some(_) => "token.rate.per.minute",
                None => "client.credentials.token.rate.per.minute",
            };
            (Some(usage), Err(ApiError::too_many_requests(allowed, key)))
        }
        Ok((bearer, usage)) => (Some(usage), route(&mut world, call, rest, &bearer)),
    };
    drop(world);
    let mut reply = result.unwrap_or_else(|error| error.into_reply(&correlation_id));
    if call.method == "HEAD" {
        reply.body.clear();
    }
    if let Some(usage) = usage {
        let seconds = usage.reset_seconds.to_string();
        reply = reply
            .with("inin-ratelimit-count", &usage.count.to_string())
            .with("inin-ratelimit-allowed", &allowed.to_string())
            .with("inin-ratelimit-reset", &seconds);
        if reply.status == 429 {
            reply = reply.with("retry-after", &seconds);
        }
    }
    reply.notes.token_name = token_name;
    finish(reply, &correlation_id)
}

fn authenticate(world: &mut GenesysWorld, call: &Call) -> Result<(Bearer, Usage), ApiError> {
    let value = call.bearer().ok_or_else(ApiError::no_token)?.to_owned();
    let usage = world
        .count_request(&value)
        .ok_or_else(ApiError::unknown_token)?;
    let token = world
        .tokens
        .get(&value)
        .cloned()
        .ok_or_else(ApiError::unknown_token)?;
    if token.expires_at <= Utc::now() {
        return Err(ApiError::expired_token());
    }
    Ok((Bearer { value, token }, usage))
}

fn route(
    world: &mut GenesysWorld,
    call: &Call,
    rest: &[&str],
    bearer: &Bearer,
) -> Result<Reply, ApiError> {
    match (call.method.as_str(), rest) {
        ("GET" | "HEAD", ["tokens", "me"]) => tokens_me::show(world, bearer),
        ("DELETE", ["tokens", "me"]) => Ok(tokens_me::revoke(world, bearer)),
        ("GET", ["users", "me"]) => users::me(world, call, bearer),
        ("GET", ["users"]) => users::list(world, call, bearer),
        ("GET", ["users", id]) => users::show(world, call, bearer, id),
        ("GET", ["users", id, "roles"]) => users::roles(world, bearer, id),
        ("GET", ["authorization", "roles"]) => users::role_list(world, call, bearer),
        ("GET", ["authorization", "subjects", "me"]) => users::subject(world, bearer),
        ("GET", ["organizations", "me"]) => organizations::me(world, bearer),
        _ => Err(ApiError::not_found("resource")),
    }
}
