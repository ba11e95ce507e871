//! What follows a finished Embedded Signup: the code becomes a token, the app subscribes to the
//! account, the number is registered.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::errors::GraphError;
use super::messages::body_of;
use super::rows;
use super::seed;
use super::world::{GraphToken, GraphWorld, SignupCode, TokenState};
use crate::crypto::random_token;
use crate::http::{Call, Reply};
use crate::state::Settings;

/// A code as the browser gets it.
pub(crate) fn make_code(world: &mut GraphWorld, waba_id: &str, scopes: Vec<String>) -> String {
    let code = format!("AQ{}", random_token());
    world.codes.push(SignupCode {
        code: code.clone(),
        waba_id: waba_id.to_owned(),
        scopes,
        made: Instant::now(),
        used: false,
        expired: false,
    });
    code
}

/// Lets every code that is not used yet answer as one that came too late; how many those are.
pub(crate) fn expire_codes(world: &mut GraphWorld) -> usize {
    let mut count = 0;
    for code in world.codes.iter_mut().filter(|code| !code.used) {
        code.expired = true;
        count += 1;
    }
    count
}

/// `GET /oauth/access_token`: exchange of a code, or the app's own token.
pub(crate) fn access_token(
    world: &mut GraphWorld,
    settings: &Settings,
    call: &Call,
) -> Result<Reply, GraphError> {
    let app_secret = settings.webhook.app_secret.as_str();
    let form = if call.is_form() {
        call.form()
    } else {
        Vec::new()
    };
    let parameter = |name: &str| {
        let in_form = || form.iter().find(|(have, _)| have == name).map(|(_, v)| v);
        let found = call.query(name).or_else(|| in_form().map(String::as_str));
        found.filter(|value| !value.is_empty())
    };
    let client_id = parameter("client_id")
        .ok_or_else(|| GraphError::oauth(101, "Missing client_id parameter."))?;
    if client_id != seed::APP_ID {
        return Err(GraphError::oauth(
            101,
            "Error validating application. Cannot get application info due to a system error.",
        ));
    }
    let secret = parameter("client_secret")
        .ok_or_else(|| GraphError::oauth(1, "Missing client_secret parameter."))?;
    if secret != app_secret {
        return Err(GraphError::oauth(1, "Error validating client secret."));
    }
    match parameter("grant_type") {
        Some("client_credentials") => {
            let token = format!("{client_id}|{app_secret}");
            return Ok(Reply::json(
                200,
                &json!({"access_token": token, "token_type": "bearer"}),
            ));
        }
        Some("fb_exchange_token") => {
            let old = parameter("fb_exchange_token")
                .ok_or_else(|| GraphError::oauth(1, "Missing fb_exchange_token parameter."))?;
            let long = parameter("set_token_expires_in_60_days") == Some("true");
            return refresh(world, old, long);
        }
        None | Some("authorization_code") => {}
        Some(_) => return Err(GraphError::oauth(1, "Unsupported grant_type")),
    }
    let code =
        parameter("code").ok_or_else(|| GraphError::oauth(1, "Missing authorization code"))?;
    let token = exchange(world, settings.graph.code_lifetime, code)?;
    Ok(Reply::json(
        200,
        &json!({"access_token": token, "token_type": "bearer"}),
    ))
}

/// Seconds that a refreshed token lives: a little less than sixty days.
const REFRESHED: i64 = 5_183_944;

/// A new token for one that still works; the old one lives on until its own end.
fn refresh(world: &mut GraphWorld, old: &str, expires: bool) -> Result<Reply, GraphError> {
    let old = world.token(old).ok_or_else(GraphError::token_unknown)?;
    super::alive(world, old)?;
    let token = GraphToken {
        value: format!("EAASANDBOXfresh{}", random_token().replace(['-', '_'], "0")),
        ..old.clone()
    };
    let mut answer = json!({"access_token": token.value, "token_type": "bearer"});
    if expires {
        answer["expires_in"] = json!(REFRESHED);
        let end = chrono::Utc::now().timestamp() + REFRESHED;
        world.expiries.insert(token.value.clone(), end);
    }
    world.tokens.push(token);
    Ok(Reply::json(200, &answer))
}

/// `GET /oauth/revoke`: the token ends at once.
pub(crate) fn revoke(
    world: &mut GraphWorld,
    settings: &Settings,
    call: &Call,
) -> Result<Reply, GraphError> {
    let secret = settings.webhook.app_secret.as_str();
    if call.query("client_id") != Some(seed::APP_ID) {
        return Err(GraphError::oauth(101, "Missing client_id parameter."));
    }
    if call.query("client_secret") != Some(secret) {
        return Err(GraphError::oauth(1, "Error validating client secret."));
    }
    let token = call
        .query("revoke_token")
        .ok_or_else(|| GraphError::parameter("The parameter revoke_token is required."))?;
    if !world.set_token_state(token, TokenState::Revoked) {
        return Err(GraphError::token_unknown());
    }
    // The documented answer has a text here.
    Ok(Reply::json(200, &json!({"success": "true"})))
}

fn exchange(world: &mut GraphWorld, lifetime: Duration, code: &str) -> Result<String, GraphError> {
    let found = world
        .codes
        .iter_mut()
        .find(|have| have.code == code)
        .ok_or_else(|| GraphError::bad_code(36_008, "Invalid verification code format."))?;
    if found.used {
        return Err(GraphError::bad_code(
            36_009,
            "This authorization code has been used.",
        ));
    }
    if found.expired || found.made.elapsed() >= lifetime {
        return Err(GraphError::bad_code(
            36_007,
            "This authorization code has expired.",
        ));
    }
    found.used = true;
    let token = GraphToken {
        name: format!("signup-{}", found.waba_id),
        value: format!(
            "EAASANDBOXbusiness{}",
            random_token().replace(['-', '_'], "0")
        ),
        waba_ids: vec![found.waba_id.clone()],
        state: TokenState::Active,
        scopes: found.scopes.clone(),
        app_id: seed::APP_ID.to_owned(),
    };
    let value = token.value.clone();
    world.tokens.push(token);
    Ok(value)
}

/// `/{waba-id}/subscribed_apps`; there is one app here.
pub(crate) fn subscribed_apps(
    world: &mut GraphWorld,
    token: &GraphToken,
    method: &str,
    id: &str,
    call: &Call,
) -> Result<Reply, GraphError> {
    world
        .waba(token, id)
        .ok_or_else(|| GraphError::no_object(method, id))?;
    let waba = world
        .waba_mut(id)
        .ok_or_else(|| GraphError::no_object(method, id))?;
    match method {
        "GET" => {
            let app = json!({"whatsapp_business_api_data": {
                "id": seed::APP_ID,
                "name": "Agent Portal",
                "link": "https://www.facebook.com/games/?app_id=300000000000001",
            }});
            let apps: Vec<Value> = waba.subscribed.then_some(app).into_iter().collect();
            return Ok(Reply::json(200, &json!({"data": apps})));
        }
        "POST" => {
            if body_of(call).get("override_callback_uri").is_some() {
                return Err(GraphError::parameter(
                    "override_callback_uri is not modelled by the sandbox",
                ));
            }
            waba.subscribed = true;
        }
        _ => waba.subscribed = false,
    }
    Ok(success())
}

/// `POST /{phone-number-id}/register` and `/deregister`.
pub(crate) fn registration(
    world: &mut GraphWorld,
    token: &GraphToken,
    id: &str,
    verb: &str,
    call: &Call,
) -> Result<Reply, GraphError> {
    world
        .phone(token, id)
        .ok_or_else(|| GraphError::no_object("POST", id))?;
    let pin = if verb == "register" {
        Some(read_pin(&body_of(call))?)
    } else {
        None
    };
    if !world.may_register(id) {
        return Err(rows::REGISTRATION_LIMIT.into());
    }
    let phone = world
        .phone_mut(id)
        .ok_or_else(|| GraphError::no_object("POST", id))?;
    if phone.is_on_biz_app {
        return Err(GraphError::parameter(
            "This phone number is in use in the WhatsApp Business app and cannot be registered or \
             deregistered here",
        ));
    }
    let Some(pin) = pin else {
        if !phone.registered {
            return Err(rows::NOT_REGISTERED.into());
        }
        phone.registered = false;
        return Ok(success());
    };
    if !phone.code_verified {
        return Err(rows::NOT_VERIFIED.into());
    }
    if phone.pin.as_ref().is_some_and(|have| *have != pin) {
        return Err(rows::PIN_MISMATCH.into());
    }
    // Where two-step verification was off, this turns it on.
    phone.pin = Some(pin);
    phone.registered = true;
    Ok(success())
}

fn read_pin(body: &Value) -> Result<String, GraphError> {
    let text = |name| body.get(name).and_then(Value::as_str);
    if text("messaging_product") != Some("whatsapp") {
        return Err(GraphError::parameter(
            "The parameter messaging_product is required.",
        ));
    }
    let pin = text("pin").ok_or_else(|| GraphError::parameter("The parameter pin is required."))?;
    if pin.len() == 6 && pin.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(pin.to_owned())
    } else {
        Err(GraphError::parameter("Param pin must be a 6-digit number"))
    }
}

fn success() -> Reply {
    Reply::json(200, &json!({"success": true}))
}
